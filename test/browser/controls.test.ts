/**
 * Every stock control in a real JupyterLab: it shows; what the user does reaches the kernel; what the kernel does
 * reaches the page; after a reload all is as before. Waits are for what appears, never for a time.
 */
import type { Locator } from "playwright-core";
import { type Jupyter, makeNotebook, type NotebookPage, startJupyter } from "../support/jupyter";

jest.setTimeout(240_000);

interface Case {
  /** Makes the control, as the last expression of its cell. `w` is the library. */
  readonly make: string;
  /** What the user does. */
  readonly act?: (cell: Locator) => Promise<void>;
  /** What the kernel then sees: an expression of the control `c`, and its value as text. */
  readonly seen?: readonly [expression: string, value: string];
  /** What the kernel does to the control `c`. */
  readonly set: string;
  /** What the page shows. */
  readonly read: (cell: Locator) => Promise<unknown>;
  /** What it must then show. */
  readonly shows: unknown;
}

const text = (selector: string) => async (cell: Locator) => (await cell.locator(selector).first().innerText()).trim();
const value = (selector: string) => (cell: Locator) => cell.locator(selector).first().inputValue();
const count = (selector: string) => (cell: Locator) => cell.locator(selector).count();
const enter = (selector: string, typed: string) => async (cell: Locator) => {
  await cell.locator(selector).first().fill(typed);
  await cell.locator(selector).first().press("Enter");
};
const type = (selector: string, typed: string) => async (cell: Locator) => {
  await cell.locator(selector).first().click();
  await cell.locator(selector).first().press("ControlOrMeta+a");
  await cell.locator(selector).first().pressSequentially(typed);
  await cell.locator(selector).first().press("Enter");
};
const click =
  (selector: string, n = 0) =>
  (cell: Locator) =>
    cell.locator(selector).nth(n).click();
const press =
  (selector: string, ...keys: string[]) =>
  async (cell: Locator) => {
    await cell.locator(selector).first().focus();
    for (const key of keys) await cell.locator(selector).first().press(key);
  };
const has = (selector: string, name: string) => (cell: Locator) =>
  cell
    .locator(selector)
    .first()
    .evaluate((element, one) => element.classList.contains(one), name);
const style = (selector: string, property: string) => (cell: Locator) =>
  cell
    .locator(selector)
    .first()
    .evaluate((element, one) => (element as unknown as { style: Record<string, string> }).style[one], property);
const TAG = ".jupyter-widget-tag:not(input), .jupyter-widget-colortag";
const tags = async (cell: Locator): Promise<string[]> =>
  (await cell.locator(TAG).allInnerTexts()).map((one) => one.replace(/\s/g, ""));

const READOUT = ".widget-readout";
const upload = (file: { name: string; mimeType: string; buffer: Buffer }) => async (cell: Locator) => {
  const chooser = cell.page().waitForEvent("filechooser");
  await cell.locator("button").click();
  await (await chooser).setFiles(file);
};
/** Typed text that the browser takes when the field is left. */
const commit = (selector: string, typed: string) => async (cell: Locator) => {
  await cell.locator(selector).first().fill(typed);
  await cell.locator(selector).first().dispatchEvent("change");
};
/** The tags' input shows when the field is clicked. */
const addTag = (typed: string) => async (cell: Locator) => {
  await cell.locator(".jupyter-widget-tagsinput").click();
  await cell.locator("input").first().pressSequentially(typed);
  // Leaving the field takes the text; Enter belongs to the notebook here.
  await cell.locator("input").first().blur();
};
const PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

const CASES: Readonly<Record<string, Case>> = {
  IntSlider: {
    make: "new w.IntSlider({ value: 3 })",
    act: type(READOUT, "42"),
    seen: ["$c.value", "42"],
    set: "$c.value = 7",
    read: text(READOUT),
    shows: "7",
  },
  FloatSlider: {
    make: "new w.FloatSlider({ value: 3 })",
    act: type(READOUT, "4.5"),
    seen: ["$c.value", "4.5"],
    set: "$c.value = 7.25",
    read: text(READOUT),
    shows: "7.30",
  },
  FloatLogSlider: {
    make: "new w.FloatLogSlider({ value: 10 })",
    act: type(READOUT, "100"),
    seen: ["Math.round($c.value)", "100"],
    set: "$c.value = 1000",
    read: text(READOUT),
    shows: "1.00e+3",
  },
  IntRangeSlider: {
    make: "new w.IntRangeSlider({ value: [10, 20] })",
    act: press(".noUi-handle-lower", "ArrowRight"),
    seen: ["$c.value", "[ 11, 20 ]"],
    set: "$c.value = [5, 6]",
    read: text(READOUT),
    shows: "5 – 6",
  },
  FloatRangeSlider: {
    make: "new w.FloatRangeSlider({ value: [1, 2], max: 10 })",
    act: press(".noUi-handle-upper", "ArrowRight"),
    seen: ["$c.value.map((n) => n.toFixed(1))", "[ '1.0', '2.1' ]"],
    set: "$c.value = [5, 6]",
    read: text(READOUT),
    shows: "5.00 – 6.00",
  },
  IntText: {
    make: "new w.IntText()",
    act: enter("input", "12"),
    seen: ["$c.value", "12"],
    set: "$c.value = -3",
    read: value("input"),
    shows: "-3",
  },
  BoundedIntText: {
    make: "new w.BoundedIntText({ max: 10 })",
    act: enter("input", "99"),
    seen: ["$c.value", "10"],
    set: "$c.value = 4",
    read: value("input"),
    shows: "4",
  },
  FloatText: {
    make: "new w.FloatText()",
    act: enter("input", "1.5"),
    seen: ["$c.value", "1.5"],
    set: "$c.value = 2.25",
    read: value("input"),
    shows: "2.25",
  },
  BoundedFloatText: {
    make: "new w.BoundedFloatText({ max: 2 })",
    act: enter("input", "9"),
    seen: ["$c.value", "2"],
    set: "$c.value = 0.5",
    read: value("input"),
    shows: "0.5",
  },
  IntProgress: {
    make: "new w.IntProgress({ value: 10 })",
    set: "$c.value = 60",
    read: style(".progress-bar", "width"),
    shows: "60%",
  },
  FloatProgress: {
    make: "new w.FloatProgress({ value: 10 })",
    set: "$c.set({ value: 30, bar_style: 'success' })",
    read: style(".progress-bar", "width"),
    shows: "30%",
  },
  Checkbox: {
    make: "new w.Checkbox({ description: 'Yes' })",
    act: click("input"),
    seen: ["$c.value", "true"],
    set: "$c.value = false",
    read: (cell) => cell.locator("input").isChecked(),
    shows: false,
  },
  ToggleButton: {
    make: "new w.ToggleButton({ description: 'On' })",
    act: click("button"),
    seen: ["$c.value", "true"],
    set: "$c.description = 'Off'",
    read: text("button"),
    shows: "Off",
  },
  Valid: {
    make: "new w.Valid({ value: true })",
    set: "$c.value = false",
    read: has(".widget-valid", "mod-invalid"),
    shows: true,
  },
  Button: {
    make: "new w.Button({ description: 'Go' })",
    act: click("button"),
    seen: ["clicks", "1"],
    set: "$c.button_style = 'danger'",
    read: has("button", "mod-danger"),
    shows: true,
  },
  Dropdown: {
    make: "new w.Dropdown({ options: { One: 1, Two: 2, Three: 3 } })",
    act: async (cell) => void (await cell.locator("select").selectOption({ label: "Two" })),
    seen: ["$c.value", "2"],
    set: "$c.value = 3",
    read: (cell) =>
      cell
        .locator("select")
        .evaluate((select) => (select as unknown as { selectedOptions: { text: string }[] }).selectedOptions[0]?.text),
    shows: "Three",
  },
  Select: {
    make: "new w.Select({ options: ['a', 'b', 'c'] })",
    act: async (cell) => void (await cell.locator("select").selectOption("b")),
    seen: ["$c.value", "'b'"],
    set: "$c.value = 'c'",
    read: value("select"),
    shows: "c",
  },
  SelectMultiple: {
    make: "new w.SelectMultiple({ options: ['a', 'b', 'c'] })",
    act: async (cell) => void (await cell.locator("select").selectOption(["a", "c"])),
    seen: ["$c.value", "[ 'a', 'c' ]"],
    set: "$c.value = ['b']",
    read: value("select"),
    shows: "b",
  },
  RadioButtons: {
    make: "new w.RadioButtons({ options: ['a', 'b', 'c'] })",
    act: click("input", 1),
    seen: ["$c.value", "'b'"],
    set: "$c.value = 'c'",
    read: (cell) => cell.locator("input").nth(2).isChecked(),
    shows: true,
  },
  ToggleButtons: {
    make: "new w.ToggleButtons({ options: ['a', 'b', 'c'] })",
    act: click("button", 1),
    seen: ["$c.value", "'b'"],
    set: "$c.value = 'c'",
    read: text("button.mod-active"),
    shows: "c",
  },
  SelectionSlider: {
    make: "new w.SelectionSlider({ options: ['low', 'mid', 'high'] })",
    act: press(".noUi-handle", "ArrowRight"),
    seen: ["$c.value", "'mid'"],
    set: "$c.value = 'high'",
    read: text(READOUT),
    shows: "high",
  },
  SelectionRangeSlider: {
    make: "new w.SelectionRangeSlider({ options: ['a', 'b', 'c', 'd'], index: [0, 1] })",
    act: press(".noUi-handle-upper", "ArrowRight"),
    seen: ["$c.value", "[ 'a', 'c' ]"],
    set: "$c.value = ['b', 'd']",
    read: text(READOUT),
    shows: "b-d",
  },
  Text: {
    make: "new w.Text()",
    act: enter("input", "hé <b>"),
    seen: ["$c.value", "'hé <b>'"],
    set: "$c.value = '日本'",
    read: value("input"),
    shows: "日本",
  },
  Textarea: {
    make: "new w.Textarea()",
    act: (cell) => cell.locator("textarea").fill("two\nlines"),
    seen: ["$c.value", "'two\\nlines'"],
    set: "$c.value = 'x'",
    read: value("textarea"),
    shows: "x",
  },
  Password: {
    make: "new w.Password()",
    act: enter("input", "secret"),
    seen: ["$c.value", "'secret'"],
    set: "$c.disabled = true",
    read: (cell) => cell.locator("input[type=password]").isDisabled(),
    shows: true,
  },
  Combobox: {
    make: "new w.Combobox({ options: ['Paris', 'Rome'] })",
    act: enter("input", "Rome"),
    seen: ["$c.value", "'Rome'"],
    set: "$c.value = 'Paris'",
    read: value("input"),
    shows: "Paris",
  },
  Label: {
    make: "new w.Label({ value: 'a' })",
    set: "$c.value = 'b & c'",
    read: text(".widget-label"),
    shows: "b & c",
  },
  HTML: {
    make: "new w.HTML({ value: '<b>a</b>' })",
    set: "$c.value = '<i>it</i>'",
    read: text(".widget-html-content i"),
    shows: "it",
  },
  HTMLMath: { make: "new w.HTMLMath({ value: 'a' })", set: "$c.value = '<u>b</u>'", read: text("u"), shows: "b" },
  Image: {
    make: `new w.Image({ value: Buffer.from("${PNG}", "base64"), width: "20", height: "20" })`,
    set: "$c.width = '30'",
    read: (cell) =>
      cell
        .locator("img")
        .evaluate((image) => [
          (image as unknown as { naturalWidth: number }).naturalWidth,
          image.getAttribute("width"),
        ]),
    shows: [1, "30"],
  },
  Audio: {
    make: "new w.Audio({ value: new Uint8Array(10), autoplay: false })",
    set: "$c.loop = false",
    read: (cell) => cell.locator("audio").evaluate((audio) => (audio as unknown as { loop: boolean }).loop),
    shows: false,
  },
  Video: {
    make: "new w.Video({ value: new Uint8Array(10), autoplay: false })",
    set: "$c.width = '33'",
    read: (cell) => cell.locator("video").getAttribute("width"),
    shows: "33",
  },
  DatePicker: {
    make: "new w.DatePicker()",
    act: (cell) => cell.locator("input[type=date]").fill("2026-02-03"),
    seen: ["$c.value.toISOString()", "'2026-02-03T00:00:00.000Z'"],
    set: "$c.value = new Date('1999-12-31')",
    read: value("input[type=date]"),
    shows: "1999-12-31",
  },
  TimePicker: {
    make: "new w.TimePicker({ step: 1 })",
    act: (cell) => cell.locator("input[type=time]").fill("13:14:15"),
    seen: ["[$c.value.hours, $c.value.minutes, $c.value.seconds]", "[ 13, 14, 15 ]"],
    set: "$c.value = { hours: 1, minutes: 2, seconds: 3, milliseconds: 0 }",
    read: value("input[type=time]"),
    shows: "01:02:03",
  },
  DatetimePicker: {
    make: "new w.DatetimePicker()",
    act: (cell) => cell.locator("input[type=datetime-local]").fill("2026-02-03T10:11"),
    seen: [
      "[$c.value.getFullYear(), $c.value.getDate(), $c.value.getHours(), $c.value.getMinutes()]",
      "[ 2026, 3, 10, 11 ]",
    ],
    set: "$c.value = new Date(2020, 0, 2, 3, 4)",
    read: async (cell) => (await value("input[type=datetime-local]")(cell)).slice(0, 16),
    shows: "2020-01-02T03:04",
  },
  NaiveDatetimePicker: {
    make: "new w.NaiveDatetimePicker()",
    act: (cell) => cell.locator("input[type=datetime-local]").fill("2026-02-03T10:11"),
    seen: [
      "[$c.value.getFullYear(), $c.value.getDate(), $c.value.getHours(), $c.value.getMinutes()]",
      "[ 2026, 3, 10, 11 ]",
    ],
    set: "$c.value = new Date(2020, 0, 2, 3, 4)",
    read: async (cell) => (await value("input[type=datetime-local]")(cell)).slice(0, 16),
    shows: "2020-01-02T03:04",
  },
  ColorPicker: {
    make: "new w.ColorPicker({ value: 'red' })",
    act: commit("input[type=text]", "#00ff00"),
    seen: ["$c.value", "'#00ff00'"],
    set: "$c.value = '#0000ff'",
    read: value("input[type=color]"),
    shows: "#0000ff",
  },
  TagsInput: {
    make: "new w.TagsInput({ value: ['a'] })",
    act: addTag("b"),
    seen: ["$c.value", "[ 'a', 'b' ]"],
    set: "$c.value = ['x', 'y']",
    read: tags,
    shows: ["x", "y"],
  },
  ColorsInput: {
    make: "new w.ColorsInput({ value: ['red'] })",
    act: addTag("blue"),
    seen: ["$c.value", "[ 'red', 'blue' ]"],
    set: "$c.value = ['green']",
    read: count(".jupyter-widget-colortag"),
    shows: 1,
  },
  FloatsInput: {
    make: "new w.FloatsInput({ value: [1.5] })",
    act: addTag("2.5"),
    seen: ["$c.value", "[ 1.5, 2.5 ]"],
    set: "$c.value = [3]",
    read: count(TAG),
    shows: 1,
  },
  IntsInput: {
    make: "new w.IntsInput({ value: [1] })",
    act: addTag("2"),
    seen: ["$c.value", "[ 1, 2 ]"],
    set: "$c.value = [3]",
    read: tags,
    shows: ["3"],
  },
  FileUpload: {
    make: "new w.FileUpload()",
    act: upload({ name: "t.txt", mimeType: "text/plain", buffer: Buffer.from("héllo") }),
    seen: [
      "[$c.value[0].name, $c.value[0].size, Buffer.from($c.value[0].content).toString()]",
      "[ 't.txt', 6, 'héllo' ]",
    ],
    set: "$c.description = 'More'",
    read: text("button"),
    shows: expect.stringContaining("More"),
  },
  Play: {
    make: "new w.Play({ max: 5, interval: 20 })",
    act: click("button"),
    seen: ["$c.value", "5"],
    set: "$c.value = 2",
    read: count(".widget-play button"),
    shows: 3,
  },
  Controller: {
    make: "new w.Controller()",
    set: "$c.layout.width = '200px'",
    read: style(".widget-controller", "width"),
    shows: "200px",
  },
  Box: {
    make: "new w.Box([new w.Label({ value: 'in' })])",
    set: "$c.children = [...$c.children, new w.Label({ value: 'too' })]",
    read: async (cell) => (await cell.locator(".widget-box .widget-label").allInnerTexts()).join(),
    shows: "in,too",
  },
  HBox: {
    make: "new w.HBox([new w.Label({ value: 'in' })])",
    set: "$c.box_style = 'info'",
    read: has(".widget-hbox", "alert-info"),
    shows: true,
  },
  VBox: {
    make: "new w.VBox([new w.IntText(), new w.Label({ value: 'x' })])",
    act: enter("input", "5"),
    seen: ["($c.children[0] as w.IntText).value", "5"],
    set: "$c.layout.width = '50%'",
    read: style(".widget-vbox", "width"),
    shows: "50%",
  },
  GridBox: {
    make: "new w.GridBox([new w.Label({ value: 'a' }), new w.Label({ value: 'b' })])",
    set: "$c.layout.grid_template_columns = '1fr 2fr'",
    read: style(".widget-gridbox", "gridTemplateColumns"),
    shows: "1fr 2fr",
  },
  Tab: {
    make: "new w.Tab([new w.Label({ value: 'one' }), new w.Label({ value: 'two' })], { titles: ['A', 'B'] })",
    act: click(".lm-TabBar-tab, .p-TabBar-tab", 1),
    seen: ["$c.selected_index", "1"],
    set: "$c.titles = ['A', 'Bee']",
    read: async (cell) => (await cell.locator(".lm-TabBar-tabLabel, .p-TabBar-tabLabel").allInnerTexts()).join(),
    shows: "A,Bee",
  },
  Accordion: {
    make: "new w.Accordion([new w.Label({ value: 'one' }), new w.Label({ value: 'two' })], { titles: ['A', 'B'] })",
    act: click(".jupyter-widget-Collapse-header", 1),
    seen: ["$c.selected_index", "1"],
    set: "$c.selected_index = 0",
    read: async (cell) => cell.locator(".jupyter-widget-Collapse-contents").first().isVisible(),
    shows: true,
  },
  Stack: {
    make: "new w.Stack([new w.Label({ value: 'one' }), new w.Label({ value: 'two' })], { selected_index: 0 })",
    set: "$c.selected_index = 1",
    read: async (cell) => (await cell.locator(".widget-label:visible").allInnerTexts()).join(),
    shows: "two",
  },
  Output: {
    make: "new w.Output()",
    set: "await $c.capture(() => console.log('inside'))",
    read: async (cell) => (await cell.innerText()).trim(),
    shows: expect.stringMatching(/inside$/),
  },
  Link: {
    make: "(() => { const a = new w.IntSlider(); const b = new w.IntText(); w.jslink([a, 'value'], [b, 'value']); return new w.HBox([a, b]); })()",
    act: type(READOUT, "17"),
    seen: ["($c.children[1] as w.IntText).value", "17"],
    set: "($c.children[0] as w.IntSlider).value = 21",
    read: value("input[type=number]"),
    shows: "21",
  },
};

const NAMES = Object.keys(CASES);
/** The cell before them imports. */
const cellOf = (name: string): number => NAMES.indexOf(name) + 1;

let jupyter: Jupyter;
let notebook: NotebookPage;

/** Evaluates code in the notebook's kernel, past its cells; gives the result's text. */
async function ask(code: string): Promise<string> {
  const answer = await notebook.page.evaluate(async (source) => {
    interface Message {
      header: { msg_type: string };
      content: { data?: Record<string, string>; ename?: string; evalue?: string };
    }
    interface Kernel {
      requestExecute(content: object): { onIOPub: (message: Message) => void; done: Promise<unknown> };
    }
    const app = (
      window as unknown as {
        jupyterapp: { shell: { currentWidget: { sessionContext: { session: { kernel: Kernel } } } } };
      }
    ).jupyterapp;
    const future = app.shell.currentWidget.sessionContext.session.kernel.requestExecute({
      code: source,
      store_history: false,
      stop_on_error: false,
    });
    let text = "";
    future.onIOPub = (message) => {
      if (message.header.msg_type === "execute_result") text = message.content.data?.["text/plain"] ?? "";
      if (message.header.msg_type === "error") text = `${message.content.ename}: ${message.content.evalue}`;
    };
    await future.done;
    return text;
  }, code);
  return answer;
}

/** Looks until it is so; then it is checked, so that a failure says what was there instead. */
async function eventually(look: () => Promise<unknown>, expected: unknown): Promise<void> {
  const end = Date.now() + 90_000;
  let last: unknown;
  do {
    last = await look().catch((error: Error) => error.message);
    try {
      expect(last).toEqual(expected);
      return;
    } catch {
      await notebook.page.waitForTimeout(50);
    }
  } while (Date.now() < end);
  expect(last).toEqual(expected);
}

beforeAll(async () => {
  const cells = [
    "import * as w from 'lm-transparency/ipywidgets';\nlet clicks = 0;",
    ...NAMES.map(
      (name) =>
        `const ${name}_ = ${CASES[name]?.make};\n${name === "Button" ? "Button_.on('click', () => { clicks++; });\n" : ""}${name}_`,
    ),
  ];
  jupyter = await startJupyter({ files: { "controls.ipynb": makeNotebook(cells) } });
  notebook = await jupyter.open("controls.ipynb");
  notebook.page.setDefaultTimeout(90_000);
  await notebook.runAll();
}, 300_000);
afterAll(() => jupyter?.stop());

/** An expression on a control, as the kernel has it. */
const inKernel = (name: string, code: string): string => code.replace(/\$c\b/g, `${name}_`);

describe.each(NAMES)("%s", (name) => {
  const { act, seen, set, read, shows } = CASES[name];
  const cell = (): Locator => notebook.outputs(cellOf(name));

  test("shows", async () => {
    await cell().locator(".jupyter-widgets, [class*=widget-]").first().waitFor({ state: "attached" });
    expect(await cell().innerText()).not.toContain("Error");
  });

  if (act !== undefined && seen !== undefined) {
    test("what the user does reaches the kernel", async () => {
      await act(cell());
      await eventually(() => ask(inKernel(name, seen[0])), seen[1]);
    });
  }

  test("what the kernel does reaches the page", async () => {
    expect(await ask(inKernel(name, set) + ";\nundefined")).toBe("");
    await eventually(() => read(cell()), shows);
  });
});

test("after a reload every control shows the same, and is alive", async () => {
  await notebook.save();
  await notebook.page.reload({ waitUntil: "domcontentloaded" });
  await notebook.page.locator(".jp-Notebook .jp-Cell").first().waitFor();
  await notebook.waitForKernel();
  const shown = async (): Promise<[string, unknown][]> =>
    Promise.all(NAMES.map(async (name) => [name, await CASES[name].read(notebook.outputs(cellOf(name)))]));
  await eventually(
    shown,
    NAMES.map((name) => [name, CASES[name].shows]),
  );
  await enter("input", "31")(notebook.outputs(cellOf("IntText")));
  await eventually(() => ask("IntText_.value"), "31");
}, 300_000);

test("a second page on the same notebook shows the same, and each follows the other", async () => {
  const second = await notebook.page.context().newPage();
  await second.goto(notebook.page.url(), { waitUntil: "domcontentloaded" });
  const other = second.locator(".jp-Notebook .jp-Cell").nth(cellOf("IntText")).locator(".jp-OutputArea").first();
  await other.locator("input").waitFor();
  await eventually(() => other.locator("input").inputValue(), await ask("IntText_.value"));
  await enter("input", "55")(other);
  await eventually(() => value("input")(notebook.outputs(cellOf("IntText"))), "55");
  await enter("input", "56")(notebook.outputs(cellOf("IntText")));
  await eventually(() => other.locator("input").inputValue(), "56");
  await second.close();
}, 300_000);
