/**
 * Whatever reads text takes time in proportion to it: texts of n and 4n characters, made to be read again and again by
 * a careless reader.
 */
import MarkdownIt from "markdown-it";
import { importRoutes } from "../../src/attribution/route-import";
import { readConfig } from "../../src/config";
import { jsonErrorIndex } from "../../src/config/json-place";
import { ansiHtml, highlight } from "../../src/export/highlight";
import { notebookPage } from "../../src/export/notebook";
import { scriptJson } from "../../src/export/page";
import { History } from "../../src/jupyter/kernel/history";
import { escapeXml } from "../../src/export/xml";
import { parseNode, shortText, visibleText } from "../../src/protocol";
import { readPayload } from "../../src/payload/format";

/** Least milliseconds of two. Errors are answers too. */
function least(work: () => unknown): number {
  let best = Infinity;
  for (let i = 0; i < 2; i++) {
    const start = performance.now();
    try {
      work();
    } catch (error) {
      if (error instanceof RangeError && /call stack/.test(error.message)) throw error;
    }
    best = Math.min(best, performance.now() - start);
  }
  return best;
}

/** Quadratic work on four times as many takes most of a second. */
const N = 8000;
/**
 * Four times the text may take ten times as long, and what takes next to nothing may take as long as it likes:
 * quadratic work takes 16 times as long. A busy machine is asked again.
 */
function expectLinear(work: (text: string) => unknown, make: (n: number) => string): void {
  const texts = [make(N), make(4 * N)];
  for (let left = 4; ; left--) {
    const [short, long] = texts.map((text) => least(() => work(text)));
    if (long <= 10 * short + 60) return;
    if (left === 0)
      throw new Error(
        `${JSON.stringify(texts[0].slice(0, 20))}…: ${N} characters take ${short.toFixed(1)} ms, ${4 * N} take ${long.toFixed(1)} ms`,
      );
  }
}

/** Pieces of which patterns are made that read on and on. */
const UNITS = [
  "a",
  " ",
  "\t",
  "\n",
  "\r",
  "\r\n",
  "a\r",
  "\ra",
  '"',
  "'",
  "`",
  '"""',
  "\\",
  '\\"',
  "/*",
  "//",
  "#",
  "0",
  "1_",
  "0x",
  "1e",
  "é",
  "\ud800",
  "\u001b[",
  "\u001b[1;",
  "\u001b[1;m",
  "\u001b[?",
  "<",
  ">",
  "</",
  "<a ",
  '<a b="',
  "<a b='",
  "<!--",
  "<?",
  "<![CDATA[",
  "<node>",
  "<node ",
  "<edge>",
  "</edge>",
  '<data key="rest">',
  "<data ",
  "&",
  "&#",
  "&#1",
  "&amp;",
  "{",
  "[",
  "]",
  "(",
  "![",
  "![a](",
  "](",
  "*a ",
  "**",
  "_a_",
  "> ",
  "- ",
  "- a\n",
  "1. ",
  "|a",
  "a\n|-\n",
  "[a]: b\n",
  "[a]",
  "``a`",
  'a="',
  "=",
  'routes="',
  "a -> ",
  '"a" -> "',
  "graph [",
  "# routes ",
  ",",
  ":",
  "1,",
  "I0_",
];
const repeat = (unit: string, n: number): string => unit.repeat(Math.ceil(n / unit.length));

const markdown = new MarkdownIt({ html: true, linkify: false });
const rest = JSON.stringify({ schema: "lm-transparency/route-graph@1" });
const READERS: Readonly<Record<string, (text: string) => unknown>> = {
  "terminal output": ansiHtml,
  "code of TypeScript": (text) => highlight(text, "typescript"),
  "code of Python": (text) => highlight(text, "python"),
  "text for XML": escapeXml,
  "JSON in a script": scriptJson,
  "text of tokens": (text) => [visibleText(text), shortText(text, 12)],
  "node names": parseNode,
  Markdown: (text) => markdown.render(text),
  GraphML: (text) => importRoutes(`<graphml><data key="rest">${rest}</data>${text}</graphml>`, "graphml"),
  "a tag of GraphML": (text) => importRoutes(`<graphml><node ${text}></graphml>`, "graphml"),
  DOT: (text) =>
    importRoutes(`digraph routes {\n  graph [routes="${rest.replaceAll('"', '\\"')}"];\n  ${text}\n}`, "dot"),
  "attributes of DOT": (text) => importRoutes(`digraph routes {\n  graph [${text}];\n"a" -> "b" [${text}];\n}`, "dot"),
  CSV: (text) => importRoutes(`# routes ${rest}\nsource,target,kind,weight,heads\n${text}`, "csv"),
  "routes of any kind": (text) => importRoutes(text),
  "the place of an error in JSON": jsonErrorIndex,
  "a configuration": (text) => readConfig({ models: { [text]: text }, [text]: text, preloaded_dataset_filename: text }),
  "a payload's outer part": (text) =>
    readPayload({ payload: 2, picture: text, options: { text }, size: 1, data: text }),
};

test.each(Object.keys(READERS))("%s", (name) => {
  const read = READERS[name];
  for (const unit of UNITS)
    for (const [before, after] of [
      ["", ""],
      ['"', "!"],
    ])
      expectLinear(read, (n) => before + repeat(unit, n) + after);
});

test("a notebook of one long line of output, and one of an unfinished control sequence", async () => {
  const page = (text: string): Promise<string> =>
    notebookPage(
      JSON.stringify({
        cells: [{ cell_type: "code", source: "1", outputs: [{ output_type: "stream", name: "stdout", text }] }],
      }),
      "a.ipynb",
    );
  const start = performance.now();
  expect(await page("x".repeat(2_000_000))).toContain("x".repeat(2_000_000));
  expect(await page(`\u001b[${"1;".repeat(1_000_000)}`)).toContain("1;".repeat(1_000_000));
  // Took hours.
  expect(performance.now() - start).toBeLessThan(10_000);
});

test("cells found by a pattern of many stars", () => {
  const history = new History();
  for (const [line, code] of ["let abc = 1", "abc", "a\nb[0]*", `${"a".repeat(20_000)}!`].entries())
    history.add(line + 1, code);
  const found = (pattern: string): number[] =>
    history.query({ hist_access_type: "search", pattern }).map(([, line]) => line);
  expect(
    [
      "*",
      "abc",
      "*abc*",
      "*abc",
      "a*c",
      "a?c",
      "[^b]bc",
      "[a-b]*[c]",
      "*b[[]0]*",
      "*=*",
      "abc*abc",
      "",
      "ab*bc",
      "a*\\n*",
    ].map(found),
  ).toEqual([[1, 2, 3, 4], [2], [1, 2], [2], [2], [2], [2], [2], [3], [1], [], [], [], []]);
  // Every star may end anywhere: tried in turn it would take longer than anybody lives.
  const start = performance.now();
  expect(found(`${"*a".repeat(30)}*b`)).toEqual([]);
  expect(found(`${"*a".repeat(30)}*!`)).toEqual([4]);
  expect(found("[b-a]")).toEqual([]);
  expect(performance.now() - start).toBeLessThan(2000);
});

test("long literals of code need no stack", () => {
  for (const [before, unit] of [
    ['"', "a"],
    ['"', "\\a"],
    ["`", "\\`"],
    ["/*", "*"],
    ['"""', "a"],
  ]) {
    const code = before + unit.repeat(8_000_000);
    expect(highlight(code, before === '"""' ? "python" : "typescript").length).toBeGreaterThan(code.length);
  }
});

test("terminal output: what was written over, colours, and sequences that never end", () => {
  expect(ansiHtml("10%\r50%\r100%\ndone\r\n")).toBe("100%\ndone\n");
  expect(ansiHtml("gone\r\r")).toBe("\r");
  expect(ansiHtml("\r")).toBe("\r");
  expect(ansiHtml("a\u001b[31mb\u001b[1mc\u001b[0md\u001b[2Ke")).toBe(
    'a<span class="ansi-red-fg">b</span><span class="ansi-bold ansi-red-fg">c</span>de',
  );
  expect(ansiHtml("a\u001b[1;31")).toBe("a\ufffd[1;31");
});
