/**
 * A notebook that was run without a front end, and a walk through its picture that compares what is read with what the
 * kernel had answered.
 */
import { spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import type { Locator } from "playwright-core";
import { percent } from "../../widgets/core/format";
import { visibleText } from "../../src/protocol";
import { modelFolder } from "../support/fixtures";
import { makeNotebook, ROOT } from "../support/jupyter";

const BIN = path.join(ROOT, ".venv", process.platform === "win32" ? "Scripts" : "bin");

/** What the kernel said for everything that the walk clicks. */
export interface Said {
  readonly tokens: readonly { id: number; text: string }[];
  readonly node: string;
  readonly lens: readonly { text: string; probability: number; logit: number }[];
  /** An attention edge, its head to click, and that head's effect. */
  readonly edge: { readonly source: string; readonly target: string };
  readonly head: number;
  readonly heads: readonly number[];
  readonly headEffect: readonly { text: string; score: number }[];
  readonly block: { readonly layer: number; readonly position: number };
  readonly neurons: readonly { neuron: number; contribution: number }[];
  readonly neuronEffect: readonly { text: string; score: number }[];
  /** Numbers of edges from other start tokens, and at another threshold. */
  readonly edges: readonly number[];
  readonly edgesAt: number;
}

const QUESTIONS = `
const graph = await run.routes();
const last = run.tokens.length - 1;
const edge = graph.edges.filter(e => e.kind === "attention" && e.source.split("_")[1] !== e.target.split("_")[1]).sort((a, b) => b.weight - a.weight)[0];
const [layer, query] = edge.target.slice(1).split("_").map(Number);
const key = Number(edge.source.split("_")[1]);
const { terms } = await run.attentionContributions(layer, { positions: [query] });
const H = model.info.nHeads;
const heads = Array.from(terms.data.slice(key * H, (key + 1) * H));
const head = Number(Object.entries(edge.heads!).sort((a, b) => b[1] - a[1])[0][0]);
const square = graph.nodes.filter(n => n.kind === "M").pop()!;
const neurons = await run.neuronContributions(square.layer, square.position, { topK: 20 });
const node = graph.nodes.filter(n => n.kind === "I" && n.layer < model.info.nLayers - 1).pop()!.name;
const edges: number[] = [];
for (const from of run.tokens.keys()) edges.push((await run.routes({ from })).edges.length);
console.log(JSON.stringify({
  tokens: run.tokens, node, lens: await run.lens(node), edge: { source: edge.source, target: edge.target }, head, heads,
  headEffect: (await run.effect({ kind: "attention", layer, position: query, head }, { topK: 15 })).promoted,
  block: { layer: square.layer, position: square.position }, neurons,
  neuronEffect: (await run.effect({ kind: "ffn", layer: square.layer, position: square.position, neuron: neurons[0].neuron }, { topK: 15 })).promoted,
  edges, edgesAt: (await run.routes({ threshold: 0.1 })).edges.length,
}));`;

/** Runs a program; rejects with what it said where it fails. */
export function program(
  file: string,
  args: readonly string[],
  options: { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv } = {},
): Promise<string> {
  return new Promise((done, fail) => {
    const child = spawn(file, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
    let said = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text: string) => (said += text));
    child.once("error", fail);
    child.once("exit", (code, signal) =>
      code === 0 ? done(said) : fail(new Error(`${file} ${args.join(" ")} failed (${signal ?? code})\n${said}`)),
    );
  });
}

/** Environment of Jupyter programs that know our kernel and template and nothing of this machine's. */
export function jupyterEnvironment(home: string): NodeJS.ProcessEnv {
  return {
    ...process.env,
    ORT_DISABLE_TELEMETRY: "1",
    HOME: home,
    XDG_CACHE_HOME: path.join(os.homedir(), ".cache"),
    JUPYTER_PATH: path.join(ROOT, "share", "jupyter"),
    JUPYTER_CONFIG_DIR: path.join(home, "config"),
    JUPYTER_DATA_DIR: path.join(home, "data"),
    JUPYTER_RUNTIME_DIR: path.join(home, "runtime"),
    IPYTHONDIR: path.join(home, "ipython"),
    PATH: [BIN, path.dirname(process.execPath), process.env.PATH].join(path.delimiter),
  };
}

export const jupyter = (args: readonly string[], home: string, cwd: string): Promise<string> =>
  program(path.join(BIN, "jupyter"), args, { cwd, env: jupyterEnvironment(home) });

export interface Made {
  /** Temporary folder with `run.ipynb`, executed, and the home folder it was executed with. */
  readonly folder: string;
  readonly home: string;
  readonly notebook: Record<string, unknown>;
  /** Number of the cell with the picture. */
  readonly picture: number;
  readonly said: Said;
  remove(): void;
}

/**
 * Runs a notebook with `jupyter execute`. `picture`: the expression that makes it from `run`; `then`: what the cell
 * does with `shown`.
 */
export async function makeHeadless(picture = "flowGraph(run)", then = "", model = "llama-tiny"): Promise<Made> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "lmt-sharing-"));
  const home = path.join(folder, "home");
  fs.mkdirSync(home);
  const cells = [
    `import { explorer, flowGraph, loadModel } from "lm-transparency";\nconst model = await loadModel(${JSON.stringify(modelFolder(model))});\nconst run = await model.run([1, 17, 40, 99, 17, 23, 64]);`,
    `const shown = ${picture};\n${then}\nshown`,
    QUESTIONS,
  ];
  fs.writeFileSync(path.join(folder, "run.ipynb"), JSON.stringify(makeNotebook(cells)));
  await jupyter(["execute", "run.ipynb", "--inplace", "--timeout=300"], home, folder);
  const notebook = JSON.parse(fs.readFileSync(path.join(folder, "run.ipynb"), "utf8")) as {
    cells: { outputs: { text?: string | string[] }[] }[];
  };
  const text = [notebook.cells[2].outputs[0].text ?? ""].flat().join("");
  return {
    folder,
    home,
    notebook: notebook as unknown as Record<string, unknown>,
    picture: 1,
    said: JSON.parse(text) as Said,
    remove: () => fs.rmSync(folder, { recursive: true, force: true }),
  };
}

/** Whether a text has the number, as it is rounded in its column. */
const says = (text: string, value: number): boolean =>
  [...text.matchAll(/-?\d+\.(\d+)/g)].some(
    ([number, decimals]) => Math.abs(Number(number) - value) <= 0.51 * 10 ** -decimals.length,
  );

/** A list shows as many rows as fit, and the others on request. */
async function all(list: Locator): Promise<void> {
  const more = list.locator("button.more[aria-expanded=false]");
  if (await more.count()) await more.first().dispatchEvent("click");
}

const words = (text: string): string => text.replace(/\s+/g, " ").trim();

/** Clicks through a drawn picture and compares every step with the kernel's answers. `root` holds one picture. */
export async function walk(root: Locator, said: Said): Promise<void> {
  const graph = root.locator("lmt-flow-graph").first();
  const edges = graph.locator("[data-edge]");
  await graph.locator("[data-node]").first().waitFor();
  // Where the walk before ended is stored, too.
  const last = said.tokens.length - 1;
  await graph.locator(`[data-start="${last}"]`).first().dispatchEvent("click");
  await expect_(
    async () => (await edges.count()) === said.edges[last],
    `${said.edges[last]} edges`,
    async () => `${await edges.count()}`,
  );

  await graph.locator(`[data-node="${said.node}"]`).first().dispatchEvent("click");
  const row = root.locator("lmt-token-table tbody tr").first();
  await row.waitFor();
  const best = said.lens[0];
  const read = words(await row.innerText());
  for (const part of [visibleText(best.text), percent(best.probability)]) expect(read).toContain(words(part));
  expect(says(read, best.logit)).toBe(true);
  await all(root.locator("lmt-token-table"));
  await expect_(
    async () => (await root.locator("lmt-token-table tbody tr").count()) === said.lens.length,
    `${said.lens.length} tokens`,
    async () => `${await root.locator("lmt-token-table tbody tr").count()}`,
  );

  await graph.locator(`[data-edge^="${said.edge.source}>${said.edge.target}:attention"]`).last().dispatchEvent("click");
  await root.locator("lmt-head-bars [data-head='all']").waitFor();
  await all(root.locator("lmt-head-bars"));
  const bar = root.locator(`lmt-head-bars [data-head="${said.head}"]`);
  await bar.waitFor();
  for (const [head, value] of said.heads.entries())
    expect(says(words(await root.locator(`lmt-head-bars [data-head="${head}"]`).innerText()), value)).toBe(true);
  await bar.click();
  await effect(root, new RegExp(`head ${said.head} of layer`), said.headEffect);

  await graph.locator(`[data-ffn="${said.block.layer}_${said.block.position}"]`).first().dispatchEvent("click");
  const neuron = root.locator(`lmt-neuron-bars [data-neuron="${said.neurons[0].neuron}"]`);
  await neuron.waitFor();
  await all(root.locator("lmt-neuron-bars"));
  await root
    .locator("lmt-neuron-bars [data-neuron]")
    .nth(said.neurons.length - 1)
    .waitFor();
  expect(await root.locator("lmt-neuron-bars [data-neuron]").count()).toBe(said.neurons.length);
  for (const { neuron: n, contribution } of said.neurons.slice(0, 5))
    expect(says(words(await root.locator(`lmt-neuron-bars [data-neuron="${n}"]`).innerText()), contribution)).toBe(
      true,
    );
  await neuron.click();
  await effect(root, new RegExp(`neuron ${said.neurons[0].neuron} of layer`), said.neuronEffect);

  for (const start of [2, said.tokens.length - 1]) {
    await graph.locator(`[data-start="${start}"]`).first().dispatchEvent("click");
    await expect_(
      async () => (await edges.count()) === said.edges[start],
      `${said.edges[start]} edges from token ${start}`,
      async () => `${await edges.count()}`,
    );
  }
  await threshold(graph, 0.1);
  await expect_(
    async () => (await edges.count()) === said.edgesAt,
    `${said.edgesAt} edges at threshold 0.1`,
    async () => `${await edges.count()}`,
  );
  await threshold(graph, 0.04);
  expect(await root.locator("[role=alert]").count()).toBe(0);
}

async function effect(root: Locator, title: RegExp, tokens: Said["headEffect"]): Promise<void> {
  await root.locator("lmt-effect-table").getByText(title).first().waitFor();
  const rows = root.locator("lmt-effect-table table.promoted tbody tr");
  await expect_(
    async () =>
      words(
        await rows
          .first()
          .innerText()
          .catch(() => ""),
      ).includes(words(visibleText(tokens[0].text))),
    `${tokens[0].text} promoted`,
    () => rows.first().innerText(),
  );
  const read = words(await rows.first().innerText());
  expect(says(read, tokens[0].score)).toBe(true);
  await all(root.locator("lmt-effect-table"));
  await rows.nth(tokens.length - 1).waitFor();
  expect(await rows.count()).toBe(tokens.length);
}

async function threshold(graph: Locator, value: number): Promise<void> {
  const slider = graph.locator('input[type="range"]').first();
  await slider.evaluate((input: HTMLInputElement, v: number) => {
    input.value = String(v);
    input.dispatchEvent(new Event("input", { bubbles: true }));
  }, value);
}

/** Polls until `check` holds. */
export async function expect_(
  check: () => Promise<boolean>,
  what: string,
  now: () => Promise<string>,
  timeout = 60_000,
): Promise<void> {
  const end = Date.now() + timeout;
  while (!(await check())) {
    if (Date.now() > end) throw new Error(`expected ${what}, but there is ${await now()}`);
    await new Promise((done) => setTimeout(done, 100));
  }
}
