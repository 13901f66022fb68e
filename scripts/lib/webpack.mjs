/** Runs webpack with the given configuration file through its Node interface; exits with 1 and its messages where it fails. */
import { createRequire } from "node:module";
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
});
