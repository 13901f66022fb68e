/** What a front end asks about the kernel, and about code while it is typed. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import type { JsonObject, MimeBundle } from "../comm-host";
import { JSON, Set } from "../natives";
import type { Cells } from "./cells";
import { MESSAGING_VERSION } from "./wire";

/** The answer to a `kernel_info_request`. */
export function kernelInfo(packageRoot: string): JsonObject {
  const version = (name: string, from = __filename): string => {
    try {
      return (createRequire(from)(`${name}/package.json`) as { version: string }).version;
    } catch {
      return "";
    }
  };
  const own = JSON.parse(readFileSync(join(packageRoot, "package.json"), "utf8")) as { name: string; version: string };
  const typescript = version("typescript");
  return {
    status: "ok",
    protocol_version: MESSAGING_VERSION,
    implementation: own.name,
    implementation_version: own.version,
    language_info: {
      name: "typescript",
      version: typescript,
      mimetype: "text/typescript",
      file_extension: ".ts",
      pygments_lexer: "typescript",
      codemirror_mode: { name: "javascript", typescript: true, mode: "typescript" },
      nbconvert_exporter: "script",
    },
    banner: `TypeScript ${typescript} on Node ${process.version}, ${own.name} ${own.version}`,
    help_links: [{ text: "TypeScript handbook", url: "https://www.typescriptlang.org/docs/" }],
    debugger: false,
  };
}

/** Code and cursor of a request; the protocol counts code points, TypeScript counts UTF-16 units. */
function cursor(content: JsonObject): { code: string; position: number } {
  const { code, cursor_pos: position } = content;
  if (typeof code !== "string") throw new TypeError("The request needs its code as text.");
  if (typeof position !== "number") return { code, position: code.length };
  return { code, position: [...code].slice(0, Math.max(0, position)).join("").length };
}

function codePoints(code: string, position: number): number {
  return [...code.slice(0, position)].length;
}

/** The answer to a `complete_request`. */
export async function completions(cells: Cells, content: JsonObject): Promise<JsonObject> {
  const { code, position } = cursor(content);
  const { start, end, candidates } = await cells.complete(code, position);
  return {
    status: "ok",
    matches: [...new Set(candidates)],
    cursor_start: codePoints(code, start),
    cursor_end: codePoints(code, end),
    metadata: {},
  };
}

/** The answer to an `inspect_request`. */
export async function inspection(cells: Cells, content: JsonObject): Promise<JsonObject> {
  const { code, position } = cursor(content);
  const data = await explain(cells, code, position);
  return { status: "ok", found: data !== undefined, data: data ?? {}, metadata: {} };
}

/** The answer to an `is_complete_request`. */
export async function completeness(cells: Cells, content: JsonObject): Promise<JsonObject> {
  const { code } = cursor(content);
  return { ...(await cells.isComplete(code)) };
}

/** A cell that asks for help on a name, as in IPython: `name?` or `?name`. */
const HELP = /^\s*(?:\?{1,2}\s*([\w$.]+)|([\w$.]+)\s*\?{1,2})\s*$/;

/** What `name?` shows in the front end's pager; undefined for code that is no such question. */
export async function help(cells: Cells, code: string): Promise<MimeBundle | undefined> {
  const question = HELP.exec(code);
  if (question === null) return undefined;
  const name = question[1] ?? question[2];
  return (await explain(cells, name, name.length)) ?? { "text/plain": `There is nothing called "${name}" here.` };
}

/** Type and documentation of what is at a position. */
async function explain(cells: Cells, code: string, position: number): Promise<MimeBundle | undefined> {
  // At the end of a word the cursor is behind it; a tooltip is wanted all the same.
  const found =
    (await cells.inspect(code, position)) ?? (position > 0 ? await cells.inspect(code, position - 1) : null);
  if (found === null) return undefined;
  return {
    "text/plain": found.documentation === "" ? found.text : `${found.text}\n\n${found.documentation}`,
    "text/markdown": `\`\`\`typescript\n${found.text}\n\`\`\`\n\n${found.documentation}`,
  };
}
