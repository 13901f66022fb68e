#!/usr/bin/env node
import "../../system/exit-where-it-cannot-run";
import "./environment";
import { readFileSync } from "node:fs";
import type { ConnectionInfo } from "./channels";
import { Kernel } from "./kernel";

/** Starts the kernel: `node main.js CONNECTION_FILE`, as the kernelspec has Jupyter call it. */
function main(): void {
  const file = process.argv[2];
  if (file === undefined || process.argv.length > 3) {
    process.stderr.write(
      'Usage: node main.js CONNECTION_FILE\nJupyter starts this kernel; choose "TypeScript (lm-transparency)" in a notebook.\n',
    );
    process.exit(2);
  }
  let connection: ConnectionInfo;
  try {
    connection = JSON.parse(readFileSync(file, "utf8")) as ConnectionInfo;
  } catch (error) {
    process.stderr.write(
      `The connection file ${file} cannot be read: ${error instanceof Error ? error.message : String(error)}\n`,
    );
    process.exit(2);
  }
  new Kernel(connection, process.cwd()).start().catch((error: unknown) => {
    process.stderr.write(`The kernel could not start: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(1);
  });
}

main();
