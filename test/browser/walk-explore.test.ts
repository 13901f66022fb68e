/**
 * The paper's whole walk in the whole tool, `workbench()`, in JupyterLab and in Notebook 7, on a GPT-2 and on the default
 * model: prompt, graph, start token, edge, heads, maps, what a head promotes, feed-forward block, neuron, its tokens,
 * state, lens. What is shown is compared with what the kernel answers.
 */
import type { Locator } from "playwright-core";
import { modelFolder } from "../support/fixtures";
import { type Jupyter, type NotebookPage, makeNotebook, startJupyter } from "../support/jupyter";

const PROMPT = "The war lasted from 1732 to";
const STRANGE = "<script>alert(1)</script> שלום 東京 👩‍👩‍👧";

const CELLS = {
  tool: [
    'import { workbench, lensGrid, modelPanel, type Run } from "lm-transparency";',
    `const tool = workbench({ models: { tiny: ${JSON.stringify(modelFolder("gpt2-tiny"))}, default: null }, default_model: "tiny", max_user_string_length: 60 }, { prompts: ["A cat sat", ${JSON.stringify(PROMPT)}] });`,
    "tool",
  ].join("\n"),
  state:
    "console.log(JSON.stringify({ selection: tool.selection, tokens: tool.run!.tokens.map((token) => token.text), family: tool.model!.info.family, layers: tool.model!.info.nLayers }))",
  heads: [
    "await (async () => {",
    "  const { source, target } = tool.selection!.focus as { source: string; target: string };",
    "  const [layer, query] = target.slice(1).split('_').map(Number);",
    "  const key = Number(source.split('_')[1]);",
    "  const { terms } = await tool.run!.attentionContributions(layer, { positions: [query] });",
    "  const count = tool.model!.info.nHeads;",
    "  console.log(JSON.stringify([...terms.data.slice(key * count, (key + 1) * count)]));",
    "})()",
  ].join("\n"),
  head: [
    "await (async () => {",
    "  const { head, focus } = tool.selection!;",
    "  const position = Number((focus as { target: string }).target.split('_')[1]);",
    "  const { promoted } = await tool.run!.effect({ kind: 'attention', layer: head!.layer, position, head: head!.head }, { topK: 5 });",
    "  console.log(JSON.stringify(promoted.map((token) => token.id)));",
    "})()",
  ].join("\n"),
  neuron: [
    "await (async () => {",
    "  const { neuron } = tool.selection!;",
    "  const { promoted } = await tool.run!.effect({ kind: 'ffn', ...neuron! }, { topK: 5 });",
    "  const best = await tool.run!.neuronContributions(neuron!.layer, neuron!.position, { topK: 3 });",
    "  console.log(JSON.stringify({ promoted: promoted.map((token) => token.id), best: best.map((one) => one.neuron) }));",
    "})()",
  ].join("\n"),
  lens: [
    "await (async () => {",
    "  const { focus, normalize } = tool.selection!;",
    "  const tokens = await tool.run!.lens((focus as { node: string }).node, { topK: 5, normalize });",
    "  console.log(JSON.stringify(tokens.map((token) => ({ id: token.id, probability: token.probability }))));",
    "})()",
  ].join("\n"),
  grid: "lensGrid(tool.run!)",
  panel: "modelPanel(tool)",
};
type Cell = keyof typeof CELLS;
const at = (cell: Cell): number => Object.keys(CELLS).indexOf(cell);

describe.each(["lab", "notebook"] as const)("%s", (app) => {
  let jupyter: Jupyter;
  let notebook: NotebookPage;
  let tool: Locator;
  const alerts: string[] = [];

  beforeAll(async () => {
    jupyter = await startJupyter({ app, files: { "walk.ipynb": makeNotebook(Object.values(CELLS)) } });
    notebook = await jupyter.open("walk.ipynb", { width: 1500, height: 1500 });
    notebook.page.on("dialog", (dialog) => {
      alerts.push(dialog.message());
      void dialog.dismiss();
    });
    await notebook.run(at("tool"));
    tool = notebook.outputs(at("tool")).locator("lmt-explore");
  }, 240_000);
  afterAll(() => jupyter?.stop(), 30_000);

  async function kernelSays<T>(cell: Cell): Promise<T> {
    await notebook.run(at(cell));
    const outputs = await notebook.outputData(at(cell));
    const text = outputs.map((output) => [output.text ?? output.evalue ?? ""].flat().join("")).join("");
    try {
      return JSON.parse(text) as T;
    } catch {
      throw new Error(`cell "${cell}" wrote ${text}`);
    }
  }
  const state = (): Promise<{
    selection: { start: number; threshold: number; normalize: boolean; focus: unknown; head: { head: number } | null };
    tokens: string[];
    family: string;
    layers: number;
  }> => kernelSays("state");
  const chips = (inside: Locator): Locator => inside.locator("lmt-prompt-strip .chip");

  async function walk(nHeads: number): Promise<void> {
    // Prompt → graph.
    await tool.locator("lmt-prompt-bar select").selectOption(PROMPT);
    await expectText(chips(tool).nth(0), /The/);
    await tool.locator("[data-edge][data-kind=attention]").first().waitFor();
    const { tokens } = await state();
    expect(tokens.join("")).toContain("war lasted");
    expect(await chips(tool).count()).toBe(tokens.length);

    // Start token: the last of three; nothing after it is reached.
    await tool.locator("lmt-flow-graph [data-start='2']").click();
    expect((await state()).selection.start).toBe(2);
    await tool.locator(`lmt-flow-graph [data-start='${tokens.length - 1}']`).click();
    expect((await state()).selection.start).toBe(tokens.length - 1);

    // Edge → heads: every one, and their sum.
    await tool.locator("[data-edge][data-kind=attention]").last().dispatchEvent("click");
    const options = tool.locator("lmt-head-bars [role=option]");
    await options.nth(nHeads).waitFor();
    expect(await options.count()).toBe(nHeads + 1);
    const contributions = await kernelSays<number[]>("heads");
    const shown = await tool.locator("lmt-head-bars [role=option] .n:not(.soft)").allTextContents();
    const read = shown.map((text) => Number(text.replace("contribution", "")));
    expect(read).toHaveLength(nHeads + 1);
    expect(Math.abs(read[0] - contributions.reduce((sum, value) => sum + value, 0))).toBeLessThan(6e-4);
    contributions.forEach((value, head) => expect(Math.abs(read[head + 1] - value)).toBeLessThan(6e-4));

    // Head → its two maps and what it promotes.
    await tool.locator("lmt-head-bars [data-head='1']").click();
    await tool.locator("lmt-token-matrix canvas.map").nth(1).waitFor();
    await tool.locator("[data-tab=effect]").click();
    await tool
      .locator("lmt-effect-table")
      .getByText(/head 1 of layer/)
      .waitFor();
    const promoted = await kernelSays<number[]>("head");
    expect(await effectIds()).toEqual(promoted);

    // Feed-forward block → neurons → what one promotes.
    await tool.locator("lmt-flow-graph [data-ffn]").last().dispatchEvent("click");
    await tool.locator("lmt-neuron-bars [data-neuron]").nth(1).waitFor();
    const neurons = await tool
      .locator("lmt-neuron-bars [data-neuron]")
      .evaluateAll((all) => all.slice(0, 3).map((one) => Number((one as HTMLElement).dataset.neuron)));
    await tool.locator("lmt-neuron-bars [data-neuron]").nth(0).click();
    await tool
      .locator("lmt-effect-table")
      .getByText(/neuron \d+ of layer/)
      .waitFor();
    const neuron = await kernelSays<{ promoted: number[]; best: number[] }>("neuron");
    expect(neurons).toEqual(neuron.best);
    expect(await effectIds()).toEqual(neuron.promoted);

    // State → lens, with the final norm and without.
    const node = tool.locator("lmt-flow-graph [data-node^='I1_']").last();
    await node.dispatchEvent("click");
    await expectRows();
    await tool.getByLabel("Normalise before unembedding").uncheck();
    await expectRows();
    expect((await state()).selection.normalize).toBe(false);
    await tool.getByLabel("Normalise before unembedding").check();
  }

  const effectIds = async (): Promise<number[]> => {
    const texts = tool.locator("lmt-effect-table .promoted tbody tr button");
    await texts.first().waitFor();
    return texts.evaluateAll((all) =>
      all
        .slice(0, 5)
        .map((one) =>
          Number(
            /id (\d+)/.exec((one as HTMLElement).title)?.[1] ?? (one.closest("tr") as HTMLElement).dataset.tokenId,
          ),
        ),
    );
  };

  async function expectRows(): Promise<void> {
    const wanted = await kernelSays<{ id: number; probability: number }[]>("lens");
    await expectEventually(
      () =>
        tool
          .locator("lmt-token-table tbody tr")
          .evaluateAll((rows) => rows.slice(0, 5).map((row) => Number((row as HTMLElement).dataset.tokenId))),
      wanted.map(({ id }) => id),
    );
  }

  async function expectText(locator: Locator, text: RegExp): Promise<void> {
    await locator.filter({ hasText: text }).waitFor();
  }

  /** Until `read` gives `wanted`, or a minute is over. */
  async function expectEventually<T>(read: () => Promise<T>, wanted: T): Promise<void> {
    for (const end = Date.now() + 60_000; ; await notebook.page.waitForTimeout(50)) {
      const value = await read();
      if (JSON.stringify(value) === JSON.stringify(wanted)) return;
      if (Date.now() > end) return void expect(value).toEqual(wanted);
    }
  }

  test("the walk on a GPT-2", async () => {
    await walk(4);
    expect((await state()).family).toBe("gpt2");
    await notebook.screenshot(`walk-${app}-gpt2`);
  }, 120_000);

  test("another picture and another control follow", async () => {
    await notebook.run(at("grid"));
    const grid = notebook.outputs(at("grid")).locator("lmt-lens-grid");
    await grid.scrollIntoViewIfNeeded();
    await grid.locator("[role=gridcell]").first().waitFor();
    await grid.locator("[data-node='I2_1']").click();
    // What is out of view asks nothing.
    await tool.locator("lmt-token-table").scrollIntoViewIfNeeded();
    await tool.locator("lmt-token-table h3 [title^=I2_1]").waitFor();
    await expectRows();
    await notebook.run(at("panel"));
    await notebook.outputs(at("panel")).locator("lmt-model-panel").getByText("gpt2", { exact: true }).waitFor();
  }, 180_000);

  test("tokens of other scripts, cut emoji and markup are shown as text", async () => {
    const own = tool.locator("lmt-prompt-bar textarea");
    await own.fill(STRANGE);
    await own.press("Enter");
    await expectText(chips(tool).first(), /</);
    await expectEventually(async () => (await state()).tokens.join("").includes("script"), true);
    const { tokens } = await state();
    await expectEventually(() => chips(tool).count(), tokens.length);
    expect(tokens.some((text) => /^<0x[0-9A-F]{2}>$/.test(text))).toBe(true);
    expect(alerts).toEqual([]);
    await notebook.screenshot(`walk-${app}-strange`);
  }, 180_000);

  test("a prompt over the limit is refused before it is sent; the kernel would refuse it too", async () => {
    const own = tool.locator("lmt-prompt-bar textarea");
    await own.fill("x".repeat(61));
    await tool.getByText("61 of 60 characters").waitFor();
    expect(await own.getAttribute("aria-invalid")).toBe("true");
    expect(await tool.locator("lmt-prompt-bar button.main").isDisabled()).toBe(true);
    await own.fill("");
  }, 180_000);

  test("follows the theme while it is shown; fits 400 pixels", async () => {
    const color = (): Promise<string> =>
      tool.locator("lmt-explorer").evaluate((element) => getComputedStyle(element).color);
    const light = await color();
    if (app === "lab") await notebook.theme("dark");
    else await notebook.page.evaluate(() => document.body.setAttribute("data-jp-theme-light", "false"));
    await expectEventually(() => tool.locator("lmt-flow-graph").getAttribute("data-theme"), "dark");
    if (app === "lab") expect(await color()).not.toBe(light);
    await notebook.screenshot(`walk-${app}-dark`);
    if (app === "lab") await notebook.theme("light");
    else await notebook.page.evaluate(() => document.body.setAttribute("data-jp-theme-light", "true"));
    await expectEventually(() => tool.locator("lmt-flow-graph").getAttribute("data-theme"), "light");
    const box = tool.locator("xpath=..");
    await box.evaluate((element) => (element.style.width = "400px"));
    await expectEventually(
      () => tool.evaluate((element) => element.clientWidth > 0 && element.scrollWidth <= 400),
      true,
    );
    await notebook.screenshot(`walk-${app}-400`, tool);
    await box.evaluate((element) => (element.style.width = ""));
  }, 180_000);

  test("another model is loaded from the menu, and the walk goes on with it", async () => {
    await tool.locator("lmt-model-panel select").first().selectOption("default");
    await tool.locator("lmt-model-panel").getByText("llama", { exact: true }).waitFor({ timeout: 120_000 });
    await expectEventually(async () => (await state().catch(() => undefined))?.family, "llama");
    await walk(9);
    expect((await state()).layers).toBe(30);
    await notebook.screenshot(`walk-${app}-smollm2`);
  }, 240_000);

  test("an error is shown with its sentence, and trying again or another choice goes on", async () => {
    await tool.locator("lmt-model-panel select").first().selectOption({ label: "another model …" });
    await tool.getByLabel("Hub id, folder or .gguf file").fill("/nowhere/at-all");
    await notebook.page.keyboard.press("Enter");
    const alert = tool.locator("lmt-control-status [role=alert]");
    await alert.getByText("/nowhere/at-all").waitFor();
    await alert.getByRole("button", { name: "Try again" }).click();
    await alert.getByText("/nowhere/at-all").waitFor();
    await notebook.screenshot(`walk-${app}-error`);
    await tool.locator("lmt-model-panel select").first().selectOption("tiny");
    await tool.locator("[data-edge][data-kind=attention]").first().waitFor({ timeout: 120_000 });
  }, 240_000);

  test("nothing was asked of any other machine", () => {
    expect(jupyter.outside).toEqual([]);
  });
});
