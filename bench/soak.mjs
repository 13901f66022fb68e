/**
 * `npm run bench -- soak [N] [RERUNS]`: memory of a process that goes on and on. N runs (default 2,000) of changing
 * prompts through the default model, without `dispose()` and with it: the last quarter may lie at most 5 % above the
 * second. Then a picture's cell that runs RERUNS times (default N / 20) in a real kernel, 40 tokens each: within 300 MB
 * of the first. Prints the curves; exits with 1 where a bound does not hold.
 */
import { spawn } from "node:child_process";
import Module from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { transformFileSync } from "@swc/core";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const count = (text, otherwise) => (text === undefined ? otherwise : Number(text));
const N = count(process.argv[2], 2000);
const RERUNS = count(process.argv[3], Math.max(8, Math.round(N / 20)));
if (![N, RERUNS].every((n) => Number.isInteger(n) && n >= 8)) {
  console.error("npm run bench -- soak [N] [RERUNS]: both are whole numbers from 8 on.");
  process.exit(2);
}
const MB = 1e6;
const rows = [];
let missed = false;
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Columns of a curve: the mean of each eighth. */
function row(what, memory, bound, measured) {
  const eighth = (i) =>
    memory.slice(
      Math.floor((i * memory.length) / 8),
      Math.max(Math.floor((i * memory.length) / 8) + 1, Math.floor(((i + 1) * memory.length) / 8)),
    );
  const ok = measured <= bound.most;
  missed ||= !ok;
  rows.push({
    what,
    ...Object.fromEntries(Array.from({ length: 8 }, (_, i) => [`${i + 1}/8`, Math.round(mean(eighth(i)) / MB)])),
    bound: bound.text,
    measured: bound.format(measured),
    "": ok ? "ok" : "MISSED",
  });
}

const QUARTERS = { most: 5, text: "last quarter ≤ 5 % above the second", format: (value) => `${value.toFixed(1)} %` };
const quarters = (memory) => {
  const quarter = memory.length / 4;
  return (
    100 *
    (mean(memory.slice(Math.floor(3 * quarter))) / mean(memory.slice(Math.floor(quarter), Math.floor(2 * quarter))) - 1)
  );
};

/** Inside the child process: one model, N prompts; prints the memory in use after each. */
async function soak(dispose) {
  const { loadModel } = await import(join(root, "dist/index.mjs"));
  const { defaultModel } = await import(join(root, "dist/model/default-model.js"));
  const model = await loadModel(await defaultModel());
  for (let i = 0; i < N; i++) {
    const run = await model.run(
      Array.from({ length: 8 + (i % 33) }, (_, n) => 500 + ((n * 7919 + i * 104729) % 48_000)),
    );
    await run.routes();
    await run.lens(`I0_${run.tokens.length - 1}`);
    if (dispose) await run.dispose();
    process.send(process.memoryUsage.rss());
  }
  process.exit(0);
}

function inChild(mode) {
  return new Promise((resolve, reject) => {
    const memory = [];
    const child = spawn(process.execPath, [fileURLToPath(import.meta.url), String(N), String(RERUNS), mode], {
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    child.on("message", (bytes) => memory.push(bytes));
    child.on("exit", (code) =>
      code === 0 ? resolve(memory) : reject(new Error(`The process ended with ${code} after ${memory.length} runs.`)),
    );
  });
}

/** The tests' client is TypeScript; translated here, in memory. */
function loadTypeScript(path) {
  const { code } = transformFileSync(path, {
    jsc: { target: "es2022", parser: { syntax: "typescript" } },
    module: { type: "commonjs" },
  });
  const made = new Module(path);
  made.filename = path;
  made.paths = Module._nodeModulePaths(dirname(path));
  made._compile(code, path);
  return made.exports;
}

async function pictures() {
  const { KernelClient } = loadTypeScript(join(root, "test/support/kernel-client.ts"));
  const kernel = await KernelClient.start({ cwd: join(root, "notebooks") });
  try {
    kernel.send("shell", "comm_open", { comm_id: "control", target_name: "jupyter.widget.control", data: {} });
    kernel.send("shell", "comm_msg", { comm_id: "control", data: { method: "request_states" } });
    const run = async (cellId, code) => {
      const content = {
        code,
        silent: false,
        store_history: true,
        user_expressions: {},
        allow_stdin: false,
        stop_on_error: true,
      };
      const executed = await kernel.finished(
        kernel.send("shell", "execute_request", content, { metadata: { cellId } }),
      );
      if (executed.error) throw new Error(executed.error.evalue);
      // A page keeps no messages either.
      kernel.iopub.length = 0;
      return executed;
    };
    await run(
      "load",
      'import { flowGraph, loadModel } from "lm-transparency";\nconst model = await loadModel();\nlet round = 0;',
    );
    const memory = [];
    for (let i = 0; i < RERUNS; i++) {
      await run(
        "picture",
        "const run = await model.run(Array.from({ length: 40 }, (_, n) => 500 + ((n * 7919 + round * 104729) % 48_000)));\nround++;\nflowGraph(run)",
      );
      memory.push(Number((await run("memory", "process.memoryUsage().rss")).result["text/plain"]));
    }
    return memory;
  } finally {
    await kernel.close();
  }
}

if (process.argv[4] !== undefined) await soak(process.argv[4] === "dispose");
else {
  for (const [what, mode] of [
    ["runs, never disposed of", "keep"],
    ["runs, each disposed of", "dispose"],
  ]) {
    const begun = performance.now();
    const memory = await inChild(mode);
    row(`${N} ${what}`, memory, QUARTERS, quarters(memory));
    console.log(`${what}: ${((performance.now() - begun) / 1000).toFixed(0)} s`);
  }
  const memory = await pictures();
  const most = Math.max(...memory) - memory[0];
  row(
    `a picture's cell, ${RERUNS} times`,
    memory,
    { most: 300 * MB, text: "≤ 300 MB above the first", format: (value) => `${Math.round(value / MB)} MB` },
    most,
  );
  console.log("Resident memory in MB, mean of each eighth:");
  console.table(rows);
  process.exit(missed ? 1 : 0);
}
