/**
 * The session behind the controls, on reference models: what is chosen is loaded and run, what cannot be is said, what
 * is replaced is freed.
 */
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import {
  type ExplorerConfig,
  Explore,
  explore,
  ExploreSession,
  Workbench,
  WorkbenchSession,
  workbench,
  loadModel,
  modelPanel,
  promptBar,
  readConfig,
  type Run,
} from "../../src/index";
import { JUPYTER_DISPLAY } from "../../src/jupyter/comm-host";
import { type Payload, PAYLOAD_MIME, readPayload } from "../../src/payload/format";
import { createEngine } from "../../src/engine";
import { availableDevices } from "../../src/engine/devices";
import { openModel } from "../../src/model/open";
import { eventually } from "../support/eventually";
import { modelFolder } from "../support/fixtures";

const gpt2 = modelFolder("gpt2-tiny");
const llama = modelFolder("llama-tiny");
const config = (more: ExplorerConfig = {}): WorkbenchSession =>
  new WorkbenchSession(readConfig({ models: { "some/gpt2": gpt2, llama }, default_model: "some/gpt2", ...more }), {
    prompts: ["a b c", "the the cat"],
  });

const open: WorkbenchSession[] = [];
const session = (more?: ExplorerConfig): WorkbenchSession => {
  const made = config(more);
  open.push(made);
  return made;
};
afterEach(async () => {
  for (const one of open.splice(0)) {
    one.close();
    await one.settled();
  }
});

test("what is chosen at first is loaded from its path and run; the last prompt comes first", async () => {
  const one = session({ threshold: 0.07, renormalize: false });
  expect(one.get("current")).toMatchObject({ model: "some/gpt2", prompt: "the the cat", card: null });
  one.start();
  one.start();
  await one.settled();
  expect(one.get("status")).toEqual({ phase: "idle" });
  expect(one.get("current").card).toMatchObject({ family: "gpt2", nLayers: one.model!.info.nLayers, dtype: "float32" });
  const same = await loadModel(gpt2);
  expect(one.run!.tokens).toEqual(same.tokenize("the the cat"));
  expect(one.picture!.selection).toMatchObject({
    threshold: 0.07,
    renormalize: false,
    normalize: true,
    start: one.run!.tokens.length - 1,
  });
  await same.dispose();
});

test("the menu says which devices this machine does not have, and why", async () => {
  const one = session({ device: "tpu", default_model: "" });
  one.start();
  await eventually(
    async () => one.get("choices").unavailable,
    (unavailable) => expect(unavailable.tpu).toMatch(/^There is no device "tpu"/),
  );
  const { devices, dtypes, unavailable } = one.get("choices");
  expect(devices).toEqual(["auto", "cpu", "gpu", "tpu"]);
  expect(Object.keys(unavailable)).not.toContain("cpu");
  expect(Object.keys(unavailable)).not.toContain("auto");
  const reports = await availableDevices();
  const gpus = reports.filter(({ name }) => ["cuda", "dml", "coreml", "webgpu"].includes(name));
  expect(unavailable.gpu === undefined).toBe(gpus.some(({ problem }) => problem === undefined));
  // Every precision is one that models can be loaded in.
  const files = await openModel(gpt2);
  for (const dtype of dtypes) await (await createEngine(files, { dtype })).dispose();
}, 60_000);

test("another prompt keeps the graph's settings and frees the run before; a run that was taken stays", async () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "lmt-session-"));
  fs.writeFileSync(path.join(folder, "p.txt"), "x\n");
  const one = session();
  const runs: Run[] = [];
  one.on("run", (run) => void runs.push(run));
  one.start();
  await one.settled();
  one.picture!.select({ threshold: 0.1, normalize: false });
  one.openDataset(path.join(folder, "p.txt"));
  await one.settled();
  await expect(runs[0].residual(0, "pre")).rejects.toThrow(/disposed|freed/);
  expect(one.picture!.selection).toMatchObject({ threshold: 0.1, normalize: false });

  const taken = (await one.choose({ prompt: "a b c" }))!;
  await one.choose({ prompt: "one more" });
  expect(one.get("choices").prompts).toEqual(["x", "a b c", "one more"]);
  expect((await taken.residual(0, "pre")).dims).toEqual([taken.tokens.length, one.model!.info.dModel]);
  expect(runs).toHaveLength(4);
  fs.rmSync(folder, { recursive: true });
});

test("another model takes the place of the first, which is disposed of", async () => {
  const one = session();
  await one.choose({});
  const before = one.model!;
  const picture = one.picture!;
  await one.choose({ model: "llama" });
  expect(one.model!.info.family).toBe("llama");
  expect(picture.closed).toBe(true);
  await expect(before.run("x")).rejects.toThrow("disposed");
});

test("the newest choice wins, whatever came before it", async () => {
  const one = session();
  const results = await Promise.all([
    one.choose({ prompt: "a b c" }),
    one.choose({ model: "llama" }),
    one.choose({ prompt: "the the cat", model: "some/gpt2" }),
  ]);
  expect(one.model!.info.family).toBe("gpt2");
  expect(one.run!.tokens).toEqual(one.model!.tokenize("the the cat"));
  expect(results.at(-1)).toBe(one.run);
  expect(one.get("status")).toEqual({ phase: "idle" });
});

test("an error is a sentence in the state, and trying again works once its cause is gone", async () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "lmt-session-"));
  const one = new WorkbenchSession(readConfig({ models: { mine: folder } }), { prompts: ["a"] });
  open.push(one);
  await expect(one.choose({ model: "mine" })).rejects.toThrow("config.json");
  expect(one.get("status")).toMatchObject({
    phase: "error",
    retry: true,
    message: expect.stringContaining("config.json"),
  });
  expect(one.picture).toBeUndefined();
  fs.cpSync(gpt2, folder, { recursive: true });
  await one.choose({});
  expect(one.get("status")).toEqual({ phase: "idle" });
  expect(one.run!.tokens.length).toBeGreaterThan(0);
  fs.rmSync(folder, { recursive: true });
});

test("limits of the configuration hold for code and for browsers alike", async () => {
  const one = session({ max_user_string_length: 5 });
  await expect(one.choose({ prompt: "123456" })).rejects.toThrow(
    "The prompt has 6 characters; the configuration allows 5 (max_user_string_length).",
  );
  await expect(one.choose({ prompt: "" })).rejects.toThrow("The prompt is empty");
  await expect(one.choose({ dtype: "fp16" })).rejects.toThrow('dtype is "fp16", but has to be one of "auto"');
  // Five characters, though ten UTF-16 units; and what the file offers may be longer.
  expect((await one.choose({ prompt: "😀😀😀😀😀" }))!.tokens.length).toBeGreaterThan(0);
  expect(await one.choose({ prompt: "the the cat" })).toBeDefined();

  const demo = session({ demo_mode: true });
  await expect(demo.choose({ prompt: "mine" })).rejects.toThrow("demo_mode");
  await expect(demo.choose({ model: gpt2 })).rejects.toThrow('there are "some/gpt2", "llama"');
  expect(() => demo.openDataset("x.txt")).toThrow("does not allow other files of prompts");
});

test("a file of prompts replaces the list", async () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "lmt-session-"));
  fs.writeFileSync(path.join(folder, "p.txt"), "x\ny y\n");
  const one = session();
  one.openDataset(path.join(folder, "p.txt"));
  await one.settled();
  expect(one.get("choices")).toMatchObject({ prompts: ["x", "y y"], dataset: path.join(folder, "p.txt") });
  expect(one.run!.tokens).toEqual(one.model!.tokenize("y y"));
  expect(() => one.openDataset(path.join(folder, "q.txt"))).toThrow("There is no file");
  fs.rmSync(folder, { recursive: true });
});

test("stopping says so and offers to go on", async () => {
  const one = session();
  const work = one.choose({});
  one.stop();
  await expect(work).rejects.toThrow("Stopped.");
  expect(one.get("status")).toEqual({ phase: "error", message: "Stopped.", retry: true });
  expect(await one.choose({})).toBeDefined();
});

test("a loaded model is the only one, and stays the reader's", async () => {
  const model = await loadModel(gpt2);
  const shown = workbench(model, { prompt: "a b c" });
  const bundle = await shown[JUPYTER_DISPLAY]();
  expect(shown.run!.model).toBe(model);
  expect(bundle["text/html"]).toContain("<img");
  expect(shown.toString()).toBe(`Workbench of ${model.info.name}, "a b c"`);
  await expect(shown.choose({ model: "other" })).rejects.toThrow("There is no model");
  // Controls of one session: what one chooses, all show.
  const panel = modelPanel(shown);
  const bar = promptBar(shown);
  await bar.choose({ prompt: "a" });
  expect(shown.run).toBe(bar.run);
  expect(panel.model).toBe(model);
  shown.select({ threshold: 0.2 });
  expect(bar.selection!.threshold).toBe(0.2);
  shown.session.close();
  await shown.session.settled();
  await expect(model.run("still there")).resolves.toBeDefined();
  await model.dispose();
});

test("a notebook keeps the picture under the whole tool's own id, and says so where there is none yet", async () => {
  const stored = (bundle: Record<string, unknown>): Payload => readPayload(bundle[PAYLOAD_MIME]);
  const lazy = workbench({ models: { tiny: gpt2 }, share: "seen" });
  expect(stored(await lazy[JUPYTER_DISPLAY]())).toMatchObject({
    picture: "explorer",
    size: 0,
    widget: lazy.modelId,
    share: "seen",
  });
  await expect(lazy.save("x.html")).rejects.toThrow("There is no picture yet to save");
  const model = await loadModel(gpt2);
  const shown = workbench(model, { prompt: "a b c" });
  const bundle = await shown[JUPYTER_DISPLAY]();
  expect(stored(bundle)).toMatchObject({ picture: "explorer", widget: shown.modelId, share: "routes" });
  expect(stored(bundle).size).toBeGreaterThan(0);
  expect(Object.keys(bundle)).not.toContain("application/vnd.jupyter.widget-view+json");
  await model.dispose();
});

test("workbench() takes a name, a configuration, its file; and refuses the rest with a sentence", () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "lmt-session-"));
  fs.writeFileSync(path.join(folder, "c.json"), JSON.stringify({ models: { g: gpt2 }, demo_mode: true }));
  expect(workbench(path.join(folder, "c.json")).session.get("choices")).toMatchObject({
    models: ["g"],
    ownModels: false,
  });
  expect(workbench(gpt2).session.get("current").model).toBe(gpt2);
  expect(workbench({ models: { g: gpt2 } }).session.get("choices").models).toEqual(["g"]);
  expect(workbench().session.get("current").model).toBe("default");
  expect(() => workbench(3 as never)).toThrow("workbench() takes a loaded model");
  expect(() => workbench({ model: "gpt2" } as never)).toThrow('did you mean "models"?');
  expect(() => workbench(path.join(folder, "none.json"))).toThrow("there is no such file");
  fs.rmSync(folder, { recursive: true });
});

test("the old names are the same things", () => {
  expect([explore, Explore, ExploreSession]).toEqual([workbench, Workbench, WorkbenchSession]);
  expect(Explore).toBe(Workbench);
});
