/** Pages of the gallery in a Chromium, for tests that look at every element. */
import fs from "node:fs";
import path from "node:path";
import type { Browser, BrowserContext } from "playwright-core";
import { startGallery } from "./gallery";
import { BUSY_MS, launchChromium, refuseOutside, ROOT } from "./jupyter";

/** Names of all cases, read from the gallery's sources, so that each can be a test of its own. */
export const galleryCases: readonly string[] = [
  "index.ts",
  ...fs.readdirSync(path.join(ROOT, "widgets/gallery")).filter((file) => file.endsWith("-cases.ts")),
].flatMap((file) =>
  [...fs.readFileSync(path.join(ROOT, "widgets/gallery", file), "utf8").matchAll(/\bname: "([a-z0-9-]+)"/g)].map(
    (match) => match[1],
  ),
);

export interface GalleryPages {
  readonly url: string;
  readonly browser: Browser;
  /** Requests that left the machine. */
  readonly outside: string[];
  /** A fresh profile, without motion. */
  context(options?: {
    readonly width?: number;
    readonly height?: number;
    readonly scale?: number;
  }): Promise<BrowserContext>;
  stop(): Promise<void>;
}

export async function openGallery(): Promise<GalleryPages> {
  const gallery = await startGallery();
  // A machine's own setting of hinting would change how long a word is.
  const browser = await launchChromium({ FONTCONFIG_FILE: path.join(__dirname, "fonts.conf") });
  const outside: string[] = [];
  return {
    url: gallery.url,
    browser,
    outside,
    async context({ width = 1400, height = 900, scale = 1 } = {}) {
      const context = await browser.newContext({
        viewport: { width, height },
        deviceScaleFactor: scale,
        reducedMotion: "reduce",
      });
      context.setDefaultTimeout(BUSY_MS);
      await refuseOutside(context, outside);
      return context;
    },
    async stop() {
      await browser.close();
      await gallery.stop();
    },
  };
}
