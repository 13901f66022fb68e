import { spawnSync } from "node:child_process";
import * as path from "node:path";
import { modelFolder, modelNames, root } from "../support/fixtures";

/** Runs a script, as a reader's program, beside the built package; gives what it printed as JSON. */
function program(
  body: string,
  flags: readonly string[] = ["--expose-gc"],
): Record<string, never> & { [name: string]: unknown } {
  const script = `
    const { loadModel } = require(${JSON.stringify(root)});
    const { passBudget } = require(${JSON.stringify(path.join(root, "dist/engine/index.js"))});
    const { answerBudget, digestBudget } = require(${JSON.stringify(path.join(root, "dist/runtime/byte-cache.js"))});
    const fs = require("node:fs");
    const held = () => passBudget.held + answerBudget.held + digestBudget.held;
    const turn = () => new Promise((resolve) => setTimeout(resolve, 20));
    const collect = async (until) => { for (let i = 0; i < 100 && !until(); i++) { await turn(); gc(); await turn(); } };
    const threads = () => process.platform === "linux" ? fs.readdirSync("/proc/self/task").length : 0;
    const tiny = ${JSON.stringify(modelFolder("llama-tiny"))};
    (async () => { ${body} })().then((said) => console.log(JSON.stringify(said)), (error) => { console.error(error); process.exitCode = 1; });`;
  const { stdout, stderr, status } = spawnSync(process.execPath, [...flags, "-e", script], {
    encoding: "utf8",
    env: { ...process.env, ORT_DISABLE_TELEMETRY: "1" },
  });
  if (status !== 0) throw new Error(`The program ended with ${status}: ${stderr}`);
  return JSON.parse(stdout) as never;
}

const ASK_ALL = `
  // One after the other: what is asked at the same time may be computed as one product, which rounds in another order.
  const each = async (asks) => { const answers = []; for (const ask of asks) answers.push(await ask()); return answers; };
  const askAll = async (run) => {
    const layers = Array.from({ length: run.model.info.nLayers }, (_, layer) => layer);
    const T = run.tokens.length;
    return JSON.stringify([
      await run.logits(),
      await run.routes({ from: "all", threshold: 0.01 }),
      await run.lens("I0_" + (T - 1)),
      await run.effect({ kind: "attention", layer: 0, position: T - 1, head: 0 }),
      ...(await each(layers.flatMap((layer) => [
        () => run.residual(layer, "pre"), () => run.residual(layer, "post"), () => run.attentionPattern(layer), () => run.attentionOut(layer), () => run.ffnOut(layer),
        () => run.headOut(layer, T - 1), () => run.attentionContributions(layer), () => run.ffnContributions(layer), () => run.neuronContributions(layer, T - 1), () => run.neuronActivations(layer, T - 1, "post"),
      ]))),
    ], (_, value) => ArrayBuffer.isView(value) ? Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("base64") : typeof value === "bigint" ? String(value) : value);
  };`;

test("a run that nobody holds is collected, and the budgets count it no longer", () => {
  const said = program(`
    const model = await loadModel(tiny);
    const references = [];
    for (let i = 0; i < 5; i++) await (async () => {
      const run = await model.run([1 + i, 2, 3, 4, 5, 6]);
      await run.routes({ from: "all" });
      await run.attentionContributions(0);
      references.push(new WeakRef(run));
    })();
    const kept = await model.run([1, 1, 1]);
    await kept.routes();
    const before = held();
    await collect(() => references.every((reference) => reference.deref() === undefined) && held() < before / 3);
    const alive = references.filter((reference) => reference.deref() !== undefined).length;
    const after = held();
    const tokens = (await kept.routes()).nodes.length > 0;
    await kept.dispose();
    const disposed = held();
    await model.dispose();
    return { before, alive, after, tokens, disposed };`);
  expect(said["alive"]).toBe(0);
  expect(said["before"]).toBeGreaterThan(0);
  expect(said["after"]).toBeGreaterThan(0);
  expect(said["after"]).toBeLessThan(Number(said["before"]) / 3);
  expect(said["tokens"]).toBe(true);
  expect(said["disposed"]).toBe(0);
});

test("a model that nobody holds ends its threads; loading one again and again stays flat", () => {
  const said = program(`
    const once = async () => { const model = await loadModel(tiny); const run = await model.run([1, 2, 3]); await run.routes(); return threads(); };
    // What a process keeps of its first model: libuv's threads, onnxruntime's.
    const first = await once();
    await collect(() => threads() < first);
    for (let i = 0; i < 10; i++) await turn();
    const before = threads();
    const loaded = await once();
    await collect(() => threads() <= before);
    const after = threads();
    const memory = [];
    const counts = [];
    for (let i = 0; i < 15; i++) { counts.push(await once()); memory.push(process.memoryUsage().rss); }
    return { before, loaded, after, memory, most: Math.max(...counts) };`);
  if (process.platform === "linux") {
    const before = Number(said["before"]);
    const own = Number(said["loaded"]) - before;
    expect(own).toBeGreaterThan(0);
    expect(said["after"]).toBe(before);
    // Beside the model that is loaded there may be the one before, whose threads are ending.
    expect(said["most"]).toBeLessThanOrEqual(before + 3 * own);
  }
  const memory = said["memory"] as number[];
  expect(Math.max(...memory.slice(10)) - memory[4]).toBeLessThan(40e6);
});

test("a model in use outlives its name, and one whose runs are held its own", () => {
  const said = program(`
    const run = await (async () => (await loadModel(tiny)).run([1, 2, 3, 4]))();
    for (let i = 0; i < 5; i++) { await turn(); gc(); }
    const nodes = (await run.routes()).nodes.length;
    const pending = loadModel(tiny).then((model) => model.run([1, 2, 3]).then((other) => Promise.all([other.logits(), other.routes()])));
    const timer = setInterval(gc, 1);
    const [logits] = await pending;
    clearInterval(timer);
    const { createEngine } = require(${JSON.stringify(path.join(root, "dist/engine/index.js"))});
    const { openModel } = require(${JSON.stringify(path.join(root, "dist/model/open.js"))});
    const pass = await (async () => (await createEngine(await openModel(tiny))).forward([1, 2, 3]))();
    for (let i = 0; i < 5; i++) { await turn(); gc(); }
    const layer = (await pass.fetch(0, ["ffn_pre"])).ffn_pre.data.length;
    return { nodes, logits: logits.data.length, layer };`);
  expect(said["nodes"]).toBeGreaterThan(0);
  expect(said["logits"]).toBeGreaterThan(0);
  expect(said["layer"]).toBeGreaterThan(0);
});

test("what had to go for others is computed again with the same numbers, to the bit", () => {
  const said = program(`
    ${ASK_ALL}
    const differing = [];
    let forwards = 0;
    const sizes = [passBudget, answerBudget, digestBudget].map((budget) => [budget, budget.bytes]);
    for (const folder of ${JSON.stringify(modelNames.map(modelFolder))}) {
      const model = await loadModel(folder);
      const ids = [[3, 5, 7, 11, 13, 2], [2, 9, 4, 8], [1, 2, 3, 4, 5, 6, 7, 8, 9]];
      const wanted = [];
      for (const prompt of ids) { const run = await model.run(prompt); wanted.push(await askAll(run)); await run.dispose(); }
      for (const [budget] of sizes) budget.bytes = 1;
      const runs = [];
      for (const prompt of ids) runs.push(await model.run(prompt));
      // The newest holding of a budget stays; those of the others go.
      if (runs[0].pass.states !== undefined || runs[0].pass.kept.length > 0) differing.push(folder + ": nothing was dropped");
      for (let round = 0; round < 2; round++) {
        for (const i of [0, 2, 1]) {
          const answer = JSON.parse(await askAll(runs[i]));
          JSON.parse(wanted[i]).forEach((value, at) => { if (JSON.stringify(value) !== JSON.stringify(answer[at])) differing.push(folder + " prompt " + i + " answer " + at); });
        }
      }
      for (const run of runs) await run.dispose();
      if (held() !== 0) differing.push(folder + ": " + held() + " bytes are counted after dispose()");
      for (const [budget, bytes] of sizes) budget.bytes = bytes;
      await model.dispose();
    }
    return { differing };`);
  expect(said["differing"]).toEqual([]);
});
