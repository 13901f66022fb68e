import { ProtocolError } from "../protocol/version";
import { PAYLOAD_VERSION } from "./format";

/**
 * Pictures and stock controls that one output shows together: in an output's data under the same MIME type as a
 * picture's, told apart by `layout`.
 */
export interface LayoutPayload {
  readonly payload: number;
  readonly layout: LayoutNode;
  /** Id of the outermost box's model. */
  readonly widget?: string;
  /** Another text where what is stored is another: front ends compare it. */
  readonly data: string;
}

export type BoxKind = "row" | "column" | "tabs" | "accordion";

export type LayoutNode =
  | { readonly box: BoxKind; readonly titles?: readonly string[]; readonly children: readonly LayoutNode[] }
  /** A picture, as its own output would store it. */
  | { readonly picture: unknown }
  /** What needs the kernel: its text stands for it. */
  | { readonly text: string };

const BOXES: ReadonlySet<unknown> = new Set<BoxKind>(["row", "column", "tabs", "accordion"]);
const MAX_DEPTH = 12;
const MAX_NODES = 400;

/** Whether an output's data is a layout's. */
export const isLayout = (value: unknown): boolean =>
  typeof value === "object" && value !== null && "layout" in value && !("picture" in value);

/** Reads a layout, whoever wrote it. Throws a `ProtocolError` whose sentence can stand in its place. */
export function readLayout(value: unknown): LayoutPayload {
  const { payload, layout, widget, data } = value as Record<string, unknown>;
  if (typeof payload !== "number" || !Number.isInteger(payload) || payload < 1 || payload > PAYLOAD_VERSION)
    throw new ProtocolError(
      "version",
      `This output was stored by another lm-transparency (format ${String(payload).slice(0, 20)}; this one reads up to ${PAYLOAD_VERSION}). Run the cell again, or install the matching version.`,
    );
  let nodes = 0;
  const damaged = (): ProtocolError =>
    new ProtocolError("malformed", "This output's stored layout is damaged: run the cell again.");
  const read = (given: unknown, depth: number): LayoutNode => {
    if (typeof given !== "object" || given === null || depth > MAX_DEPTH || ++nodes > MAX_NODES) throw damaged();
    const node = given as Record<string, unknown>;
    if ("picture" in node) return { picture: node.picture };
    if (typeof node.text === "string") return { text: node.text.slice(0, 2000) };
    if (!BOXES.has(node.box) || !Array.isArray(node.children)) throw damaged();
    return {
      box: node.box as BoxKind,
      ...(Array.isArray(node.titles) ? { titles: node.titles.map((title) => String(title).slice(0, 200)) } : {}),
      children: node.children.map((child) => read(child, depth + 1)),
    };
  };
  return {
    payload,
    layout: read(layout, 0),
    ...(typeof widget === "string" && widget.length <= 200 ? { widget } : {}),
    data: typeof data === "string" ? data : "",
  };
}
