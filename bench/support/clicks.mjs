/**
 * Clicks in the Explorer of a real JupyterLab, each on something that was not clicked before: milliseconds from the
 * pointer's event to the frame that shows everything that follows from it.
 */
import { startLab } from "./lab.mjs";

const round = (value) => Math.round(value);
const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];

/** Runs inside the page: finds the Explorer's parts and times what an event leads to. */
function install() {
  const deep = (root, selector) => {
    const found = [...root.querySelectorAll(selector)];
    for (const element of root.querySelectorAll("*"))
      if (element.shadowRoot) found.push(...deep(element.shadowRoot, selector));
    return found;
  };
  // Found once: looking through the whole page in every frame would be part of what is measured.
  let found;
  const explorer = () => (found?.isConnected ? found : (found = deep(document, "lmt-explorer").at(-1)));
  const roots = () => {
    const own = explorer()?.shadowRoot;
    const detail = own?.querySelector("lmt-detail-panel")?.shadowRoot;
    return [own, detail].filter(Boolean);
  };
  const part = (name) =>
    roots()
      .map((root) => root.querySelector(name))
      .find(Boolean)?.shadowRoot;
  const PARTS = [
    "flow-graph",
    "token-table",
    "effect-table",
    "head-bars",
    "neuron-bars",
    "token-matrix",
    "follow-chart",
  ]
    .map((name) => `lmt-${name}`)
    .join();
  const busy = () => {
    const all = roots().flatMap((root) => [
      root,
      ...[...root.querySelectorAll(PARTS)].map((element) => element.shadowRoot),
    ]);
    for (const root of all) {
      const error = root.querySelector(".error");
      if (error) throw new Error(`The Explorer says: ${error.textContent}`);
    }
    return all.some((root) => root?.querySelector(".busy[data-on]"));
  };
  const text = (name, selector) => part(name)?.querySelector(selector)?.textContent.replace(/\s+/g, " ").trim() ?? "";
  const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  /** After the frame that is being made. */
  const shown = () =>
    new Promise((resolve) => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => resolve(performance.now());
      port2.postMessage(0);
    });
  const shows = {
    node: ({ node }) =>
      part("lmt-token-table")?.querySelector("h3 span")?.title.startsWith(`${node},`) &&
      part("lmt-token-table").querySelector("tbody tr") &&
      (node[0] === "X" || part("lmt-effect-table").querySelector("tbody tr")),
    edge: () =>
      part("lmt-head-bars")?.querySelector("[data-head='all']") &&
      part("lmt-token-matrix")?.querySelector("canvas.map") &&
      part("lmt-effect-table").querySelector("tbody tr"),
    head: ({ head }) =>
      text("lmt-token-matrix", "h3").startsWith(`Head ${head} `) &&
      part("lmt-token-matrix").querySelector("canvas.map") &&
      text("lmt-effect-table", "h3").includes(`head ${head} `),
    ffn: ({ layer }) =>
      text("lmt-neuron-bars", "h3").startsWith(`Neurons of layer ${layer} `) &&
      part("lmt-neuron-bars").querySelector("[data-neuron]") &&
      part("lmt-effect-table").querySelector("tbody tr"),
    neuron: ({ neuron }) => text("lmt-effect-table", "h3").includes(`neuron ${neuron} `),
    token: ({ token }) => explorer().selected.token === token && part("lmt-follow-chart")?.querySelector("path.rank"),
    routes: ({ before }) => explorer().shadowRoot.querySelector("lmt-flow-graph").routes !== before,
  };
  window.bench = {
    deep,
    explorer,
    part,
    frame,
    shown,
    idle: async () => {
      const begun = performance.now();
      for (let quiet = 0; quiet < 3;) {
        if (performance.now() - begun > 20_000) throw new Error("Something stays busy.");
        await frame();
        quiet = busy() ? 0 : quiet + 1;
      }
    },
    /** Waits for the next event of this type; `window.timed` is what it took. */
    arm(type, kind, what) {
      const test = shows[kind];
      const graph = explorer().shadowRoot.querySelector("lmt-flow-graph");
      const expected = { ...what, before: graph.routes };
      window.timed = new Promise((resolve, reject) => {
        const listen = async (event) => {
          window.removeEventListener(type, listen, true);
          const begun = event.timeStamp;
          for (;;) {
            await frame();
            try {
              if (!busy() && test(expected)) break;
            } catch (error) {
              return reject(error);
            }
            if (performance.now() - begun > 10_000)
              return reject(new Error(`No answer to a click on ${kind} ${JSON.stringify(what)}.`));
          }
          resolve((await shown()) - begun);
        };
        window.addEventListener(type, listen, true);
      });
    },
  };
}

/**
 * Which model: a folder, how its rows are called. Returns rows of { what, median, worst, n }, and how long the first
 * picture took.
 */
export async function clickLatencies({ folder, tokens, clicks = 12, expression = "run.explorer()" }) {
  const ids = Array.from({ length: tokens }, (_, i) => (i * 7919) % 49_000);
  const lab = await startLab([
    `import { loadModel } from "lm-transparency";\nconst model = await loadModel(${JSON.stringify(folder)});\nconst run = await model.run(${JSON.stringify(ids)});`,
    `void (await model.run(${JSON.stringify(ids)}));`,
    expression,
  ]);
  if (!lab) return undefined;
  const { page } = lab;
  try {
    await lab.run(0);
    await lab.ended(0);
    await lab.run(1);
    await lab.ended(1);
    await page.evaluate(install);
    const begun = await lab.run(2);
    const first =
      (await page.evaluate(async () => {
        while (!window.bench.explorer()?.shadowRoot?.querySelector("lmt-flow-graph")?.routes)
          await window.bench.frame();
        await window.bench.frame();
        return window.bench.shown();
      })) - begun;
    const cell = (await lab.ended(2)) - begun;
    await page.evaluate(() => window.bench.explorer().scrollIntoView());
    const rows = [];
    const measure = async (what, kind, count, next, { type = "click" } = {}) => {
      const times = [];
      for (let i = 0; i < count; i++) {
        const target = await next(i);
        if (target === undefined) continue;
        await page.evaluate(() => window.bench.idle());
        await page.evaluate(
          ([event, name, expected]) => window.bench.arm(event, name, expected),
          [type, kind, target.expected],
        );
        await target.act();
        const took = await page.evaluate(() => window.timed.catch((error) => error.message));
        if (typeof took === "string") {
          console.error(`${what}: ${took}`);
          continue;
        }
        times.push(took);
        // As people do: a moment passes between clicks.
        await page.waitForTimeout(target.pause ?? 150);
      }
      if (times.length)
        rows.push({
          what,
          median: round(median(times)),
          worst: round(Math.max(...times)),
          n: times.length,
          times: times.map(round),
        });
    };
    /** Clicks a state, edge or square by its place on the screen. */
    const inGraph = async (mark) => {
      const at = await page.evaluate((which) => {
        const graph = window.bench.explorer().shadowRoot.querySelector("lmt-flow-graph");
        graph.reveal(which);
        return graph.whereIs(which);
      }, mark);
      await page.evaluate(() => window.bench.frame());
      return () => page.mouse.click(at.x, at.y);
    };
    const facts = await page.evaluate(() => {
      const graph = window.bench.explorer().shadowRoot.querySelector("lmt-flow-graph");
      const { model } = graph.source.facts;
      return {
        layers: model.nLayers,
        heads: model.nHeads,
        edges: graph.routes.edges.map(({ source, target, kind }) => ({ source, target, kind })),
        start: graph.selected.start,
      };
    });
    const attention = facts.edges.filter(
      ({ kind, source, target }) => kind === "attention" && source.split("_")[1] !== target.split("_")[1],
    );
    const blocks = facts.edges.filter(({ kind }) => kind === "ffn-out").map(({ source }) => source);
    const spread = (list, i) => list[Math.floor((((i * 7 + 3) % 31) * list.length) / 31) % list.length];
    const used = new Set();
    const fresh = (list, i) => {
      for (let n = 0; n < 31; n++) {
        const item = spread(list, i + n);
        const key = JSON.stringify(item);
        if (item && !used.has(key)) return (used.add(key), item);
      }
      return undefined;
    };
    // All columns have states, and lists all their rows.
    await page.evaluate(() => {
      window.bench.explorer().shadowRoot.querySelector("lmt-flow-graph").fold = "never";
    });
    const open = async (part, tab) => {
      if (tab) await page.locator(`lmt-explorer [data-tab=${tab}]`).click();
      const more = page.locator(`lmt-explorer ${part} button.more[aria-expanded=false]`).first();
      if (await more.count()) await more.click();
    };
    await measure("state → its tokens", "node", clicks, async (i) => {
      const node = `${i % 3 ? "I" : "A"}${(i * 5) % facts.layers}_${(facts.start - 1 - ((i * 13) % Math.min(tokens - 1, 100)) + tokens) % tokens}`;
      return { expected: { node }, act: await inGraph({ kind: "node", node }) };
    });
    const edge = async (i) => {
      const one = fresh(attention, i);
      return one && { expected: one, act: await inGraph({ kind: "edge", source: one.source, target: one.target }) };
    };
    await measure("edge → heads, maps, effect", "edge", clicks, edge);
    await measure("head → its two maps, its effect", "head", Math.min(clicks, facts.heads), async (head) => ({
      ...(await open("lmt-head-bars")),
      expected: { head },
      act: () => page.locator(`lmt-explorer lmt-head-bars [data-head='${head}']`).click(),
    }));
    await measure("feed-forward block → neurons, effect", "ffn", clicks, async (i) => {
      const node = fresh(blocks, i);
      if (!node) return undefined;
      const [layer, position] = node.slice(1).split("_").map(Number);
      return { expected: { layer }, act: await inGraph({ kind: "ffn", layer, position }) };
    });
    await measure("neuron → what it promotes", "neuron", clicks, async (i) => {
      await open("lmt-neuron-bars");
      const neuron = await page.evaluate(
        (n) => Number(window.bench.part("lmt-neuron-bars").querySelectorAll("[data-neuron]")[n]?.dataset.neuron),
        i,
      );
      return Number.isNaN(neuron)
        ? undefined
        : {
            expected: { neuron },
            act: () => page.locator(`lmt-explorer lmt-neuron-bars [data-neuron='${neuron}']`).click(),
          };
    });
    await measure("token → followed through all layers", "token", clicks, async (i) => {
      await open("lmt-token-table", "tokens");
      const token = await page.evaluate(
        (n) => Number(window.bench.part("lmt-token-table").querySelectorAll("tbody tr")[n]?.dataset.tokenId),
        i,
      );
      return {
        expected: { token },
        act: () => page.locator(`lmt-explorer lmt-token-table tr[data-token-id='${token}'] button`).click(),
      };
    });
    await measure("triangle → routes of another token", "routes", clicks, async (i) => {
      const position = (facts.start - 3 - i * 2 + 2 * tokens) % tokens;
      return { expected: {}, act: await inGraph({ kind: "start", position }) };
    });
    await page.locator("lmt-explorer lmt-flow-graph input[type=range]").focus();
    await measure(
      "threshold → routes again",
      "routes",
      clicks,
      () => Promise.resolve({ expected: {}, act: () => page.keyboard.press("ArrowRight") }),
      { type: "keydown" },
    );
    return { rows, first, cell, edges: facts.edges.length, attention: attention.length };
  } catch (error) {
    // What was on the screen says more than the sentence.
    if (process.env.LM_TRANSPARENCY_SCREENSHOT) await page.screenshot({ path: process.env.LM_TRANSPARENCY_SCREENSHOT });
    throw error;
  } finally {
    await lab.stop();
  }
}
