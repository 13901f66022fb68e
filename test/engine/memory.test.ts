import * as fs from "node:fs";
import { createEngine } from "../../src/engine";
import { availableMemory, forwardBytes, formatBytes, longestPrompt } from "../../src/engine/memory";
import { openModel } from "../../src/model/open";
import { longModel } from "../support/long-model";

let folder: string;
beforeAll(() => (folder = longModel()));
afterAll(() => fs.rmSync(folder, { recursive: true }));

test("the longest prompt is the last that fits", async () => {
  const { architecture } = await openModel(folder);
  for (const bytes of [1e5, 1e6, 1e8, 1e10]) {
    const longest = longestPrompt(architecture, bytes);
    expect(forwardBytes(architecture, longest)).toBeLessThanOrEqual(bytes);
    expect(forwardBytes(architecture, longest + 1)).toBeGreaterThan(bytes);
  }
});

test("a prompt that memory does not allow is refused before it runs, with the number that fits", async () => {
  const files = await openModel(folder);
  const engine = await createEngine(files, { memoryBytes: 50e6 });
  const longest = longestPrompt(files.architecture, 50e6);
  const prompt = (n: number) => new Array<number>(n).fill(3);
  await expect(engine.forward(prompt(longest + 1))).rejects.toThrow(
    new RangeError(`The prompt has ${longest + 1} tokens; the free memory (50 MB) is enough for ${longest}.`),
  );
  await engine.forward(prompt(longest));
  await engine.dispose();
});

test("a run is refused in one sentence when the system's memory has become short, and works again when it is not", async () => {
  const files = await openModel(folder);
  const engine = await createEngine(files);
  const prompt = new Array<number>(400).fill(3);
  await engine.forward(prompt);
  const short = jest.spyOn(process, "availableMemory").mockReturnValue(2e6);
  const longest = longestPrompt(files.architecture, 0.8 * 2e6);
  await expect(engine.forward(prompt)).rejects.toThrow(
    new RangeError(`The prompt has 400 tokens; the free memory (2 MB) is enough for ${longest}.`),
  );
  short.mockRestore();
  await engine.forward(prompt);
  await engine.dispose();
});

test("a container's limit counts, without the files that were read; so does a machine that has less", () => {
  const machine = {
    platform: "linux",
    total: 64e9,
    free: 30e9,
    available: 30e9,
    limit: 2 ** 64,
    account: () => undefined,
  } as const;
  expect(availableMemory(machine)).toBe(30e9);
  const container = { ...machine, available: 1e9, limit: 8e9 };
  expect(availableMemory(container)).toBe(1e9);
  expect(
    availableMemory({
      ...container,
      account: () => "anon 4000000000\nfile 3000000000\ninactive_file 2500000000\nactive_file 500000000\n",
    }),
  ).toBe(3.5e9);
  expect(
    availableMemory({
      ...container,
      account: () => "cache 3000000000\ninactive_file 1\ntotal_inactive_file 2500000000\n",
    }),
  ).toBe(3.5e9);
  expect(availableMemory({ ...container, available: 6e9, free: 2e9 })).toBe(2e9);
  expect(availableMemory({ ...machine, platform: "darwin", free: 1e9, available: 1e9 })).toBe(32e9);
});

test("what a forward pass takes is what was estimated, or less", async () => {
  const files = await openModel(folder);
  const { spawnSync } = await import("node:child_process");
  const script = `
    const { createEngine } = require(${JSON.stringify(require.resolve("../../src/engine"))});
    const { openModel } = require(${JSON.stringify(require.resolve("../../src/model/open"))});
    const peak = () => Number(/VmHWM:\\s+(\\d+)/.exec(require("node:fs").readFileSync("/proc/self/status", "utf8"))[1]) * 1024;
    (async () => {
      const engine = await createEngine(await openModel(${JSON.stringify(folder)}));
      await engine.forward([3, 4]);
      const before = peak();
      await engine.forward(new Array(4000).fill(3));
      console.log(peak() - before);
    })();`;
  if (process.platform !== "linux") return;
  const { stdout } = spawnSync(process.execPath, ["-e", script], { encoding: "utf8" });
  const estimate = forwardBytes(files.architecture, 4000);
  expect(Number(stdout)).toBeGreaterThan(0.4 * estimate);
  expect(Number(stdout)).toBeLessThan(1.1 * estimate);
});

test("sizes read well", () => {
  expect([formatBytes(50e6), formatBytes(2.34e9), formatBytes(-5)]).toEqual(["50 MB", "2.3 GB", "0 MB"]);
  expect(availableMemory()).toBeGreaterThan(1e8);
});
