/**
 * Every state of every element: axe-core finds nothing, no script of a token runs, nothing is fetched, and it looks as
 * it did.
 *
 * Pictures are compared with `baseline/NAME.THEME.jpg`: half size, every character a box (blocks.ttf), so that neither
 * the fonts nor the smoothing of a machine matter. LM_TRANSPARENCY_UPDATE=1 writes them anew; look at them before they
 * are committed.
 */
import fs from "node:fs";
import path from "node:path";
import axe from "axe-core";
import type { BrowserContext, Page } from "playwright-core";
import { galleryCases, type GalleryPages, openGallery } from "../support/gallery-pages";
import { ARTIFACTS } from "../support/jupyter";

const BASELINE = path.join(__dirname, "baseline");
const UPDATE = process.env.LM_TRANSPARENCY_UPDATE === "1";
/** Share of a picture that may differ: a line that breaks elsewhere moves more than this. */
const MOST_DIFFERENT = 0.01;
/** Many marks: checked in one theme, and not for the contrast of each. */
const HUGE = /-(huge|128|1024)$/;
/** Variants of what is checked in both themes. */
const LIGHT_ONLY = /-(huge|128|1024|400|wide|strange|limit|demo|one-token|parallel|running)$/;

let gallery: GalleryPages;
let context: BrowserContext;
let page: Page;
const errors: string[] = [];

beforeAll(async () => {
  gallery = await openGallery();
  context = await gallery.context({ scale: 0.5 });
  const font = fs.readFileSync(path.join(__dirname, "blocks.ttf")).toString("base64");
  await context.addInitScript((data) => {
    window.alert = () => {
      throw new Error("a token's script ran");
    };
    // From bytes: a font that is named by a URL, even one with the data in it, is fetched, and on a busy machine a
    // fetch fails now and then.
    document.fonts.add(
      new FontFace(
        "Blocks",
        Uint8Array.from(atob(data), (character) => character.charCodeAt(0)),
      ),
    );
    document.addEventListener("DOMContentLoaded", () => {
      const style = document.createElement("style");
      style.textContent = ":root{--lmt-font:Blocks;--lmt-font-mono:Blocks}";
      document.head.append(style);
    });
  }, font);
  page = await context.newPage();
  page.on("pageerror", (error) => errors.push(error.message));
  page.on(
    "console",
    (message) =>
      message.type() === "error" && !message.location().url.endsWith("/favicon.ico") && errors.push(message.text()),
  );
}, 120_000);
afterAll(() => gallery?.stop(), 30_000);

async function show(name: string, theme: "light" | "dark"): Promise<void> {
  // What is beyond the window asks nothing.
  const width = Number(/-w(\d+)$/.exec(name)?.[1] ?? 0);
  await page.setViewportSize({ width: Math.max(1400, width + 40), height: 900 });
  await page.goto(`${gallery.url}?only=${name}&theme=${theme}`);
  expect(await page.evaluate(() => [...document.fonts].map(({ family, status }) => `${family}: ${status}`))).toEqual([
    "Blocks: loaded",
  ]);
  // Settled: no change of size or content for three times in a row, each after a frame and a moment in which the page
  // had nothing to do.
  await page.evaluate(async () => {
    const text = (root: ParentNode): string =>
      [...root.querySelectorAll("*")]
        .map((element) => (element.shadowRoot ? text(element.shadowRoot) : "") + element.childElementCount)
        .join();
    let same = 0;
    let before = "";
    for (let i = 0; i < 300 && same < 3; i++) {
      await new Promise((done) => setTimeout(done, 60));
      await new Promise((done) => requestAnimationFrame(done));
      await new Promise((done) => requestIdleCallback(done, { timeout: 2000 }));
      const now = `${document.body.scrollHeight} ${text(document)}`;
      same = now === before ? same + 1 : 0;
      before = now;
    }
  });
}

/** Share of 4 × 4 squares whose mean colour differs visibly, and whether the sizes are the same but for rounding. */
function difference(now: Buffer, then: Buffer): Promise<{ share: number; sizes: number[] }> {
  return page.evaluate(
    async ([a, b]) => {
      const squares = async (data: string): Promise<ImageData> => {
        const image = new Image();
        image.src = `data:image/jpeg;base64,${data}`;
        await image.decode();
        const canvas = new OffscreenCanvas(image.width >> 2, image.height >> 2);
        const pen = canvas.getContext("2d")!;
        pen.imageSmoothingQuality = "high";
        pen.drawImage(image, 0, 0, canvas.width, canvas.height);
        return pen.getImageData(0, 0, canvas.width, canvas.height);
      };
      const [x, y] = [await squares(a), await squares(b)];
      const width = Math.min(x.width, y.width);
      const height = Math.min(x.height, y.height);
      let differing = 0;
      for (let row = 0; row < height; row++) {
        for (let column = 0; column < width; column++) {
          const i = 4 * (row * x.width + column);
          const j = 4 * (row * y.width + column);
          if (Math.max(...[0, 1, 2].map((c) => Math.abs(x.data[i + c] - y.data[j + c]))) > 40) differing++;
        }
      }
      return { share: differing / (width * height), sizes: [x.width, x.height, y.width, y.height] };
    },
    [now.toString("base64"), then.toString("base64")] as const,
  );
}

test("the list of cases is the gallery's, and each element has its states", async () => {
  await page.goto(`${gallery.url}?only=none`);
  const all = await gallery.context();
  const other = await all.newPage();
  await other.goto(gallery.url, { waitUntil: "domcontentloaded" });
  expect(
    await other.locator("body > section").evaluateAll((sections) => sections.map((section) => section.id).sort()),
  ).toEqual([...galleryCases].sort());
  await all.close();
  for (const element of ["graph", "matrix", "grid", "model-panel", "explore"]) {
    expect(galleryCases.filter((name) => name === element || name.startsWith(`${element}-`)).length).toBeGreaterThan(3);
  }
}, 120_000);

const themes = galleryCases.flatMap((name): [string, "light" | "dark"][] =>
  LIGHT_ONLY.test(name)
    ? [[name, "light"]]
    : [
        [name, "light"],
        [name, "dark"],
      ],
);

test.each(themes)(
  "%s, %s",
  async (name, theme) => {
    errors.length = 0;
    await show(name, theme);
    expect(errors).toEqual([]);
    const stage = page.locator(`#${name} .stage`);
    expect(
      await stage
        .locator("> *")
        .first()
        .evaluate((element) => element.shadowRoot?.childElementCount),
    ).toBeGreaterThan(0);

    // What is wider than its place must scroll inside, not push the page.
    const [inner, outer] = await stage.evaluate((element) => [element.scrollWidth, element.clientWidth]);
    expect(inner).toBeLessThanOrEqual(outer + 1);

    await page.addScriptTag({ content: axe.source });
    const found = await page.evaluate(
      async ([id, huge, dark]) => {
        const { axe: checker } = window as unknown as {
          axe: {
            run(
              node: Element | null,
              options: object,
            ): Promise<{ violations: { id: string; nodes: { target: unknown; failureSummary?: string }[] }[] }>;
          };
        };
        const result = await checker.run(document.getElementById(id), {
          resultTypes: ["violations"],
          // The theme changes colours and nothing else.
          ...(dark ? { runOnly: ["color-contrast"] } : {}),
          // Landmarks are for whole pages.
          rules: dark
            ? {}
            : { region: { enabled: false }, "target-size": { enabled: !huge }, "color-contrast": { enabled: !huge } },
        });
        return result.violations.map(
          (violation) =>
            `${violation.id}: ${violation.nodes
              .slice(0, 3)
              .map((node) => `${JSON.stringify(node.target)} ${node.failureSummary ?? ""}`)
              .join("; ")}`,
        );
      },
      [name, HUGE.test(name), theme === "dark"] as const,
    );
    expect(found).toEqual([]);

    const file = path.join(BASELINE, `${name}.${theme}.jpg`);
    const picture = (): Promise<Buffer> =>
      page.locator(`#${name}`).screenshot({ type: "jpeg", quality: 45, animations: "disabled" });
    let now = await picture();
    if (UPDATE) {
      fs.mkdirSync(BASELINE, { recursive: true });
      fs.writeFileSync(file, now);
      return;
    }
    if (!fs.existsSync(file))
      throw new Error(
        `There is no ${path.relative(process.cwd(), file)}: run this test with LM_TRANSPARENCY_UPDATE=1 and look at what it writes.`,
      );
    const baseline = fs.readFileSync(file);
    // The page tells when its elements stopped changing, but not when Chromium has painted the last change.
    let measured: Awaited<ReturnType<typeof difference>>;
    const same = (): boolean =>
      measured.share < MOST_DIFFERENT &&
      Math.abs(measured.sizes[0] - measured.sizes[2]) <= 1 &&
      Math.abs(measured.sizes[1] - measured.sizes[3]) <= 1;
    for (let i = 0; ; i++) {
      measured = await difference(now, baseline);
      if (same() || i === 5) break;
      if (i === 2) await show(name, theme);
      else await page.waitForTimeout(1000);
      now = await picture();
    }
    if (!same()) {
      fs.mkdirSync(ARTIFACTS, { recursive: true });
      const artifact = path.join(ARTIFACTS, `gallery-${name}.${theme}.jpg`);
      fs.writeFileSync(artifact, now);
      throw new Error(
        `It looks other than it did: ${(measured.share * 100).toFixed(1)} % of it differs (${100 * MOST_DIFFERENT} % may), the size is ${measured.sizes.slice(0, 2).join(" × ")} (was ${measured.sizes.slice(2).join(" × ")}) squares of 8 pixels. See ${path.relative(process.cwd(), artifact)} beside ${path.relative(process.cwd(), file)}.`,
      );
    }
  },
  120_000,
);

test("nothing was fetched from anywhere else", () => {
  expect(gallery.outside).toEqual([]);
});
