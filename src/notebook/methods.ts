import { BaseRun } from "../runtime/base-run";
import { FlowGraph } from "./flow-graph";
import type { FlowGraphOptions } from "./flow-graph";
import { Explorer } from "./parts";
import type { ExplorerOptions } from "./parts";

/** Pictures as methods of a run. Attached here, so that runs themselves know nothing of notebooks. */
declare module "../runtime/base-run" {
  interface BaseRun {
    /** The whole tool for this run; the last expression of a cell shows it. */
    explorer(options?: ExplorerOptions): Explorer;
    /** The information flow graph of this run. */
    flowGraph(options?: FlowGraphOptions): FlowGraph;
  }
}

BaseRun.prototype.explorer = function (this: BaseRun, options?: ExplorerOptions): Explorer {
  return new Explorer(this, options);
};
BaseRun.prototype.flowGraph = function (this: BaseRun, options?: FlowGraphOptions): FlowGraph {
  return new FlowGraph(this, options);
};
