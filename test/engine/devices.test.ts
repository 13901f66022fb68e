import { createEngine } from "../../src/engine";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import {
  availableDevices,
  deviceFailure,
  providersFor,
  tryDevices,
  unavailableDevices,
} from "../../src/engine/devices";
import { openModel } from "../../src/model/open";
import { modelFolder } from "../support/fixtures";

const linux = [
  { name: "cpu", bundled: true },
  { name: "webgpu", bundled: true },
  { name: "cuda", bundled: false },
];

test("names stand for providers of the platform, the best first", () => {
  expect(providersFor("auto", linux)).toEqual(["cpu"]);
  expect(providersFor("cpu", linux)).toEqual(["cpu"]);
  expect(providersFor("gpu", linux)).toEqual(["cuda", "webgpu"]);
  expect(providersFor("webgpu", linux)).toEqual(["webgpu"]);
});

test("a name that is none is refused with the list", () => {
  expect(() => providersFor("tpu", linux)).toThrow(
    /^There is no device "tpu" on .*; there are "auto", "gpu", "cpu", "webgpu" and "cuda"\.$/,
  );
  expect(() => providersFor("gpu", linux.slice(0, 1))).toThrow(/no GPU device/);
});

test("a provider that cannot be started says what to install", () => {
  const webgpu =
    "/onnxruntime_src/webgpu_context.cc:136 Initialize(const Config&)::<lambda()> status was false. Failed to get a WebGPU adapter: No supported adapters\n";
  expect(deviceFailure("webgpu", webgpu)).toBe(
    'Device "webgpu" is not available (Failed to get a WebGPU adapter: No supported adapters): it needs a GPU driver with Vulkan (on Linux: libvulkan1 and the driver\'s ICD), Direct3D 12 or Metal. "cpu" works.',
  );
  expect(deviceFailure("cuda", "OrtSessionOptionsAppendExecutionProvider_Cuda: Failed to load shared library")).toMatch(
    /Failed to load shared library\): it needs an NVIDIA driver, CUDA 12.*rebuild onnxruntime-node/,
  );
});

test("the engine says which device it is on, and refuses one that the platform lacks", async () => {
  const files = await openModel(modelFolder("llama-tiny"));
  const engine = await createEngine(files);
  expect(engine.device).toBe("cpu");
  await engine.dispose();
  await expect(createEngine(files, { device: "tpu" })).rejects.toThrow('There is no device "tpu"');
});

/** Each provider of this machine either computes what the CPU does, or says in one sentence why it is not there. */
test.each(["webgpu", "cuda", "dml", "coreml", "gpu"])("device %s works or says why not", async (device) => {
  const files = await openModel(modelFolder("llama-tiny"));
  const attempt = await createEngine(files, { device }).catch((error: Error) => error);
  if (attempt instanceof Error) {
    expect(attempt.message).toMatch(
      /^(Device ".+" is not available \(.+\): .+\. "cpu" works\.|There is no device ".+" on .+; there are .+\.|onnxruntime-node has no GPU device on .+; "cpu" works\.)$/,
    );
    return;
  }
  const cpu = await createEngine(files);
  const [there, here] = await Promise.all(
    [attempt, cpu].map(async (engine) => (await (await engine.forward([3, 4, 5])).logits()).data),
  );
  for (let i = 0; i < here.length; i++) expect(there[i]).toBeCloseTo(here[i], 3);
  await attempt.dispose();
  await cpu.dispose();
});

test("every provider of the platform is tried: the CPU is there, for each other one that is not there is a sentence", async () => {
  const reports = await availableDevices();
  expect(reports.find(({ name }) => name === "cpu")).toEqual({ name: "cpu" });
  for (const { problem } of reports)
    if (problem !== undefined) expect(problem).toMatch(/^Device ".+" is not available \(.+\): .+\. "cpu" works\.$/);
  // What is said to be there can be loaded, and what is not cannot.
  const missing = unavailableDevices(
    reports.map(({ name }) => name),
    reports,
  );
  const files = await openModel(modelFolder("llama-tiny"));
  for (const { name } of reports) {
    const engine = await createEngine(files, { device: name }).catch(() => undefined);
    expect({ name, there: engine !== undefined }).toEqual({ name, there: missing[name] === undefined });
    await engine?.dispose();
  }
}, 120_000);

test("a driver that ends its process is one that is not there", async () => {
  const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), "lmt-devices-")), "crash.js");
  fs.writeFileSync(
    file,
    'console.log(JSON.stringify({ trying: "cpu" })); console.log(JSON.stringify({ name: "cpu" })); console.log(JSON.stringify({ trying: "webgpu" })); process.abort();',
  );
  const reports = await tryDevices(file);
  expect(reports[0]).toEqual({ name: "cpu" });
  expect(reports[1]).toMatchObject({
    name: "webgpu",
    problem: expect.stringMatching(/its driver ended the process that tried it/) as unknown,
  });
  expect(await tryDevices(path.join(os.tmpdir(), "no-such-program.js"))).toEqual([]);
});

test("of the choices for a device, those that cannot be used", () => {
  const reports = [{ name: "cpu" }, { name: "webgpu", problem: "W." }, { name: "cuda" }];
  expect(unavailableDevices(["auto", "cpu", "gpu", "webgpu", "cuda"], reports)).toEqual({ webgpu: "W." });
  expect(
    unavailableDevices(
      ["auto", "gpu"],
      [{ name: "cpu" }, { name: "webgpu", problem: "W." }, { name: "cuda", problem: "C." }],
    ),
  ).toEqual({ gpu: "C. W." });
  expect(unavailableDevices(["gpu"], [{ name: "cpu" }]).gpu).toMatch(/no GPU device/);
  expect(unavailableDevices(["tpu"], [{ name: "cpu" }]).tpu).toMatch(/^There is no device "tpu"/);
});
