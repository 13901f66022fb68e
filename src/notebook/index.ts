/** Pictures of runs for notebooks. */
import "./generate";
import "./methods";
export { FlowCompare, flowCompare, type FlowCompareOptions } from "./flow-compare";
export { FlowGraph, flowGraph, type FlowGraphOptions } from "./flow-graph";
export { Picture, type PictureOptions } from "./picture";
export { layout, type LayoutOptions } from "./layouts";
export { RowTable, table, type TableOptions } from "./table";
export { PredictionTable, topPredictions, type PredictionOptions } from "./predictions";
export { SharedSelection, selectionOf } from "./selection";
export { staticSvg } from "./static-picture";
export {
  Explorer,
  explorer,
  HeadBars,
  headBars,
  NeuronBars,
  neuronBars,
  TokenMatrix,
  tokenMatrix,
  TokenTable,
  tokenTable,
  type TokenMatrixOptions,
  type TokenTableOptions,
} from "./parts";
