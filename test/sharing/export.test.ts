/**
 * Notebooks and pictures as HTML files, opened from disk with the network refused; and what nbconvert makes of them
 * without us.
 */
import fs from "node:fs";
import path from "node:path";
import type { Browser, Page } from "playwright-core";
import { PAYLOAD_VERSION } from "../../src/payload/format";
import { BUSY_MS, launchChromium, makeNotebook, ROOT } from "../support/jupyter";
import { jupyter, type Made, makeHeadless, program, walk } from "./support";

const CLI = path.join(ROOT, "dist", "cli", "main.js");
const cli = (...args: string[]): Promise<string> =>
  program(process.execPath, [CLI, ...args], { cwd: made.folder, env: { ...process.env, ORT_DISABLE_TELEMETRY: "1" } });

let made: Made;
let browser: Browser;
beforeAll(async () => {
  made = await makeHeadless("flowGraph(run)", 'await shown.save("one.html");');
  browser = await launchChromium();
}, 400_000);
afterAll(async () => {
  await browser?.close();
  made?.remove();
});

interface Opened {
  readonly page: Page;
  /** Requests that the page tried, and what went wrong in it. */
  readonly tried: string[];
}

/** Opens a file; whatever is not that file is refused and remembered. */
async function openFile(file: string): Promise<Opened> {
  const context = await browser.newContext({ viewport: { width: 1300, height: 1400 } });
  context.setDefaultTimeout(BUSY_MS);
  const tried: string[] = [];
  const url = `file://${file}`;
  await context.route(
    (asked) => asked.href !== url && !["data:", "blob:"].includes(asked.protocol),
    (route) => {
      tried.push(route.request().url());
      return route.abort();
    },
  );
  const page = await context.newPage();
  page.on("pageerror", (error) => tried.push(error.message));
  page.on("console", (message) => message.type() === "error" && tried.push(message.text()));
  await page.goto(url, { waitUntil: "domcontentloaded" });
  return { page, tried };
}

const size = (name: string): number => fs.statSync(path.join(made.folder, name)).size;
const dataSize = (html: string): number =>
  [...html.matchAll(/<script type="application\/vnd\.lm-transparency\+json">[^<]*/g)].reduce(
    (sum, [text]) => sum + text.length,
    0,
  );

async function works(name: string): Promise<void> {
  const html = fs.readFileSync(path.join(made.folder, name), "utf8");
  expect(size(name) - dataSize(html)).toBeLessThan(500_000);
  const { page, tried } = await openFile(path.join(made.folder, name));
  const picture = page.locator(".lm-transparency");
  await picture.locator("lmt-flow-graph [data-node]").first().waitFor();
  await walk(picture, made.said);
  expect(tried).toEqual([]);
  await page.context().close();
}

test("lm-transparency export: one file, interactive, no request", async () => {
  expect((await cli("export", "run.ipynb")).trim()).toBe("run.html");
  await works("run.html");
}, 180_000);

test("nbconvert with our template: the same", async () => {
  await jupyter(
    ["nbconvert", "--to", "html", "--template", "lm-transparency", "run.ipynb", "--output", "template.html"],
    made.home,
    made.folder,
  );
  await works("template.html");
}, 180_000);

test("save() of one picture", async () => {
  await works("one.html");
}, 180_000);

test.each([
  ["html", "stock.html"],
  ["slides", "stock.slides.html"],
])(
  "nbconvert --to %s without our template shows the still picture",
  async (format, name) => {
    await jupyter(["nbconvert", "--to", format, "run.ipynb", "--output", "stock"], made.home, made.folder);
    const { page } = await openFile(path.join(made.folder, name));
    const image = page.locator('img[alt^="Information flow routes"]');
    await image.waitFor({ state: "attached" });
    // Decoded, whether or not scripts of others that are missing have put the slide in view.
    expect(
      await image.evaluate(async (img: HTMLImageElement) => (await img.decode(), img.naturalWidth)),
    ).toBeGreaterThan(100);
    expect(await page.content()).toContain("Next token");
    await page.context().close();
  },
  180_000,
);

test("nbconvert --to latex includes the picture as PDF, without Inkscape", async () => {
  await jupyter(["nbconvert", "--to", "latex", "run.ipynb", "--output", "printed"], made.home, made.folder);
  const [file] = /printed_files\/[\w.-]+\.pdf/.exec(fs.readFileSync(path.join(made.folder, "printed.tex"), "utf8")) ?? [
    "",
  ];
  const pdf = fs.readFileSync(path.join(made.folder, file), "latin1");
  expect(pdf.slice(0, 5)).toBe("%PDF-");
  // The table of objects tells the truth: a reader that trusts it finds each object where it says.
  const table = Number(/startxref\n(\d+)/.exec(pdf)?.[1]);
  const rows = [...pdf.slice(table).matchAll(/^(\d{10}) 00000 n/gm)].map(([, at]) => Number(at));
  expect(rows.length).toBeGreaterThan(4);
  rows.forEach((at, i) => expect(pdf.slice(at, at + 8)).toMatch(new RegExp(`^${i + 1} 0 obj`)));
}, 180_000);

test("the AMD module for VS Code loads, and asks for nothing but the widget base", async () => {
  const folder = path.join(ROOT, "share", "jupyter", "nbextensions", "lm-transparency");
  const page = await (await browser.newContext()).newPage();
  page.setDefaultTimeout(BUSY_MS);
  await page.evaluate(
    "window.made = []; window.define = (...given) => window.made.push(given); window.define.amd = {}; window.configured = []; window.requirejs = { config: (c) => window.configured.push(c) };",
  );
  await page.addScriptTag({ path: path.join(folder, "index.js") });
  await page.addScriptTag({ path: path.join(folder, "extension.js") });
  const result = await page.evaluate(() => {
    const { made, configured } = window as unknown as {
      made: [string[], (base: object) => Record<string, unknown>][];
      configured: unknown[];
    };
    class Base {}
    const [dependencies, factory] = made[0];
    const names = Object.keys(
      factory({ DOMWidgetModel: Base, DOMWidgetView: Base, WidgetModel: Base, unpack_models: () => undefined }),
    );
    (made[1] as unknown as [() => object])[0]();
    return { dependencies, names, configured };
  });
  expect(result.dependencies).toEqual(["@jupyter-widgets/base"]);
  expect(result.names).toEqual(
    expect.arrayContaining(["PictureModel", "PictureView", "SelectionModel", "ControlModel", "ControlView"]),
  );
  expect(result.configured).toEqual([{ map: { "*": { "lm-transparency": "nbextensions/lm-transparency/index" } } }]);
  await page.context().close();
});

describe("a hostile or odd notebook", () => {
  const write = (name: string, content: unknown): string => {
    fs.writeFileSync(path.join(made.folder, name), typeof content === "string" ? content : JSON.stringify(content));
    return name;
  };

  test("runs nothing and asks nothing of anyone", async () => {
    const notebook = makeNotebook(["'</script><script>window.harmed=1</script>'"]) as {
      metadata: Record<string, unknown>;
      cells: Record<string, unknown>[];
    };
    notebook.metadata.title = '"><script>window.harmed=1</script>';
    const bad =
      '<img src="x" onerror="window.harmed=1"><script>window.harmed=1</script><img src="http://example.org/a.png"><a href="javascript:window.harmed=1">a</a>';
    notebook.cells[0].outputs = [
      { output_type: "stream", name: "stdout", text: `\u001b[31m${bad}\u001b[0m` },
      { output_type: "display_data", metadata: {}, data: { "text/html": bad } },
      {
        output_type: "display_data",
        metadata: {},
        data: { "text/html": '<link rel="stylesheet" href="http://example.org/c.css"><me<meta>ta><p>still there</p>' },
      },
      { output_type: "display_data", metadata: {}, data: { "image/png": `"><script>window.harmed=1</script>` } },
      {
        output_type: "display_data",
        metadata: {},
        data: {
          "application/vnd.lm-transparency+json": {
            payload: PAYLOAD_VERSION,
            picture: "flow-graph",
            options: { x: "</script><script>window.harmed=1</script>" },
            size: 5,
            data: "zzzz",
          },
          "text/plain": "still here",
        },
      },
      { output_type: "error", ename: "<b>", evalue: bad, traceback: [bad] },
    ];
    notebook.cells.push({
      cell_type: "markdown",
      id: "m",
      metadata: {},
      source: `# Head\n\n${bad}\n\n![p](http://example.org/b.png) ![q](../../../../etc/hostname.png)`,
    });
    write("hostile.ipynb", notebook);
    await cli("export", "hostile.ipynb");
    await jupyter(
      [
        "nbconvert",
        "--to",
        "html",
        "--template",
        "lm-transparency",
        "hostile.ipynb",
        "--output",
        "hostile-template.html",
      ],
      made.home,
      made.folder,
    );
    for (const name of ["hostile.html", "hostile-template.html"]) {
      const { page, tried } = await openFile(path.join(made.folder, name));
      await page.getByText("The data stored in this output is damaged").waitFor();
      await page.getByText("still here").waitFor();
      await page
        .locator("a", { hasText: /^a$/ })
        .first()
        .click()
        .catch(() => undefined);
      expect(await page.evaluate(() => "harmed" in window)).toBe(false);
      // The policy refuses before the browser asks: what is tried is only told of.
      expect(tried.filter((text) => /^https?:|^file:/.test(text))).toEqual([]);
      await page.context().close();
    }
  }, 120_000);

  test("leads nowhere by itself", async () => {
    const notebook = makeNotebook(["1"]) as { cells: Record<string, unknown>[] };
    const away =
      '<mEta http-equiv="refresh" content="0;url=http://example.org/away"><base href="http://example.org/"><b>here</b>';
    notebook.cells[0].outputs = [{ output_type: "display_data", metadata: {}, data: { "text/html": away } }];
    notebook.cells.push({ cell_type: "markdown", id: "m", metadata: {}, source: away });
    await cli("export", write("away.ipynb", notebook));
    await jupyter(
      ["nbconvert", "--to", "html", "--template", "lm-transparency", "away.ipynb", "--output", "away-template.html"],
      made.home,
      made.folder,
    );
    for (const name of ["away.html", "away-template.html"]) {
      const { page, tried } = await openFile(path.join(made.folder, name));
      expect(await page.locator("b", { hasText: "here" }).count()).toBe(2);
      await new Promise((done) => setTimeout(done, 500));
      expect(page.url()).toContain(`/${name}`);
      expect(tried.filter((text) => /^https?:/.test(text))).toEqual([]);
      await page.context().close();
    }
  }, 120_000);

  test.each([
    ["no-json.ipynb", "{", /no-json.ipynb is not a notebook: it is not JSON/],
    ["old.ipynb", { worksheets: [] }, /worksheets of format 3/],
    ["list.ipynb", [], /has no "cells"/],
  ])("%s is refused in a sentence", async (name, content, sentence) => {
    await expect(cli("export", write(name, content))).rejects.toThrow(sentence);
    expect(fs.existsSync(path.join(made.folder, name.replace("ipynb", "html")))).toBe(false);
  });

  test("arguments", async () => {
    await expect(cli("export")).rejects.toThrow(/which notebook/);
    await expect(cli("export", "missing.ipynb")).rejects.toThrow(
      /missing.ipynb cannot be read: there is no such file or folder\./,
    );
    await expect(cli("export", "a.ipynb", "b.ipynb")).rejects.toThrow(/one notebook at a time/);
    await expect(cli("export", "--nonsense", "a.ipynb")).rejects.toThrow(/--nonsense/);
    const html = await cli("export", "run.ipynb", "--output", "-");
    expect(html).toContain("<!DOCTYPE html>");
    expect(html).toContain("Content-Security-Policy");
  });

  test("pictures of Markdown are in the page", async () => {
    const pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
    fs.writeFileSync(path.join(made.folder, "dot.png"), Buffer.from(pixel, "base64"));
    const notebook = makeNotebook([]) as { cells: unknown[] };
    notebook.cells.push({
      cell_type: "markdown",
      id: "m",
      metadata: {},
      attachments: { "a.png": { "image/png": pixel } },
      source: ["![one](dot.png)\n", "![two](attachment:a.png)\n"],
    });
    const html = await cli("export", write("images.ipynb", notebook), "--output", "-");
    expect(html.split(`data:image/png;base64,${pixel}`).length - 1).toBe(2);
  });
});
