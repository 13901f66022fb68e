/**
 * llama.cpp beside us: npm's node-llama-cpp brings it prebuilt. It is no dependency: it is installed here, in the
 * temporary folder, or taken from the folder whose node_modules has it, named in LM_TRANSPARENCY_LLAMA.
 *
 *     node llama.mjs FOLDER MODEL THREADS   reads lines "prompt added" (numbers of tokens), answers as JSON
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath, pathToFileURL } from "node:url";
import { tokenIds } from "./yardstick.mjs";

const VERSION = "3.22.1";

/** The folder in whose node_modules node-llama-cpp is; installed once. */
export function llamaFolder() {
  const named = process.env.LM_TRANSPARENCY_LLAMA;
  const folder =
    named ?? join(process.env.LM_TRANSPARENCY_BENCH ?? join(tmpdir(), "lm-transparency-bench"), "node-llama-cpp");
  if (existsSync(join(folder, "node_modules/node-llama-cpp/package.json"))) return folder;
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), '{ "private": true }\n');
  console.log(`Installing node-llama-cpp ${VERSION} into ${folder} …`);
  // Without its install script, which would build llama.cpp where no prebuilt one fits.
  const { status } = spawnSync(
    "npm",
    ["install", "--ignore-scripts", "--no-audit", "--no-fund", `node-llama-cpp@${VERSION}`],
    { cwd: folder, stdio: ["ignore", "ignore", "inherit"] },
  );
  if (status !== 0)
    throw new Error(
      "The yardstick node-llama-cpp could not be installed; name a folder that has it in LM_TRANSPARENCY_LLAMA.",
    );
  return folder;
}

/** A process that generates with llama.cpp on so many threads. */
export async function startLlama(model, threads) {
  const child = spawn(process.execPath, [fileURLToPath(import.meta.url), llamaFolder(), model, String(threads)], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error("llama.cpp has ended.");
    return JSON.parse(value);
  };
  const about = await next();
  return {
    about,
    /** Milliseconds after which each token was there. */
    async generate(prompt, added) {
      child.stdin.write(`${prompt} ${added}\n`);
      return next();
    },
    // Its own teardown can hang.
    stop: () => child.kill("SIGKILL"),
  };
}

async function serve(folder, modelPath, threads) {
  const file = join(folder, "node_modules/node-llama-cpp/dist/index.js");
  const { getLlama } = await import(pathToFileURL(file).href);
  const llama = await getLlama({ gpu: false, build: "never", logLevel: "error", progressLogs: false });
  const model = await llama.loadModel({ modelPath });
  console.log(JSON.stringify({ release: llama.llamaCppRelease?.release ?? "", version: VERSION }));
  for await (const line of createInterface({ input: process.stdin })) {
    const [prompt, added] = line.split(" ").map(Number);
    const context = await model.createContext({ contextSize: prompt + added + 8, threads });
    const times = [];
    const begun = performance.now();
    for await (const token of context.getSequence().evaluate(
      tokenIds(prompt).map((id) => id % 49_000),
      {
        temperature: 0,
        yieldEogToken: true,
      },
    )) {
      times.push(performance.now() - begun);
      if (token === undefined || times.length === added) break;
    }
    console.log(JSON.stringify(times));
    await context.dispose();
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  await serve(process.argv[2], process.argv[3], Number(process.argv[4]));
