/**
 * `npm run bench -- widgets`: frame times while panning and zooming, and milliseconds from a click to its answer on screen, for 32, 128 and
 * 256 tokens × 32 layers, in Chromium with made-up answers: what the pictures themselves cost, without kernel.
 */
import { existsSync } from "node:fs";
import { chromium } from "playwright-core";
import { buildGallery, serveGallery } from "../widgets/gallery/serve.mjs";

const executablePath = [process.env.LM_TRANSPARENCY_CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find((file) => file && existsSync(file));
if (!executablePath) throw new Error('No Chromium found: install it ("apt install chromium") or set LM_TRANSPARENCY_CHROMIUM to its path.');

await buildGallery();
const gallery = await serveGallery(0);
const browser = await chromium.launch({ executablePath, args: ["--disable-gpu", ...(process.getuid?.() === 0 ? ["--no-sandbox"] : [])] });
const median = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)];
const worst = (values) => values.sort((a, b) => a - b)[Math.floor(values.length * 0.95)];

try {
  console.log("tokens  edges  first drawn  pan: script  frame   95 %   zoom: script   click→shown   hover→mark   (median ms)");
  for (const tokens of [32, 128, 256]) {
    const page = await browser.newPage({ viewport: { width: 1200, height: 900 } });
    await page.goto(`${gallery.url}?only=bench-${tokens}`);
    const result = await page.evaluate(async () => {
      const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
      const until = async (test) => {
        const start = performance.now();
        while (!test()) {
          if (performance.now() - start > 20_000) throw new Error("nothing appeared");
          await frame();
        }
        return performance.now() - start;
      };
      const panel = document.querySelector("lmt-flow-panel");
      await until(() => panel.shadowRoot?.querySelector("lmt-flow-graph")?.routes);
      const first = performance.now();
      const graph = panel.shadowRoot.querySelector("lmt-flow-graph");
      const svg = graph.shadowRoot.querySelector("svg.plot");
      for (let i = 0; i < 5; i++) await frame();
      // Zoom in once, so that even a short prompt can be panned.
      const box = svg.getBoundingClientRect();
      const at = { clientX: box.left + box.width / 2, clientY: box.top + 300, bubbles: true, composed: true, cancelable: true, view: window };
      const wheel = (deltaY) => svg.dispatchEvent(new WheelEvent("wheel", { ...at, deltaY, ctrlKey: true }));
      const zooms = [];
      const timed = async (action, scripts, frames) => {
        await frame();
        const start = performance.now();
        action();
        const acted = performance.now();
        // The canvas is painted in the next animation frame: its script counts too.
        await frame();
        const painting = performance.now();
        await new Promise((resolve) => setTimeout(resolve, 0));
        scripts.push(acted - start + Math.max(0, performance.now() - painting));
        frames.push(performance.now() - start);
      };
      const none = [];
      for (let i = 0; i < 20; i++) await timed(() => wheel(i % 2 ? 60 : -60), zooms, none);
      wheel(-200);
      await frame();
      const scripts = [];
      const frames = [];
      svg.dispatchEvent(new MouseEvent("mousedown", { ...at, button: 0 }));
      let last = performance.now();
      for (let i = 0; i < 80; i++) {
        const start = performance.now();
        window.dispatchEvent(new MouseEvent("mousemove", { ...at, clientX: at.clientX + (i < 40 ? 6 * i : 6 * (80 - i)), clientY: at.clientY + (i % 7) }));
        const acted = performance.now() - start;
        await frame();
        scripts.push(acted);
        frames.push(performance.now() - last);
        last = performance.now();
      }
      window.dispatchEvent(new MouseEvent("mouseup", at));
      await frame();
      const store = graph.store;
      const layers = graph.source.facts.model.nLayers;
      const clicks = [];
      for (let i = 0; i < 20; i++) {
        const node = `I${(i * 7) % layers}_${graph.source.facts.tokens.length - 1 - (i % 5)}`;
        const start = performance.now();
        store.set({ focus: { kind: "node", node } }, "bench");
        await until(() => {
          const table = panel.shadowRoot.querySelector("lmt-detail-panel")?.shadowRoot.querySelector("lmt-token-table")?.shadowRoot;
          return table?.querySelector("h3 span")?.textContent === node && table.querySelector("tbody tr");
        });
        clicks.push(performance.now() - start);
      }
      const hovers = [];
      for (let i = 0; i < 40; i++) {
        const start = performance.now();
        svg.dispatchEvent(new PointerEvent("pointermove", { ...at, clientX: at.clientX + (i % 8) * 12, clientY: at.clientY + i }));
        await graph.updateComplete;
        hovers.push(performance.now() - start);
      }
      return { first, edges: graph.routes.edges.length, zooms, scripts, frames, clicks, hovers };
    });
    const n = (value, width) => value.toFixed(1).padStart(width);
    console.log(
      `${String(tokens).padStart(6)} ${String(result.edges).padStart(6)} ${n(result.first, 11)} ${n(median(result.scripts), 12)} ${n(median(result.frames), 8)} ${n(worst(result.frames), 6)} ${n(median(result.zooms), 13)} ${n(median(result.clicks), 13)} ${n(median(result.hovers), 12)}`,
    );
    await page.close();
  }
  console.log("A frame cannot be shorter than 16.7 ms at 60 Hz; “script” is what we spend of it.");
} finally {
  await browser.close();
  gallery.close();
}
