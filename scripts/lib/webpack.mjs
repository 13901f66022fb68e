/**
 * Runs webpack with the given configuration file through its Node interface; exits with 1 and its messages where it
 * fails. Writes which files of ours went into the bundles to the second file.
 */
import { createRequire } from "node:module";
import fs from "node:fs";
import path from "node:path";

const require = createRequire(import.meta.url);
const webpack = require("webpack");
let config = require(path.resolve(process.argv[2]));
if (typeof config === "function") config = config({}, { mode: "production" });
const configs = [config].flat().map((one) => ({ ...one, mode: one.mode ?? "production" }));
webpack(configs, (error, stats) => {
  if (error) {
    console.error(error.stack ?? error);
    process.exit(1);
  }
  if (stats.hasErrors()) {
    console.error(stats.toString({ all: false, errors: true, errorDetails: true, colors: false }));
    process.exit(1);
  }
  const files = new Set();
  for (const { compilation } of stats.stats) {
    for (const file of compilation.fileDependencies) {
      const relative = path.relative(process.cwd(), file);
      if (
        !relative.startsWith("..") &&
        !relative.includes("node_modules") &&
        fs.statSync(file, { throwIfNoEntry: false })?.isFile()
      )
        files.add(relative.split(path.sep).join("/"));
    }
  }
  fs.writeFileSync(process.argv[3], JSON.stringify({ files: [...files].sort() }));
});
