/** Pictures of runs for notebooks. */
export { FlowGraph, flowGraph, type FlowGraphOptions } from "./flow-graph";
export { Picture, type PictureOptions } from "./picture";
export { PredictionTable, topPredictions, type PredictionOptions } from "./predictions";
export { SharedSelection, selectionOf } from "./selection";
export { staticSvg } from "./static-picture";
