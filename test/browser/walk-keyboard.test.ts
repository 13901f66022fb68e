/**
 * The paper's whole walk in JupyterLab by keyboard alone: after every key the focus is somewhere in the tool, and seen
 * to be there; at no place is it held. Then axe-core on what is shown.
 */
import fs from "node:fs";
import type { Locator } from "playwright-core";
import { eventually } from "../support/eventually";
import { modelFolder } from "../support/fixtures";
import { type Jupyter, type NotebookPage, makeNotebook, startJupyter } from "../support/jupyter";

const PROMPT = "The war lasted from 1732 to";

let jupyter: Jupyter;
let notebook: NotebookPage;
let tool: Locator;

/** Where the focus is, through all shadow roots. */
interface Focused {
  /** Tags and ids from the outermost element of ours to the innermost. */
  readonly path: string;
  readonly name: string;
  readonly inTool: boolean;
  /** Something is drawn around it or, where the cursor is drawn in it, in it. */
  readonly seen: boolean;
}

const focused = (): Promise<Focused> =>
  notebook.page.evaluate(() => {
    const path: string[] = [];
    let element: Element | null = document.activeElement;
    let inTool = false;
    for (;;) {
      if (element?.closest("lmt-explore")) inTool = true;
      if (element) path.push(element.localName + (element.id ? `#${element.id}` : ""));
      if (!element?.shadowRoot?.activeElement) break;
      element = element.shadowRoot.activeElement;
    }
    if (!element) return { path: "", name: "", inTool: false, seen: false };
    const style = getComputedStyle(element);
    const bounds = element.getBoundingClientRect();
    const outlined = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1;
    const name = element.getAttribute("aria-label") ?? (element as HTMLElement).innerText ?? element.textContent ?? "";
    const label = element.closest("label")?.innerText ?? "";
    return {
      path: path.join(" "),
      name: `${label} ${name}`.replace(/\s+/g, " ").trim().slice(0, 120),
      inTool,
      seen: element.matches(":focus-visible") && outlined && bounds.width > 0 && bounds.height > 0,
    };
  });

async function press(key: string): Promise<Focused> {
  await notebook.page.keyboard.press(key);
  const now = await focused();
  if (!now.inTool || !now.seen) throw new Error(`after ${key} the focus is at ${JSON.stringify(now)}`);
  return now;
}

/** Tab until the focus is at something whose path or name fits; at the tool's end back with Shift+Tab. */
async function tabTo(wanted: RegExp): Promise<Focused> {
  const passed: string[] = [];
  for (let key = "Tab", i = 0; i < 400; i++) {
    await notebook.page.keyboard.press(key);
    const now = await focused();
    if (!now.inTool && key === "Tab") key = "Shift+Tab";
    else if (!now.inTool || !now.seen) throw new Error(`after ${key} the focus is at ${JSON.stringify(now)}`);
    else if (wanted.test(`${now.path} ${now.name}`)) return now;
    passed.push(`${now.path} ${now.name}`);
  }
  throw new Error(`Tab never came to ${wanted}; it passed ${[...new Set(passed)].join(", ")}`);
}

const selection = async (): Promise<{
  start: number;
  threshold: number;
  normalize: boolean;
  origin: string | null;
  contrast: { token: number | null; versus: number | null } | null;
  focus: { kind: string; node?: string } | null;
  head: unknown;
  neuron: unknown;
  token: number | null;
}> =>
  tool
    .locator("lmt-explorer")
    .evaluate((element) => (element as unknown as { selection: { value: never } }).selection.value);

beforeAll(async () => {
  jupyter = await startJupyter({
    files: {
      "keys.ipynb": makeNotebook([
        `import { workbench } from "lm-transparency";\nconst tool = workbench({ models: { tiny: ${JSON.stringify(modelFolder("gpt2-tiny"))} }, default_model: "tiny" }, { prompts: [${JSON.stringify(PROMPT)}, "A cat sat"] });\ntool`,
        '"after"',
      ]),
    },
  });
  notebook = await jupyter.open("keys.ipynb", { width: 1500, height: 1500 });
  notebook.page.setDefaultTimeout(90_000);
  await notebook.run(0);
  tool = notebook.outputs(0).locator("lmt-explore");
  await tool.locator("[data-edge]").first().waitFor({ state: "attached" });
}, 240_000);
afterAll(() => jupyter?.stop(), 30_000);

test("prompt, start token, threshold", async () => {
  await tool.locator("lmt-model-panel select").first().focus();
  await tabTo(/lmt-prompt-bar select/);
  await press("ArrowUp");
  await eventually(
    async () => (await tool.locator("lmt-prompt-strip .chip").allTextContents()).join(""),
    (text) => expect(text).toContain("war"),
  );
  await tool.locator("[data-edge][data-kind=attention]").first().waitFor({ state: "attached" });
  expect((await focused()).path).toMatch(/lmt-prompt-bar select/);

  const own = await tabTo(/lmt-prompt-bar textarea/);
  expect(own.inTool).toBe(true);
  await notebook.page.keyboard.type("The cat sat on the mat");
  await press("Enter");
  await eventually(
    async () => (await tool.locator("lmt-prompt-strip .chip").allTextContents()).join(""),
    (text) => expect(text).toContain("cat"),
  );
  await tool.locator("[data-edge][data-kind=attention]").first().waitFor({ state: "attached" });
  expect((await focused()).path).toMatch(/lmt-prompt-bar textarea/);

  await tabTo(/lmt-prompt-strip button/);
  const last = (await selection()).start;
  await press("ArrowLeft");
  await press("Enter");
  expect((await selection()).start).toBe(last - 1);
  await press("End");
  await press("Enter");
  expect((await selection()).start).toBe(last);

  await tabTo(/lmt-flow-graph input.*threshold/i);
  const before = (await selection()).threshold;
  await press("ArrowRight");
  expect((await selection()).threshold).toBeGreaterThan(before);
  await press("ArrowLeft");
}, 120_000);

test("edge, heads, maps, a head's tokens", async () => {
  await tabTo(/lmt-flow-graph svg/);
  await press("ArrowUp");
  // The strongest edge into the first state below the top that attention writes to.
  await press("ArrowDown");
  // Residual edges, which have no heads, are edges too: down to a state into which attention leads.
  const attention = async (): Promise<boolean> => {
    const { focus } = await selection();
    return focus?.kind === "edge" && !JSON.stringify(focus).includes("residual");
  };
  search: for (let layer = 0; layer < 4; layer++) {
    for (let i = 0; i < 4; i++) {
      await press("e");
      await press("Enter");
      if (await attention()) break search;
    }
    await press("ArrowDown");
    await press("ArrowDown");
  }
  expect(await attention()).toBe(true);
  await tool.locator("lmt-head-bars [role=option]").nth(4).waitFor();
  await tabTo(/lmt-head-bars div.*Heads of layer/);
  await press("ArrowDown");
  await press("ArrowDown");
  expect((await selection()).head).toMatchObject({ head: 1 });
  await tool.locator("lmt-token-matrix canvas.map").nth(1).waitFor();
  await tabTo(/tab-maps/);
  await press("ArrowLeft");
  await tool
    .locator("lmt-effect-table")
    .getByText(/head 1 of layer/)
    .waitFor();
  await tabTo(/lmt-effect-table button/);
  await tabTo(/tab-effect/);
  await press("ArrowRight");
  await tabTo(/lmt-token-matrix (canvas|div|svg)/);
  await press("ArrowLeft");
  await press("ArrowUp");
  await notebook.screenshot("walk-keyboard-head");
}, 120_000);

test("feed-forward block, neuron, its tokens", async () => {
  await tabTo(/lmt-flow-graph svg/);
  await press("f");
  await press("Enter");
  expect((await selection()).focus?.kind).toBe("ffn");
  await tool.locator("lmt-neuron-bars [data-neuron]").first().waitFor();
  await tabTo(/lmt-neuron-bars div/);
  await press("ArrowDown");
  expect((await selection()).neuron).not.toBeNull();
  await tool
    .locator("lmt-effect-table")
    .getByText(/neuron \d+ of layer/)
    .waitFor();
}, 180_000);

test("state, its tokens, one of them followed and let go", async () => {
  await tabTo(/lmt-flow-graph svg/);
  await press("ArrowUp");
  await press("Enter");
  expect((await selection()).focus?.kind).toBe("node");
  await tool.locator("lmt-token-table tbody tr").first().waitFor();
  await tabTo(/lmt-token-table button /);
  await press("Enter");
  expect((await selection()).token).not.toBeNull();
  await tool.locator("lmt-follow-chart circle.point").first().waitFor();
  await tabTo(/lmt-follow-chart button.*Let go/);
  await press("Enter");
  expect((await selection()).token).toBeNull();
  expect((await focused()).inTool).toBe(true);

  await tabTo(/tab-follow/);
  for (let i = 0; i < 8 && !(await focused()).name.includes("Tokens"); i++) await press("ArrowRight");
  await tabTo(/input Normalise before unembedding/);
  await press("Space");
  expect((await selection()).normalize).toBe(false);
  await press("Space");
  await tabTo(/lmt-flow-graph svg/);
  await press("t");
  expect((await selection()).origin).toMatch(/^[IA]\d+_\d+$/);
  await press("Escape");
  expect((await selection()).focus).toBeNull();
}, 120_000);

test("why one token rather than another, and back", async () => {
  await tabTo(/lmt-trace-bar button.*Back to the top/);
  await press("Enter");
  expect((await selection()).origin).toBeNull();
  const why = await focused();
  expect(why.name).toContain("Why this prediction");
  await press("Enter");
  expect((await focused()).path).toMatch(/lmt-token-picker#versus input/);
  await notebook.page.keyboard.type("the");
  await tool.locator("lmt-token-picker#versus [role=option][data-token-id]").first().waitFor();
  await eventually(
    () => tool.locator("lmt-token-picker#versus [role=option][data-token-id]").allTextContents(),
    (all) => expect(all.every((text) => text.trim().replace("·", "").toLowerCase().startsWith("the"))).toBe(true),
  );
  await press("ArrowDown");
  await press("ArrowUp");
  await press("Enter");
  const { contrast } = await selection();
  expect(contrast?.token).toBeNull();
  expect(typeof contrast?.versus).toBe("number");
  await tool.locator("[data-edge]").first().waitFor({ state: "attached" });
  // A token is not contrasted with itself.
  const token = tool.locator("lmt-token-picker#token");
  await token.locator("input").fill("the");
  const taken = token.locator(`[role=option][data-token-id="${contrast?.versus}"]`);
  await taken.waitFor();
  expect(await taken.getAttribute("aria-disabled")).toBe("true");
  await taken.click({ force: true });
  expect((await selection()).contrast).toEqual(contrast);
  await token.locator("input").press("Escape");
  await tool.locator("lmt-token-picker#versus input").focus();
  await notebook.screenshot("walk-keyboard-contrast");
  // Escape closes the list, and only it.
  await press("ArrowDown");
  await press("Escape");
  expect((await selection()).contrast).toEqual(contrast);
  await tabTo(/lmt-trace-bar button.*Clear/);
  await press("Enter");
  expect((await selection()).contrast).toBeNull();
  expect((await focused()).name).toContain("Why this prediction");
}, 180_000);

test("a model that is not there: the error's button, and out of it again", async () => {
  await tabTo(/lmt-model-panel select Model/);
  await press("End");
  expect((await focused()).path).toMatch(/lmt-model-panel input#name/);
  await notebook.page.keyboard.type("/nowhere/at-all");
  await press("Enter");
  await tool.locator("lmt-control-status [role=alert]").getByText("/nowhere/at-all").waitFor();
  await tabTo(/lmt-control-status button.*Try again/);
  await press("Enter");
  await tool.locator("lmt-control-status [role=alert]").getByText("/nowhere/at-all").waitFor();
  await eventually(focused, ({ inTool }) => expect(inTool).toBe(true));
  await tabTo(/lmt-model-panel select Model/);
  await press("ArrowUp");
  while ((await tool.locator("lmt-model-panel select").first().inputValue()) !== "tiny") await press("ArrowUp");
  await tool.locator("[data-edge]").first().waitFor({ state: "attached" });
  expect((await focused()).path).toMatch(/lmt-model-panel select/);
}, 120_000);

test("menus open, give the focus back, and nothing holds it", async () => {
  await tabTo(/lmt-flow-graph lmt-menu button/);
  await press("Enter");
  await press("ArrowDown");
  await press("Escape");
  expect((await focused()).path).toMatch(/lmt-flow-graph lmt-menu button$/);
  await press("Enter");
  await press("Enter");
  expect((await focused()).path).toMatch(/lmt-flow-graph lmt-menu button$/);
  // To the end and out of it, and in again from there.
  const stops = new Set<string>();
  let inside = true;
  for (let i = 0; i < 300 && inside; i++) {
    await notebook.page.keyboard.press("Tab");
    const now = await focused();
    inside = now.inTool;
    if (inside && !now.seen) throw new Error(`the focus is not seen at ${JSON.stringify(now)}`);
    stops.add(now.path);
  }
  expect(inside).toBe(false);
  await notebook.page.keyboard.press("Shift+Tab");
  expect((await focused()).inTool).toBe(true);
}, 120_000);

test("axe-core finds nothing in what is shown", async () => {
  await notebook.page.addScriptTag({ content: fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8") });
  const violations = await tool.evaluate(async (element) => {
    const axe = (
      window as unknown as {
        axe: {
          run(
            node: Element,
            options: object,
          ): Promise<{ violations: { id: string; nodes: { html: string; failureSummary: string }[] }[] }>;
        };
      }
    ).axe;
    const { violations } = await axe.run(element, { resultTypes: ["violations"] });
    return violations.map(
      ({ id, nodes }) =>
        `${id}: ${nodes.map(({ html, failureSummary }) => `${html.slice(0, 160)} ${failureSummary}`).join(" | ")}`,
    );
  });
  expect(violations).toEqual([]);
}, 120_000);
