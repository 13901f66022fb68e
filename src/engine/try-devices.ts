/**
 * A program of its own: starts each execution provider of this platform once and prints a line of JSON before and
 * after. A driver that crashes, or that writes to the terminal, does so here and nowhere else.
 */
process.env.ORT_DISABLE_TELEMETRY = "1";

import { deviceFailure, type DeviceReport } from "./devices";
import { encodeModel } from "./onnx";

const say = (line: DeviceReport | { readonly trying: string }): void =>
  void process.stdout.write(`${JSON.stringify(line)}\n`);

async function main(): Promise<void> {
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- after the environment is set
  const runtime = require("onnxruntime-node") as typeof import("onnxruntime-node");
  runtime.env.logLevel = "fatal";
  const value = (name: string) => ({ name, type: "float32" as const, dims: [1] });
  const model = encodeModel({
    name: "probe",
    nodes: [{ operator: "Relu", inputs: ["x"], outputs: ["y"] }],
    initializers: [],
    inputs: [value("x")],
    outputs: [value("y")],
  });
  for (const { name } of runtime.listSupportedBackends()) {
    say({ trying: name });
    try {
      await (
        await runtime.InferenceSession.create(model, { executionProviders: [name], logSeverityLevel: 4 })
      ).release();
      say({ name });
    } catch (error) {
      say({ name, problem: deviceFailure(name, error instanceof Error ? error.message : String(error)) });
    }
  }
}

void main();
