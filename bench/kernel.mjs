/**
 * `npm run bench -- kernel`: how fast the kernel is there, runs cells, and answers comm messages while a cell awaits;
 * and in Chromium, before a real JupyterLab, the round trip of a click (a real mouse on a stock Button) with an empty
 * answer and with 1 MB of random bytes, which are checked outside of the time that is measured: from the pointer
 * event's own time stamp to the end of the frame that shows the answer. `node bench/kernel.mjs browser` measures that
 * alone.
 */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import Module from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { transformFileSync } from "@swc/core";
import { openPage } from "./support/chromium.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const { KernelClient } = loadTypeScript(join(root, "test/support/kernel-client.ts"));
const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
const rows = [];
let missed = false;
const spread = (values) => {
  const sorted = [...values].sort((a, b) => a - b);
  return `${sorted[Math.floor(sorted.length * 0.1)].toFixed(1)} … ${sorted[Math.floor(sorted.length * 0.9)].toFixed(1)} of ${sorted.length}`;
};
/** Without a limit a number stands there to explain another. */
function row(what, measured, limit, unit = "ms", tenths = "") {
  const ok = limit === undefined || measured <= limit;
  missed ||= !ok;
  rows.push({
    what,
    measured: `${measured.toFixed(measured < 10 ? 2 : 0)} ${unit}`,
    "10 … 90 %": tenths,
    "must be ≤": limit === undefined ? "" : `${limit} ${unit}`,
    "": limit === undefined ? "" : ok ? "ok" : "MISSED",
  });
}

/** The tests' client is TypeScript; translated here, in memory. */
function loadTypeScript(path) {
  const { code } = transformFileSync(path, {
    jsc: { target: "es2022", parser: { syntax: "typescript" } },
    module: { type: "commonjs" },
  });
  const made = new Module(path);
  made.filename = path;
  made.paths = Module._nodeModulePaths(dirname(path));
  made._compile(code, path);
  return made.exports;
}

async function start() {
  const [ready, first, second] = [[], [], []];
  for (let i = 0; i < 5; i++) {
    const begun = performance.now();
    const kernel = await KernelClient.start();
    ready.push(performance.now() - begun);
    await kernel.execute("const x: number = 1;\nx");
    first.push(performance.now() - begun);
    const times = [];
    for (let n = 0; n < 20; n++) {
      const at = performance.now();
      await kernel.execute(`x + ${n}`);
      times.push(performance.now() - at);
    }
    second.push(median(times));
    await kernel.close();
  }
  row("process started → kernel_info answered", median(ready), 1500);
  row("process started → first cell's result", median(first), 3000);
  row("a trivial cell, sent → idle", median(second), 100);
}

async function whileAwaiting() {
  const kernel = await KernelClient.start({ cwd: join(root, "notebooks") });
  const imported = performance.now();
  await kernel.execute(
    'import { loadModel } from "lm-transparency";\nimport { commHost } from "lm-transparency/ipywidgets";\ncommHost().registerTarget("echo", (comm) => comm.onMessage(({ data }) => comm.send(data)));',
  );
  row("a cell that imports the library", performance.now() - imported, 3000);
  kernel.send("shell", "comm_open", { comm_id: "e", target_name: "echo", data: {} });
  const { randomModel } = await import("./support/yardstick.mjs");
  let folder;
  try {
    folder = randomModel("gpt2");
  } catch (error) {
    console.log(`No model to run meanwhile: ${error.message.split("\n")[0]}`);
  }
  const work =
    folder === undefined
      ? "for (let i = 0; i < 40; i++) await new Promise((r) => setTimeout(r, 50));"
      : `const model = await loadModel(${JSON.stringify(folder)});\nfor (let i = 0; i < 5; i++) { const run = await model.run(Array.from({ length: 128 }, (_, n) => (n * 37 + i) % 5000)); await run.logits(); await run.routes(); await run.dispose(); }`;
  const cell = kernel.submit(work);
  const times = [];
  for (let n = 0; !kernel.isIdle(cell); n++) {
    const begun = performance.now();
    kernel.send("shell", "comm_msg", { comm_id: "e", data: { n } });
    await kernel.until(
      () => kernel.iopub.find((message) => message.content.comm_id === "e" && message.content.data?.n === n),
      10_000,
    );
    times.push(performance.now() - begun);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const { error } = await kernel.finished(cell);
  if (error) throw new Error(error.evalue);
  times.sort((a, b) => a - b);
  row(
    `a comm message answered while a cell ${folder === undefined ? "awaits" : "loads a model, runs it, traces routes"}: median of ${times.length}`,
    median(times),
    100,
  );
  row("… the slowest of 100", times[Math.floor(times.length * 0.99)], 100);
  await kernel.close();
}

/**
 * What the notebook of the browser measurement holds: a comm and a stock button that answer with nothing, or with 1 MB
 * that does not compress.
 */
const CELL = `import { createHash, randomFillSync } from "node:crypto";
import { Button, commHost } from "lm-transparency/ipywidgets";
const bytes = randomFillSync(new Uint8Array(1 << 20));
commHost().registerTarget("bench", (comm) => comm.onMessage(({ data }) => comm.send({}, data.large ? { buffers: [bytes] } : {})));
const button = new Button({ description: "Ask" });
let clicks = 0;
button.on("click", () => { clicks += 1; button.send({ n: clicks }, clicks % 2 === 0 ? [bytes] : []); });
console.log(createHash("sha256").update(bytes).digest("hex"));
button`;
const ROUNDS = { warm: 8, counted: 70 };

/**
 * In the page: runs the cell; measures bare messages at once and prepares the clicks. Gives the button's place and the
 * digest that the kernel printed.
 */
async function preparePage(rounds) {
  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const until = async (find) => {
    for (;;) {
      const found = find();
      if (found) return found;
      await pause(50);
    }
  };
  const panel = () => window.jupyterapp?.shell.currentWidget;
  const kernel = await until(
    () =>
      panel()?.sessionContext?.session?.kernel?.connectionStatus === "connected" &&
      panel().sessionContext.session.kernel,
  );
  await until(() => document.querySelector(".jp-Notebook .jp-Cell"));
  await window.jupyterapp.commands.execute("notebook:run-cell");
  const element = await until(() => document.querySelector(".jp-OutputArea button.jupyter-button"));
  const printed = panel()
    .content.widgets[0].model.outputs.toJSON()
    .find((output) => output.output_type === "stream").text;
  const digest = (Array.isArray(printed) ? printed.join("") : printed).trim();
  const check = async (buffer) => {
    if (!(buffer instanceof DataView)) throw new Error("the answer's buffer is no DataView");
    const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", buffer));
    if (Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("") !== digest)
      throw new Error("the answer's bytes are not those that were sent");
  };
  const comm = kernel.createComm("bench");
  await comm.open({}).done;
  const bare = { empty: [], large: [] };
  for (let n = 0; n < rounds.warm + rounds.counted; n++) {
    // In turns, so that both see the same machine; a pause, as between clicks.
    for (const large of [false, true]) {
      const [time, buffers] = await new Promise((resolve) => {
        const begun = performance.now();
        comm.onMsg = (message) => resolve([performance.now() - begun, message.buffers ?? []]);
        comm.send({ large });
      });
      if (buffers.length !== (large ? 1 : 0)) throw new Error(`the answer had ${buffers.length} buffers`);
      if (large) await check(buffers[0]);
      if (n >= rounds.warm) bare[large ? "large" : "empty"].push(time);
      await pause(60);
    }
  }
  // The button's answers, as its model gets them: each draws its number beside the button.
  const answers = (window.lmtAnswers = []);
  const painted = (window.lmtPainted = {});
  new PerformanceObserver((list) =>
    list.getEntries().forEach((entry) => (painted[entry.identifier] = entry.renderTime)),
  ).observe({ type: "element" });
  const place = element.parentElement.appendChild(document.createElement("div"));
  let clicked = 0;
  element.addEventListener("click", (event) => (clicked = event.timeStamp), { capture: true });
  for (const one of kernel._comms.values()) {
    const handle = one.onMsg;
    if (!handle) continue;
    one.onMsg = (message) => {
      const handled = handle(message);
      const { method, content } = message.content.data;
      if (method !== "custom") return handled;
      const line = document.createElement("p");
      line.textContent = `answer ${content.n}`;
      line.setAttribute("elementtiming", String(content.n));
      place.replaceChildren(line);
      const [click, arrived, buffers] = [clicked, performance.now(), message.buffers ?? []];
      requestAnimationFrame(() =>
        requestAnimationFrame(async (frame) => {
          const shown = performance.now();
          if (buffers.length > 0) await check(buffers[0]);
          answers.push({
            n: content.n,
            large: buffers.length > 0,
            arrived: arrived - click,
            shown: Math.max(frame, shown) - click,
            click,
          });
        }),
      );
      return handled;
    };
  }
  element.scrollIntoView({ block: "center" });
  const { x, y, width, height } = element.getBoundingClientRect();
  return { bare, x: x + width / 2, y: y + height / 2 };
}

async function inBrowser() {
  const executablePath = [
    process.env.LM_TRANSPARENCY_CHROMIUM,
    "/usr/bin/chromium",
    "/usr/bin/chromium-browser",
    "/usr/bin/google-chrome",
  ].find((file) => file && existsSync(file));
  if (executablePath === undefined || !existsSync(join(root, ".venv"))) {
    console.log("No Chromium or no .venv: the round trip in the browser is not measured.");
    return;
  }
  const folder = mkdtempSync(join(tmpdir(), "lmt-bench-"));
  writeFileSync(
    join(folder, "work.ipynb"),
    JSON.stringify({
      nbformat: 4,
      nbformat_minor: 5,
      metadata: {
        kernelspec: { name: "lm-transparency", display_name: "TypeScript (lm-transparency)", language: "typescript" },
      },
      cells: [{ cell_type: "code", id: "a", metadata: {}, execution_count: null, outputs: [], source: CELL }],
    }),
  );
  const server = spawn(
    process.execPath,
    [
      join(root, "test/support/lab-server.mjs"),
      JSON.stringify({
        home: join(folder, "home"),
        folder,
        app: "lab",
        args: ["--LabApp.expose_app_in_browser=True"],
        env: {},
      }),
    ],
    { stdio: ["pipe", "pipe", "inherit"] },
  );
  const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  let page;
  try {
    const { base, token } = JSON.parse(
      await new Promise((resolve, reject) => {
        let text = "";
        server.stdout.on("data", (chunk) => (text += chunk).includes("\n") && resolve(text));
        server.once("exit", () => reject(new Error("JupyterLab did not start.")));
      }),
    );
    page = await openPage(executablePath, `${base}lab/tree/work.ipynb?token=${token}&reset`);
    // The page's address changes while it loads, which ends what runs in it.
    for (
      const begun = Date.now();
      !(await page.evaluate("document.querySelector('.jp-Notebook .jp-Cell') !== null").catch(() => false));
      await wait(200)
    ) {
      if (Date.now() - begun > 90_000) throw new Error("JupyterLab did not show the notebook.");
    }
    const { bare, x, y } = await page.evaluate(`(${preparePage})(${JSON.stringify(ROUNDS)})`);
    for (let n = 0; n < 2 * (ROUNDS.warm + ROUNDS.counted); n++) {
      const at = { x, y, button: "left", clickCount: 1 };
      await page.send("Input.dispatchMouseEvent", { type: "mouseMoved", x, y });
      await page.send("Input.dispatchMouseEvent", { ...at, type: "mousePressed" });
      // Uneven, so that clicks do not march in step with the frames.
      await wait(60 + 30 * Math.random());
      await page.send("Input.dispatchMouseEvent", { ...at, type: "mouseReleased" });
      await wait(120 + 30 * Math.random());
      for (let tries = 0; (await page.evaluate("window.lmtAnswers.length")) <= n; tries++) {
        if (tries > 200) throw new Error(`click ${n + 1} was not answered`);
        await wait(50);
      }
    }
    await wait(300);
    const answers = JSON.parse(
      await page.evaluate(
        "JSON.stringify(window.lmtAnswers.map((one) => ({ ...one, painted: window.lmtPainted[one.n] - one.click })))",
      ),
    ).slice(2 * ROUNDS.warm);
    const clicks = (name, large) => answers.filter((one) => one.large === large).map((one) => one[name]);
    const compare = (what, empty, large, limits) => {
      for (const [which, times, limit] of [
        ["empty answer", empty, limits?.[0]],
        ["1 MB answer", large, limits?.[1]],
      ])
        row(`browser: ${what}, ${which}`, median(times), limit, "ms", spread(times));
      row("… 1 MB against empty", median(large) / median(empty), limits?.[2], "×");
    };
    compare(
      "click → the frame with the answer is over",
      clicks("shown", false),
      clicks("shown", true),
      [100, 120, 1.2],
    );
    compare("click → answer painted (Element Timing)", clicks("painted", false), clicks("painted", true));
    compare("click → answer in the widget's callback", clicks("arrived", false), clicks("arrived", true));
    compare("a bare comm message and its answer", bare.empty, bare.large);
  } finally {
    await page?.close();
    server.stdin.end();
    await new Promise((resolve) => (server.exitCode === null ? server.once("exit", resolve) : resolve()));
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

console.log(`Node ${process.version}; medians.`);
if (process.argv[2] !== "browser") {
  await start();
  await whileAwaiting();
}
await inBrowser();
console.table(rows);
process.exit(missed ? 1 : 0);
