import { list } from "../model/errors";

/** An execution provider that onnxruntime-node has on this platform; those that are not bundled need libraries of their own. */
export interface Provider {
  readonly name: string;
  readonly bundled: boolean;
}

/** Providers that compute on a GPU, the fastest first. */
const gpuProviders = ["cuda", "dml", "coreml", "webgpu"];

/** What a provider needs that cannot be loaded. */
const remedies: Readonly<Record<string, string>> = {
  cuda: "it needs an NVIDIA driver, CUDA 12 with cuDNN 9, and onnxruntime's CUDA libraries, which npm does not carry: ONNXRUNTIME_NODE_INSTALL=cuda12 npm rebuild onnxruntime-node --ignore-scripts=false",
  tensorrt: "it needs an NVIDIA driver, TensorRT 10, and onnxruntime's CUDA libraries, which npm does not carry: ONNXRUNTIME_NODE_INSTALL=cuda12 npm rebuild onnxruntime-node --ignore-scripts=false",
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
    const gpus = gpuProviders.filter(name => names.includes(name));
    if (gpus.length === 0) throw new Error(`onnxruntime-node has no GPU device on ${process.platform}/${process.arch}; "cpu" works.`);
    return gpus;
  }
  if (!names.includes(device)) throw new Error(`There is no device "${device}" on ${process.platform}/${process.arch}; there are ${list(["auto", "gpu", ...names].map(name => `"${name}"`))}.`);
  return [device];
}

/** One sentence for a provider that could not be started. */
export function deviceFailure(name: string, reason: string): string {
  const remedy = remedies[name] ?? "its libraries could not be loaded";
  // onnxruntime's messages carry source paths and go on for lines.
  const short = /Failed to [^\n]*/.exec(reason)?.[0] ?? reason.split("\n")[0];
  return `Device "${name}" is not available (${short.replace(/[\s.]+$/, "")}): ${remedy}. "cpu" works.`;
}
