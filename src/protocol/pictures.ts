import type { QuestionKind } from "./questions";

/** Options of a picture as its state has them. */
export type PictureOptionValues = Readonly<Record<string, unknown>>;

/** What kernel and browser know of a picture. `docs/adding-a-picture.md` walks through it. */
export interface PictureDescription {
  /** The element that shows it. */
  readonly element: `lmt-${string}`;
  /**
   * Options of this picture by name, each a property of the element with the same name. What is of another type, or not
   * named here, is ignored.
   */
  readonly options: Readonly<Record<string, "boolean" | "number" | "string">>;
  /** Draws routes, or shows the heads of an edge: both are stored with it. */
  readonly routes: boolean;
  /** A graph: the kernel can draw it without a page. */
  readonly graph: boolean;
  /**
   * Shows two runs; the second one's facts are the option `second`, and the element has a property of that name for its
   * source.
   */
  readonly compares?: boolean;
  /** What it asks besides routes and heads: an output keeps no more than its own picture can show. */
  asks(options: PictureOptionValues): readonly QuestionKind[];
}

/** Every picture by its name, which is also stored in notebooks: a name stays what it is. */
const DESCRIPTIONS = {
  "flow-graph": {
    element: "lmt-flow-panel",
    options: {
      detail: "boolean",
      colorBy: "string",
      compact: "boolean",
      fold: "string",
      hideSinks: "boolean",
      fit: "boolean",
      height: "number",
    },
    routes: true,
    graph: true,
    asks: ({ detail }) => (detail === false ? ["lens", "removed"] : ["lens", "effect", "neurons", "removed"]),
  },
  explorer: {
    element: "lmt-explorer",
    options: { fit: "boolean", height: "number" },
    routes: true,
    graph: true,
    asks: () => ["lens", "effect", "neurons", "maps", "grid", "follow", "removed"],
  },
  "token-matrix": {
    element: "lmt-token-matrix",
    options: { layer: "number", head: "number", together: "boolean", multiples: "boolean" },
    routes: false,
    graph: false,
    asks: () => ["maps"],
  },
  "token-table": {
    element: "lmt-token-table",
    options: { node: "string", topK: "number" },
    routes: false,
    graph: false,
    asks: () => ["lens"],
  },
  "head-bars": {
    element: "lmt-head-bars",
    options: { sorted: "boolean" },
    routes: true,
    graph: false,
    asks: () => [],
  },
  "neuron-bars": {
    element: "lmt-neuron-bars",
    options: { topK: "number" },
    routes: false,
    graph: false,
    asks: () => ["neurons"],
  },
  "lens-grid": {
    element: "lmt-lens-grid",
    options: { by: "string" },
    routes: false,
    graph: false,
    asks: () => ["grid", "lens", "follow"],
  },
  "flow-compare": {
    element: "lmt-flow-compare",
    options: { mode: "string", detail: "boolean", height: "number", fit: "boolean" },
    routes: true,
    graph: true,
    compares: true,
    asks: () => ["lens", "effect", "neurons", "second"],
  },
} as const satisfies Readonly<Record<string, PictureDescription>>;

/** Name of a picture: each is an element, a widget and a class of the library. */
export type PictureName = keyof typeof DESCRIPTIONS;

export const PICTURES = Object.keys(DESCRIPTIONS) as readonly PictureName[];

/** Whether this version has a picture of that name. */
export const isPicture = (name: unknown): name is PictureName =>
  typeof name === "string" && Object.hasOwn(DESCRIPTIONS, name);

export const describePicture = (name: PictureName): PictureDescription => DESCRIPTIONS[name];

/**
 * Parts of a picture that are saved alone, and the element of each: the graph, and what is shown of what is selected in
 * it.
 */
export const PART_ELEMENTS = {
  graph: "lmt-flow-graph",
  heads: "lmt-head-bars",
  neurons: "lmt-neuron-bars",
  maps: "lmt-token-matrix",
  tokens: "lmt-token-table",
  effect: "lmt-effect-table",
  follow: "lmt-follow-chart",
  pins: "lmt-pins",
} as const;

export type PicturePart = keyof typeof PART_ELEMENTS;

export const PICTURE_PARTS = Object.keys(PART_ELEMENTS) as readonly PicturePart[];
