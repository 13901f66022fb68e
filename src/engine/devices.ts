import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { list } from "../model/errors";

/** An execution provider, and the sentence of why it cannot be used here. */
export interface DeviceReport {
  readonly name: string;
  readonly problem?: string;
}

/**
 * An execution provider that onnxruntime-node has on this platform; those that are not bundled need libraries of their
 * own.
 */
export interface Provider {
  readonly name: string;
  readonly bundled: boolean;
}

/** Providers that compute on a GPU, the fastest first. */
const gpuProviders = ["cuda", "dml", "coreml", "webgpu"];

/** What a provider needs that cannot be loaded. */
const remedies: Readonly<Record<string, string>> = {
  cuda: "it needs an NVIDIA driver, CUDA 12 with cuDNN 9, and onnxruntime's CUDA libraries, which npm does not carry: ONNXRUNTIME_NODE_INSTALL=cuda12 npm rebuild onnxruntime-node --ignore-scripts=false",
  tensorrt:
    "it needs an NVIDIA driver, TensorRT 10, and onnxruntime's CUDA libraries, which npm does not carry: ONNXRUNTIME_NODE_INSTALL=cuda12 npm rebuild onnxruntime-node --ignore-scripts=false",
  webgpu: "it needs a GPU driver with Vulkan (on Linux: libvulkan1 and the driver's ICD), Direct3D 12 or Metal",
  dml: "it needs a GPU driver with Direct3D 12",
  coreml: "it needs macOS 10.15 or later",
};

/**
 * The execution providers to try for a `device`, best first. "auto" is the CPU: it is what every number was checked on,
 * and the graphs of a layer are small.
 * Throws where the platform has none of that name.
 */
export function providersFor(device: string, supported: readonly Provider[]): readonly string[] {
  const names = supported.map(({ name }) => name);
  if (device === "auto" || device === "cpu") return ["cpu"];
  if (device === "gpu") {
    const gpus = gpuProviders.filter((name) => names.includes(name));
    if (gpus.length === 0)
      throw new RangeError(`onnxruntime-node has no GPU device on ${process.platform}/${process.arch}; "cpu" works.`);
    return gpus;
  }
  if (!names.includes(device))
    throw new RangeError(
      `There is no device "${device}" on ${process.platform}/${process.arch}; there are ${list(["auto", "gpu", ...names].map((name) => `"${name}"`))}.`,
    );
  return [device];
}

/** One sentence for a provider that could not be started. */
export function deviceFailure(name: string, reason: string): string {
  const remedy = remedies[name] ?? "its libraries could not be loaded";
  // onnxruntime's messages carry source paths and go on for lines.
  const short = /Failed to [^\n]*/.exec(reason)?.[0] ?? reason.split("\n")[0];
  return `Device "${name}" is not available (${short.replace(/[\s.]+$/, "")}): ${remedy}. "cpu" works.`;
}

/**
 * Of `devices` (as `device` of a model can be), those that cannot be used, with the sentence of why. `reports`: all
 * providers of the platform, tried.
 */
export function unavailableDevices(
  devices: readonly string[],
  reports: readonly DeviceReport[],
): Readonly<Record<string, string>> {
  const problems = new Map(reports.map(({ name, problem }) => [name, problem]));
  const reasons: Record<string, string> = {};
  for (const device of devices) {
    try {
      const found = providersFor(
        device,
        reports.map(({ name }) => ({ name, bundled: true })),
      ).map((name) => problems.get(name));
      if (found.every((problem) => problem !== undefined)) reasons[device] = found.join(" ");
    } catch (error) {
      reasons[device] = (error as Error).message;
    }
  }
  return reasons;
}

/** A driver that takes longer than this to start, in milliseconds, is not waited for. */
const TRIAL_MS = 60_000;

let tried: Promise<readonly DeviceReport[]> | undefined;

/**
 * The execution providers of this platform, each started once a process: those with a `problem` cannot be used here.
 * They are tried in a process of their own, which takes some tenths of a second.
 */
export function availableDevices(): Promise<readonly DeviceReport[]> {
  return (tried ??= tryDevices(join(__dirname, "try-devices.js")));
}

/** What the program at `file` finds. */
export async function tryDevices(file: string): Promise<readonly DeviceReport[]> {
  const child = spawn(process.execPath, [file], {
    stdio: ["ignore", "pipe", "ignore"],
    timeout: TRIAL_MS,
    windowsHide: true,
  });
  // Whoever ends meanwhile does not wait for it.
  child.unref();
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()).once("error", () => resolve()));
  const reports: DeviceReport[] = [];
  let trying: string | undefined;
  for await (const line of createInterface({ input: child.stdout })) {
    const said = JSON.parse(line) as DeviceReport & { readonly trying?: string };
    trying = said.trying;
    if (trying === undefined) reports.push(said);
  }
  await ended;
  if (trying !== undefined)
    reports.push({
      name: trying,
      problem: deviceFailure(trying, "Failed to start: its driver ended the process that tried it"),
    });
  return reports;
}
