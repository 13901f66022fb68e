import { join } from "node:path";
import { defaultModelFile } from "../support/default-model";
import { modelFolder } from "../support/fixtures";
import { KernelClient, packageRoot, type Executed, type Json } from "../support/kernel-client";

jest.setTimeout(240_000);

let kernel: KernelClient;
afterEach(() => KernelClient.closeAll());

/** A kernel that knows of a front end which shows widgets, as JupyterLab tells it when it connects. */
async function start(): Promise<void> {
  kernel = await KernelClient.start({ cwd: join(packageRoot, "notebooks") });
  kernel.send("shell", "comm_open", { comm_id: "control", target_name: "jupyter.widget.control", data: {} });
  kernel.send("shell", "comm_msg", { comm_id: "control", data: { method: "request_states" } });
  await kernel.until(() =>
    kernel.iopub.find((message) => message.header.msg_type === "comm_msg" && message.content["comm_id"] === "control"),
  );
  await run(
    "setup",
    `import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import * as lm from "lm-transparency";
import * as w from "lm-transparency/ipywidgets";
import { commHost } from "lm-transparency/ipywidgets";
setFlagsFromString("--expose-gc");
const collectOnce = runInNewContext("gc") as () => void;
async function collect() { for (let i = 0; i < 4; i++) { await new Promise((resolve) => setTimeout(resolve, 10)); collectOnce(); } await new Promise((resolve) => setTimeout(resolve, 10)); }`,
  );
}

/** Runs a cell of this id, as front ends name them. */
async function run(cell: string, code: string, metadata: Json = {}): Promise<Executed> {
  const id = kernel.send(
    "shell",
    "execute_request",
    { code, silent: false, store_history: true, user_expressions: {}, allow_stdin: false, stop_on_error: true },
    { metadata: { cellId: cell, ...metadata } },
  );
  const executed = await kernel.finished(id);
  if (executed.error !== undefined) throw new Error(executed.error.traceback.join("\n"));
  return executed;
}

async function collect(): Promise<void> {
  await run("collect", "await collect();");
}

/** Ids of the widgets that are open in the kernel. */
async function open(): Promise<Set<string>> {
  await collect();
  const { comms } = (await kernel.request("comm_info_request", { target_name: "jupyter.widget" })) as { comms: Json };
  return new Set(Object.keys(comms));
}

/** Ids of the widgets of this kind that a cell has opened. */
function opened(executed: Executed, model: string): string[] {
  return executed.messages
    .filter(
      ({ header, content }) =>
        header.msg_type === "comm_open" && ((content["data"] as Json)["state"] as Json)["_model_name"] === model,
    )
    .map(({ content }) => String(content["comm_id"]));
}

const closed = (id: string): boolean =>
  kernel.iopub.some(({ header, content }) => header.msg_type === "comm_close" && content["comm_id"] === id);

/** Clicks a button; gives what its handler has printed. */
async function click(id: string): Promise<string> {
  const sent = kernel.send("shell", "comm_msg", {
    comm_id: id,
    data: { method: "custom", content: { event: "click" } },
  });
  const from = kernel.iopub.length;
  await kernel.until(() => (kernel.isIdle(sent) ? true : undefined));
  // What a handler prints stands below the cell of its widget.
  const said = await kernel.until(
    () => kernel.iopub.slice(from).find(({ header }) => header.msg_type === "stream"),
    5000,
  );
  return String(said.content["text"]);
}

const BUTTON = (text: string): string =>
  `(() => { const button = new w.Button({ description: ${JSON.stringify(text)} }); button.on("click", () => console.log(${JSON.stringify(text)})); return button; })()`;

async function resident(): Promise<number> {
  return Number((await run("resident", "await collect();\nprocess.memoryUsage().rss")).result?.["text/plain"]);
}

describe("widgets that outputs show", () => {
  beforeEach(start);

  test("one that no variable holds stays usable as long as its output is there", async () => {
    const before = await open();
    const [alone] = opened(await run("alone", BUTTON("alone")), "ButtonModel");
    const [boxed] = opened(await run("boxed", `new w.VBox([new w.HBox([${BUTTON("boxed")}])])`), "ButtonModel");
    const [captured] = opened(
      await run(
        "captured",
        `await (async () => { const output = new w.Output(); await output.append(${BUTTON("captured")}); return output; })()`,
      ),
      "ButtonModel",
    );
    const [displayed] = opened(await run("displayed", `await w.display(${BUTTON("displayed")});`), "ButtonModel");
    const interact = await run("interact", "w.interact(({ x }) => { console.log(`x is ${x}`); }, { x: 5 })");
    const [slider] = opened(interact, "IntSliderModel");
    const [output] = opened(interact, "OutputModel");
    for (let i = 0; i < 3; i++) await collect();
    expect(await click(alone)).toBe("alone\n");
    expect(await click(boxed)).toBe("boxed\n");
    expect(await click(captured)).toBe("captured\n");
    expect(await click(displayed)).toBe("displayed\n");
    kernel.send("shell", "comm_msg", {
      comm_id: slider,
      data: { method: "update", state: { value: 7 }, buffer_paths: [] },
    });
    await kernel.until(
      () =>
        kernel.iopub.find(
          ({ header, content }) =>
            header.msg_type === "comm_msg" &&
            content["comm_id"] === output &&
            JSON.stringify(content).includes("x is 7"),
        ),
      5000,
    );
    for (const cell of ["alone", "boxed", "captured", "displayed", "interact"]) await run(cell, "1");
    expect([...(await open())].filter((id) => !before.has(id))).toEqual([]);
    // Front ends are told, so that they let go of their side.
    for (const id of [alone, boxed, captured, displayed, slider, output]) expect(closed(id)).toBe(true);
  });

  test("a variable holds it on when its output is gone, and every output that shows it", async () => {
    const [held] = opened(await run("make", `const kept = ${BUTTON("kept")};\nkept`), "ButtonModel");
    await run("make", "1");
    expect(await open()).toContain(held);
    const [twice] = opened(
      await run("holder", `const holder: { it?: unknown } = { it: ${BUTTON("twice")} };`),
      "ButtonModel",
    );
    await run("first", "holder.it");
    await run("second", "holder.it");
    await run("holder 2", "delete holder.it;");
    await run("first", "1");
    expect(await open()).toContain(twice);
    expect(await click(twice)).toBe("twice\n");
    await run("second", "1");
    expect(await open()).not.toContain(twice);
  });

  test("cells that are deleted or clear their output let go of it; a clearing that waits does so with the next output", async () => {
    const [deleted] = opened(await run("deleted", BUTTON("deleted")), "ButtonModel");
    expect(await open()).toContain(deleted);
    await run("any", "1", { deletedCells: ["deleted"] });
    expect(await open()).not.toContain(deleted);
    const [cleared] = opened(
      await run("cleared", `await w.display(${BUTTON("cleared")});\nawait collect();\ncommHost().clearOutput();`),
      "ButtonModel",
    );
    expect(await open()).not.toContain(cleared);
    const [waiting] = opened(
      await run("waiting", `await w.display(${BUTTON("waiting")});\ncommHost().clearOutput({ wait: true });`),
      "ButtonModel",
    );
    // Nothing came: it still stands there.
    expect(await open()).toContain(waiting);
    expect(await click(waiting)).toBe("waiting\n");
    // Its handler has printed: the output is the text.
    expect(await open()).not.toContain(waiting);
  });

  test("a display that shows something else lets go of what it showed", async () => {
    const shown = await run("display", `await w.display(${BUTTON("one")}, { displayId: "place" });`);
    const [one] = opened(shown, "ButtonModel");
    expect(await open()).toContain(one);
    const [two] = opened(await run("other", `await w.updateDisplay("place", ${BUTTON("two")});`), "ButtonModel");
    const now = await open();
    expect(now).not.toContain(one);
    expect(now).toContain(two);
    expect(await click(two)).toBe("two\n");
    await run("other", `await w.updateDisplay("place", "text");`);
    expect(await open()).not.toContain(two);
  });

  test("a link in the browser lives as long as one of its ends", async () => {
    const before = await open();
    const made = await run(
      "ends",
      'new w.VBox((() => { const [a, b] = [new w.IntSlider(), new w.IntSlider()]; w.jslink([a, "value"], [b, "value"]); return [a, b]; })())',
    );
    const [link] = opened(made, "LinkModel");
    expect(await open()).toContain(link);
    const half = await run(
      "half",
      'const end = new w.IntSlider();\nw.jsdlink([end, "value"], [new w.IntSlider(), "value"]);\nend',
    );
    const [directed] = opened(half, "DirectionalLinkModel");
    await run("half", "1");
    expect(await open()).toContain(directed);
    await run("ends", "1");
    expect(await open()).not.toContain(link);
    await run("again", "const end = 0;");
    expect([...(await open())].filter((id) => !before.has(id))).toEqual([]);
  });

  test("a handler's own outputs hold what they show", async () => {
    const [outer] = opened(
      await run(
        "outer",
        `(() => { const button = new w.Button(); button.on("click", async () => { await w.display(${BUTTON("inner")}); console.log("shown"); }); return button; })()`,
      ),
      "ButtonModel",
    );
    const from = kernel.iopub.length;
    expect(await click(outer)).toBe("shown\n");
    const inner = kernel.iopub
      .slice(from)
      .find(
        ({ header, content }) =>
          header.msg_type === "comm_open" &&
          ((content["data"] as Json)["state"] as Json)["_model_name"] === "ButtonModel",
      )?.content["comm_id"];
    expect(await open()).toContain(inner);
    expect(await click(String(inner))).toBe("inner\n");
    await run("outer", "1");
    expect(await open()).not.toContain(inner);
  });
});

describe("a picture's cell that runs again and again", () => {
  beforeEach(start);

  test("100 times: runs, widgets and comms are freed", async () => {
    await run(
      "load",
      `const model = await lm.loadModel(${JSON.stringify(modelFolder("llama-tiny"))});\nlet round = 0;\nconst runs: WeakRef<object>[] = [];`,
    );
    const cell =
      "const run = await model.run([1 + (round++ % 50), 2, 3, 4, 5, 6]);\nruns.push(new WeakRef(run));\nlm.flowGraph(run)";
    let first = 0;
    let widgets = 0;
    let picture: string | undefined;
    for (let i = 0; i < 100; i++) {
      const executed = await run("picture", cell);
      [picture] = opened(executed, "PictureModel");
      expect(executed.messages.some(({ header }) => header.msg_type === "display_data")).toBe(true);
      if (i === 9) [widgets, first] = [(await open()).size, await resident()];
    }
    const left = await open();
    expect(left.size).toBeLessThanOrEqual(widgets);
    // No variable holds the picture that is shown, and its bundle has no widget's view.
    expect(left).toContain(picture);
    const alive = Number(
      (await run("alive", "await collect();\nruns.filter((reference) => reference.deref() !== undefined).length"))
        .result?.["text/plain"],
    );
    expect(alive).toBeLessThanOrEqual(2);
    expect((await resident()) - first).toBeLessThan(80e6);
  });

  test("pictures and controls are freed also where the run, or the session, that they share goes on", async () => {
    await run(
      "load",
      `const model = await lm.loadModel(${JSON.stringify(modelFolder("llama-tiny"))});\nconst run = await model.run([1, 2, 3, 4]);\nconst session = lm.promptBar(model);`,
    );
    let newest: string[] = [];
    let first = 0;
    for (let i = 0; i < 6; i++) {
      newest = [
        ...opened(await run("picture", `lm.flowGraph(run, { selection: { threshold: 0.0${i + 1} } })`), "PictureModel"),
        ...opened(await run("controls", "lm.modelPanel(session)"), "ControlModel"),
        ...opened(await run("heads", "lm.tokenMatrix(run)"), "PictureModel"),
      ];
      if (i === 1) first = (await open()).size;
    }
    const left = await open();
    expect(left.size).toBe(first);
    // They hear of what they share as long as their outputs are there.
    expect([...left]).toEqual(expect.arrayContaining(newest));
    const link = (
      await run(
        "heard",
        'const seen: number[] = [];\nconst held = lm.flowGraph(run);\nheld.on("select", ({ start }) => void seen.push(start));\nlm.tokenMatrix(run).select({ start: 2 });\nseen',
      )
    ).result;
    expect(link?.["text/plain"]).toBe("[ 2 ]");
  });

  test("a run that is kept does not keep the picture of the cell that made it", async () => {
    await run(
      "load",
      `const model = await lm.loadModel(${JSON.stringify(modelFolder("llama-tiny"))});\nconst kept: unknown[] = [];`,
    );
    const cell = "const run = await model.run([1, 2, 3, 4]);\nkept.push(run);\nawait run.routes();\nlm.flowGraph(run)";
    const [picture] = opened(await run("picture", cell), "PictureModel");
    // As a page does that shows it.
    const asked = kernel.send("shell", "comm_msg", {
      comm_id: picture,
      data: { method: "custom", content: { request: "q", kind: "ask", payload: {} } },
    });
    await kernel.until(() => (kernel.isIdle(asked) ? true : undefined));
    await run("picture", cell);
    expect(await open()).not.toContain(picture);
  });

  test("the default model with 40 tokens: memory stays within 300 MB of the first", async () => {
    await run("load", `const model = await lm.loadModel(${JSON.stringify(await defaultModelFile())});\nlet round = 0;`);
    const cell =
      "const run = await model.run(Array.from({ length: 40 }, (_, i) => 1000 + 37 * i + round));\nround++;\nlm.flowGraph(run)";
    const memory: number[] = [];
    for (let i = 0; i < 9; i++) {
      await run("picture", cell);
      memory.push(await resident());
    }
    expect(Math.max(...memory) - memory[0]).toBeLessThan(300e6);
  });
});
