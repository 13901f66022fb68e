/** Everything that kernel and browser agree on. README.md is its document. */
export * from "./version";
export * from "./codec";
export * from "./names";
export * from "./text";
export * from "./selection";
export * from "./questions";
export * from "./messages";
export * from "./flow-layout";
export * from "./state";
export * from "./controls";
