/** What a cell shows while a model comes from the hub. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HubServer } from "../model/hub-server";
import { modelFolder } from "../support/fixtures";
import { KernelClient, type Executed, type Json } from "../support/kernel-client";

jest.setTimeout(240_000);

const cache = mkdtempSync(join(tmpdir(), "lmt-download-"));
const files = Object.fromEntries(
  ["config.json", "tokenizer.json", "model.safetensors"].map((name) => [
    name,
    readFileSync(join(modelFolder("llama-tiny"), name)),
  ]),
);
const server = new HubServer();
let kernel: KernelClient;

beforeAll(async () => {
  const url = await server.start();
  for (const name of ["org/tiny", "org/broken"]) server.repos.set(name, { files, refs: { main: "a".repeat(40) } });
  kernel = await KernelClient.start({
    env: {
      ...process.env,
      HF_ENDPOINT: url,
      HF_HUB_CACHE: cache,
      HF_TOKEN_PATH: join(cache, "none"),
      HF_HUB_OFFLINE: "",
    },
  });
  await kernel.execute('import { loadModel } from "lm-transparency";');
});
afterAll(async () => {
  await kernel.close();
  await server.stop();
  rmSync(cache, { recursive: true, force: true });
});

/** States that the widgets of an execution were sent, oldest first. */
const states = ({ messages }: Executed): Json[] =>
  messages.flatMap(({ content }) => {
    const state = (content["data"] as { state?: Json } | undefined)?.state;
    return state === undefined ? [] : [state];
  });
const texts = ({ messages }: Executed): string[] =>
  messages
    .filter(({ header }) => /display_data/.test(header.msg_type))
    .map(({ content }) => String((content["data"] as Json)["text/plain"]));
/** Where a download takes longer than a moment. */
const slowly = (name = "model.safetensors"): void => void server.faults.set(name, [{ slow: 150 }]);

test("a bar that grows, and at the end a line of text", async () => {
  slowly();
  const run = await kernel.execute('const first = await loadModel("org/tiny"); first.info.nParams');
  expect(run.error).toBeUndefined();
  expect(run.result).toEqual({ "text/plain": "51680" });
  const values = states(run)
    .map((state) => state["value"])
    .filter((value): value is number => typeof value === "number");
  expect(values.length).toBeGreaterThan(1);
  expect(values).toEqual([...values].sort((a, b) => a - b));
  expect(texts(run).at(-1)).toMatch(/^downloading org\/tiny: 2\d\d\.\d kB \/ 2\d\d\.\d kB, /);
});

test("from the cache, and from a folder, nothing is shown", async () => {
  for (const source of ["org/tiny", modelFolder("gpt2-tiny")]) {
    const run = await kernel.execute(`(await loadModel(${JSON.stringify(source)})).info.nLayers`);
    expect(run.error).toBeUndefined();
    expect(texts(run)).toEqual([]);
  }
});

test("a download that fails turns its bar red", async () => {
  rmSync(join(cache, "models--org--broken"), { recursive: true, force: true });
  server.faults.set("model.safetensors", [{ slow: 150, corrupt: true }]);
  const run = await kernel.execute('await loadModel("org/broken")');
  expect(run.error?.evalue).toContain("is not what it should be");
  expect(states(run).map((state) => state["bar_style"])).toContain("danger");
});

test("whoever listens on their own gets the reports, and no bar", async () => {
  rmSync(join(cache, "models--org--broken"), { recursive: true, force: true });
  slowly();
  const run = await kernel.execute(
    'const stages = new Set<string>(); await loadModel("org/broken", { onProgress: ({ stage }) => { stages.add(stage); } }); [...stages].join()',
  );
  expect(run.result).toEqual({ "text/plain": "'downloading org/broken,load'" });
  expect(texts(run)).toEqual([]);
});
