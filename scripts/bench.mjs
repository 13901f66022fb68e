/**
 * `npm run bench -- <area> [arguments]`: runs bench/<area>.mjs against the built package. Without an area: says which
 * there are.
 */
import { existsSync, readdirSync } from "node:fs";
import { spawnSync } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const areas = readdirSync(join(root, "bench"))
  .filter((name) => name.endsWith(".mjs"))
  .map((name) => name.slice(0, -4))
  .sort();
const [area, ...rest] = process.argv.slice(2);
if (!areas.includes(area)) {
  console.error(
    `${area === undefined ? "Which area" : `There is no area "${area}"`}: npm run bench -- ${areas.join(" | ")}`,
  );
  process.exit(2);
}
if (!existsSync(join(root, "dist/index.js"))) {
  console.error("The package is not built: run npm run build first.");
  process.exit(2);
}
const { status } = spawnSync(process.execPath, ["--expose-gc", join(root, "bench", `${area}.mjs`), ...rest], {
  stdio: "inherit",
  env: { ...process.env, ORT_DISABLE_TELEMETRY: "1" },
});
process.exit(status ?? 1);
