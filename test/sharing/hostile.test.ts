/** Files beside a notebook, signals, and stored data that is there to fill a page's memory. */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { deflateSync } from "node:zlib";
import type { Browser } from "playwright-core";
import { MAX_IMAGE_BYTES } from "../../src/export/images";
import { type LeftOut, notebookPage } from "../../src/export/notebook";
import { ProtocolError, type RunFacts } from "../../src/protocol";
import { PAYLOAD_MIME, PAYLOAD_VERSION, readPayload } from "../../src/payload/format";
import { ColumnWriter } from "../../src/payload/columns";
import { StoredAnswers } from "../../src/payload/read";
import { svgAddress } from "../../widgets/core/export";
import { launchChromium, ROOT } from "../support/jupyter";

const CLI = path.join(ROOT, "dist", "cli", "main.js");
const env = { ...process.env, ORT_DISABLE_TELEMETRY: "1" };

let outside: string;
let folder: string;
beforeAll(() => {
  outside = fs.mkdtempSync(path.join(os.tmpdir(), "lmt-hostile-"));
  folder = path.join(outside, "notebooks");
  fs.mkdirSync(folder);
});
afterAll(() => fs.rmSync(outside, { recursive: true, force: true }));

const markdown = (...sources: string[]): string =>
  JSON.stringify({ cells: sources.map((source) => ({ cell_type: "markdown", metadata: {}, source })) });

describe("pictures of Markdown", () => {
  beforeAll(() => {
    const at = (name: string): string => path.join(folder, name);
    fs.writeFileSync(path.join(outside, "secret.png"), "SECRET");
    fs.writeFileSync(at("own.png"), "OWN");
    fs.writeFileSync(at("with blank.png"), "OWN");
    fs.writeFileSync(at("50%.png"), "OWN");
    fs.mkdirSync(at("below"));
    fs.writeFileSync(at("below/own.png"), "OWN");
    fs.mkdirSync(at("folder.png"));
    fs.symlinkSync("/etc/passwd", at("passwd.png"));
    fs.symlinkSync("../secret.png", at("link.png"));
    fs.symlinkSync("own.png", at("inside.png"));
    fs.symlinkSync("circle.png", at("circle.png"));
    fs.symlinkSync("/dev/zero", at("zero.png"));
    fs.symlinkSync("..", at("up"));
    execFileSync("mkfifo", [at("pipe.png")]);
    fs.writeFileSync(at("huge.png"), "");
    fs.truncateSync(at("huge.png"), MAX_IMAGE_BYTES + 1);
    fs.symlinkSync(folder, path.join(outside, "by-link"));
  });

  test.each([
    "own.png",
    "./own.png",
    "below/own.png",
    "below/../own.png",
    "<with blank.png>",
    "with%20blank.png",
    "50%25.png",
    "inside.png",
  ])("%s is in the page", async (address) => {
    const left: LeftOut[] = [];
    // Also where the notebook's folder is reached by a link.
    for (const where of [folder, path.join(outside, "by-link")]) {
      expect(
        await notebookPage(markdown(`![alt](${address})`), path.join(where, "a.ipynb"), {
          onLeftOut: (one) => left.push(one),
        }),
      ).toContain(`<img src="data:image/png;base64,${Buffer.from("OWN").toString("base64")}" alt="alt">`);
    }
    expect(left).toEqual([]);
  });

  test.each([
    ["link.png", "it lies outside the notebook's folder"],
    ["passwd.png", "it lies outside the notebook's folder"],
    ["up/secret.png", "it lies outside the notebook's folder"],
    ["../secret.png", "it lies outside the notebook's folder"],
    ["../nothing.png", "it lies outside the notebook's folder"],
    ["%2e%2e/secret.png", "it lies outside the notebook's folder"],
    ["..%2Fsecret.png", "it lies outside the notebook's folder"],
    ["zero.png", "it lies outside the notebook's folder"],
    ["..\\\\secret.png", "only pictures in the notebook's folder go into the page"],
    ["/etc/passwd.png", "only pictures in the notebook's folder go into the page"],
    ["//example.org/a.png", "it is not a file beside the notebook, and the page loads nothing"],
    ["http://example.org/a.png", "it is not a file beside the notebook, and the page loads nothing"],
    ["circle.png", "its links lead in a circle"],
    ["folder.png", "it is no file"],
    ["pipe.png", "it is no file"],
    ["missing.png", "there is no such file"],
    ["own.png/a.png", "there is no such file"],
    ["huge.png", "it has more than 32 MB"],
    [`${"x".repeat(300)}.png`, "its name is too long"],
    ["own.txt", "it is no png, jpg, jpeg, gif, webp, svg file"],
    ["a%00.png", "its address is no text"],
    ["%E0%A4%A.png", "its address is no text"],
    ["attachment:%E0%A4%A", "the cell has no such picture"],
    ["attachment:__proto__", "the cell has no such picture"],
  ])("%s is left out, and the page says why", async (address, why) => {
    const left: LeftOut[] = [];
    const html = await notebookPage(markdown(`![alt](${address})`), path.join(folder, "a.ipynb"), {
      onLeftOut: (one) => left.push(one),
    });
    expect(left.map((one) => one.why)).toEqual([why]);
    expect(html).toContain(`: ${why.replaceAll("'", "&#39;")})</span>`);
    expect(html).not.toContain("<img");
    for (const secret of ["SECRET", "root:"])
      expect(html).not.toContain(Buffer.from(secret).toString("base64").slice(0, 5));
  });

  test("the command says it on standard error, in which nothing steers the terminal", () => {
    fs.writeFileSync(path.join(folder, "told.ipynb"), markdown("![a](link.png)", "![b](x%1B%5B31m.png)"));
    const { status, stderr, stdout } = spawnSync(process.execPath, [CLI, "export", "told.ipynb"], {
      cwd: folder,
      env,
      encoding: "utf8",
    });
    expect([status, stdout]).toEqual([0, "told.html\n"]);
    expect(stderr).toBe(
      "lm-transparency: left out of the page: link.png: it lies outside the notebook's folder.\nlm-transparency: left out of the page: x\ufffd[31m.png: there is no such file.\n",
    );
  });
});

test("Markdown, JSON and addresses nested or repeated without end are shown as they are written, or refused in a sentence", async () => {
  const file = path.join(folder, "a.ipynb");
  const nested = "[".repeat(200_000) + "]".repeat(200_000);
  const output = await notebookPage(
    `{"cells":[{"cell_type":"code","source":"1","outputs":[{"output_type":"display_data","data":{"${PAYLOAD_MIME}":${nested},"text/plain":"still here"}}]}]}`,
    file,
  );
  expect(output).toContain("still here");
  for (const text of [
    "[".repeat(200_000),
    "> ".repeat(100_000),
    "*a **b ".repeat(50_000),
    "<b>".repeat(100_000),
    "- ".repeat(100_000),
  ])
    expect(await notebookPage(markdown(text), file)).toContain("<main>");
  const left: LeftOut[] = [];
  const onLeftOut = (one: LeftOut): unknown => left.push(one);
  await notebookPage(markdown(`${"[a]".repeat(150_000)}\n\n[a]: ${"x".repeat(400_000)}\n`), file, { onLeftOut });
  await notebookPage(markdown("x".repeat(2 ** 20 + 1)), file, { onLeftOut });
  expect(left.map(({ why }) => why)).toEqual([
    "it is nested too deep, or names the same thing too often",
    "it has more than 1048576 characters",
  ]);
});

test("an export that runs long ends at a signal", async () => {
  fs.writeFileSync(
    path.join(folder, "long.ipynb"),
    markdown(...Array.from({ length: 400 }, () => "- a\n ".repeat(20_000))),
  );
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    const child = spawn(process.execPath, [CLI, "export", "long.ipynb"], { cwd: folder, env, stdio: "ignore" });
    await new Promise((done) => setTimeout(done, 1500));
    const start = performance.now();
    const ended = new Promise((done) => child.on("exit", (code, by) => done(by ?? code)));
    child.kill(signal);
    expect(await ended).toBe(signal);
    expect(performance.now() - start).toBeLessThan(3000);
    expect(fs.existsSync(path.join(folder, "long.html"))).toBe(false);
  }
  const control = new AbortController();
  setTimeout(() => control.abort(new Error("enough")), 300);
  await expect(
    notebookPage(fs.readFileSync(path.join(folder, "long.ipynb"), "utf8"), "long.ipynb", { signal: control.signal }),
  ).rejects.toThrow("enough");
}, 60_000);

test("a still picture with half a character is an image all the same", () => {
  expect(svgAddress("<svg>a\ud800b\udc00🙂</svg>")).toBe(
    `data:image/svg+xml;charset=utf-8,${encodeURIComponent("<svg>a\ufffdb\ufffd🙂</svg>")}`,
  );
});

describe("stored data that is there to fill memory", () => {
  const facts = (nTokens: number, nLayers: number, nHeads: number): RunFacts => ({
    protocol: 1,
    model: { name: "m", family: "f", nLayers, nHeads, dFfn: 4, parallelBlocks: false, device: "cpu", dtype: "float32" },
    tokens: Array.from({ length: nTokens }, (_, id) => ({ id, text: "a" })),
    predictions: [],
  });

  function insides(run: RunFacts, sections: (columns: ColumnWriter) => unknown[]): Buffer {
    const columns = new ColumnWriter();
    const json = Buffer.from(
      JSON.stringify({
        head: { facts: run, selection: {}, threshold: 0, budget: 1, omitted: {} },
        vocabulary: { ids: columns.add("u8", []), texts: [] },
        sections: sections(columns),
      }),
    );
    const length = Buffer.alloc(4);
    length.writeUInt32LE(json.length);
    return Buffer.concat([length, json, columns.bytes()]);
  }
  const outer = (bytes: Buffer): Record<string, unknown> => ({
    payload: PAYLOAD_VERSION,
    picture: "flow-graph",
    options: {},
    share: "routes",
    size: bytes.length,
    data: deflateSync(bytes, { level: 6 }).toString("base64"),
  });

  const zeros = (n: number): Uint8Array => new Uint8Array(n);
  const effects =
    (n: number) =>
    (columns: ColumnWriter): unknown[] => [
      {
        kind: "effect",
        normalize: true,
        topK: 15,
        ...Object.fromEntries(["kinds", "layers", "positions"].map((name) => [name, columns.add("u8", zeros(n))])),
        parts: columns.add(
          "u32",
          Uint32Array.from({ length: n }, (_, i) => i),
          { delta: true },
        ),
        ...Object.fromEntries(["counts", "digits", "first"].map((name) => [name, columns.add("u8", zeros(2 * n))])),
        tokens: columns.add("u8", []),
        gaps: columns.add("u8", []),
      },
    ];
  const bombs: readonly (readonly [string, () => Buffer, RegExp, RegExp])[] = [
    [
      "millions of answers of nothing",
      () => insides(facts(3, 2, 2), effects(500_000)),
      /in \d+ characters, which no picture's data has|more than 400000 answers/,
      /more than 400000 answers/,
    ],
    [
      "a description of millions of lists",
      () =>
        Buffer.concat([Buffer.from(Uint32Array.of(6_000_000).buffer), Buffer.from(`[${"[],".repeat(1_999_999)}[]]`)]),
      /its description is too large|which no picture's data has/,
      /its description is too large/,
    ],
    [
      "nothing but zeros",
      () => Buffer.alloc(48 * 2 ** 20),
      /which no picture's data has/,
      /its description is not JSON/,
    ],
  ];

  test.each(bombs)("%s: a sentence", (_, make, sentence, inside) => {
    const bytes = make();
    const whole = outer(bytes);
    const refuse = (): void => {
      readPayload(whole);
      new StoredAnswers(bytes).keys("effect");
    };
    const before = process.memoryUsage().rss;
    expect(refuse).toThrow(ProtocolError);
    expect(refuse).toThrow(sentence);
    // The same where the outer part would have let it through.
    expect(() => new StoredAnswers(bytes).keys("effect")).toThrow(inside);
    expect((process.memoryUsage().rss - before) / 2 ** 20).toBeLessThan(400);
  });

  test("rows of a large model that hold next to nothing are traced as what they hold", async () => {
    const [T, L, H] = [1024, 8, 256];
    const run = facts(T, L, H);
    // The last token attends to all of a layer, and each of those has a row of its own.
    const bytes = insides(run, (columns) => {
      const rows = Array.from({ length: L * T }, (_, i) => [Math.floor(i / T), i % T] as const);
      const keys = Array.from({ length: T }, (_, key) => key);
      const n = rows.length;
      return [
        {
          kind: "contributions",
          nHeads: H,
          layers: columns.add(
            "u8",
            rows.map(([layer]) => layer),
          ),
          queries: columns.add(
            "u16",
            rows.map(([, query]) => query),
          ),
          residuals: columns.add("f24", new Float32Array(n).fill(1)),
          ffns: columns.add("f24", new Float32Array(n)),
          biases: columns.add("f24", new Float32Array(n)),
          counts: columns.add(
            "u16",
            rows.map(([layer, query]) => (layer === L - 1 && query === T - 1 ? T : 0)),
          ),
          keys: columns.add("u16", keys),
          terms: columns.add("f24", new Float32Array(T * H).fill(0.5)),
          weights: columns.add("u16", new Uint16Array(T * H)),
          pairLayers: columns.add(
            "u8",
            rows.map(([layer]) => layer),
          ),
          pairPositions: columns.add(
            "u16",
            rows.map(([, position]) => position),
          ),
          pairFfns: columns.add("f24", new Float32Array(n)),
          pairResiduals: columns.add("f24", new Float32Array(n).fill(1)),
        },
      ];
    });
    const before = process.memoryUsage().rss;
    const start = performance.now();
    const answer = await new StoredAnswers(bytes).answer({
      kind: "routes",
      from: T - 1,
      threshold: 0.04,
      renormalize: false,
    });
    expect(answer!.nodes.length).toBe(T * 2 * (L - 1) + T + 2);
    // A threshold below which whole rows are asked for elsewhere.
    expect(
      (await new StoredAnswers(bytes).answer({ kind: "routes", from: T - 1, threshold: 0.001, renormalize: false }))!
        .nodes.length,
    ).toBe(answer!.nodes.length);
    // As whole rows of the model they took 0.5 GB a layer.
    expect((process.memoryUsage().rss - before) / 2 ** 20).toBeLessThan(300);
    expect(performance.now() - start).toBeLessThan(20_000);
  }, 60_000);

  test("maps of heads that are only claimed make no room", async () => {
    expect(
      await new StoredAnswers(insides(facts(4096, 1, 1024), () => [])).answer({ kind: "layerMaps", layer: 0 }),
    ).toBeUndefined();
  });

  test("in a page: a sentence over the still picture", async () => {
    const cells = bombs.map(([, make], i) => ({
      cell_type: "code",
      source: "1",
      outputs: [{ output_type: "display_data", data: { [PAYLOAD_MIME]: outer(make()), "text/plain": `still ${i}` } }],
    }));
    const html = path.join(folder, "bombs.html");
    fs.writeFileSync(html, await notebookPage(JSON.stringify({ cells }), "bombs.ipynb"));
    const browser: Browser = await launchChromium();
    try {
      const page = await browser.newPage();
      await page.goto(`file://${html}`);
      await page.waitForFunction((n) => document.querySelectorAll("[role=alert]").length === n, bombs.length, {
        timeout: 20_000,
      });
      for (let i = 0; i < bombs.length; i++) await page.getByText(`still ${i}`).waitFor();
      for (const text of await page.locator("[role=alert]").allTextContents())
        expect(text).toMatch(/^(?:This output's|The data stored in this output) .*\.$/);
    } finally {
      await browser.close();
    }
  }, 120_000);
});
