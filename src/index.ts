/** The public API: what a notebook cell imports. */
export type * from "./model/types";
