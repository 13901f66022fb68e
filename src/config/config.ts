import { closeSync, readFileSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { FileError, because, onLine, systemCode } from "../system/errors";
import { openPlainFile } from "../system/read";
import { jsonErrorIndex } from "./json-place";
import type { Device, Dtype } from "../model/types";
import { CHECKS, checkModelPath } from "./keys";
import type { ExplorerConfig } from "./keys";
import type { ShareLevel } from "../payload/format";

/** A configuration that cannot be used. The message holds a sentence for each problem, one a line. */
export class ConfigError extends Error {
  /** Tells it from other errors, also across threads. */
  override readonly name = "ConfigError";
  constructor(
    /** The file, or other words for where the values come from. */
    readonly where: string,
    /** One sentence each. */
    readonly problems: readonly string[],
  ) {
    super(problems.map((problem) => onLine(`${where}: ${problem}`)).join("\n"));
  }
}

/** A model that can be chosen: what it is called, and what `loadModel` is given. */
export interface ConfiguredModel {
  readonly name: string;
  readonly source: string;
}

/** A configuration that was checked, with every default and every path filled in. */
export interface ExplorerSettings {
  /** Models to choose from. */
  readonly models: readonly ConfiguredModel[];
  /** A name in `models`, or "". */
  readonly defaultModel: string;
  /** Prompts to choose from. */
  readonly prompts: readonly string[];
  /** The file that `prompts` come from; "" where they are our examples. */
  readonly dataset: string;
  /** Whether other files of prompts may be read. */
  readonly allowDatasets: boolean;
  /** In characters (code points); null: no limit. */
  readonly maxPromptLength: number | null;
  /** Only the models and prompts that are given. */
  readonly demo: boolean;
  /** Show what each step took. */
  readonly debug: boolean;
  /** Where models run. */
  readonly device: Device;
  /** What weights are computed in. */
  readonly dtype: Dtype;
  /** Of the routes at first, 0 to 1. */
  readonly threshold: number;
  /** Scale what passed the threshold to sum 1 at first. */
  readonly renormalize: boolean;
  /** Read states through the final norm at first. */
  readonly normalize: boolean;
  /** How much of a run its output keeps. */
  readonly share: ShareLevel;
  /** Folders in which relative paths are looked for, first one first. */
  readonly folders: readonly string[];
}

export interface ConfigOptions {
  /** Folders in which relative paths are looked for. Default: the current one. */
  readonly folders?: readonly string[];
  /** What error messages call the configuration. Default "The configuration". */
  readonly where?: string;
}

/** Prompts where no file of prompts is named: a fact, a copy of an earlier name, arithmetic. */
const EXAMPLES = [
  "After Anna and Peter had lunch, Peter gave the bill to",
  "3 + 1 = 4, 2 + 5 =",
  "The Eiffel Tower is in Paris. The Colosseum is in",
  "The capital of France is",
];

/** Files of prompts are read whole. */
const MAX_DATASET_BYTES = 10 * 2 ** 20;

/** Nobody reads more sentences at once. */
const MAX_PROBLEMS = 40;

const quoted = (value: unknown): string => {
  let text: string;
  try {
    text = JSON.stringify(typeof value === "string" ? value.slice(0, 81) : value) ?? String(value);
  } catch {
    return "something nested without end";
  }
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
};

/** The path that exists, of those that `path` may mean; undefined where none does. */
function find(path: string, folders: readonly string[], kind: "file" | "any"): string | undefined {
  return folders
    .map((folder) => resolve(folder, path))
    .find((candidate) => {
      try {
        const found = statSync(candidate, { throwIfNoEntry: false });
        return kind === "any" ? found !== undefined : found?.isFile();
      } catch {
        // No file has such a name, or its links lead nowhere.
        return false;
      }
    });
}

/**
 * A model's value that is no path, but an identifier on the hub, as the published tool allows: the name itself, or
 * `owner/model`, unless a folder of the owner's name is here, in which the model was then to be found. Undefined for
 * anything else.
 */
function hubId(name: string, value: string, folders: readonly string[]): string | undefined {
  const [, owner] = /^([\w-][\w.-]*)\/[\w-][\w.-]*$/.exec(value) ?? [];
  if (owner !== undefined && !/\.gguf$/i.test(value))
    return find(owner, folders, "any") === undefined ? value : undefined;
  return value === name && /^[\w-][\w.-]*$/.test(value) && !/\.gguf$/i.test(value) ? value : undefined;
}

/** A configuration is a page of text. */
const MAX_CONFIG_BYTES = 16 * 2 ** 20;

/** Bytes of a plain file, of at most `most`. Throws a `FileError`. */
function readPlainFile(file: string, most: number): Buffer {
  const { fd, size } = openPlainFile(file);
  try {
    if (size > most) throw new FileError(`${file} has more than ${most / 2 ** 20} MB.`);
    return readFileSync(fd);
  } catch (error) {
    throw systemCode(error) === undefined
      ? error
      : new FileError(`${file} cannot be read: ${because(error)}.`, { cause: error });
  } finally {
    closeSync(fd);
  }
}

/**
 * Reads a file of prompts: UTF-8, one a line, empty lines left out, everything else of a line kept.
 * Throws an `Error` whose message is one sentence where there is no such file, or it is no text.
 */
export function readDataset(
  path: string,
  folders: readonly string[],
): { readonly path: string; readonly prompts: readonly string[] } {
  const file = find(path, folders, "file");
  if (file === undefined) throw new Error(`There is no file ${quoted(path)} in ${[...new Set(folders)].join(" or ")}.`);
  if ((statSync(file, { throwIfNoEntry: false })?.size ?? 0) > MAX_DATASET_BYTES)
    throw new Error(`${file} has more than ${MAX_DATASET_BYTES / 2 ** 20} MB, too many prompts for a menu.`);
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(readPlainFile(file, MAX_DATASET_BYTES));
  } catch (error) {
    if (systemCode(error) === "ERR_ENCODING_INVALID_ENCODED_DATA")
      throw new Error(`${file} is not a text file in UTF-8.`);
    throw error;
  }
  const prompts = text.split(/\r\n|\n|\r/).filter((line) => line.trim() !== "");
  if (prompts.length === 0) throw new Error(`${file} holds no prompt: it needs one a line.`);
  return { path: file, prompts };
}

/** The known key that a wrong one was probably meant to be. */
function nearest(wrong: string, known: readonly string[]): string | undefined {
  const distance = (a: string, b: string): number => {
    let row = Array.from({ length: b.length + 1 }, (_, j) => j);
    for (let i = 1; i <= a.length; i++) {
      const next = [i];
      for (let j = 1; j <= b.length; j++)
        next[j] = Math.min(next[j - 1] + 1, row[j] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
      row = next;
    }
    return row[b.length];
  };
  const plain = (key: string): string => key.toLowerCase().replace(/[^a-z]/g, "");
  const [best] = known
    .map((key) => ({ key, away: distance(plain(wrong.slice(0, 256)).slice(0, 64), plain(key)) }))
    .sort((a, b) => a.away - b.away);
  return best && best.away <= Math.max(2, best.key.length / 3) ? best.key : undefined;
}

/**
 * Checks a configuration and fills in what it leaves out.
 * @throws ConfigError with a sentence for every problem.
 */
export function readConfig(value: unknown, options: ConfigOptions = {}): ExplorerSettings {
  const { where = "The configuration", folders = [process.cwd()] } = options;
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new ConfigError(where, [
      `a configuration is a JSON object such as {"models": {"gpt2": null}}, not ${quoted(value)}.`,
    ]);
  }
  const problems: string[] = [];
  const known = Object.keys(CHECKS).filter((key) => key !== "$schema");
  const config: Record<string, unknown> = {};
  for (const [key, given] of Object.entries(value)) {
    if (given === undefined) continue;
    if (problems.length >= MAX_PROBLEMS) {
      problems.push("there is more that is wrong.");
      break;
    }
    if (!Object.hasOwn(CHECKS, key)) {
      const meant = nearest(key, known);
      problems.push(
        `${quoted(key)} is not a key of a configuration${meant ? `; did you mean ${quoted(meant)}?` : `; the keys are ${known.join(", ")}.`}`,
      );
      continue;
    }
    const allowed = CHECKS[key as keyof ExplorerConfig](given);
    if (allowed === undefined) config[key] = given;
    else problems.push(`${key} is ${quoted(given)}, but has to be ${allowed}.`);
  }
  const checked = config as ExplorerConfig;

  const models: ConfiguredModel[] = [];
  for (const [name, path] of Object.entries(checked.models ?? { default: null })) {
    const allowed = checkModelPath(path);
    if (allowed !== undefined) {
      problems.push(`models[${quoted(name)}] is ${quoted(path)}, but has to be ${allowed}.`);
      continue;
    }
    // The published tool lists "" for "none chosen"; that choice is always there.
    if (name === "") {
      if (path !== null)
        problems.push(`models[""] is ${quoted(path)}, but has to be null: a model needs a name to be chosen by.`);
      continue;
    }
    const source = path === null ? name : (find(path, folders, "any") ?? hubId(name, path, folders));
    if (source === undefined)
      problems.push(
        `models[${quoted(name)}] is ${quoted(path)}, but there is no such folder or file in ${[...new Set(folders)].join(" or ")}.`,
      );
    else models.push({ name, source });
  }
  const names = Object.keys(checked.models ?? { default: null }).filter((name) => name !== "");
  const defaultModel = checked.default_model ?? (checked.models === undefined ? "default" : "");
  if (defaultModel !== "" && !names.includes(defaultModel)) {
    problems.push(
      `default_model is ${quoted(defaultModel)}, but has to be ${names.length > 0 ? `one of models (${names.slice(0, 12).map(quoted).join(", ")}${names.length > 12 ? ", …" : ""}) or ""` : '"", as models has none'}.`,
    );
  }
  const demo = checked.demo_mode ?? false;
  if (demo && checked.models !== undefined && names.length === 0)
    problems.push("demo_mode is true, so models has to name at least one model: no other could be chosen.");

  let prompts: readonly string[] = EXAMPLES;
  let dataset = "";
  if (typeof checked.preloaded_dataset_filename === "string") {
    try {
      ({ path: dataset, prompts } = readDataset(checked.preloaded_dataset_filename, folders));
    } catch (error) {
      problems.push(`preloaded_dataset_filename: ${(error as Error).message}`);
    }
  }
  if (problems.length > 0) throw new ConfigError(where, problems);
  return {
    models,
    defaultModel,
    prompts,
    dataset,
    allowDatasets: (checked.allow_loading_dataset_files ?? true) && !demo,
    maxPromptLength: checked.max_user_string_length ?? null,
    demo,
    debug: checked.debug ?? false,
    device: checked.device ?? "auto",
    dtype: checked.dtype ?? "auto",
    threshold: checked.threshold ?? 0.04,
    renormalize: checked.renormalize ?? true,
    normalize: checked.normalize ?? true,
    share: checked.share ?? "routes",
    folders,
  };
}

/** Line and column of a position in a text, counted from 1. */
function placeOf(text: string, position: number): string {
  const before = text.slice(0, position).split("\n");
  return `line ${before.length}, column ${before[before.length - 1].length + 1}`;
}

/**
 * Reads and checks a configuration file. Relative paths in it are looked for beside it, then in `cwd`.
 * @throws ConfigError with a sentence for every problem.
 */
export function loadConfig(file: string, options: { readonly cwd?: string } = {}): ExplorerSettings {
  const { cwd = process.cwd() } = options;
  const path = resolve(cwd, file);
  let text: string;
  try {
    text = readPlainFile(path, MAX_CONFIG_BYTES)
      .toString("utf8")
      .replace(/^\ufeff/, "");
  } catch (error) {
    const code = systemCode((error as Error).cause);
    const isFolder = code === undefined && statSync(path, { throwIfNoEntry: false })?.isDirectory();
    throw new ConfigError(path, [
      code === "ENOENT"
        ? "there is no such file."
        : isFolder
          ? "this is a folder, not a JSON file."
          : code !== undefined
            ? `the file cannot be read: ${because((error as Error).cause)}.`
            : "this is no plain file of some MB at most.",
    ]);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    const index = jsonErrorIndex(text) ?? text.length;
    const found =
      text.trim() === ""
        ? "it is empty"
        : index >= text.length
          ? "it ends too early"
          : `${quoted([...text.slice(index, index + 2)][0])} in ${placeOf(text, index)} cannot stand there`;
    const hint =
      text.startsWith("//", index) || text.startsWith("/*", index)
        ? ": JSON has no comments"
        : /,\s*$/.test(text.slice(0, index)) && /[}\]]/.test(text[index] ?? "")
          ? ": JSON has no comma after the last item"
          : "";
    throw new ConfigError(path, [`this is not JSON: ${found}${hint}.`]);
  }
  return readConfig(value, { where: path, folders: [...new Set([dirname(path), cwd])] });
}
