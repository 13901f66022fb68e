/**
 * The grid of all states in Chromium: it fills in parts, stops when nobody looks, and stays small in the page whatever
 * its size.
 */
import type { Browser, Page } from "playwright-core";
import { type Gallery, startGallery } from "../support/gallery";
import { launchChromium } from "../support/jupyter";

interface Part {
  readonly kind: string;
  readonly row: number;
  readonly first: number;
  readonly count: number;
  readonly aborted: () => boolean;
}

let browser: Browser;
let gallery: Gallery;
let page: Page;
const errors: string[] = [];

beforeAll(async () => {
  gallery = await startGallery();
  browser = await launchChromium();
}, 300_000);
afterAll(async () => {
  await browser?.close();
  await gallery?.stop();
});
beforeEach(async () => {
  page = await (await browser.newContext({ viewport: { width: 1100, height: 1000 }, acceptDownloads: true })).newPage();
  page.setDefaultTimeout(60_000);
  errors.length = 0;
  page.on("pageerror", (error) => errors.push(error.message));
});
afterEach(async () => {
  expect(errors).toEqual([]);
  await page.context().close();
});

/** Tries again until the expectation holds. */
async function eventually(check: () => Promise<void>): Promise<void> {
  for (let left = 300; ; left--) {
    try {
      return await check();
    } catch (error) {
      if (left === 0) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

const cells = () => page.locator("#grid-huge [role=gridcell]");
const openHuge = async (): Promise<void> => {
  await page.goto(`${gallery.url}?only=grid-huge`);
  await cells().first().waitFor();
};

test("of 256 × 33 states only those near the view are in the page; scrolling brings the others", async () => {
  await openHuge();
  const all = 256 * 33;
  expect(await cells().count()).toBeLessThan(all / 3);
  expect(await page.locator("#grid-huge [role=grid]").getAttribute("aria-colcount")).toBe("257");
  const scroller = page.locator("#grid-huge .scroll");
  await scroller.evaluate((element) => (element.scrollLeft = 0));
  await page.locator("#grid-huge [data-node=I31_0]").waitFor();
  expect(await page.locator("#grid-huge [data-node=I31_255]").count()).toBe(0);
  // Each lies in its own column, under its own token.
  const [cell, header] = await Promise.all(
    [
      page.locator("#grid-huge [data-node=I31_7]"),
      page.locator("#grid-huge [role=columnheader][aria-colindex='9']"),
    ].map(async (locator) => (await locator.boundingBox())!),
  );
  expect(Math.abs(cell.x - header.x)).toBeLessThanOrEqual(1.5);
});

test("keys reach every state and keep the focus; Enter selects; progress ends", async () => {
  await openHuge();
  await page.locator("#grid-huge [data-node=I31_255]").focus();
  await page.keyboard.press("Home");
  const focused = () =>
    page.evaluate(() => {
      let active = document.activeElement;
      while (active?.shadowRoot?.activeElement) active = active.shadowRoot.activeElement;
      return (active as HTMLElement | null)?.dataset.node;
    });
  await eventually(async () => expect(await focused()).toBe("I31_0"));
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowRight");
  await eventually(async () => expect(await focused()).toBe("I30_1"));
  await page.keyboard.press("Enter");
  await page.locator("#grid-huge [data-node=I30_1][aria-selected=true]").waitFor();
  await page.locator("#grid-huge progress").waitFor({ state: "detached" });
  await page.keyboard.press("End");
  await eventually(async () => expect(await focused()).toBe("I30_255"));
  expect(await page.locator("#grid-huge [role=gridcell][tabindex='0']").count()).toBe(1);
});

test("parts are asked for one after the other, the last layer first; removed, it withdraws them; back again, it goes on where it was", async () => {
  await page.goto(`${gallery.url}?only=graph-empty`);
  await page.evaluate(() => {
    const asked: Part[] = [];
    const open: (() => void)[] = [];
    const T = 300;
    const facts = {
      protocol: 1,
      model: {
        name: "m",
        family: "m",
        nLayers: 2,
        nHeads: 2,
        dFfn: 8,
        parallelBlocks: false,
        device: "cpu",
        dtype: "float32",
      },
      tokens: Array.from({ length: T }, (_, id) => ({ id, text: ` t${id}` })),
      predictions: [],
    };
    const element = document.createElement("lmt-lens-grid") as HTMLElement & { source: object };
    const tensor = (data: object, count: number) => ({ data, shape: [1, count] });
    element.source = {
      facts,
      ask: (question: Part, signal: AbortSignal) =>
        new Promise((resolve, reject) => {
          asked.push({ ...question, aborted: () => signal.aborted });
          signal.addEventListener("abort", () => reject(new Error("withdrawn")));
          const { count, row } = question;
          open.push(() =>
            resolve({
              tops: tensor(new Uint32Array(count), count),
              tokens: [{ id: row, text: ` row${row}` }],
              probabilities: tensor(new Float32Array(count).fill(0.5), count),
              entropies: tensor(new Float32Array(count).fill(2), count),
            }),
          );
        }),
    };
    const stage = document.querySelector("#graph-empty .stage")!;
    stage.replaceChildren(element);
    Object.assign(window, { t: { asked, open, element, stage } });
  });
  const state = () =>
    page.evaluate(() => {
      const { t } = window as never as { t: { asked: Part[] } };
      return t.asked.map(({ kind, row, first, count, aborted }) => ({ kind, row, first, count, aborted: aborted() }));
    });
  const answer = () => page.evaluate(() => (window as never as { t: { open: (() => void)[] } }).t.open.shift()?.());
  await eventually(async () => expect((await state()).length).toBe(2));
  expect(await state()).toEqual([
    { kind: "gridPart", row: 2, first: 256, count: 44, aborted: false },
    { kind: "gridPart", row: 1, first: 256, count: 44, aborted: false },
  ]);
  await answer();
  await page.getByText("·row2").first().waitFor();
  expect(await page.locator("lmt-lens-grid [role=gridcell].waiting").count()).toBeGreaterThan(0);
  await eventually(async () => expect((await state()).length).toBe(3));
  await page.evaluate(() => (window as never as { t: { element: HTMLElement } }).t.element.remove());
  await eventually(async () => expect((await state()).map(({ aborted }) => aborted)).toEqual([true, true, true]));
  await page.evaluate(() => {
    const { t } = window as never as { t: { stage: HTMLElement; element: HTMLElement; open: unknown[] } };
    t.open.length = 0;
    t.stage.append(t.element);
  });
  await eventually(async () => expect((await state()).length).toBe(5));
  const again = (await state()).slice(3);
  expect(again.every(({ row, first }) => first === 256 && row < 2)).toBe(true);
  for (let i = 0; i < 20; i++) await answer();
  await eventually(async () => {
    await answer();
    expect(await page.locator("lmt-lens-grid progress").count()).toBe(0);
  });
  expect(new Set((await state()).map(({ row, first }) => `${row} ${first}`)).size).toBe(9);
});

test("it is saved as SVG, PNG and CSV, all of it", async () => {
  await openHuge();
  await page.locator("#grid-huge progress").waitFor({ state: "detached" });
  const saved = async (format: string): Promise<string> => {
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page
        .locator("#grid-huge lmt-lens-grid")
        .evaluate((element, how) => (element as HTMLElement & { save(f: string): Promise<void> }).save(how), format),
    ]);
    const chunks: Buffer[] = [];
    for await (const chunk of await download.createReadStream()) chunks.push(chunk as Buffer);
    return Buffer.concat(chunks).toString("latin1");
  };
  const svg = await saved("svg");
  expect(svg.match(/<rect /g)!.length).toBe(1 + 256 * 33);
  expect((await saved("csv")).trim().split("\r\n").length).toBe(1 + 256 * 33);
  expect((await saved("png")).slice(1, 4)).toBe("PNG");
}, 120_000);
