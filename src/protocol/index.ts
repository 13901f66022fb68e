/** Everything that kernel and browser agree on. README.md is its document. */
export * from "./version";
export * from "./codec";
export * from "../model/names";
export type { NodeName } from "../model/types";
export * from "./text";
export * from "./align";
export * from "./removals";
export * from "./selection";
export * from "./questions";
export * from "./inflow";
export * from "./pictures";
export * from "./messages";
export * from "./layout";
export * from "./state";
export * from "./controls";
