import { readFileSync } from "node:fs";
import { basename, dirname, resolve, sep } from "node:path";
import MarkdownIt from "markdown-it";
import type { MarkdownIt as Markdown } from "markdown-it";
import { escapeXml } from "./xml";
import { PAYLOAD_MIME } from "../payload/format";
import { ansiHtml, highlight } from "./highlight";
import { outputHtml, page } from "./page";

/** A notebook file (nbformat 4) as one HTML page: what was run, what came out, our pictures interactive. Nothing is computed. */

/** A file that is no notebook, or none of a format that is read. */
export class NotebookError extends Error {}

type Json = Record<string, unknown>;

const record = (value: unknown): Json => (typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : {});
const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
/** nbformat's multiline strings: text, or lines of it. */
const text = (value: unknown): string => (typeof value === "string" ? value : Array.isArray(value) ? value.filter((line) => typeof line === "string").join("") : "");

const IMAGES: Readonly<Record<string, string>> = { png: "image/png", jpg: "image/jpeg", jpeg: "image/jpeg", gif: "image/gif", webp: "image/webp", svg: "image/svg+xml" };

/** Pictures of Markdown go into the page: those attached to the cell, and files beside the notebook. Others stay away. */
function imageSource(source: string, attachments: Json, folder: string): string {
  if (/^data:image\//i.test(source)) return source;
  const attached = /^attachment:(.+)$/.exec(source);
  if (attached) {
    const [type, data] = Object.entries(record(attachments[decodeURI(attached[1])])).find(([mime]) => mime.startsWith("image/")) ?? [];
    return type === undefined ? "" : `data:${type};base64,${text(data).replace(/\s/g, "")}`;
  }
  const type = IMAGES[/\.(\w+)$/.exec(source)?.[1].toLowerCase() ?? ""];
  if (type === undefined || /^[a-z][a-z\d+.-]*:|^\/|^\\/i.test(source)) return "";
  const file = resolve(folder, decodeURI(source));
  // Only what lies with the notebook: a page is given to others.
  if (!file.startsWith(resolve(folder) + sep)) return "";
  try {
    return `data:${type};base64,${readFileSync(file).toString("base64")}`;
  } catch {
    return "";
  }
}

function markdownRenderer(): Markdown {
  const markdown = new MarkdownIt({ html: true, linkify: false });
  const plain = markdown.renderer.rules.image;
  markdown.renderer.rules.image = (tokens, index, options, env, self) => {
    const token = tokens[index];
    const { attachments, folder } = env as { attachments: Json; folder: string };
    token.attrSet("src", imageSource(String(token.attrGet("src") ?? ""), attachments, folder));
    return plain ? plain(tokens, index, options, env, self) : self.renderToken(tokens, index, options);
  };
  // Attachments have an address of their own kind, which Markdown would take for a bad link.
  const valid = markdown.validateLink.bind(markdown);
  markdown.validateLink = (url) => valid(url) || url.startsWith("attachment:");
  return markdown;
}

/**
 * HTML of somebody else without the elements that would lead the page elsewhere: the policy stops what a page loads, not `<meta http-equiv="refresh">`.
 * They become elements that mean nothing; nothing is cut out, so nothing new can come together.
 */
const atRest = (html: string): string => html.replace(/<(?=(?:meta|link|base)\b)/gi, "<no-");

/** Types of outputs that can be shown, best first. */
const SHOWN = ["text/html", "text/markdown", "image/svg+xml", "image/png", "image/jpeg", "image/gif", "image/webp", "text/latex", "text/plain"] as const;

function bundleHtml(data: Json, render: (markdown: string) => string): string {
  const still = (): string => {
    const type = SHOWN.find((mime) => data[mime] !== undefined);
    switch (type) {
      case undefined:
        return "";
      case "text/html":
        return atRest(text(data[type]));
      case "text/markdown":
        return `<div class="markdown">${render(text(data[type]))}</div>`;
      case "image/svg+xml":
        return `<img alt="" src="data:image/svg+xml;base64,${Buffer.from(text(data[type])).toString("base64")}"/>`;
      case "text/plain":
      case "text/latex":
        return `<pre>${ansiHtml(text(data[type]))}</pre>`;
      default:
        return `<img alt="" src="data:${type};base64,${escapeXml(text(data[type]).replace(/\s/g, ""))}"/>`;
    }
  };
  const payload = data[PAYLOAD_MIME];
  return payload === undefined ? `<div class="output">${still()}</div>` : outputHtml(payload, still());
}

function outputOf(output: Json, render: (markdown: string) => string): string {
  switch (output.output_type) {
    case "stream":
      return `<div class="stream${output.name === "stderr" ? " stderr" : ""}"><pre>${ansiHtml(text(output.text))}</pre></div>`;
    case "error": {
      const traceback = list(output.traceback).map(text).join("\n");
      return `<div class="error"><pre>${ansiHtml(traceback || `${text(output.ename)}: ${text(output.evalue)}`)}</pre></div>`;
    }
    case "display_data":
    case "execute_result":
      return bundleHtml(record(output.data), render);
    default:
      return "";
  }
}

/**
 * The page of a notebook.
 *
 * @param source the notebook file's content
 * @param file its path: the title where the notebook has none, and where its pictures lie
 * @throws NotebookError where it is no notebook of format 4
 */
export async function notebookPage(source: string, file: string): Promise<string> {
  let notebook: Json;
  try {
    notebook = record(JSON.parse(source.replace(/^\ufeff/, "")));
  } catch (error) {
    throw new NotebookError(`${file} is not a notebook: it is not JSON (${error instanceof Error ? error.message : String(error)}).`);
  }
  if (!Array.isArray(notebook.cells)) throw new NotebookError(`${file} is not a notebook of format 4: it has no "cells"${notebook.worksheets ? " but the worksheets of format 3: convert it with \"jupyter nbconvert --to notebook\"" : ""}.`);
  const metadata = record(notebook.metadata);
  const language = text(record(metadata.language_info).name) || text(record(metadata.kernelspec).language) || "typescript";
  const markdown = markdownRenderer();
  const folder = dirname(resolve(file));
  const cells = notebook.cells.map(record).map((cell) => {
    const code = text(cell.source);
    const render = (given: string): string => atRest(markdown.render(given, { attachments: record(cell.attachments), folder }));
    switch (cell.cell_type) {
      case "markdown":
        return `<section class="cell markdown">${render(code)}</section>`;
      case "code": {
        const hidden = record(record(cell.metadata).jupyter).source_hidden === true;
        const prompt = Number.isInteger(cell.execution_count) ? `<span class="prompt">[${cell.execution_count as number}]</span>` : "";
        const input = code === "" || hidden ? "" : `<div class="input">${prompt}${highlight(code, language)}</div>`;
        return `<section class="cell">${input}${list(cell.outputs).map((output) => outputOf(record(output), render)).join("\n")}</section>`;
      }
      default:
        return "";
    }
  });
  const title = text(metadata.title) || basename(file).replace(/\.ipynb$/i, "");
  return page({ title, body: `<main>\n${cells.filter(Boolean).join("\n")}\n</main>` });
}
