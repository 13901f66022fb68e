import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { KernelClient, packageRoot, type Json } from "../support/kernel-client";
import { WidgetFront } from "../support/widget-front";

jest.setTimeout(240_000);

let kernel: KernelClient;
let front: WidgetFront;
beforeAll(async () => {
  kernel = await KernelClient.start();
  front = new WidgetFront(kernel);
  await run('import * as w from "lm-transparency/ipywidgets";');
});
afterAll(() => KernelClient.closeAll());

async function run(code: string): Promise<string> {
  const done = await kernel.execute(code);
  if (done.error !== undefined) throw new Error(`${done.error.ename}: ${done.error.evalue}`);
  front.refresh();
  return (done.result?.["text/plain"] as string | undefined) ?? "";
}

const { states } = JSON.parse(readFileSync(join(__dirname, "defaults.json"), "utf8")) as {
  states: Record<string, Json>;
};
const NAMES: Record<string, string> = {
  DatetimeModel: "DatetimePicker",
  NaiveDatetimeModel: "NaiveDatetimePicker",
  TimeModel: "TimePicker",
};

/** References as the reference values have them: by the model's name. */
function plain(value: unknown): unknown {
  if (typeof value === "string" && value.startsWith("IPY_MODEL_"))
    return { model: front.models.get(value.slice("IPY_MODEL_".length))?.state["_model_name"] };
  if (Buffer.isBuffer(value)) return { bytes: value.toString("base64") };
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === "object" && value !== null)
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
  return value;
}

test("the generated types are what the schema gives", () => {
  execFileSync(process.execPath, [join(packageRoot, "scripts", "generate-controls.mjs"), "--check"]);
});

test.each(Object.keys(states))("%s opens with the state that Python's has", async (model) => {
  const name = NAMES[model] ?? model.replace(/Model$/, "");
  const init = /Selection(Range)?Slider/.test(name)
    ? "{ options: ['a', 'b'] }"
    : /Link$/.test(name)
      ? "{ source: [new w.IntSlider(), 'value'], target: [new w.IntText(), 'value'] }"
      : "";
  await run(`const made = new w.${name}(${init});`);
  expect(plain(front.model(model).state)).toEqual(states[model]);
  expect(front.model(model).opened.metadata).toEqual({ version: "2.1.0" });
});

describe("values", () => {
  test.each([
    ["new w.IntSlider({ value: 500 }).value", "100"],
    ["new w.IntSlider({ value: 5, min: 10 }).value", "10"],
    ["(() => { const s = new w.IntSlider({ value: 50 }); s.max = 20; return s.value; })()", "20"],
    ["new w.FloatLogSlider({ value: 1e9, base: 10, min: -2, max: 3 }).value", "1000"],
    ["new w.IntRangeSlider({ value: [-5, 50] }).value", "[ 0, 50 ]"],
    ["new w.BoundedFloatText({ value: 7, max: 5 }).value", "5"],
    [
      "new w.DatePicker({ value: new Date('2020-01-01'), min: new Date('2021-05-06') }).value.toISOString()",
      "'2021-05-06T00:00:00.000Z'",
    ],
    ["new w.HBox([new w.Label(), new w.Label()], { layout: { width: '50%' } }).layout.width", "'50%'"],
    ["new w.Dropdown({ options: ['x', 'y'] }).value", "'x'"],
    ["new w.Dropdown({ options: { One: 1, Two: 2 }, value: 2 }).label", "'Two'"],
    ["new w.Dropdown().value === null", "true"],
    ["new w.Dropdown({ options: ['x'], value: null }).index === null", "true"],
    ["new w.SelectMultiple({ options: new Map([['a', 1], ['b', 2], ['c', 3]]), value: [1, 3] }).index", "[ 0, 2 ]"],
    ["new w.SelectionRangeSlider({ options: [10, 20, 30], index: [1, 2] }).value", "[ 20, 30 ]"],
    ["new w.Button({ description: 'Go' }).addClass('a').addClass('b').removeClass('a')._dom_classes", "[ 'b' ]"],
    ["new w.IntSlider({ value: 3, description: 'n' })", "IntSlider("],
  ])("%s is %s", async (code, expected) => {
    expect(await run(code)).toContain(expected);
  });

  test.each([
    ["new w.IntSlider({ value: 1.5 })", "IntSlider.value must be a whole number, not 1.5."],
    ["new w.IntSlider({ min: 5, max: 1 })", "IntSlider.min must not be greater than max, but it is 5 and max is 1."],
    ["new w.Text({ value: 5 as unknown as string })", "Text.value must be a string, not 5."],
    [
      "new w.Button({ button_style: 'red' as 'info' })",
      'Button.button_style must be one of "primary", "success", "info", "warning", "danger", "", not \'red\'.',
    ],
    ["new w.Dropdown({ options: ['x', 'y'], value: 'z' })", 'Dropdown has no option with the value "z"; it has: x, y.'],
    [
      "new w.Dropdown({ options: ['x', 'y'], index: 2 })",
      "The index of Dropdown must be a whole number from 0 to 1, not 2.",
    ],
    [
      "new w.FloatRangeSlider({ value: [3, 1] })",
      "The lower end of FloatRangeSlider.value must not be greater than the upper one, but they are 3 and 1.",
    ],
    ["new w.Checkbox({ valeu: true } as {})", 'Checkbox has no "valeu"; it has: description'],
    [
      "new w.Image({ value: 'text' as unknown as Uint8Array })",
      "Image.value must be bytes (a Uint8Array), not 'text'.",
    ],
  ])("%s is refused: %s", async (code, sentence) => {
    await expect(run(code)).rejects.toThrow(sentence);
  });

  test("a wrong type is refused by the compiler", async () => {
    await expect(run("new w.IntSlider({ value: 'five' });")).rejects.toThrow(
      "Type 'string' is not assignable to type 'number'",
    );
    await expect(run("const d = new w.Dropdown({ options: [1, 2] });\nconst s: string = d.value;")).rejects.toThrow(
      "not assignable to type 'string'",
    );
  });
});

describe("both ways", () => {
  test("a change in the browser reaches the kernel, is echoed with its message as parent, and observers hear who made it", async () => {
    await run(
      "const slider = new w.IntSlider();\nconst heard: unknown[] = [];\nslider.observe('value', (change) => heard.push(change));",
    );
    const model = front.model("IntSliderModel");
    const id = front.update(model, { value: 42, unknown_key: 1 });
    await front.settled(id);
    expect(await run("heard")).toBe("[ { name: 'value', old: 0, new: 42, source: 'frontend' } ]");
    const echoes = front.sent(model, "echo_update");
    expect(echoes.map((echo) => [echo.parent.msg_id, (echo.content["data"] as Json)["state"]])).toEqual([
      [id, { value: 42 }],
    ]);
    expect(front.sent(model, "update")).toEqual([]);
  });

  test("a change in the kernel reaches the browser; no change sends nothing", async () => {
    await run(
      "const text = new w.Text();\ntext.value = 'a';\ntext.value = 'a';\ntext.set({ value: 'b', disabled: true });",
    );
    const model = front.model("TextModel");
    expect(model.state).toMatchObject({ value: "b", disabled: true });
    expect(front.sent(model, "update").length).toBeLessThanOrEqual(2);
  });

  test("a value out of bounds, or of a wrong type, is corrected in the browser", async () => {
    await run("const bounded = new w.IntSlider({ value: 7 });");
    const model = front.model("IntSliderModel");
    await front.settled(front.update(model, { value: 1000 }));
    expect([model.state["value"], await run("bounded.value")]).toEqual([100, "100"]);
    await front.settled(front.update(model, { value: "text" }));
    expect([model.state["value"], await run("bounded.value")]).toEqual([100, "100"]);
  });

  test("await changed() gives the next value; it ends with its signal, the cell's interrupt and the widget", async () => {
    await run("const box = new w.Checkbox();");
    const model = front.model("CheckboxModel");
    const waiting = kernel.submit("await box.changed('value')");
    await kernel.until(() => kernel.messagesOf(waiting).find((message) => message.header.msg_type === "execute_input"));
    await new Promise((resolve) => setTimeout(resolve, 300));
    front.update(model, { value: true });
    expect((await kernel.finished(waiting)).result).toEqual({ "text/plain": "true" });
    await expect(run("await box.changed('value', { signal: AbortSignal.timeout(20) })")).rejects.toThrow(
      "TimeoutError",
    );
    await expect(run("const p = box.changed('value');\nbox.close();\nawait p;")).rejects.toThrow(
      'The widget CheckboxModel was closed before "value" changed.',
    );
    front.refresh();
    expect(model.closed).toBe(true);
  });

  test("dates and times cross", async () => {
    await run(
      "const day = new w.DatePicker({ value: new Date('2026-03-01') });\nconst clock = new w.TimePicker();\nconst moment = new w.DatetimePicker();",
    );
    expect(front.model("DatePickerModel").state["value"]).toEqual({ year: 2026, month: 2, date: 1 });
    await front.settled(front.update(front.model("DatePickerModel"), { value: { year: 1999, month: 11, date: 31 } }));
    await front.settled(
      front.update(front.model("TimeModel"), { value: { hours: 1, minutes: 2, seconds: 3, milliseconds: 4 } }),
    );
    await front.settled(
      front.update(front.model("DatetimeModel"), {
        value: { year: 2020, month: 0, date: 2, hours: 3, minutes: 4, seconds: 5, milliseconds: 6 },
      }),
    );
    expect(await run("[day.value.toISOString(), clock.value.seconds, moment.value.toISOString()]")).toBe(
      "[ '1999-12-31T00:00:00.000Z', 3, '2020-01-02T03:04:05.006Z' ]",
    );
  });

  test("a click, a submitted text and an uploaded file arrive; what a handler prints shows below the cell that made the widget", async () => {
    const id = kernel.submit(
      "const go = new w.Button();\ngo.on('click', () => console.log('clicked'));\nconst up = new w.FileUpload();\nconst field = new w.Text();\nfield.on('submit', () => console.log('submitted'));",
    );
    await kernel.finished(id);
    await front.settled(front.custom(front.model("ButtonModel"), { event: "click" }));
    await front.settled(front.custom(front.model("TextModel"), { event: "submit" }));
    const printed = (): string =>
      kernel
        .messagesOf(id)
        .filter((message) => message.header.msg_type === "stream")
        .map((message) => message.content["text"])
        .join("");
    await kernel.until(() => (printed() === "clicked\nsubmitted\n" ? true : undefined));
    const content = new Uint8Array([1, 2, 3]);
    await front.settled(
      front.update(
        front.model("FileUploadModel"),
        { value: [{ name: "a.bin", type: "x/y", size: 3, last_modified: 5 }] },
        [content],
        [["value", 0, "content"]],
      ),
    );
    expect(await run("[up.value[0].name, up.value[0].lastModified.getTime(), [...up.value[0].content]]")).toBe(
      "[ 'a.bin', 5, [ 1, 2, 3 ] ]",
    );
  });

  test("a selection's index chooses its value", async () => {
    await run(
      "const choice = new w.RadioButtons({ options: { low: 0.1, high: 0.9 } });\nconst chosen: number[] = [];\nchoice.observe('value', (c) => chosen.push(c.new));",
    );
    const model = front.model("RadioButtonsModel");
    expect(model.state["_options_labels"]).toEqual(["low", "high"]);
    expect(Object.keys(model.state)).not.toContain("options");
    await front.settled(front.update(model, { index: 1 }));
    expect(await run("[choice.value, choice.label, chosen]")).toBe("[ 0.9, 'high', [ 0.9 ] ]");
    await run("choice.options = { only: 5 };");
    expect(model.state).toMatchObject({ index: 0, _options_labels: ["only"] });
  });
});

describe("together", () => {
  test("link and dlink keep values equal; unlink ends it", async () => {
    await run(
      "const a = new w.IntSlider({ value: 5 });\nconst b = new w.IntText();\nconst cut = w.link([a, 'value'], [b, 'value']);\nconst c = new w.Label();\nw.dlink([a, 'value'], [c, 'value'], (n) => `is ${n}`);",
    );
    await run("b.value = 300;");
    expect(await run("[a.value, b.value, c.value]")).toBe("[ 100, 100, 'is 100' ]");
    await run("cut.unlink(); b.value = 1;");
    expect(await run("[a.value, b.value]")).toBe("[ 100, 1 ]");
  });

  test("jslink names both ends by reference", async () => {
    await run("const x = new w.IntSlider();\nconst y = new w.IntProgress();\nw.jslink([x, 'value'], [y, 'value']);");
    expect(front.model("LinkModel").state).toMatchObject({
      source: [`IPY_MODEL_${front.model("IntSliderModel").id}`, "value"],
      target: [`IPY_MODEL_${front.model("IntProgressModel").id}`, "value"],
      _view_name: null,
    });
  });

  test("interact runs at every change, shows results and errors in its output, and newer runs win", async () => {
    const shown = await kernel.execute(
      "const i = w.interact(async ({ n, mode }) => { console.log('n', n); if (n === 13) throw new Error('unlucky'); if (n === 7) await new Promise((r) => setTimeout(r, 200)); return `${mode}:${n}`; }, { n: 3, mode: ['a', 'b'] });\ni",
    );
    front.refresh();
    expect(Object.keys(shown.result ?? {})).toContain("application/vnd.jupyter.widget-view+json");
    const output = front.model("OutputModel");
    const texts = (): string => JSON.stringify(output.state["outputs"]);
    await kernel.until(() => (front.refresh(), texts().includes("'a:3'") ? true : undefined));
    const slider = front.model("IntSliderModel");
    expect(slider.state).toMatchObject({ min: -3, max: 9, value: 3, description: "n" });
    front.update(slider, { value: 7 });
    await front.settled(front.update(slider, { value: 8 }));
    await kernel.until(() => (front.refresh(), texts().includes("'a:8'") ? true : undefined));
    await new Promise((resolve) => setTimeout(resolve, 300));
    front.refresh();
    expect(texts()).not.toContain("a:7");
    await front.settled(front.update(front.model("DropdownModel"), { index: 1 }));
    await kernel.until(() => (front.refresh(), texts().includes("'b:8'") ? true : undefined));
    await run("(i.controls.n as w.IntSlider).max = 20; (i.controls.n as w.IntSlider).value = 13;");
    await kernel.until(() => (front.refresh(), texts().includes("unlucky") ? true : undefined));
    expect(texts()).not.toContain("b:8");
  });

  test("Output takes text, displays, updates and errors of what runs in it, and only that", async () => {
    const done = await kernel.execute(
      "const out = new w.Output();\nawait Promise.all([\n  out.capture(async () => { console.log('in'); await new Promise((r) => setTimeout(r, 20)); console.log('side'); await w.display('x', { displayId: 'q' }); await w.updateDisplay('q', 'y'); }),\n  (async () => { await null; console.log('outside'); })(),\n]);\nawait out.capture(() => { throw new Error('inside'); }).catch(() => {});\nout",
    );
    expect(done.stdout).toBe("outside\n");
    expect(done.error).toBeUndefined();
    front.refresh();
    expect(front.model("OutputModel").state["outputs"]).toEqual([
      { output_type: "stream", name: "stdout", text: "in\nside\n" },
      { output_type: "display_data", data: { "text/plain": "'y'" }, metadata: {} },
      expect.objectContaining({ output_type: "error", ename: "Error", evalue: "inside" }),
    ]);
  });

  test("progress shows a bar that ends full and green, or red after a break", async () => {
    const done = await kernel.execute(
      "const seen: number[] = [];\nfor await (const n of w.progress([1, 2, 3], { description: 'Work', unit: 'steps' })) seen.push(n);\nseen",
    );
    expect(done.result).toEqual({ "text/plain": "[ 1, 2, 3 ]" });
    expect(done.messages.some((message) => message.header.msg_type === "display_data")).toBe(true);
    front.refresh();
    expect(front.model("FloatProgressModel").state).toMatchObject({
      value: 1,
      bar_style: "success",
      description: "Work",
    });
    expect(front.model("LabelModel").state["value"]).toMatch(/^3 \/ 3 steps, /);
    await run("for await (const n of w.progress([1, 2, 3])) if (n === 2) break;");
    expect(front.model("FloatProgressModel").state).toMatchObject({ bar_style: "danger" });
  });
});

describe("progress of library functions", () => {
  const displays = (messages: readonly { header: { msg_type: string }; content: Json }[]): unknown[] =>
    messages
      .filter((message) => message.header.msg_type.endsWith("display_data"))
      .map((message) => [
        message.header.msg_type,
        Object.keys(message.content["data"] as Json).length,
        (message.content["data"] as Json)["text/plain"],
      ]);

  test("what is over at once leaves no output", async () => {
    const done = await kernel.execute(
      "const at = w.progressListener();\nfor (const done of [0, 1, 2]) at({ stage: 'loading', done, total: 2, unit: 'layers' });",
    );
    expect(done.error).toBeUndefined();
    expect(displays(done.messages)).toEqual([]);
    const late = await kernel.execute(
      "new w.ProgressBar({ description: 'never used' });\nawait new Promise((r) => setTimeout(r, 400));",
    );
    expect(displays(late.messages)).toEqual([]);
  });

  test("a longer stage shows a bar, by itself where no further report comes, and leaves one line of text", async () => {
    const done = await kernel.execute(
      "const report = w.progressListener();\nreport({ stage: 'fetching', done: 1, total: 2, unit: 'files' });\nawait new Promise((r) => setTimeout(r, 600));\nreport({ stage: 'fetching', done: 2, total: 2, unit: 'files' });",
    );
    expect(displays(done.messages)).toEqual([
      ["display_data", 2, expect.stringMatching(/^fetching: 1 \/ 2 files, /)],
      ["update_display_data", 1, expect.stringMatching(/^fetching: 2 \/ 2 files, /)],
    ]);
    // Its widgets are closed: nothing piles up in the kernel.
    expect(done.messages.filter((message) => message.header.msg_type === "comm_close").length).toBe(3);
  });
});

test("a front end that connects later gets every open widget with its state and buffers", async () => {
  await run(
    "const picture = new w.Image({ value: new Uint8Array([9, 8]) });\nconst named = new w.Text({ value: 'kept' });",
  );
  const [image, text] = [front.model("ImageModel"), front.model("TextModel")];
  const comm = "control-1";
  kernel.send(
    "shell",
    "comm_open",
    { comm_id: comm, target_name: "jupyter.widget.control", data: {} },
    { metadata: { version: "1.0.0" } },
  );
  kernel.send("shell", "comm_msg", { comm_id: comm, data: { method: "request_states" } });
  const answer = await kernel.until(() => kernel.iopub.find((message) => message.content["comm_id"] === comm));
  const data = answer.content["data"] as { method: string; states: Record<string, Json>; buffer_paths: unknown[][] };
  expect(data.method).toBe("update_states");
  expect(data.states[text.id]).toMatchObject({
    model_name: "TextModel",
    model_module: "@jupyter-widgets/controls",
    model_module_version: "2.0.0",
    state: { value: "kept" },
  });
  const at = data.buffer_paths.findIndex((path) => path[0] === image.id);
  expect(data.buffer_paths[at]).toEqual([image.id, "state", "value"]);
  expect([...answer.buffers[at]]).toEqual([9, 8]);
});
