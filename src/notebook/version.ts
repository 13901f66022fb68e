import { readFileSync } from "node:fs";
import { join } from "node:path";

/** Version of this package: the version that the front end registers its models and views under. */
export const PACKAGE_VERSION = (
  JSON.parse(readFileSync(join(__dirname, "../../package.json"), "utf8")) as { version: string }
).version;
