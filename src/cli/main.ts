#!/usr/bin/env node
/**
 * The command line. Errors are one line on standard error; exit code 2 where the arguments are wrong, 130 after an
 * interrupt.
 */
import "../system/exit-where-it-cannot-run";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Progress } from "../model/types";
import { UsageError, type Command, type Context } from "./command";
import { aggregate } from "./aggregate";
import { doctor } from "./doctor";
import { exportCommand } from "./export";
import { faithfulness } from "./faithfulness";
import { generate } from "./generate";
import { kernel } from "./kernel";
import { lab } from "./lab";
import { models, pull } from "./models";
import { trace } from "./trace";

const COMMANDS: readonly Command[] = [
  trace,
  generate,
  aggregate,
  faithfulness,
  exportCommand,
  lab,
  kernel,
  doctor,
  models,
  pull,
];

const overview = (): string => `lm-transparency <command> [options]

${COMMANDS.map(({ name, summary }) => `  ${name.padEnd(14)}${summary}`).join("\n")}

  lm-transparency <command> --help says what a command takes; --version prints the version.
`;

function version(): string {
  const { version: text } = JSON.parse(readFileSync(join(__dirname, "../../package.json"), "utf8")) as {
    readonly version: string;
  };
  return text;
}

function write(text: string): Promise<void> {
  clearProgress();
  written = true;
  return new Promise((resolve, reject) => process.stdout.write(text, (error) => (error ? reject(error) : resolve())));
}

let shown = false;
let written = false;

function progress({ stage, done, total, unit }: Progress): void {
  // On a terminal that shows the result too, progress would stand in the middle of it.
  if (!process.stderr.isTTY || (written && process.stdout.isTTY)) return;
  const amount =
    unit === "bytes"
      ? `${(done / 1e6).toFixed(1)}${total ? ` of ${(total / 1e6).toFixed(1)}` : ""} MB`
      : `${done}${total ? ` of ${total}` : ""} ${unit}`;
  process.stderr.write(`\r\x1b[K${stage}: ${amount}`);
  shown = true;
}

/** One line on standard error, in which nothing of a file's text can steer the terminal. */
function say(sentence: string): void {
  const line = sentence
    .split("\n")
    .map((part) => part.trim())
    .join(" ");
  process.stderr.write(`lm-transparency: ${line.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, "\ufffd")}\n`);
}

function warn(sentence: string): void {
  clearProgress();
  say(sentence);
}

function clearProgress(): void {
  if (shown) process.stderr.write("\r\x1b[K");
  shown = false;
}

async function main(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args;
  if (name === "--version" || name === "-v") {
    await write(`${version()}\n`);
    return 0;
  }
  if (name === "--help" || name === "-h" || name === "help") {
    await write(overview());
    return 0;
  }
  const interrupt = new AbortController();
  const onInterrupt = (): void => interrupt.abort(new Error("interrupted"));
  try {
    const command = COMMANDS.find((candidate) => candidate.name === name);
    // Without a listener a signal ends the process at once, whatever it is at.
    if (!command?.endsAtOnce) {
      process.once("SIGINT", onInterrupt);
      process.once("SIGTERM", onInterrupt);
    }
    if (!command) {
      const known = COMMANDS.map((candidate) => candidate.name).join(", ");
      throw new UsageError(
        name === undefined
          ? `which command? There are ${known}`
          : `there is no command ${JSON.stringify(name)}: there are ${known}`,
      );
    }
    if (rest.includes("--help") || rest[0] === "-h") {
      await write(`${command.usage}\n`);
      return 0;
    }
    const context: Context = { signal: interrupt.signal, write, progress, warn };
    await command.run(rest, context);
    clearProgress();
    return 0;
  } catch (error) {
    clearProgress();
    // The reader of a pipe went away: nothing to say, and nobody to say it to.
    if ((error as NodeJS.ErrnoException).code === "EPIPE") return 0;
    const message = error instanceof Error ? error.message : String(error);
    say(message);
    if (interrupt.signal.aborted) return 130;
    return error instanceof UsageError || error instanceof RangeError ? 2 : 1;
  } finally {
    process.off("SIGINT", onInterrupt);
    process.off("SIGTERM", onInterrupt);
  }
}

process.stdout.on("error", () => undefined);
void main(process.argv.slice(2)).then((code) => {
  process.exitCode = code;
});
