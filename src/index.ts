/** The public API: what a notebook cell imports. */
import "./system/check-platform";
export type * from "./model/types";
export { loadModel } from "./notebook/load";
export { ModelFileError } from "./model/errors";
export { isNodeName, nodeName, parseNode, type NodeKind, type NodePlace } from "./model/names";
export {
  aggregate,
  Aggregate,
  headPatterns,
  type AggregateOptions,
  type AggregateRow,
  type AggregateState,
  type HeadLabel,
} from "./runtime/aggregate";
export { HEAD_PATTERNS, type HeadPattern } from "./attribution/head-patterns";
export { exportRoutes, ROUTE_FORMATS, type RouteFormat } from "./attribution/route-formats";
export { LocalRouteGraph } from "./attribution/route-graph";
export { followToken, type FollowedToken, type FollowOptions } from "./lens/follow";
export { searchTokens, type PredictedToken, type SearchOptions } from "./lens/search";
export { lensTable, type LensTable, type LensTableOptions } from "./lens/table";
export { importRoutes } from "./attribution/route-import";
export { patchGrid, type PatchGridOptions, type PatchGridOver, type PatchGridValues } from "./runtime/patch-grid";
export { readPrompts } from "./runtime/prompt-file";
// For models of your own: everything of the interface from a few primitives.
export { BaseModel } from "./runtime/base-model";
export { BaseRun, type AttentionConstants, type ChangeableRun } from "./runtime/base-run";
export type { BackwardOptions, LayerBackward } from "./runtime/attribute";
export type { LayerRelevance } from "./attribution/relp";
export * from "./notebook";
export {
  Explore,
  explore,
  Workbench,
  workbench,
  ModelPanel,
  modelPanel,
  PromptBar,
  promptBar,
  type WorkbenchOptions,
  type WorkbenchOptions as ExploreOptions,
  type WorkbenchSource as ExploreSource,
  type WorkbenchSource,
} from "./notebook/workbench";
export { ExploreSession, WorkbenchSession } from "./notebook/workbench-session";
export { LensGrid, lensGrid } from "./notebook/lens-grid";
export { ConfigError, loadConfig, readConfig, type ExplorerConfig, type ExplorerSettings } from "./config";
