/**
 * `npm run fuzz -- TARGET N [SEED]`: N random inputs for one target (test/fuzz/TARGET.test.ts), or for all of them;
 * prints the figures.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const targets = readdirSync(join(root, "test/fuzz"))
  .filter((name) => name.endsWith(".test.ts"))
  .map((name) => name.slice(0, -".test.ts".length))
  .sort();
const [target, runs = "1000", seed = "1"] = process.argv.slice(2);
if (!targets.includes(target) && target !== "all") {
  console.error(
    `${target === undefined ? "Which target" : `There is no target "${target}"`}: npm run fuzz -- ${targets.join(" | ")} | all N [SEED]`,
  );
  process.exit(2);
}
if (!/^[1-9]\d*$/.test(runs) || !/^\d+$/.test(seed)) {
  console.error(
    `npm run fuzz -- ${target} N [SEED]: N must be a whole number from 1, SEED one from 0, not ${JSON.stringify(`${runs} ${seed}`)}.`,
  );
  process.exit(2);
}
if (!existsSync(join(root, "dist/index.js"))) {
  console.error("The package is not built: run npm run build first.");
  process.exit(2);
}
const folder = mkdtempSync(join(tmpdir(), "lmt-fuzz-"));
let failed = false;
try {
  for (const name of target === "all" ? targets : [target]) {
    const figures = join(folder, name);
    const env = {
      ...process.env,
      ORT_DISABLE_TELEMETRY: "1",
      LM_TRANSPARENCY_PYTHON: process.env.LM_TRANSPARENCY_PYTHON ?? join(root, ".venv/bin/python"),
      LM_TRANSPARENCY_FUZZ_RUNS: runs,
      LM_TRANSPARENCY_FUZZ_SEED: seed,
      LM_TRANSPARENCY_FUZZ_FIGURES: figures,
      LM_TRANSPARENCY_FUZZ_LIMIT_MS: String(24 * 3600_000),
    };
    const { status } = spawnSync(
      process.execPath,
      [
        join(root, "node_modules/jest/bin/jest.js"),
        "--runTestsByPath",
        `test/fuzz/${name}.test.ts`,
        "--runInBand",
        "--forceExit",
        "--silent",
      ],
      { cwd: root, env, stdio: ["ignore", "ignore", "inherit"] },
    );
    if (existsSync(figures)) process.stdout.write(readFileSync(figures, "utf8"));
    if (status !== 0) failed = true;
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exit(failed ? 1 : 0);
