/**
 * `npm run bench -- widgets`: in Chromium without a graphics processor, first the pictures themselves with made-up
 * answers (frames of panning, zooming, hovering and scrolling at 32, 128 and 256 tokens × 32 layers; maps of 1024
 * tokens), then every kind of click in the Explorer of a real JupyterLab on GPT-2-small's shape, from the pointer's
 * event to the frame that shows what follows. Frames are not held to the display's rate, so that one takes what it
 * costs. `npm run bench -- widgets 128` asks for one number of tokens.
 */
import { randomModel } from "./support/yardstick.mjs";
import { clickLatencies } from "./support/clicks.mjs";
import { chromiumPath, launchChromium } from "./support/lab.mjs";
import { buildGallery, serveGallery } from "../widgets/gallery/serve.mjs";

if (!chromiumPath)
  throw new Error(
    'No Chromium found: install it ("apt install chromium") or set LM_TRANSPARENCY_CHROMIUM to its path.',
  );
const chosen = process.argv
  .slice(2)
  .map(Number)
  .filter((tokens) => tokens > 0);
const sizes = chosen.length ? chosen : [32, 128, 256];
const FRAME_MS = 16;
/** What a click at `CLICK_TOKENS` tokens may take. */
const CLICK_MS = 100;
const CLICK_TOKENS = 128;
const sorted = (values) => [...values].sort((a, b) => a - b);
const median = (values) => sorted(values)[values.length >> 1];
const most = (values) => sorted(values)[Math.floor(values.length * 0.95)];
const ms = (value) => `${value.toFixed(1)} ms`;

/** Runs in the page: how long frames take in which something moves. */
function frames() {
  const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  const timed = async (count, act) => {
    const times = [];
    await frame();
    let last = performance.now();
    for (let i = 0; i < count; i++) {
      act(i);
      await frame();
      const now = performance.now();
      times.push(now - last);
      last = now;
    }
    // The first frames warm up.
    return times.slice(3);
  };
  const until = async (test) => {
    const begun = performance.now();
    while (!test()) {
      if (performance.now() - begun > 30_000) throw new Error("nothing appeared");
      await frame();
    }
  };
  const mouse = (type, target, at, more = {}) =>
    target.dispatchEvent(
      new (type.startsWith("pointer") ? PointerEvent : type === "wheel" ? WheelEvent : MouseEvent)(type, {
        ...at,
        bubbles: true,
        composed: true,
        cancelable: true,
        view: window,
        ...more,
      }),
    );
  window.frames_ = {
    async graph() {
      const panel = document.querySelector("lmt-flow-panel");
      await until(() => panel.shadowRoot?.querySelector("lmt-flow-graph")?.routes);
      const graph = panel.shadowRoot.querySelector("lmt-flow-graph");
      const svg = graph.shadowRoot.querySelector("svg.plot");
      for (let i = 0; i < 5; i++) await frame();
      const box = svg.getBoundingClientRect();
      const at = { clientX: box.left + box.width / 2, clientY: box.top + 300 };
      const zoom = await timed(63, (i) => mouse("wheel", svg, at, { deltaY: i % 40 < 20 ? -25 : 25, ctrlKey: true }));
      // Zoomed in, so that even a short prompt can be panned.
      mouse("wheel", svg, at, { deltaY: -200, ctrlKey: true });
      await new Promise((resolve) => setTimeout(resolve, 400));
      mouse("mousedown", svg, at, { button: 0 });
      const pan = await timed(123, (i) =>
        mouse("mousemove", window, {
          clientX: at.clientX + (i < 60 ? 6 * i : 6 * (120 - i)),
          clientY: at.clientY + (i % 7),
        }),
      );
      mouse("mouseup", window, at);
      const hover = await timed(83, (i) =>
        mouse("pointermove", svg, { clientX: at.clientX + (i % 8) * 12, clientY: at.clientY + 2 * i }),
      );
      return { edges: graph.routes.edges.length, pan, zoom, hover };
    },
    async grid() {
      const element = document.querySelector("lmt-lens-grid");
      await until(
        () => element.shadowRoot?.querySelector("[role=gridcell]") && !element.shadowRoot.querySelector("progress"),
      );
      const scroller = element.shadowRoot.querySelector(".scroll");
      return { scroll: await timed(123, (i) => (scroller.scrollLeft = 90 * i)) };
    },
    async maps() {
      const element = document.querySelector("lmt-token-matrix");
      await until(() => element.shadowRoot?.querySelector("canvas.map"));
      for (let i = 0; i < 5; i++) await frame();
      const canvas = element.shadowRoot.querySelector("canvas.map");
      const box = canvas.getBoundingClientRect();
      const at = { clientX: box.left + box.width / 2, clientY: box.top + box.height / 2 };
      const hover = await timed(83, (i) =>
        mouse("pointermove", canvas, { clientX: at.clientX - i, clientY: at.clientY + i }),
      );
      const zoom = await timed(83, (i) =>
        mouse("wheel", canvas, at, { deltaY: i % 80 < 40 ? -40 : 40, ctrlKey: true }),
      );
      for (let i = 0; i < 10; i++) mouse("wheel", canvas, at, { deltaY: -200, ctrlKey: true });
      mouse("mousedown", canvas, at, { button: 0 });
      const pan = await timed(83, (i) =>
        mouse("mousemove", window, { clientX: at.clientX + 3 * i, clientY: at.clientY + 2 * i }),
      );
      mouse("mouseup", window, at);
      return { hover, zoom, pan };
    },
  };
}

await buildGallery();
const gallery = await serveGallery(0);
const browser = await launchChromium("--disable-frame-rate-limit", "--disable-gpu-vsync");
const rows = [];
let missed = false;
const row = (what, times, limit) => {
  const ok = median(times) <= limit;
  missed ||= !ok;
  rows.push({
    what,
    median: ms(median(times)),
    "95 %": ms(most(times)),
    n: times.length,
    "must be ≤": ms(limit),
    "": ok ? "ok" : "MISSED",
  });
};
async function inGallery(name, part) {
  const page = await browser.newPage({ viewport: { width: 1200, height: 900 } });
  await page.goto(`${gallery.url}?only=${name}`);
  await page.evaluate(frames);
  const result = await page.evaluate((which) => window.frames_[which](), part);
  await page.close();
  return result;
}
try {
  for (const tokens of sizes) {
    if (![32, 128, 256].includes(tokens)) continue;
    const { edges, pan, zoom, hover } = await inGallery(`bench-${tokens}`, "graph");
    row(`graph, ${tokens} tokens × 32 layers, ${edges} edges: a frame of panning`, pan, FRAME_MS);
    row("… of zooming", zoom, FRAME_MS);
    row("… of hovering", hover, FRAME_MS);
  }
  row("lens grid, 256 × 33 states: a frame of scrolling", (await inGallery("grid-huge", "grid")).scroll, FRAME_MS);
  const maps = await inGallery("matrix-1024", "maps");
  for (const [name, times] of Object.entries(maps))
    row(
      `two maps of 1024 × 1024: a frame of ${{ hover: "hovering", zoom: "zooming", pan: "panning" }[name]}`,
      times,
      FRAME_MS,
    );
} finally {
  await browser.close();
  gallery.close();
}
console.table(rows);

let folder;
try {
  folder = randomModel("gpt2-peaked");
} catch (error) {
  console.log(`No model to click in: ${error.message.split("\n")[0]}`);
}
for (const tokens of folder === undefined ? [] : sizes) {
  const measured = await clickLatencies({
    folder,
    tokens,
    expression: "run.explorer({ selection: { threshold: 0.02 } })",
  });
  if (!measured) {
    console.log("No Chromium or no .venv: clicks in JupyterLab are not measured.");
    break;
  }
  console.log(
    `\nJupyterLab, GPT-2 small's shape, ${tokens} tokens, ${measured.edges} edges (${measured.attention} of attention to other tokens): cell run → graph drawn ${ms(measured.first)}`,
  );
  console.table(
    measured.rows.map(({ what, median: middle, worst, n }) => {
      const limited = tokens === CLICK_TOKENS;
      const ok = middle <= CLICK_MS || !limited;
      missed ||= !ok;
      return {
        "click → shown": what,
        median: ms(middle),
        worst: ms(worst),
        n,
        "must be ≤": limited ? ms(CLICK_MS) : "",
        "": !limited ? "" : ok ? "ok" : "MISSED",
      };
    }),
  );
}
process.exit(missed ? 1 : 0);
