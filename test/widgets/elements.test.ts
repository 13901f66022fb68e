/** The elements alone, in Chromium on the gallery's page: answers, keys, pointers, hostile input, files. */
import fs from "node:fs";
import type { Browser, Locator, Page } from "playwright-core";
import { eventually } from "../support/eventually";
import { type Gallery, startGallery } from "../support/gallery";
import { launchChromium } from "../support/jupyter";

let browser: Browser;
let gallery: Gallery;
let page: Page;

beforeAll(async () => {
  gallery = await startGallery();
  browser = await launchChromium();
}, 300_000);
afterAll(async () => {
  await browser?.close();
  await gallery?.stop();
});
beforeEach(async () => {
  const context = await browser.newContext({ viewport: { width: 1100, height: 1000 }, acceptDownloads: true });
  page = await context.newPage();
  page.setDefaultTimeout(90_000);
  page.on("pageerror", (error) => errors.push(error.message));
  errors.length = 0;
});
afterEach(async () => {
  expect(errors).toEqual([]);
  await page.context().close();
});
const errors: string[] = [];

const open = async (name: string, theme = "light"): Promise<Locator> => {
  await page.goto(`${gallery.url}?only=${name}&theme=${theme}`);
  return page.locator(`#${name} .stage > *`);
};

/** An element of its own in the page, with a source that the test controls; `asked` and `store` lie on `window.t`. */
async function place(tag: string, answer: string, selection: object = {}): Promise<void> {
  await open("graph-empty");
  await page.evaluate(
    ({ tag, answer, selection }) => {
      const reply = (0, eval)(`(${answer})`) as (question: object, n: number) => unknown;
      const asked: object[] = [];
      const facts = {
        protocol: 1,
        model: {
          name: "m",
          family: "m",
          nLayers: 3,
          nHeads: 2,
          dFfn: 8,
          parallelBlocks: false,
          device: "cpu",
          dtype: "float32",
        },
        tokens: ["a", " b", " c"].map((text, id) => ({ id, text })),
        predictions: [],
      };
      const element = document.createElement(tag) as HTMLElement & {
        source: object;
        store: { set(change: object, writer: string): void; value: object };
      };
      element.source = {
        facts,
        ask: async (question: object) => (asked.push(question), reply(question, asked.length)),
      };
      element.store.set(selection, "test");
      document.querySelector("#graph-empty .stage")!.replaceChildren(element);
      Object.assign(window, { t: { asked, element } });
    },
    { tag, answer, selection },
  );
}
const set = (change: object): Promise<void> =>
  page.evaluate(
    (c) =>
      (window as never as { t: { element: { store: { set(c: object, w: string): void } } } }).t.element.store.set(
        c,
        "test",
      ),
    change,
  );
const stored = (): Promise<Record<string, unknown>> =>
  page.evaluate(
    () => (window as never as { t: { element: { store: { value: Record<string, unknown> } } } }).t.element.store.value,
  );
const asked = (): Promise<Record<string, unknown>[]> =>
  page.evaluate(() => (window as never as { t: { asked: Record<string, unknown>[] } }).t.asked);

const LENS = `{ tokens: [{ id: 7, text: question.node, logit: 1, probability: 0.5, rank: 0, rankChange: 2 }] }`;

jest.setTimeout(120_000);

describe("answers", () => {
  test("a stale answer never overwrites a newer one", async () => {
    // The first answer comes last.
    await place(
      "lmt-token-table",
      `(question, n) => new Promise((resolve) => setTimeout(() => resolve(${LENS}), n === 1 ? 400 : 30))`,
      { focus: { kind: "node", node: "I0_0" } },
    );
    await eventually(
      async () => (await asked()).length,
      (value) => expect(value).toBe(1),
    );
    await set({ focus: { kind: "node", node: "I2_2" } });
    await page.locator("tbody .token").getByText("I2_2").waitFor();
    await page.waitForTimeout(500);
    expect(await page.locator("tbody .token").allInnerTexts()).toEqual(["I2_2"]);
  });

  test("an error is its sentence, with a retry that asks again", async () => {
    await place(
      "lmt-token-table",
      `(question, n) => { if (n === 1) throw new Error("The layer is gone."); return ${LENS}; }`,
      { focus: { kind: "node", node: "I1_1" } },
    );
    await page.getByRole("alert").getByText("The layer is gone.").waitFor();
    await page.getByRole("button", { name: "Try again" }).click();
    await page.locator("tbody .token").getByText("I1_1").waitFor();
    expect(await page.getByRole("alert").count()).toBe(0);
  });

  test("what is under way shows that it is", async () => {
    await place("lmt-token-table", `() => new Promise(() => {})`, { focus: { kind: "node", node: "I1_1" } });
    await page.getByRole("progressbar").waitFor({ state: "attached" });
    expect(await page.locator(".busy").getAttribute("data-on")).toBe("");
  });

  test("a hidden element asks nothing until it is seen", async () => {
    await place("lmt-token-table", `(question) => (${LENS})`);
    await page.evaluate(() => ((document.querySelector("#graph-empty") as HTMLElement).style.display = "none"));
    await eventually(
      () => page.evaluate(() => (window as never as { t: { element: { inView: boolean } } }).t.element.inView),
      (inView) => expect(inView).toBe(false),
    );
    await set({ focus: { kind: "node", node: "I1_1" } });
    await page.waitForTimeout(200);
    expect(await asked()).toEqual([]);
    await page.evaluate(() => ((document.querySelector("#graph-empty") as HTMLElement).style.display = ""));
    await page.locator("tbody .token").getByText("I1_1").waitFor();
  });

  test.each([
    [
      "columns of different lengths",
      `({ from: ["I2_2"], threshold: 0, renormalize: true, nodes: ["I2_2"], sources: c(2), targets: c(2), kinds: c(1), weights: c(2), headStarts: c(3), heads: c(0), headWeights: c(0) })`,
      /cut off/,
    ],
    [
      "a node that the model does not have",
      `({ from: ["I2_2"], threshold: 0, renormalize: true, nodes: ["I2_99999"], sources: c(0), targets: c(0), kinds: c(0), weights: c(0), headStarts: c(1), heads: c(0), headWeights: c(0) })`,
      /name the node "I2_99999"/,
    ],
    [
      "an edge to nowhere",
      `({ from: ["I2_2"], threshold: 0, renormalize: true, nodes: [], sources: c(1), targets: c(1), kinds: c(1), weights: c(1), headStarts: c(2), heads: c(0), headWeights: c(0) })`,
      /not listed/,
    ],
  ])("routes with %s are a sentence", async (_, answer, sentence) => {
    await place(
      "lmt-flow-graph",
      `() => { const c = (n) => ({ dtype: "uint32", shape: [n], data: new Uint32Array(n) }); return ${answer}; }`,
    );
    await page.getByRole("alert").getByText(sentence).waitFor();
  });

  test("maps of the wrong size are a sentence", async () => {
    await place(
      "lmt-token-matrix",
      `() => { const m = { dtype: "float32", shape: [2, 2], data: new Float32Array(4) }; return { pattern: m, contributions: m }; }`,
      { head: { layer: 1, head: 0 } },
    );
    await page.getByRole("alert").getByText("[2, 2], but the prompt needs [3, 3]").waitFor();
  });
});

describe("flow graph", () => {
  const focus = (element: Locator): Promise<Record<string, unknown>> =>
    element.evaluate((e) => (e as never as { store: { value: Record<string, unknown> } }).store.value);

  test("keys move, say what is there, select, and start elsewhere", async () => {
    const graph = await open("graph-parallel");
    const plot = graph.locator("svg.plot");
    await graph.locator("[data-edge]").first().waitFor({ state: "attached" });
    await plot.focus();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("ArrowLeft");
    await graph
      .getByRole("status")
      .getByText(/I10_4, after layer 10, token 4, ·France.*reads as/)
      .waitFor({ state: "attached" });
    await page.keyboard.press("Enter");
    expect((await focus(graph)).focus).toEqual({ kind: "node", node: "I10_4" });
    await page.keyboard.press("s");
    expect((await focus(graph)).start).toBe(4);
    await graph.locator('[data-edge*=">I11_4"]').first().waitFor({ state: "attached" });
    await page.keyboard.press("ArrowUp");
    await page.keyboard.press("e");
    await graph
      .getByRole("status")
      .getByText(/edge from I10_4.* contribution 0\.\d+/)
      .waitFor({ state: "attached" });
    await page.keyboard.press("Escape");
    expect((await focus(graph)).focus).toBeNull();
  });

  test("triangles, nodes, edges and squares answer to the pointer; hovering draws nothing again", async () => {
    const graph = await open("graph-parallel");
    await graph.locator('[data-start="3"]').click();
    expect((await focus(graph)).start).toBe(3);
    await graph.locator('[data-node="I5_1"]').click();
    expect((await focus(graph)).focus).toEqual({ kind: "node", node: "I5_1" });
    await graph.locator("[data-edge][data-kind=attention]").last().dispatchEvent("click");
    expect((await focus(graph)).focus).toMatchObject({ kind: "edge" });
    await graph.locator("[data-ffn]").first().dispatchEvent("click");
    expect((await focus(graph)).focus).toMatchObject({ kind: "ffn" });
    await graph.evaluate((e) => {
      let count = 0;
      for (const name of ["edges", "states", "hits", "ffns"])
        new MutationObserver((list) => (count += list.length)).observe(e.shadowRoot!.querySelector(`g.${name}`)!, {
          subtree: true,
          childList: true,
          attributes: true,
        });
      Object.assign(window, { redrawn: () => count });
    });
    for (const node of ["I3_0", "I4_1", "I6_2"]) await graph.locator(`[data-node="${node}"]`).hover();
    await graph.locator(".tip").getByText("I6_2").waitFor();
    await graph
      .locator(".tip")
      .getByText(/reads as/)
      .waitFor();
    expect(await page.evaluate(() => (window as never as { redrawn(): number }).redrawn())).toBe(0);
  });

  test("a state drawn on the canvas is hit where it is drawn", async () => {
    const graph = await open("graph-huge");
    await graph.locator("canvas").waitFor();
    await eventually(
      () => graph.evaluate((e) => (e as never as { routes: unknown }).routes !== undefined),
      (value) => expect(value).toBe(true),
    );
    await graph.evaluate((e) =>
      (e as never as { store: { set(c: object, w: string): void } }).store.set(
        { focus: { kind: "node", node: "A20_250" } },
        "test",
      ),
    );
    const mark = await graph.locator(".mark.chosen").boundingBox();
    await page.keyboard.press("Escape");
    await graph.evaluate((e) =>
      (e as never as { store: { set(c: object, w: string): void } }).store.set({ focus: null }, "test"),
    );
    await page.mouse.click(mark!.x + mark!.width / 2, mark!.y + mark!.height / 2);
    expect((await focus(graph)).focus).toEqual({ kind: "node", node: "A20_250" });
    // Dragging moves the picture and selects nothing.
    await page.mouse.move(500, 400);
    await page.mouse.down();
    await page.mouse.move(800, 420, { steps: 5 });
    await page.mouse.up();
    expect((await focus(graph)).focus).toEqual({ kind: "node", node: "A20_250" });
    const moved = await graph.locator(".mark.chosen").boundingBox();
    expect(moved!.x - mark!.x).toBeGreaterThan(200);
  });

  test("X removes what is selected, strikes it through, and puts it back", async () => {
    const graph = await open("graph-parallel");
    const edge = graph.locator("[data-edge][data-kind=attention]").last();
    await edge.waitFor({ state: "attached" });
    const key = await edge.getAttribute("data-edge");
    await edge.dispatchEvent("click");
    await graph.locator("svg.plot").focus();
    await page.keyboard.press("x");
    const [, source, layer, target] = /^\w+_(\d+)>I(\d+)_(\d+):/.exec(key!)!;
    expect((await focus(graph)).removed).toEqual([
      { kind: "edge", layer: Number(layer), query: Number(target), key: Number(source) },
    ]);
    expect(await graph.locator(`path.cut.whole[data-cut="${key}"]`).getAttribute("d")).toMatch(/^M[\d.]+,[\d.]+l/);
    await graph
      .getByRole("status")
      .getByText(/Removed: .* in layer/)
      .waitFor({ state: "attached" });
    await page.keyboard.press("x");
    expect((await focus(graph)).removed).toEqual([]);
    expect(await graph.locator("path.cut, path.gone").count()).toBe(0);
    // A state is made of parts: it is not removed itself.
    await graph.locator('[data-node="I5_1"]').click();
    await page.keyboard.press("x");
    await graph
      .getByRole("status")
      .getByText(/^Select an attention edge/)
      .waitFor({ state: "attached" });
    expect((await focus(graph)).removed).toEqual([]);
  });

  test("one of an edge's heads is half a cross; a block that is not on the routes is struck through all the same", async () => {
    const graph = await open("graph-huge");
    await graph.locator("canvas").waitFor();
    await eventually(
      () => graph.evaluate((e) => (e as never as { routes: unknown }).routes !== undefined),
      (value) => expect(value).toBe(true),
    );
    type Drawn = { kind: string; to: { layer: number; position: number }; key: string; heads: { head: number }[] };
    // The edges of these routes carry one head each: without it the whole edge is gone.
    const edge = await graph.evaluate((e) =>
      (e as never as { routes: { edges: Drawn[] } }).routes.edges.find(({ kind }) => kind === "attention")!,
    );
    const { layer, position } = edge.to;
    const head = edge.heads[0].head;
    await graph.evaluate(
      (e, removed) => (e as never as { store: { set(c: object, w: string): void } }).store.set({ removed }, "test"),
      [
        { kind: "attention", layer, head, position },
        { kind: "ffn", layer: 3, position: 250 },
      ],
    );
    await graph.locator(`path.cut.edge.whole[data-cut="${edge.key}"]`).waitFor({ state: "attached" });
    await graph.locator('path.cut.ffn.whole[data-cut="3_250"]').waitFor({ state: "attached" });
  });

  test("the threshold and renormalisation ask for other routes", async () => {
    const graph = await open("graph-parallel");
    await graph.locator("[data-edge]").first().waitFor({ state: "attached" });
    const before = await graph.locator("[data-edge]").count();
    await graph.getByLabel("Contribution threshold").fill("0.12");
    await eventually(
      () => graph.locator("[data-edge]").count(),
      (value) => expect(value).toBeLessThan(before),
    );
    expect((await focus(graph)).threshold).toBe(0.12);
    await graph.getByLabel("Renormalise").uncheck();
    expect((await focus(graph)).renormalize).toBe(false);
  });

  const save = async (element: Locator, menu: string, item: string): Promise<string> => {
    await element.getByRole("button", { name: menu }).first().click();
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      element.getByRole("menuitem", { name: item }).first().click(),
    ]);
    return fs.readFileSync(await download.path(), "utf8");
  };
  /** Draws the file as an image, as another program would: its size, and how many of its pixels are not its ground. */
  const drawn = (svg: string): Promise<{ width: number; height: number; inked: number }> =>
    page.evaluate(async (text) => {
      const image = new Image();
      image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
      await image.decode();
      const pen = new OffscreenCanvas(image.width, image.height).getContext("2d")!;
      pen.drawImage(image, 0, 0);
      const { data } = pen.getImageData(0, 0, image.width, image.height);
      let inked = 0;
      for (let i = 4; i < data.length; i += 4)
        if (data[i] !== data[0] || data[i + 1] !== data[1] || data[i + 2] !== data[2]) inked++;
      return { width: image.width, height: image.height, inked: inked / (image.width * image.height) };
    }, svg);

  test("a graph on canvas is saved as SVG too: lines as an image, labels as text", async () => {
    const graph = await open("graph-huge");
    await eventually(
      () =>
        graph.locator("canvas").evaluate((canvas: HTMLCanvasElement) => {
          const { data } = canvas.getContext("2d")!.getImageData(0, 0, canvas.width, canvas.height);
          return data.filter((value, i) => i % 4 === 3 && value > 0).length / (canvas.width * canvas.height);
        }),
      (inked) => expect(inked).toBeGreaterThan(0.05),
    );
    const svg = await save(graph, "More", "Save as SVG");
    expect(svg).not.toMatch(/var\(--|class=|<script|href="(?!data:image\/png)/);
    expect(svg.match(/<image /g)?.length).toBe(1);
    expect(svg.match(/<text/g)?.length).toBeGreaterThan(32);
    expect((await drawn(svg)).inked).toBeGreaterThan(0.05);
    expect((await drawn(svg.replace(/<image [^>]*>/, ""))).inked).toBeLessThan((await drawn(svg)).inked);
  });

  test("maps are saved as SVG, one head or all", async () => {
    const one = await save(await open("matrix"), "Save these maps", "Save as SVG");
    expect(one).not.toMatch(/var\(--|<script|href="(?!data:image\/png)/);
    expect(one.match(/<image /g)?.length).toBe(2);
    for (const text of ["Attention, 0 to", "Contribution, 0 to", "·France"]) expect(one).toContain(text);
    expect((await drawn(one)).inked).toBeGreaterThan(0.2);
    const all = await save(await open("matrix-multiples"), "Save these maps", "Save as SVG");
    expect(all.match(/<image /g)?.length).toBe(all.match(/>Head \d+</g)?.length);
    expect((await drawn(all)).inked).toBeGreaterThan(0.2);
  });

  test("bars are saved as a picture and as a table", async () => {
    for (const [name, title, last] of [
      ["panel-edge", "heads", "Head 11"],
      ["panel-ffn", "neurons", "Activation"],
    ] as const) {
      const panel = await open(name);
      await panel.getByRole("listbox").first().locator("[role=option]").nth(3).waitFor();
      const svg = await save(panel, `Save these ${title}`, "Save as SVG");
      expect(svg).not.toMatch(/var\(--|<script|href=/);
      expect(svg).toContain(`>${last}<`);
      expect((await drawn(svg)).inked).toBeGreaterThan(0.02);
      const csv = await save(panel, `Save these ${title}`, "Save as CSV");
      // All of them, also those that are shown only on request, and of heads their sum.
      const lines = csv.trim().split("\r\n").length - 1;
      expect(lines).toBe(title === "heads" ? 12 : 20);
      expect(svg.match(/<rect/g)?.length).toBe(1 + 2 * (lines + (title === "heads" ? 1 : 0)));
      const list = panel.getByRole("listbox").first();
      const listed = await list.locator("[role=option]").count();
      await panel
        .getByRole("button", { name: /^\d+ more$/ })
        .first()
        .click();
      await list.locator("[role=option]").nth(listed).waitFor();
      expect(await list.locator("[role=option]").count()).toBe(lines + (title === "heads" ? 1 : 0));
    }
  });

  test("saves an SVG that stands alone, and its edges as CSV", async () => {
    const graph = await open("graph-parallel");
    await graph.locator("[data-edge]").first().waitFor({ state: "attached" });
    const svg = await save(graph, "More", "Save as SVG");
    expect(svg).toMatch(/^<svg/);
    expect(svg).not.toMatch(/var\(--|class=|<script|href=/);
    expect(svg.match(/<circle/g)?.length).toBe(6 * 13);
    const valid = await page.evaluate(
      (text) => new DOMParser().parseFromString(text, "image/svg+xml").querySelector("parsererror") === null,
      svg,
    );
    expect(valid).toBe(true);
    const csv = await save(graph, "More", "Save edges as CSV");
    expect(csv.split("\r\n")[0]).toBe("source,target,kind,weight,heads");
    expect(csv.split("\r\n").length - 2).toBe(await graph.locator("[data-edge]").count());
  });
});

describe("the other parts", () => {
  test("token texts stay text, whatever they are", async () => {
    const panel = await open("panel-strange");
    await panel.locator("lmt-flow-graph [data-edge]").first().waitFor({ state: "attached" });
    await panel.locator("lmt-prompt-strip").getByText("<script>alert(1)</script>").first().waitFor();
    const scripts = await page.evaluate(() => {
      const count = (root: ParentNode): number =>
        root.querySelectorAll("script, b:not([class])").length +
        [...root.querySelectorAll("*")].reduce((sum, e) => sum + (e.shadowRoot ? count(e.shadowRoot) : 0), 0);
      return count(document.querySelector("section")!);
    });
    expect(scripts).toBe(0);
    await panel.locator("[data-tab=effect]").click();
    await panel.locator("lmt-effect-table").getByText("·<b>bold</b>").first().waitFor();
  });

  test("all heads are the sum of the heads; keys choose; the head's own effect is asked for", async () => {
    await place(
      "lmt-head-bars",
      `(q) => ({ contributions: { dtype: "float32", shape: [2], data: Float32Array.of(0.25, 0.5) }, weights: { dtype: "float32", shape: [2], data: Float32Array.of(0.1, 0.2) } })`,
      { focus: { kind: "edge", source: "I0_1", target: "A1_2" } },
    );
    await page.getByRole("option", { name: /All heads,? contribution 0\.750/ }).waitFor();
    expect((await asked())[0]).toEqual({ kind: "heads", layer: 1, query: 2, key: 1 });
    await page.getByRole("listbox").focus();
    await page.keyboard.press("End");
    expect((await stored()).head).toEqual({ layer: 1, head: 1 });
    expect(await page.getByRole("option", { name: /^Head 1/ }).getAttribute("aria-selected")).toBe("true");
  });

  test("what is removed is said, with what is predicted before and after, and put back one by one", async () => {
    const token = (id: number, text: string, ...[logit, probability, logitAfter, probabilityAfter]: number[]): string =>
      JSON.stringify({ id, text, logit, probability, logitAfter, probabilityAfter });
    const [paris, lyon] = [token(4, " Paris", 12, 0.5, 9.5, 0.125), token(5, " Lyon", 10, 0.1, 11, 0.75)];
    await place("lmt-removed", `(q) => ({ tokens: [${paris}, ${lyon}], target: ${paris} })`, {
      removed: [
        { kind: "ffn", layer: 2, position: 1, neuron: 7 },
        { kind: "attention", layer: 1, head: 0 },
        { kind: "edge", layer: 0, query: 2, key: 1 },
      ],
    });
    const status = page.getByRole("status");
    await status.getByText("After ·c the model predicts ·Lyon instead of ·Paris.").waitFor();
    expect(await status.innerText()).toMatch(/·Paris: probability 50.0 % → 12.5 %, logit 12.00 → 9.50 \(−2.50\)/);
    expect((await asked())[0]).toEqual({
      kind: "removed",
      removals: [
        { kind: "edge", layer: 0, query: 2, key: 1 },
        { kind: "attention", layer: 1, head: 0 },
        { kind: "ffn", layer: 2, position: 1, neuron: 7 },
      ],
      position: 2,
      topK: 6,
    });
    const widths = await page
      .locator(".pair .track i")
      .evaluateAll((bars) => bars.map((bar) => bar.getBoundingClientRect().width / bar.parentElement!.clientWidth));
    [0.5, 0.125, 0.1, 0.75].forEach((value, i) => expect(widths[i]).toBeCloseTo(value / 0.75, 1));
    await page.getByRole("button", { name: "Put back neuron 7 of layer 2 at ·b" }).click();
    expect((await stored()).removed).toEqual([
      { kind: "attention", layer: 1, head: 0 },
      { kind: "edge", layer: 0, query: 2, key: 1 },
    ]);
    await page.getByRole("button", { name: "Put back ·b → ·c in layer 0" }).waitFor();
    await page.getByRole("button", { name: "Put all back" }).click();
    expect((await stored()).removed).toEqual([]);
    await page.locator("lmt-removed section").waitFor({ state: "detached" });
  });

  test("the Explorer removes the head that is selected, or what its menu names; the graph makes room", async () => {
    const tool = await open("explorer");
    const value = (): Promise<Record<string, unknown>> =>
      tool.evaluate((e) => (e as never as { store: { value: Record<string, unknown> } }).store.value);
    const height = (): Promise<number> => tool.locator("svg.plot").evaluate((plot) => plot.clientHeight);
    const remove = tool.locator("[data-act=remove]");
    await tool.locator("[data-edge]").first().waitFor({ state: "attached" });
    const before = await height();
    await remove.click();
    const head = { kind: "attention", layer: 11, head: 3 };
    expect((await value()).removed).toEqual([head]);
    await tool.locator("lmt-removed .pair").nth(2).waitFor();
    await eventually(height, (now) => expect(now).toBeLessThan(before));
    expect(await remove.innerText()).toBe("Put back");
    await tool.locator("lmt-detail-panel").getByRole("button", { name: "Remove something else" }).click();
    await tool.getByRole("menuitemcheckbox", { name: /^Attention of layer 11 at/ }).click();
    expect((await value()).removed).toEqual([head, { kind: "attention", layer: 11, position: 5 }]);
    await remove.click();
    expect((await value()).removed).toEqual([{ kind: "attention", layer: 11, position: 5 }]);
    await tool.getByRole("button", { name: /^Put back attention of layer 11/ }).click();
    expect((await value()).removed).toEqual([]);
    await eventually(height, (now) => expect(now).toBe(before));
  });

  test("where a model has no interventions the button says so, and so does the key", async () => {
    await place("lmt-detail-panel", `() => new Promise(() => {})`, { focus: { kind: "ffn", layer: 1, position: 1 } });
    const button = page.getByRole("button", { name: "Remove", exact: true });
    expect(await button.isEnabled()).toBe(true);
    await page.evaluate(() => {
      const { element } = (window as never as { t: { element: { source: { facts: object } } } }).t;
      const store = (element as never as { store: object }).store;
      Object.assign(element, {
        selection: store,
        source: { ...element.source, facts: { ...element.source.facts, unchangeable: true } },
      });
    });
    await eventually(
      () => button.isEnabled(),
      (enabled) => expect(enabled).toBe(false),
    );
    expect(await button.getAttribute("title")).toMatch(/its runs have no interventions/);
  });

  test("a cell of a map selects its edge, by pointer and by keys", async () => {
    await place(
      "lmt-token-matrix",
      `() => { const m = { dtype: "float32", shape: [3, 3], data: Float32Array.of(1, 0, 0, 0.5, 0.5, 0, 0.2, 0.3, 0.5) }; return { pattern: m, contributions: m }; }`,
      { head: { layer: 1, head: 0 } },
    );
    const map = page.locator("canvas.map").first();
    await map.focus();
    await page.keyboard.press("ArrowLeft");
    await page
      .getByRole("status")
      .getByText(/·b.*→.*·c.*attention 0\.300/)
      .waitFor();
    await page.keyboard.press("Enter");
    expect((await stored()).focus).toEqual({ kind: "edge", source: "I0_1", target: "A1_2" });
    expect((await stored()).head).toEqual({ layer: 1, head: 0 });
  });

  test("a graph that was moved on the page goes on to zoom from where it was, and one that left it listens no more", async () => {
    const graph = await open("graph-heads");
    await graph.locator("[data-edge]").first().waitFor({ state: "attached" });
    const scale = (): Promise<number> =>
      graph
        .locator("g.content")
        .evaluate((content) => Number(/scale\(([\d.]+)\)/.exec(content.getAttribute("transform") ?? "")?.[1]));
    /** By Ctrl and wheel over the middle, wherever the element is. */
    const zoom = (): Promise<void> =>
      page.evaluate(() => {
        const svg = (window as never as { moved: HTMLElement }).moved.shadowRoot!.querySelector("svg.plot")!;
        const { left, top, width, height } = svg.getBoundingClientRect();
        svg.dispatchEvent(
          new WheelEvent("wheel", {
            deltaY: -40,
            ctrlKey: true,
            clientX: left + width / 2,
            clientY: top + height / 2,
            bubbles: true,
            cancelable: true,
            view: window,
          }),
        );
      });
    await graph.evaluate((element) => Object.assign(window, { moved: element, place: element.parentElement }));
    await zoom();
    const first = await scale();
    await page.evaluate(() => (window as never as { moved: HTMLElement }).moved.remove());
    await zoom();
    await page.evaluate(() =>
      (window as never as { moved: HTMLElement; place: HTMLElement }).place.append(
        (window as never as { moved: HTMLElement }).moved,
      ),
    );
    expect(await scale()).toBe(first);
    await zoom();
    expect(await scale()).toBeGreaterThan(first * 1.2);
  });

  test("maps zoom as one, by keys, wheel and drag; what is pointed at and clicked is what lies there", async () => {
    await open("matrix-1024");
    const maps = page.locator("#matrix-1024 canvas.map");
    const readout = page.locator("#matrix-1024 .readout");
    const pointed = async (map: number, dx = 0): Promise<number[]> => {
      const box = (await maps.nth(map).boundingBox())!;
      await page.mouse.move(box.x + box.width * 0.4 + dx, box.y + box.height * 0.6);
      // The move is there before the next frame, and the element is drawn when it says so.
      await page.locator("#matrix-1024 lmt-token-matrix").evaluate(async (element) => {
        await new Promise((done) => requestAnimationFrame(done));
        await (element as never as { updateComplete: Promise<boolean> }).updateComplete;
      });
      return (await readout.locator("sub").allInnerTexts()).map(Number);
    };
    const before = await pointed(0);
    const beside = await pointed(0, 40);
    expect(beside[0] - before[0]).toBeGreaterThan(80);
    await maps.first().focus();
    for (let i = 0; i < 14; i++) await page.keyboard.press("+");
    const at = await pointed(0);
    const next = await pointed(0, 44);
    expect(next).toEqual([at[0] + 1, at[1]]);
    // The other map shows the same place.
    expect(await pointed(1)).toEqual(at);
    await page.mouse.down();
    const box = (await maps.nth(1).boundingBox())!;
    await page.mouse.move(box.x + box.width * 0.4 - 44, box.y + box.height * 0.6, { steps: 5 });
    await page.mouse.up();
    expect(await pointed(0)).toEqual([at[0] + 1, at[1]]);
    await page.mouse.click(
      ...(await (async (): Promise<[number, number]> => {
        const first = (await maps.first().boundingBox())!;
        return [first.x + first.width * 0.4, first.y + first.height * 0.6];
      })()),
    );
    const focus = await page
      .locator("#matrix-1024 lmt-token-matrix")
      .evaluate(
        (element) => (element as never as { selected: { focus: { source: string; target: string } } }).selected.focus,
      );
    expect([focus.source, focus.target]).toEqual([`I10_${at[0] + 1}`, `A11_${at[1]}`]);
    // The wheel alone belongs to the page.
    await page.mouse.wheel(0, 200);
    expect(await pointed(0)).toEqual([at[0] + 1, at[1]]);
    await page.keyboard.press("0");
    expect(await pointed(0)).toEqual(before);
  }, 120_000);

  test.each(["light", "dark"] as const)(
    "in the system's own high-contrast colours (%s) what is chosen can be read, and data keep their colours",
    async (colorScheme) => {
      await page.emulateMedia({ forcedColors: "active", colorScheme });
      await open("grid");
      const seen = await page.locator("#grid lmt-lens-grid").evaluate((element) => {
        const root = element.shadowRoot!;
        const colors = (selector: string): readonly [string, string] => {
          const style = getComputedStyle(root.querySelector(selector)!);
          return [style.color, style.backgroundColor];
        };
        const context = document.createElement("canvas").getContext("2d")!;
        context.fillStyle = "#123456";
        context.fillStyle = getComputedStyle(element).getPropertyValue("--_dull").trim();
        return {
          pressed: colors("button[aria-pressed=true]"),
          other: colors("button[aria-pressed=false]"),
          cells: new Set(
            [...root.querySelectorAll("[role=gridcell]")].map((cell) => getComputedStyle(cell).backgroundColor),
          ).size,
          canvas: String(context.fillStyle),
        };
      });
      expect(seen.pressed[0]).not.toBe(seen.pressed[1]);
      expect(seen.pressed[1]).not.toBe(seen.other[1]);
      expect(seen.cells).toBeGreaterThan(20);
      // What is drawn on a canvas takes the same colours.
      expect(seen.canvas).not.toBe("#123456");
    },
  );

  test("the theme of the page is followed live", async () => {
    const panel = await open("panel");
    expect(await panel.getAttribute("data-theme")).toBe("light");
    await page.evaluate(() => (document.documentElement.dataset.lmtTheme = "dark"));
    await eventually(
      () => panel.getAttribute("data-theme"),
      (value) => expect(value).toBe("dark"),
    );
    await page.evaluate(() => (document.body.dataset.jpThemeLight = "true"));
    await eventually(
      () => panel.locator("lmt-flow-graph").getAttribute("data-theme"),
      (value) => expect(value).toBe("light"),
    );
  });

  test("a click in the second graph loses no pin at a token that only the first prompt has", async () => {
    const compare = await open("compare-400");
    // The longer prompt first.
    await compare.evaluate((element) => {
      const pair = element as unknown as {
        source: unknown;
        second: unknown;
        store: { set(change: object, by: string): void };
      };
      [pair.source, pair.second] = [pair.second, pair.source];
      pair.store.set({ pins: [{ name: "x", note: "y", nodes: ["I2_1", "I3_8"] }] }, "test");
    });
    const second = compare.locator("lmt-flow-graph").nth(1);
    await second.locator("[data-node=I4_2]").dispatchEvent("click");
    const selected = await compare.evaluate(
      (element) => (element as unknown as { store: { value: Record<string, unknown> } }).store.value,
    );
    expect(selected.focus).toMatchObject({ kind: "node", node: "I4_5" });
    expect(selected.pins).toEqual([{ name: "x", note: "y", nodes: ["I2_1", "I3_8"] }]);
    expect(await compare.locator("section[aria-label='Detail of B'] [data-act=pin]").count()).toBe(0);
  });

  test("a comparison: the second graph starts at the same token from the end; the difference has both", async () => {
    const compare = await open("compare");
    const graphs = compare.locator("lmt-flow-graph");
    await graphs.nth(1).locator("[data-edge]").first().waitFor({ state: "attached" });
    await graphs.nth(0).locator('[data-start="2"]').click();
    await eventually(
      () => graphs.nth(1).evaluate((e) => (e as never as { store: { value: { start: number } } }).store.value.start),
      (value) => expect(value).toBe(2),
    );
    await compare.getByRole("button", { name: "Difference" }).click();
    await compare.locator(".edge.more").first().waitFor({ state: "attached" });
    await compare.locator(".edge.less").first().waitFor({ state: "attached" });
  });
});
