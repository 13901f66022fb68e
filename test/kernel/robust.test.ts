import { KernelClient, type Json } from "../support/kernel-client";
import { WidgetFront } from "../support/widget-front";

jest.setTimeout(240_000);

afterAll(() => KernelClient.closeAll());

/** A small generator of reproducible random numbers (mulberry32). */
function random(seed: number): () => number {
  let a = seed;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

test("10,000 malformed, duplicated, unknown and unsigned messages leave the kernel answering", async () => {
  const kernel = await KernelClient.start();
  const front = new WidgetFront(kernel);
  await kernel.execute(
    'import * as w from "lm-transparency/ipywidgets";\nconst slider = new w.IntSlider();\nconst choice = new w.Dropdown({ options: ["a", "b"] });\nconst boxes = new w.HBox([slider]);\nconst image = new w.Image();',
  );
  front.refresh();
  const ids = [...front.models.keys()];
  const next = random(20240607);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)];
  const junk: readonly unknown[] = [
    null,
    true,
    -1,
    1e308,
    "",
    "IPY_MODEL_",
    `IPY_MODEL_${ids[0]}`,
    "IPY_MODEL_none",
    [],
    [[]],
    {},
    { a: { b: [1] } },
    "\u0000😀",
    [null],
    ["__proto__"],
    { __proto__: null, toString: 1 },
    JSON.parse('{"__proto__": {"polluted": true}}'),
    { constructor: { prototype: { polluted: true } } },
    Array.from({ length: 50 }, (_, i) => i),
  ];
  const keys = [
    "value",
    "index",
    "children",
    "layout",
    "_dom_classes",
    "__proto__",
    "constructor",
    "nothing",
    "options",
    "_options_labels",
  ];
  const paths: readonly unknown[] = [
    undefined,
    null,
    [],
    [["value"]],
    [["__proto__", "polluted"]],
    [["constructor", "prototype", "polluted"]],
    [["children", 0]],
    [[5]],
    [[]],
    ["x"],
    [["value", "deep", "er"]],
    [["value"], ["value"]],
  ];
  const state = (): unknown =>
    next() < 0.2
      ? pick(junk)
      : Object.fromEntries(Array.from({ length: 1 + Math.floor(next() * 3) }, () => [pick(keys), pick(junk)]));
  const data = (): unknown =>
    next() < 0.15
      ? pick(junk)
      : {
          method: pick(["update", "request_state", "custom", "echo_update", "nonsense", 5, null]),
          state: state(),
          buffer_paths: pick(paths),
          content: pick([
            ...junk,
            { request: "r", kind: "k" },
            { response: "k1" },
            { cancel: "r" },
            { event: "click" },
            { event: "__proto__" },
          ]),
        };
  const content = (): unknown =>
    next() < 0.1
      ? pick(junk)
      : {
          comm_id: next() < 0.8 ? pick([...ids, "dup", "fresh" + String(Math.floor(next() * 50))]) : pick(junk),
          target_name: pick(["jupyter.widget", "jupyter.widget.control", "none", 7, null]),
          data: data(),
        };
  const types = [
    "comm_msg",
    "comm_msg",
    "comm_msg",
    "comm_open",
    "comm_close",
    "comm_info_request",
    "kernel_info_request",
    "unknown_request",
    "input_reply",
    "history_request",
    "is_complete_request",
  ];
  const big = Buffer.alloc(8 << 20, 7);
  let last: Buffer[] | undefined;
  for (let n = 0; n < 10_000; n++) {
    const type = pick(types);
    // Closing the widgets would end the test's interest in them early.
    const kept = type === "comm_close" && n < 9000 ? { comm_id: "other", data: {} } : content();
    const { frames } = kernel.frames(type, kept, {
      buffers: n % 1000 === 0 ? [big] : next() < 0.2 ? [Buffer.from("bytes"), new Uint8Array(0)] : [],
    });
    const sent = frames.map((frame) => Buffer.from(frame));
    const spoil = next();
    if (spoil < 0.05) sent[1] = Buffer.from("0".repeat(64));
    else if (spoil < 0.08) sent.splice(Math.floor(next() * sent.length), 1);
    else if (spoil < 0.1)
      sent[2 + Math.floor(next() * 4)] = Buffer.from(pick(["{", "[]", "null", "\xff\xfe", ""]), "latin1");
    else if (spoil < 0.12) sent.length = Math.floor(next() * sent.length);
    else if (spoil < 0.14 && last !== undefined) kernel.sendRaw("shell", last);
    last = frames;
    kernel.sendRaw(next() < 0.9 ? "shell" : "control", sent.length === 0 ? [Buffer.alloc(0)] : sent);
    if (n % 500 === 0) await kernel.request("kernel_info_request", {}, "shell", 60_000);
  }
  const run = await kernel.execute(
    "[({} as any).polluted, slider.state.layout === slider.layout, Number.isInteger(slider.value), 1 + 1]",
    {},
    60_000,
  );
  expect(run.result).toEqual({ "text/plain": "[ undefined, true, true, 2 ]" });
  await kernel.request("kernel_info_request", {}, "control");
  // A new widget still works in both directions.
  await kernel.execute("const after = new w.IntText();");
  front.refresh();
  await front.settled(front.update(front.model("IntTextModel"), { value: 12 }));
  expect((await kernel.execute("after.value")).result).toEqual({ "text/plain": "12" });
});

test("100 widgets with 1,000 changes a second each way for 10 s: no final state is lost, memory does not drift", async () => {
  const kernel = await KernelClient.start();
  const front = new WidgetFront(kernel);
  await kernel.execute(
    [
      'import { setFlagsFromString } from "node:v8";',
      'import { runInNewContext } from "node:vm";',
      'import { IntText } from "lm-transparency/ipywidgets";',
      'setFlagsFromString("--expose-gc");',
      'const gc = runInNewContext("gc") as () => void;',
      "const used = () => { gc(); gc(); return process.memoryUsage().heapUsed; };",
      "const widgets = Array.from({ length: 100 }, (_, i) => new IntText({ description: `w${i}` }));",
      "const heard = new Map<number, number>();",
      "widgets.slice(50).forEach((one, i) => one.observe('value', (change) => heard.set(i, change.new)));",
    ].join("\n"),
  );
  front.refresh();
  const models = [...front.models.values()].filter((model) => model.state["_model_name"] === "IntTextModel");
  expect(models).toHaveLength(100);
  const cell = kernel.submit(
    [
      "const heap: number[] = [];",
      "const begun = Date.now();",
      "for (let n = 0; n < 10_000; n++) {",
      "  widgets[n % 50].value = n;",
      "  if (n % 10 === 9) await new Promise((r) => setTimeout(r, Math.max(0, begun + n + 1 - Date.now())));",
      "  if (n % 2500 === 2499) heap.push(used());",
      "}",
      "heap",
    ].join("\n"),
  );
  const begun = Date.now();
  const lasts = new Map<number, number>();
  let sent = "";
  for (let n = 0; n < 10_000; n++) {
    const at = 50 + (n % 50);
    lasts.set(at, n);
    sent = front.update(models[at], { value: n });
    if (n % 10 === 9) await new Promise((resolve) => setTimeout(resolve, Math.max(0, begun + n + 1 - Date.now())));
  }
  const done = await kernel.finished(cell, 120_000);
  await front.settled(sent);
  for (let i = 0; i < 50; i++) expect(models[i]?.state["value"]).toBe(9950 + i);
  const values = JSON.parse(
    String(
      (await kernel.execute("JSON.stringify([widgets.slice(50).map((one) => one.value), [...heard]])")).result?.[
        "text/plain"
      ],
    ).slice(1, -1),
  ) as [number[], [number, number][]];
  expect(values[0]).toEqual([...lasts.values()]);
  expect(new Map(values[1])).toEqual(new Map([...lasts].map(([at, n]) => [at - 50, n])));
  // What the server would drop: more than 1000 messages a second that the kernel sends of itself.
  const own = kernel.iopub.filter(
    (message) => (message.content["data"] as Json | undefined)?.["method"] === "update",
  ).length;
  expect(own).toBeLessThan(5000);
  const [first, , , last] = JSON.parse(String(done.result?.["text/plain"]).replace(/\s/g, "")) as [
    number,
    number,
    number,
    number,
  ];
  expect(last - first).toBeLessThan(4 << 20);
});
