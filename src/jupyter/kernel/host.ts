import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { COMM_HOST, type CommHost, type JsonObject, type MimeBundle } from "../comm-host";
import { serveWidgetControl } from "../ipywidgets/registry";
import { Promise } from "../natives";
import { INTERRUPT_CHECK } from "./cell-names";
import type { CommManager } from "./comms";
import type { Interrupts } from "./interrupts";
import type { Outputs } from "./outputs";

/** What the library's end of the kernel is made of. */
export interface HostParts {
  readonly outputs: Outputs;
  readonly comms: CommManager;
  readonly interrupts: Interrupts;
  /** Has `listener` called before the kernel ends, until `signal` aborts. */
  readonly onShutdown: (listener: () => void | Promise<void>, signal: AbortSignal | undefined) => void;
  readonly showError: (error: unknown) => void;
}

/** Gives the library its end of the kernel, and cells `input` and the check of their loops. */
export function installHost({ outputs, comms, interrupts, onShutdown, showError }: HostParts): void {
  const background = (): CommHost["cell"] => outputs.current?.cell;
  const host: CommHost = {
    version: 1,
    live: true,
    get cell() {
      return background();
    },
    openComm: (targetName, options) => comms.open(targetName, options, outputs.current?.outputHeader),
    registerTarget: (targetName, onOpen, options) => comms.registerTarget(targetName, onOpen, options),
    display: (data, options = {}) => outputs.display(data, options.metadata ?? {}, options.displayId, options.owner),
    updateDisplay: (displayId, data, options = {}) =>
      outputs.update(displayId, data, options.metadata ?? {}, options.owner),
    clearOutput: (options = {}) => outputs.clear(options.wait ?? false),
    stream: (name, text) => outputs.stream(name, text),
    input: (prompt, options = {}) => {
      const ask = outputs.current?.input;
      if (ask === undefined)
        return Promise.reject(new Error("input() is not possible here: this front end takes no input from the user."));
      return ask(prompt, options.password ?? false);
    },
    capture: (sink, fn) => {
      const current = outputs.current;
      return current === undefined ? fn() : outputs.run({ ...current, silent: false, sink }, fn);
    },
    onShutdown: (listener, options = {}) => {
      if (!options.signal?.aborted) onShutdown(listener, options.signal);
    },
    showError,
  };
  const scope = globalThis as { [COMM_HOST]?: CommHost; input?: CommHost["input"] };
  scope[COMM_HOST] = host;
  scope.input = (prompt = "", options) => host.input(String(prompt), options);
  const own = (): AbortSignal | undefined => outputs.contexts.getStore()?.cell.signal;
  (scope as Record<string, unknown>)[INTERRUPT_CHECK] = (): void => interrupts.check(own);
  serveWidgetControl(host);
}

/** tslab's own API for cells (`display`, `newDisplay`), showing through this kernel. */
export function loadTslab(outputs: Outputs): unknown {
  const require = createRequire(__filename);
  const folder = dirname(require.resolve("tslab/package.json"));
  interface TslabDisplay {
    data: MimeBundle;
    metadata: JsonObject;
    transient?: { display_id?: string };
  }
  const jupyter = require(join(folder, "dist", "jupyter.js")) as {
    lastWriteDisplayData: ((data: TslabDisplay, update: boolean) => void) | null;
  };
  jupyter.lastWriteDisplayData = ({ data, metadata, transient }, update) => {
    const id = transient?.display_id;
    if (update && id !== undefined) outputs.update(id, data, metadata);
    else outputs.display(data, metadata, id);
  };
  return require("tslab");
}
