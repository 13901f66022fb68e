/** Every element, registered. */
import "./flow-panel";
export * from "./detail-panel";
export * from "./effect-table";
export * from "./graph/flow-graph";
export * from "./flow-panel";
export * from "./head-bars";
export * from "./neuron-bars";
export * from "./prompt-strip";
export * from "./token-table";
export * from "./follow-chart";
export * from "./grid/lens-grid";
export * from "./matrix/token-matrix";
export * from "./explorer";
export * from "./control-status";
export * from "./explore";
export * from "./model-panel";
export * from "./prompt-bar";
export * from "./flow-compare";
