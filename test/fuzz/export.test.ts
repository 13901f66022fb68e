/**
 * Notebooks of somebody else as pages: one sentence, or a page in which nothing runs, that loads nothing and holds no
 * file but those beside the notebook.
 */
import { Parser } from "htmlparser2";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NotebookError, notebookPage } from "../../src/export/notebook";
import { PAYLOAD_MIME } from "../../src/payload/format";
import { damaged, damagedJson, fuzz, isSentence, NASTY, type Random } from "./support";

type Json = Record<string, unknown>;

const SECRET = "c2VjcmV0IG9mIHNvbWVib2R5IGVsc2U"; // base64 of "secret of somebody else"
let folder: string;
let outside: string;
const bases: Json[] = [];
beforeAll(() => {
  outside = mkdtempSync(join(tmpdir(), "lmt-fuzz-outside-"));
  folder = join(outside, "notebooks");
  mkdirSync(folder);
  writeFileSync(join(outside, "secret.png"), "secret of somebody else");
  writeFileSync(join(folder, "own.png"), "own picture");
  symlinkSync(join(outside, "secret.png"), join(folder, "link.png"));
  symlinkSync(outside, join(folder, "up"));
  for (const name of ["01-first-look", "02-explorer"]) {
    const notebook = JSON.parse(readFileSync(join(__dirname, `../../notebooks/${name}.ipynb`), "utf8")) as {
      cells: { outputs?: { data?: Record<string, unknown> }[] }[];
    };
    // Pictures' data are tried by a fuzzer of their own; here a little of it is enough.
    for (const { outputs = [] } of notebook.cells) {
      for (const { data } of outputs) {
        const payload = data?.[PAYLOAD_MIME] as { data?: string } | undefined;
        if (payload?.data) payload.data = payload.data.slice(0, 200);
        for (const type of ["image/svg+xml", "application/pdf"]) if (data?.[type] !== undefined) data[type] = "<svg/>";
      }
    }
    bases.push(notebook);
  }
});
afterAll(() => rmSync(outside, { recursive: true, force: true }));

const HOSTILE = [
  "<script>alert(1)</script>",
  '"><img src=x onerror=alert(1)>',
  "' onmouseover='alert(1)",
  "</script><script>alert(1)</script>",
  "</pre><svg onload=alert(1)>",
  "<iframe src=http://example.org/>",
  "</style><style>@import 'http://example.org/x.css'</style>",
  "--><b onclick=alert(1)>",
  "javascript:alert(1)",
  "data:text/html,<script>alert(1)</script>",
  "http://example.org/a.png",
  "//example.org/a.png",
  "&#106;avascript:alert(1)",
  "JaVa\tScript:alert(1)",
  "\u001b[31m<b onclick=alert(1)>\u001b[0m",
  "\u001b]8;;javascript:alert(1)\u0007a",
  "<!--",
  "]]>",
] as const;
const ADDRESSES = [
  "own.png",
  "link.png",
  "up/secret.png",
  "../secret.png",
  "%2e%2e/secret.png",
  "..%2Fsecret.png",
  "up%2fsecret.png",
  "./link.png",
  "notebooks/../link.png",
  "x/../../secret.png",
  "..\\secret.png",
  "file:///etc/passwd",
  "/etc/passwd.png",
  "/dev/zero.png",
  "%00.png",
  "%E0%A4%A.png",
  "attachment:a.png",
  "attachment:__proto__",
  "attachment:%E0%A4%A",
  "http://example.org/a.png",
  "//example.org/a.png",
  "javascript:alert(1)",
  "vbscript:x",
  "data:text/html,%3Cscript%3Ealert(1)%3C/script%3E",
  "data:image/svg+xml,%3Csvg%20onload=alert(1)%3E",
  "<own.png>",
  'own.png "t"',
  "own.png?x#y",
] as const;

const text = (random: Random): string =>
  Array.from({ length: random.int(1, 5) }, () => random.pick<string>([...HOSTILE, ...NASTY, "text", "\n"])).join("");
/** Markdown without HTML of its own. */
const markdown = (random: Random): string =>
  Array.from({ length: random.int(1, 6) }, () =>
    random.pick([
      () => `![${random.pick(["alt", 'a"b', "]", ...NASTY])}](${random.pick(ADDRESSES)})`,
      () => `[link](${random.pick(ADDRESSES)})`,
      () => `![x][r]\n\n[r]: ${random.pick(ADDRESSES)}\n`,
      () => `<${random.pick(ADDRESSES)}>`,
      () =>
        `${random.pick(["#", ">", "-", "1.", "|a|\n|-|\n|", "```", "    ", "*", "**", "`", "~~"])} ${random.pick(["a", "[", "*", "`", "|"]).repeat(random.int(1, 200))}`,
    ])(),
  ).join(random.pick(["\n", "\n\n", " "]));

/** A cell of hostile texts in every place that is text, and none of foreign HTML. */
function cell(random: Random): Json {
  if (random.chance(0.4))
    return {
      cell_type: "markdown",
      metadata: {},
      attachments: { "a.png": { [random.pick(["image/png", "text/html", 'image/png"onload="x'])]: text(random) } },
      source: random.chance(0.5) ? markdown(random) : markdown(random).split(/(?<=\n)/),
    };
  const outputs = Array.from({ length: random.int(0, 4) }, () =>
    random.pick<() => Json>([
      () => ({ output_type: "stream", name: random.pick(["stdout", "stderr"]), text: text(random) }),
      () => ({
        output_type: "error",
        ename: text(random),
        evalue: text(random),
        traceback: random.chance(0.5) ? [] : [text(random)],
      }),
      () => ({
        output_type: "display_data",
        data: { [random.pick(["text/plain", "text/latex", "image/png", "image/svg+xml", "image/jpeg"])]: text(random) },
      }),
      () => ({ output_type: "display_data", data: { "text/markdown": markdown(random) } }),
      () => ({
        output_type: "execute_result",
        data: {
          [PAYLOAD_MIME]: random.pick<unknown>([null, 5, text(random), { payload: 2, options: { x: text(random) } }]),
          "text/plain": text(random),
        },
      }),
    ])(),
  );
  return {
    cell_type: "code",
    metadata: {},
    execution_count: random.pick<unknown>([1, null, text(random), 1e9]),
    source: text(random),
    outputs,
  };
}

/**
 * Reads a page as a browser does, and refuses whatever would run or load; `foreign`: it may hold HTML of somebody else,
 * which only the policy keeps at rest.
 */
function atRest(html: string, foreign: boolean): void {
  let metas = 0;
  let scripts = 0;
  const parser = new Parser(
    {
      onopentag(name, attributes) {
        if (name === "meta") {
          metas++;
          // The policy comes before everything that it is about.
          if (metas === 2)
            expect(
              attributes["http-equiv"] === "Content-Security-Policy" &&
                /^default-src 'none'; script-src 'sha256-[\w+/=]+'; style-src 'unsafe-inline'; img-src data: blob:;/.test(
                  attributes.content,
                ),
            ).toBe(true);
          if (metas === 2) expect(scripts).toBe(0);
        }
        expect(["base", "link"]).not.toContain(name);
        if (name === "script" && attributes.type !== PAYLOAD_MIME) scripts++;
        if (foreign) return;
        expect(["iframe", "object", "embed", "form", "svg", "frame", "video", "audio"]).not.toContain(name);
        for (const [attribute, value] of Object.entries(attributes)) {
          expect(attribute).not.toMatch(/^on|^srcset$|^style$|^action$/);
          if (attribute === "src") expect(value).toMatch(/^data:image\//);
          if (attribute === "href")
            expect(value.replace(/[\u0000-\u0020]/g, "")).not.toMatch(/^(?:javascript|vbscript|data|file):/i);
        }
      },
    },
    { decodeEntities: true },
  );
  parser.end(html);
  // Charset, policy, viewport.
  expect(metas).toBe(3);
  if (!foreign) expect(scripts).toBe(1);
}

interface Input {
  readonly foreign: boolean;
  readonly notebook: string;
}

async function check(input: Buffer): Promise<"accepted" | "refused"> {
  const { foreign, notebook } = JSON.parse(input.toString()) as Input;
  let html: string;
  try {
    html = await notebookPage(notebook, join(folder, "notebook.ipynb"));
  } catch (error) {
    if (error instanceof NotebookError && isSentence(error)) return "refused";
    throw error;
  }
  expect(html).not.toContain(SECRET.slice(0, 20));
  atRest(html, foreign);
  return "accepted";
}

fuzz({
  target: "export",
  runs: 300,
  generate: (random) => {
    const own = {
      nbformat: 4,
      metadata: random.chance(0.3) ? { title: text(random), language_info: { name: text(random) } } : {},
      cells: Array.from({ length: random.int(1, 5) }, () => cell(random)),
    };
    const [foreign, notebook] = random.pick<() => [boolean, string]>([
      () => [false, JSON.stringify(own)],
      () => [false, JSON.stringify(own)],
      () => [true, JSON.stringify(damagedJson(random.pick([own, ...bases]), random, random.pick([0.005, 0.05])))],
      () => [true, damaged(Buffer.from(JSON.stringify(random.pick([own, random.pick(bases)]))), random).toString()],
      () => [
        true,
        JSON.stringify({
          ...own,
          cells: [
            {
              cell_type: "code",
              source: "",
              outputs: [{ output_type: "display_data", data: { "text/html": text(random) } }],
            },
            { cell_type: "markdown", source: text(random) },
          ],
        }),
      ],
    ])();
    return Buffer.from(JSON.stringify({ foreign, notebook } satisfies Input));
  },
  check,
});
