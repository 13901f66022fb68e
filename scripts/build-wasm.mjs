/**
 * Compiles src/attribution/wasm/kernel.as.ts to dist/attribution/kernel.wasm. Called by scripts/build.mjs; also runs
 * alone.
 */
import { mkdirSync, readFileSync, writeFileSync, existsSync } from "node:fs";
import { createHash } from "node:crypto";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const source = "src/attribution/wasm/kernel.as.ts";
const target = "dist/attribution/kernel.wasm";

/**
 * Builds the WebAssembly module; returns false where it is already made from this very source by this very compiler.
 */
export async function buildWasm() {
  const version = JSON.parse(readFileSync(join(root, "node_modules/assemblyscript/package.json"), "utf8")).version;
  const stamp = createHash("sha256")
    .update(version)
    .update(readFileSync(join(root, source)))
    .update(readFileSync(fileURLToPath(import.meta.url)))
    .digest("hex");
  const stampFile = join(root, `${target}.stamp`);
  if (existsSync(join(root, target)) && existsSync(stampFile) && readFileSync(stampFile, "utf8") === stamp)
    return false;
  const { default: asc } = await import("assemblyscript/asc");
  mkdirSync(join(root, dirname(target)), { recursive: true });
  // The worker writes to memory directly; there is no heap and no runtime in this module.
  const { error, stderr } = await asc.main(
    [
      source,
      "--outFile",
      target,
      "--baseDir",
      root,
      "--optimizeLevel",
      "3",
      "--shrinkLevel",
      "0",
      "--runtime",
      "stub",
      "--enable",
      "simd",
      "--noAssert",
      "--memoryBase",
      "1024",
      "--importMemory",
    ],
    {},
  );
  if (error) throw new Error(`WebAssembly: ${error.message}\n${stderr.toString()}`);
  writeFileSync(stampFile, stamp);
  return true;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  console.log((await buildWasm()) ? `built ${target}` : `${target} is up to date`);
}
