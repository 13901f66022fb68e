/**
 * A notebook that was run without a front end, opened wherever a front end can run here: pictures work from the data
 * stored in them.
 */
import fs from "node:fs";
import path from "node:path";
import { inflateSync } from "node:zlib";
import type { Page } from "playwright-core";
import { type Payload, PAYLOAD_MIME, PAYLOAD_VERSION } from "../../src/payload/format";
import { StoredAnswers } from "../../src/payload/read";
import { type Jupyter, type NotebookPage, startJupyter } from "../support/jupyter";
import { expect_, jupyter, type Made, makeHeadless, walk } from "./support";

let made: Made;
beforeAll(async () => {
  made = await makeHeadless();
}, 400_000);
afterAll(() => made?.remove());

/** The notebook with another kernel, cell metadata or payload. */
function variant(change: {
  readonly kernel?: object;
  readonly title?: string;
  readonly payload?: (payload: Record<string, unknown>) => unknown;
  readonly withoutState?: boolean;
}): object {
  const copy = structuredClone(made.notebook) as {
    metadata: Record<string, unknown>;
    cells: { outputs: { data?: Record<string, unknown> }[] }[];
  };
  if (change.kernel) copy.metadata.kernelspec = change.kernel;
  if (change.title) copy.metadata.title = change.title;
  if (change.withoutState) delete copy.metadata.widgets;
  const data = copy.cells[made.picture].outputs[0].data!;
  if (change.payload)
    data["application/vnd.lm-transparency+json"] = change.payload(
      data["application/vnd.lm-transparency+json"] as Record<string, unknown>,
    );
  return copy;
}

interface NotebookOutput {
  readonly data?: Record<string, unknown>;
}

const storedSelection = ({ data }: Payload) =>
  new StoredAnswers(inflateSync(Buffer.from(data, "base64"))).head.selection;

const python = { name: "python3", display_name: "Python 3", language: "python" };
const picture = (notebook: NotebookPage) => notebook.outputs(made.picture).locator(".lm-transparency");
const state = (notebook: NotebookPage): Promise<string> =>
  picture(notebook)
    .first()
    .evaluate((host) => (host as HTMLElement).dataset.state ?? "");
const isState = (notebook: NotebookPage, wanted: string): Promise<void> =>
  expect_(
    async () => (await state(notebook)) === wanted,
    `the state "${wanted}"`,
    () => state(notebook),
  );

test("the output of a headless run holds data, picture, document and text, and no widget view", () => {
  const { outputs } = (made.notebook.cells as { outputs: { output_type: string; data: Record<string, unknown> }[] }[])[
    made.picture
  ];
  expect(outputs.map(({ output_type }) => output_type)).toEqual(["display_data"]);
  expect(Object.keys(outputs[0].data).sort()).toEqual([
    "application/pdf",
    "application/vnd.lm-transparency+json",
    "image/svg+xml",
    "text/html",
    "text/plain",
  ]);
  expect(outputs[0].data["application/vnd.lm-transparency+json"]).toMatchObject({
    payload: PAYLOAD_VERSION,
    picture: "flow-graph",
    share: "routes",
  });
});

describe("JupyterLab with our extension and without our kernel", () => {
  let lab: Jupyter;
  beforeAll(async () => {
    const hostile = {
      size: 1e15,
      data: "AAAA",
      payload: PAYLOAD_VERSION,
      picture: "flow-graph",
      options: { detail: "<img src=x onerror='window.harmed=1'>" },
    };
    lab = await startJupyter({
      kernel: false,
      files: {
        // Trust goes by content: this is another notebook.
        "untrusted.ipynb": variant({ title: "of a stranger" }),
        "trusted.ipynb": made.notebook,
        "stateless.ipynb": variant({ withoutState: true }),
        "python.ipynb": variant({ kernel: python }),
        "newer.ipynb": variant({ kernel: python, payload: (payload) => ({ ...payload, payload: 7 }) }),
        "cut.ipynb": variant({
          kernel: python,
          payload: (payload) => ({ ...payload, data: (payload.data as string).slice(0, 4000) }),
        }),
        "hostile.ipynb": variant({ kernel: python, payload: () => hostile }),
        "none.ipynb": variant({
          kernel: python,
          payload: (payload) => ({ ...payload, share: "none", size: 0, data: "" }),
        }),
        "tight.ipynb": variant({
          kernel: python,
          payload: (payload) => ({ ...payload, share: "routes", size: 0, data: "" }),
        }),
      },
    });
    for (const name of ["trusted.ipynb", "stateless.ipynb"]) await jupyter(["trust", name], lab.home, lab.folder);
  }, 120_000);
  afterAll(() => lab?.stop(), 30_000);

  test.each([
    ["untrusted.ipynb", "none", false],
    ["trusted.ipynb", "none", true],
    ["stateless.ipynb", "none", true],
    ["python.ipynb", "start", false],
  ] as const)(
    "%s (kernel: %s)",
    async (name, kernel, trusted) => {
      const notebook = await lab.open(name, { kernel, height: 1400 });
      expect(await notebook.trusted()).toBe(trusted);
      await isState(notebook, "stored");
      await walk(picture(notebook), made.said);
      await notebook.screenshot(`sharing-${name.replace(".ipynb", "")}`, notebook.outputs(made.picture));
      await notebook.close();
    },
    180_000,
  );

  test.each([
    ["newer.ipynb", /stored by a newer lm-transparency/],
    ["cut.ipynb", /damaged/],
    ["hostile.ipynb", /claims 1000000000000000 bytes/],
  ])(
    "%s: a sentence, and the still picture",
    async (name, sentence) => {
      const notebook = await lab.open(name);
      await isState(notebook, "error");
      await picture(notebook).getByText(sentence).waitFor();
      await expect_(
        async () =>
          picture(notebook)
            .locator("img")
            .evaluate((image: HTMLImageElement) => image.naturalWidth > 100),
        "a picture",
        async () => "none",
      );
      expect(await notebook.page.evaluate(() => "harmed" in window)).toBe(false);
      await notebook.close();
    },
    120_000,
  );

  test.each([
    ["none.ipynb", /A still picture: it was saved without data/],
    ["tight.ipynb", /did not fit .* It needs the kernel/],
  ])(
    "nothing stored in %s: the still picture, and why there is no more",
    async (name, sentence) => {
      const notebook = await lab.open(name);
      await isState(notebook, "still");
      await picture(notebook).getByText(sentence).waitFor();
      await expect_(
        async () =>
          picture(notebook)
            .locator("img")
            .evaluate((image: HTMLImageElement) => image.naturalWidth > 100),
        "a picture",
        async () => "none",
      );
      await notebook.close();
      expect(lab.outside).toEqual([]);
    },
    120_000,
  );
});

describe("JupyterLab without our extension", () => {
  let lab: Jupyter;
  beforeAll(async () => {
    lab = await startJupyter({
      extension: false,
      kernel: false,
      files: { "untrusted.ipynb": variant({ title: "of a stranger" }), "trusted.ipynb": made.notebook },
    });
    await jupyter(["trust", "trusted.ipynb"], lab.home, lab.folder);
  }, 120_000);
  afterAll(() => lab?.stop(), 30_000);

  test.each(["untrusted.ipynb", "trusted.ipynb"])(
    "%s shows picture and tables",
    async (name) => {
      const notebook = await lab.open(name, { kernel: "none" });
      const output = notebook.outputs(made.picture);
      await expect_(
        async () => output.locator("img").evaluate((image: HTMLImageElement) => image.naturalWidth > 100),
        "a picture",
        () => output.innerText(),
      );
      expect(await output.locator("table").count()).toBe(2);
      expect(await output.innerText()).not.toMatch(/Loading widget|Error|not found/);
      await notebook.screenshot(`sharing-without-extension-${name.replace(".ipynb", "")}`, output);
      await notebook.close();
    },
    120_000,
  );
});

describe("Notebook 7 without our kernel", () => {
  let server: Jupyter;
  beforeAll(async () => {
    server = await startJupyter({
      app: "notebook",
      kernel: false,
      files: { "shared.ipynb": variant({ kernel: python }) },
    });
  }, 120_000);
  afterAll(() => server?.stop(), 30_000);

  test("the picture works", async () => {
    const notebook = await server.open("shared.ipynb", { height: 1400 });
    await isState(notebook, "stored");
    await walk(picture(notebook), made.said);
    expect(server.outside).toEqual([]);
    await notebook.close();
  }, 180_000);
});

describe("JupyterLab with our kernel", () => {
  let lab: Jupyter;
  beforeAll(async () => {
    lab = await startJupyter({ files: { "live.ipynb": made.notebook } });
  }, 120_000);
  afterAll(() => lab?.stop(), 30_000);

  test("draws at once, becomes live when run, stores clicks, and stays when the kernel goes", async () => {
    const notebook = await lab.open("live.ipynb", { height: 1400 });
    await isState(notebook, "stored");
    await notebook.runAll();
    await isState(notebook, "live");
    await walk(picture(notebook), made.said);
    const payload = async (): Promise<string> =>
      String(
        (
          (await notebook.outputData(made.picture))[0].data?.["application/vnd.lm-transparency+json"] as {
            data: string;
          }
        ).data,
      );
    const before = await payload();
    expect(before.length).toBeGreaterThan(1000);
    // What was looked at, though it lies outside of the routes, is in the notebook some time later.
    await picture(notebook).locator('[data-start="1"]').first().dispatchEvent("click");
    await expect_(
      async () => (await payload()) !== before,
      "another payload",
      async () => "the same one",
    );
    expect(await state(notebook)).toBe("live");
    await notebook.save();
    await notebook.command("kernelmenu:shutdown");
    await expect_(
      async () => (await notebook.kernelStatus()) === "none",
      "no kernel",
      () => notebook.kernelStatus(),
    );
    // Not asked before: it comes from the notebook.
    const { block, neurons } = made.said;
    await picture(notebook)
      .locator(`[data-start="${made.said.tokens.length - 1}"]`)
      .first()
      .dispatchEvent("click");
    await picture(notebook).locator(`[data-ffn="${block.layer}_${block.position}"]`).first().dispatchEvent("click");
    await picture(notebook).locator(`lmt-neuron-bars [data-neuron="${neurons[1].neuron}"]`).click();
    await picture(notebook)
      .locator("lmt-effect-table")
      .getByText(`neuron ${neurons[1].neuron} of layer`)
      .first()
      .waitFor();
    const more = picture(notebook).locator("lmt-effect-table button.more");
    if (await more.count()) await more.click();
    await expect_(
      async () => (await picture(notebook).locator("lmt-effect-table table.promoted tbody tr").count()) === 15,
      "15 tokens",
      () => picture(notebook).locator("lmt-effect-table").innerText(),
    );
    expect(await picture(notebook).locator("[role=alert]").count()).toBe(0);
    // Opened again, with a kernel that knows nothing of it.
    await reload(notebook.page);
    await isState(notebook, "stored");
    await walk(picture(notebook), made.said);
    await notebook.close();
  }, 240_000);

  test("after a reload with the kernel alive it is live again", async () => {
    const notebook = await lab.open("live.ipynb", { height: 1400 });
    await notebook.runAll();
    await notebook.save();
    const { page } = notebook;
    await reload(page);
    await isState(notebook, "live");
    await picture(notebook).locator(`[data-node="${made.said.node}"]`).first().dispatchEvent("click");
    await picture(notebook).locator("lmt-token-table tbody tr").first().waitFor();
    // What is looked at from now on gets into the file, too, though JupyterLab no longer knows which output it belongs
    // to.
    const start = async (output: NotebookOutput): Promise<number> =>
      storedSelection(output.data?.[PAYLOAD_MIME] as Payload).start;
    const shown = async (): Promise<number> => start((await notebook.outputData(made.picture))[0]);
    expect(await shown()).toBe(made.said.tokens.length - 1);
    await picture(notebook).locator('[data-start="1"]').first().dispatchEvent("click");
    await expect_(
      async () => (await shown()) === 1,
      "token 1 in the notebook",
      async () => String(await shown()),
    );
    expect(await state(notebook)).toBe("live");
    await notebook.save();
    const saved = JSON.parse(fs.readFileSync(path.join(lab.folder, "live.ipynb"), "utf8")) as {
      cells: { outputs: NotebookOutput[] }[];
    };
    expect(saved.cells[made.picture].outputs).toHaveLength(1);
    expect(await start(saved.cells[made.picture].outputs[0])).toBe(1);
    expect(lab.outside).toEqual([]);
    await notebook.close();
  }, 240_000);
});

async function reload(page: Page): Promise<void> {
  await page.reload({ waitUntil: "domcontentloaded" });
  await page.locator(".jp-Notebook .jp-Cell").first().waitFor();
}

test("the saved notebook is small", () => {
  expect(fs.statSync(path.join(made.folder, "run.ipynb")).size).toBeLessThan(400_000);
});
