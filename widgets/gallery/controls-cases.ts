import { html } from "lit";
import type { TemplateResult } from "lit";
import type { Choice, ControlChoices, ControlCurrent, ControlStatus } from "../../src/protocol";
import { PROTOCOL_VERSION, ProtocolError } from "../../src/protocol";
import type { Controls } from "../core/controls";
import type { SelectionStore } from "../core/selection-store";
import type { CachedSource } from "../core/source";
import type { SyntheticOptions } from "./synthetic";

/** Controls whose state is whatever a test page wants; choices change it at once. */
class SyntheticControls implements Controls {
  readonly #listeners = new Set<() => void>();
  constructor(
    public choices: ControlChoices,
    public current: ControlCurrent,
    public status: ControlStatus = { phase: "idle" },
  ) {}

  async choose({ settings: _settings, ...choice }: Choice): Promise<void> {
    if (choice.model === "nobody/nothing")
      throw new ProtocolError("range", 'There is no folder or file "nobody/nothing".');
    this.current = { ...this.current, ...choice };
    for (const listener of this.#listeners) listener();
  }

  async openDataset(): Promise<void> {
    throw new ProtocolError("range", 'There is no file "prompts.txt" in /home/ada/config or /home/ada.');
  }

  async stop(): Promise<void> {}

  subscribe(listener: () => void, signal: AbortSignal): void {
    this.#listeners.add(listener);
    signal.addEventListener("abort", () => this.#listeners.delete(listener));
  }
}

const PROMPTS = [
  "When Ada and Tim met at the harbour, Tim handed the map to",
  "7 + 1 = 8, 2 + 5 =",
  "The capital of France is",
];
const CHOICES: ControlChoices = {
  protocol: PROTOCOL_VERSION,
  models: ["default", "openai-community/gpt2", "HuggingFaceTB/SmolLM2-135M"],
  devices: ["auto", "cpu", "gpu"],
  dtypes: ["auto", "float32", "float16", "bfloat16", "q8", "q4"],
  unavailable: {},
  prompts: PROMPTS,
  dataset: "/home/ada/prompts.txt",
  ownModels: true,
  ownPrompts: true,
  datasets: true,
  maxPromptLength: null,
  debug: false,
  settings: { threshold: 0.04, renormalize: true, normalize: true },
};
const CURRENT: ControlCurrent = {
  model: "default",
  device: "auto",
  dtype: "auto",
  prompt: PROMPTS[2],
  card: {
    name: "SmolLM2-135M-Instruct",
    family: "llama",
    nParams: 134_515_008,
    nLayers: 30,
    nHeads: 9,
    nKeyValueHeads: 3,
    dModel: 576,
    dFfn: 1536,
    dVocab: 49152,
    device: "cpu",
    dtype: "q4_1",
  },
  loadTime: 1534,
  runTime: 61,
};
const NONE: ControlCurrent = { ...CURRENT, model: "", card: null, loadTime: null, runTime: null };
const DEMO: ControlChoices = { ...CHOICES, ownModels: false, ownPrompts: false, datasets: false, debug: true };
const LONG = "من كتاب قديم: <b>not bold</b> 東京都の天気は 👩‍👩‍👧 ".repeat(12);

const LOADING: ControlStatus = {
  phase: "loading",
  stage: "downloading weights",
  done: 31 * 2 ** 20,
  total: 98 * 2 ** 20,
  unit: "bytes",
};
const RUNNING: ControlStatus = { phase: "running", stage: "forward", done: 11, total: 30, unit: "layers" };
const FAILED: ControlStatus = {
  phase: "error",
  message:
    'Device "webgpu" is not available (Failed to get a WebGPU adapter): it needs a GPU driver with Vulkan. "cpu" works.',
  retry: true,
};

export interface ControlCase {
  readonly name: string;
  readonly width?: number;
  readonly options?: SyntheticOptions;
  readonly show: (source: CachedSource | undefined, selection: SelectionStore) => TemplateResult;
}

const modelPanel = (choices: ControlChoices, current: ControlCurrent, status?: ControlStatus): ControlCase["show"] => {
  const controls = new SyntheticControls(choices, current, status);
  return (_, selection) => html`<lmt-model-panel .controls=${controls} .selection=${selection}></lmt-model-panel>`;
};
const promptBar = (choices: ControlChoices, current: ControlCurrent, status?: ControlStatus): ControlCase["show"] => {
  const controls = new SyntheticControls(choices, current, status);
  return (_, selection) => html`<lmt-prompt-bar .controls=${controls} .selection=${selection}></lmt-prompt-bar>`;
};
const explore = (choices: ControlChoices, current: ControlCurrent, status?: ControlStatus): ControlCase["show"] => {
  const controls = new SyntheticControls(choices, current, status);
  return (source, selection) =>
    html`<lmt-explore .controls=${controls} .source=${source} .selection=${selection}></lmt-explore>`;
};

/** Every state of the controls. `run` is a run for those that show one. */
export const controlCases = (run: SyntheticOptions): readonly ControlCase[] => [
  { name: "model-panel", show: modelPanel(CHOICES, CURRENT) },
  { name: "model-panel-none", show: modelPanel(CHOICES, NONE) },
  { name: "model-panel-loading", show: modelPanel(CHOICES, { ...CURRENT, card: null }, LOADING) },
  { name: "model-panel-error", show: modelPanel(CHOICES, { ...CURRENT, device: "webgpu", card: null }, FAILED) },
  {
    name: "model-panel-no-gpu",
    show: modelPanel({ ...CHOICES, unavailable: { gpu: FAILED.phase === "error" ? FAILED.message : "" } }, CURRENT),
  },
  {
    name: "model-panel-demo",
    show: modelPanel(
      { ...DEMO, models: ["default"], devices: ["cpu"], dtypes: ["q4_1"] },
      { ...CURRENT, device: "cpu", dtype: "q4_1" },
    ),
  },
  { name: "model-panel-400", width: 400, show: modelPanel(CHOICES, CURRENT) },
  { name: "prompt-bar", show: promptBar(CHOICES, CURRENT) },
  { name: "prompt-bar-limit", show: promptBar({ ...CHOICES, maxPromptLength: 100 }, CURRENT, RUNNING) },
  { name: "prompt-bar-demo", show: promptBar(DEMO, CURRENT) },
  {
    name: "prompt-bar-strange",
    show: promptBar(
      { ...CHOICES, prompts: [...PROMPTS, LONG, "<script>alert(1)</script>"] },
      { ...CURRENT, prompt: LONG },
    ),
  },
  { name: "prompt-bar-400", width: 400, show: promptBar(CHOICES, CURRENT) },
  { name: "explore-empty", show: explore(CHOICES, NONE) },
  { name: "explore-loading", show: explore(CHOICES, { ...CURRENT, card: null }, LOADING) },
  { name: "explore-error", show: explore(CHOICES, { ...CURRENT, device: "webgpu", card: null }, FAILED) },
  { name: "explore", options: run, show: explore({ ...CHOICES, debug: true }, CURRENT) },
  { name: "explore-running", options: run, show: explore(CHOICES, CURRENT, RUNNING) },
  { name: "explore-wide", width: 1900, options: run, show: explore(CHOICES, CURRENT) },
  { name: "explore-400", width: 400, options: run, show: explore(CHOICES, CURRENT) },
];
