import { spawn } from "node:child_process";
import { Worker } from "node:worker_threads";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { createEngine, type Engine } from "../../src/engine";
import { openModel } from "../../src/model/open";
import { root } from "../support/fixtures";
import { longModel } from "../support/long-model";

let folder: string;
beforeAll(() => (folder = longModel()));
afterAll(() => fs.rmSync(folder, { recursive: true }));

const prompt = (nTokens: number) => Array.from({ length: nTokens }, (_, i) => 3 + (i % 250));

async function open(): Promise<Engine> {
  return createEngine(await openModel(folder));
}

describe("in this process", () => {
  let engine: Engine;
  beforeAll(async () => (engine = await open()));
  afterAll(() => engine.dispose());

  test("a cancelled run rejects with an AbortError before it is done, and the engine goes on", async () => {
    const controller = new AbortController();
    const layers: number[] = [];
    const run = engine.forward(prompt(3000), {
      signal: controller.signal,
      onProgress: ({ done, total, unit }) => {
        layers.push(done);
        expect([total, unit]).toEqual([3, "layers"]);
        controller.abort();
      },
    });
    await expect(run).rejects.toMatchObject({ name: "AbortError" });
    const pass = await engine.forward(prompt(4));
    expect((await pass.logits(3)).dims).toEqual([300]);
    // Later layers would have reported by now: the thread answers in turn.
    expect(layers).toEqual([1]);
  });

  test("a signal that has fired already rejects at once", async () => {
    await expect(engine.forward(prompt(4), { signal: AbortSignal.abort() })).rejects.toMatchObject({
      name: "AbortError",
    });
  });

  test("the event loop turns while the engine computes", async () => {
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    await engine.forward(prompt(2000));
    clearInterval(timer);
    // Blocked, it would not turn once.
    expect(turns).toBeGreaterThan(2);
  });

  test("a short question is answered before a long run is done", async () => {
    const order: string[] = [];
    const long = engine.forward(prompt(3000)).then(() => order.push("long"));
    const short = engine.neuronOutput(1, 2).then(() => order.push("short"));
    await Promise.all([long, short]);
    expect(order).toEqual(["short", "long"]);
  });

  test("questions asked at once get the answers that they get alone", async () => {
    const passes = await Promise.all([5, 9, 7].map((n) => engine.forward(prompt(n), { keep: ["pattern"] })));
    const together = await Promise.all(passes.map((pass) => pass.fetch(1, ["value_out", "ffn_post", "pattern"])));
    for (const [i, n] of [5, 9, 7].entries()) {
      const alone = await (await engine.forward(prompt(n))).fetch(1, ["value_out", "ffn_post", "pattern"]);
      expect(together[i]).toEqual(alone);
    }
  });

  test("tensors are shared memory", async () => {
    const pass = await engine.forward(prompt(3), { keep: ["pattern"] });
    const { pattern, resid_pre, value_out } = await pass.fetch(0, ["pattern", "resid_pre", "value_out"]);
    // By its tag: the test runs in a realm of its own.
    for (const tensor of [pattern, resid_pre, value_out])
      expect(Object.prototype.toString.call(tensor.data.buffer)).toBe("[object SharedArrayBuffer]");
  });

  test.each([
    [[], "The prompt is empty: a run needs at least one token."],
    [[3, 300], "Token id 300 at position 1 does not exist: ids are 0 to 299."],
    [[1.5], "Token id 1.5 at position 0 does not exist: ids are 0 to 299."],
    [prompt(8193), "The prompt has 8193 tokens; this model takes at most 8192."],
  ])("a bad prompt is refused (%#)", async (ids, message) => {
    await expect(engine.forward(ids)).rejects.toThrow(new RangeError(message));
  });

  test("places that do not exist are refused", async () => {
    const pass = await engine.forward(prompt(4));
    await expect(pass.fetch(3, ["pattern"])).rejects.toThrow("There is no layer 3: layers go from 0 to 2.");
    await expect(pass.logits(4)).rejects.toThrow("There is no position 4: positions go from 0 to 3.");
    await expect(engine.neuronOutput(0, 80)).rejects.toThrow("There is no neuron 80: neurons go from 0 to 79.");
    await expect(engine.unembed(new Float32Array(33))).rejects.toThrow(
      "Vectors to unembed have 32 values each; 33 were given.",
    );
    await pass.dispose();
    await expect(pass.logits()).rejects.toThrow("This run was disposed of.");
  });
});

test("disposing during a run ends it, and later questions are refused", async () => {
  const engine = await open();
  const run = engine.forward(prompt(3000));
  const failed = expect(run).rejects.toThrow("The model was disposed of.");
  await engine.dispose();
  await failed;
  await expect(engine.forward(prompt(3))).rejects.toThrow("The model was disposed of.");
  await engine.dispose();
});

test("loading can be cancelled", async () => {
  const controller = new AbortController();
  const loading = createEngine(await openModel(folder), {
    signal: controller.signal,
    onProgress: () => controller.abort(),
  });
  await expect(loading).rejects.toMatchObject({ name: "AbortError" });
});

test("a thread that is gone says so", async () => {
  const made: Worker[] = [];
  const unref = jest.spyOn(Worker.prototype, "unref").mockImplementation(function (this: Worker) {
    made.push(this);
  });
  const engine = await open();
  unref.mockRestore();
  const run = engine.forward(prompt(3000));
  // What no caller can do, and a fault of the thread would.
  made[0].emit("error", new Error("out of memory"));
  const message = "The engine's thread failed: out of memory. Load the model again.";
  await expect(run).rejects.toThrow(message);
  await expect(engine.forward(prompt(3))).rejects.toThrow(message);
  await engine.dispose();
});

test("kept tensors are bounded, the most wanted stay", async () => {
  const files = await openModel(folder);
  // Of 100 tokens: patterns 480 kB, resid_mid 38 kB, ffn_post 96 kB.
  const engine = await createEngine(files, { keepBytes: 100e3 });
  const pass = await engine.forward(prompt(100), { keep: ["pattern", "resid_mid", "ffn_post"] });
  const same = async (name: "pattern" | "resid_mid" | "ffn_post") =>
    (await pass.fetch(1, [name]))[name].data === (await pass.fetch(1, [name]))[name].data;
  expect([await same("pattern"), await same("resid_mid"), await same("ffn_post")]).toEqual([false, true, false]);
  await engine.dispose();
});

test("weights that do not fit the configuration are refused by name", async () => {
  const files = await openModel(folder);
  await expect(createEngine({ ...files, architecture: { ...files.architecture, dFfn: 81 } })).rejects.toThrow(
    /Tensor "model\.layers\.0\.mlp\.gate_proj\.weight" is 80 × 32, but the model's configuration makes it 81 × 32\./,
  );
});

describe("as a process", () => {
  /** Runs a script with `forward` (a run that takes seconds) under way. */
  function script(
    body: string,
    environment: NodeJS.ProcessEnv = process.env,
  ): Promise<{ code: number | null; signal: string | null; output: string }> {
    const source = `
      const { createEngine } = require(${JSON.stringify(path.join(root, "dist/engine"))});
      const { openModel } = require(${JSON.stringify(path.join(root, "dist/model/open"))});
      (async () => {
        const engine = await createEngine(await openModel(${JSON.stringify(folder)}));
        const ids = Array.from({ length: 3000 }, (_, i) => 3 + i % 250);
        ${body}
      })();`;
    return new Promise((resolve) => {
      const child = spawn(process.execPath, ["-e", source], { env: environment });
      let output = "";
      for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (output += String(data)));
      child.on("close", (code, signal) => resolve({ code, signal, output }));
    });
  }

  test("process.exit during a run leaves with its code", async () => {
    expect(await script("void engine.forward(ids).catch(() => {}); setTimeout(() => process.exit(7), 100);")).toEqual({
      code: 7,
      signal: null,
      output: "",
    });
  });

  test("an error that nobody catches during a run leaves with code 1", async () => {
    const { code, signal, output } = await script(
      "void engine.forward(ids).catch(() => {}); setTimeout(() => { throw new Error('mine'); }, 100);",
    );
    expect({ code, signal }).toEqual({ code: 1, signal: null });
    expect(output).toContain("Error: mine");
  });

  test("a process without anything else to do waits for its run and ends by itself", async () => {
    expect(await script("void engine.forward(ids).then(() => console.log('done'));")).toEqual({
      code: 0,
      signal: null,
      output: "done\n",
    });
  });

  test("an engine that is not asked anything keeps no process alive", async () => {
    expect(await script("await engine.forward([3, 4]); console.log('idle');")).toEqual({
      code: 0,
      signal: null,
      output: "idle\n",
    });
  });

  test("onnxruntime's telemetry leaves no file", async () => {
    const home = fs.mkdtempSync(path.join(os.tmpdir(), "home-"));
    // onnxruntime keeps quiet by itself where it thinks that it runs in CI.
    const environment: NodeJS.ProcessEnv = {
      PATH: process.env.PATH,
      HOME: home,
      XDG_CACHE_HOME: path.join(home, ".cache"),
      USERPROFILE: home,
      TMPDIR: home,
    };
    expect(await script("await engine.forward([3, 4]); await engine.dispose();", environment)).toMatchObject({
      code: 0,
    });
    expect(fs.readdirSync(home, { recursive: true })).toEqual([]);
    fs.rmSync(home, { recursive: true });
  });
});
