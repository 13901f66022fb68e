import { basename, dirname, resolve } from "node:path";
import MarkdownIt from "markdown-it";
import type { MarkdownIt as Markdown } from "markdown-it";
import { escapeXml } from "./xml";
import { PAYLOAD_MIME } from "../payload/format";
import { ansiHtml, highlight } from "./highlight";
import { decoded, type Embedded, ImageFolder, MAX_IMAGES_BYTES } from "./images";
import { outputHtml, page } from "./page";

/**
 * A notebook file (nbformat 4) as one HTML page: what was run, what came out, our pictures interactive. Nothing is
 * computed.
 */

/** A file that is no notebook, or none of a format that is read. */
export class NotebookError extends Error {}

type Json = Record<string, unknown>;

const record = (value: unknown): Json =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : {};
const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
/** nbformat's multiline strings: text, or lines of it. */
const text = (value: unknown): string =>
  typeof value === "string"
    ? value
    : Array.isArray(value)
      ? value.filter((line) => typeof line === "string").join("")
      : "";

/** Something that a page does not show, and why. */
export interface LeftOut {
  /** The picture's address as the notebook has it, or what else it is, in a few words. */
  readonly what: string;
  readonly why: string;
}

export interface NotebookPageOptions {
  /** Told of everything that is left out, once each; the page says it too. */
  readonly onLeftOut?: (left: LeftOut) => void;
  /** Ends the work between two cells. */
  readonly signal?: AbortSignal;
}

/** What rendering one notebook's Markdown needs to know. */
interface Surroundings {
  /** Characters that addresses may still take: one definition may be named ten thousand times. */
  room: number;
  readonly attachments: Json;
  readonly images: ImageFolder;
  readonly leftOut: (left: LeftOut) => void;
}

/** Takes an address into a page. Throws a `RangeError` where it is one too many. */
function take(surroundings: Surroundings, address: string): void {
  surroundings.room -= address.length;
  if (surroundings.room < 0) throw new RangeError("too many addresses");
}

/** An address or the like for a sentence. */
const short = (given: string): string => (given.length > 80 ? `${given.slice(0, 79)}…` : given);

/**
 * Pictures of Markdown go into the page: those attached to the cell, and files beside the notebook. Others stay away.
 */
function imageSource(source: string, { attachments, images }: Surroundings): Embedded {
  if (/^data:image\//i.test(source)) return { data: source };
  if (!/^attachment:/i.test(source)) return images.embed(source);
  const name = decoded(source.slice("attachment:".length));
  const attached = name !== undefined && Object.hasOwn(attachments, name) ? record(attachments[name]) : {};
  const [type, data] = Object.entries(attached).find(([mime]) => /^image\/[\w.+-]+$/.test(mime)) ?? [];
  return type === undefined
    ? { why: "the cell has no such picture" }
    : { data: `data:${type};base64,${text(data).replace(/\s/g, "")}` };
}

function markdownRenderer(): Markdown {
  const markdown = new MarkdownIt({ html: true, linkify: false });
  const plain = markdown.renderer.rules.image;
  markdown.renderer.rules.image = (tokens, index, options, env, self) => {
    const token = tokens[index];
    const surroundings = env as unknown as Surroundings;
    const source = String(token.attrGet("src") ?? "");
    const embedded = imageSource(source, surroundings);
    if ("why" in embedded) {
      const what = short(decoded(source) ?? source);
      surroundings.leftOut({ what, why: embedded.why });
      const alt = self.renderInlineAsText(token.children ?? [], options, env);
      return `<span class="left-out">${escapeXml(alt)} (picture left out: ${escapeXml(what)}: ${escapeXml(embedded.why)})</span>`;
    }
    take(surroundings, embedded.data);
    token.attrSet("src", embedded.data);
    return plain ? plain(tokens, index, options, env, self) : self.renderToken(tokens, index, options);
  };
  markdown.renderer.rules.link_open = (tokens, index, options, env, self) => {
    take(env as unknown as Surroundings, String(tokens[index].attrGet("href") ?? ""));
    return self.renderToken(tokens, index, options);
  };
  // Attachments have an address of their own kind, which Markdown would take for a bad link.
  const valid = markdown.validateLink.bind(markdown);
  markdown.validateLink = (url) => valid(url) || url.startsWith("attachment:");
  return markdown;
}

/** Longer Markdown is shown as it is written: what it means is not worth the time to find out. */
const MAX_MARKDOWN = 2 ** 20;
/** Room for addresses beside the text itself and the pictures of files. */
const MAX_ADDRESSES = MAX_IMAGES_BYTES * 1.5;

/** Markdown as HTML; what is too long, or nested so deep that it cannot be rendered, as it is written. */
function rendered(markdown: Markdown, given: string, surroundings: Surroundings): string {
  const asWritten = (why: string): string => {
    surroundings.leftOut({ what: "the form of a Markdown text", why });
    return `<pre>${escapeXml(given)}</pre>`;
  };
  if (given.length > MAX_MARKDOWN) return asWritten(`it has more than ${MAX_MARKDOWN} characters`);
  try {
    return atRest(markdown.render(given, { ...surroundings }));
  } catch (error) {
    if (!(error instanceof RangeError || error instanceof URIError)) throw error;
    return asWritten(
      error instanceof RangeError
        ? "it is nested too deep, or names the same thing too often"
        : "it has an address that is no text",
    );
  }
}

/**
 * HTML of somebody else without the elements that would lead the page elsewhere: the policy stops what a page loads,
 * not `<meta http-equiv="refresh">`. They become elements that mean nothing; nothing is cut out, so nothing new can
 * come together.
 */
const atRest = (html: string): string => html.replace(/<(?=(?:meta|link|base)\b)/gi, "<no-");

/** Types of outputs that can be shown, best first. */
const SHOWN = [
  "text/html",
  "text/markdown",
  "image/svg+xml",
  "image/png",
  "image/jpeg",
  "image/gif",
  "image/webp",
  "text/latex",
  "text/plain",
] as const;

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
 * @throws the signal's reason where it was aborted
 */
export async function notebookPage(source: string, file: string, options: NotebookPageOptions = {}): Promise<string> {
  let notebook: Json;
  try {
    notebook = record(JSON.parse(source.replace(/^\ufeff/, "")));
  } catch (error) {
    throw new NotebookError(
      `${file} is not a notebook: it is not JSON (${error instanceof Error ? error.message.replace(/\s+/g, " ") : String(error)}).`,
    );
  }
  if (!Array.isArray(notebook.cells))
    throw new NotebookError(
      `${file} is not a notebook of format 4: it has no "cells"${notebook.worksheets ? ' but the worksheets of format 3: convert it with "jupyter nbconvert --to notebook"' : ""}.`,
    );
  const metadata = record(notebook.metadata);
  const language =
    text(record(metadata.language_info).name) || text(record(metadata.kernelspec).language) || "typescript";
  const markdown = markdownRenderer();
  const images = new ImageFolder(dirname(resolve(file)));
  const told = new Set<string>();
  const leftOut = (left: LeftOut): void => {
    const key = `${left.what}: ${left.why}`;
    if (told.has(key)) return;
    told.add(key);
    options.onLeftOut?.(left);
  };
  const cellHtml = (cell: Json): string => {
    const code = text(cell.source);
    const surroundings = { room: MAX_ADDRESSES, attachments: record(cell.attachments), images, leftOut };
    const render = (given: string): string => rendered(markdown, given, surroundings);
    switch (cell.cell_type) {
      case "markdown":
        return `<section class="cell markdown">${render(code)}</section>`;
      case "code": {
        const hidden = record(record(cell.metadata).jupyter).source_hidden === true;
        const prompt = Number.isInteger(cell.execution_count)
          ? `<span class="prompt">[${cell.execution_count as number}]</span>`
          : "";
        const input = code === "" || hidden ? "" : `<div class="input">${prompt}${highlight(code, language)}</div>`;
        return `<section class="cell">${input}${list(cell.outputs)
          .map((output) => outputOf(record(output), render))
          .join("\n")}</section>`;
      }
      default:
        return "";
    }
  };
  const cells: string[] = [];
  for (const cell of notebook.cells) {
    // Signals, timers and whoever else shares the process get their turn.
    await new Promise((done) => setImmediate(done));
    options.signal?.throwIfAborted();
    const html = cellHtml(record(cell));
    if (html) cells.push(html);
  }
  const title = text(metadata.title) || basename(file).replace(/\.ipynb$/i, "");
  return page({ title, body: `<main>\n${cells.join("\n")}\n</main>` });
}
