import { createHash } from "node:crypto";
import { escapeXml } from "../export/xml";
import type { MimeBundle } from "../jupyter/comm-host";
import { commHost, DISPLAY_ID, DISPLAYED, GONE, JUPYTER_DISPLAY } from "../jupyter/comm-host";
import { Accordion, Box, GridBox, HBox, Tab, VBox } from "../jupyter/ipywidgets";
import { frontEndSeen } from "../jupyter/ipywidgets/registry";
import type { RegisteredWidget } from "../jupyter/ipywidgets/registry";
import { PAYLOAD_MIME, PAYLOAD_VERSION } from "../payload/format";
import type { BoxKind, LayoutNode, LayoutPayload } from "../payload/layout";
import { Picture } from "./picture";

/**
 * Stock boxes with pictures in them keep what their pictures keep: such a box shows itself with the data of all of them,
 * so that a shared notebook shows the panel without a kernel, as it shows a picture that stands alone.
 */

const KINDS: readonly (readonly [abstract new (...args: never[]) => object, BoxKind])[] = [
  [Box, "row"],
  [HBox, "row"],
  [GridBox, "row"],
  [VBox, "column"],
  [Tab, "tabs"],
  [Accordion, "accordion"],
];

/** What is used of a stock box. */
interface BoxLike {
  readonly modelId: string;
  readonly children: readonly RegisteredWidget[];
  readonly titles?: readonly string[];
  toString(): string;
}

const kindOf = (value: unknown): BoxKind | undefined => KINDS.find(([box]) => value instanceof box)?.[1];

/** Pictures in a box, also those in boxes within it. */
function picturesIn(value: unknown): readonly Picture[] {
  if (value instanceof Picture) return [value];
  return kindOf(value) ? (value as BoxLike).children.flatMap(picturesIn) : [];
}

interface Part {
  readonly node: LayoutNode;
  readonly html: string;
}

const WRAP: Readonly<Record<BoxKind, string>> = {
  row: "display:flex;flex-wrap:wrap;gap:12px;align-items:flex-start",
  column: "display:grid;gap:12px",
  tabs: "display:grid;gap:12px",
  accordion: "display:grid;gap:12px",
};

/** A stock control in a few words: its name, description and value. */
function controlText(value: unknown): string {
  const { description, value: now } = value as { readonly description?: unknown; readonly value?: unknown };
  const name = (value as object).constructor.name;
  const said = [description, typeof now === "object" ? undefined : now].filter(
    (part) => (typeof part === "string" && part !== "") || typeof part === "number" || typeof part === "boolean",
  );
  const text = said.map(String).join(" ");
  return `${name}${text ? `: ${text.length > 80 ? `${text.slice(0, 80)}…` : text}` : ""}`;
}

async function partOf(value: unknown): Promise<Part> {
  if (value instanceof Picture) {
    const { payload, html } = await value.kept();
    return { node: { picture: payload }, html };
  }
  const box = kindOf(value);
  if (!box) {
    const text = controlText(value);
    return { node: { text }, html: `<pre>${escapeXml(text)}</pre>` };
  }
  const { children, titles } = value as BoxLike;
  const parts = await Promise.all(children.map(partOf));
  const named = titles && titles.length > 0 ? titles : undefined;
  const html = parts.map((part, i) => `${named?.[i] ? `<h4>${escapeXml(named[i])}</h4>` : ""}${part.html}`);
  return {
    node: { box, ...(named ? { titles: named } : {}), children: parts.map(({ node }) => node) },
    html: `<div style="${WRAP[box]}">${html.map((inner) => `<div>${inner}</div>`).join("")}</div>`,
  };
}

/** Boxes that are shown, and what ends their following of their pictures. */
const shown = new WeakMap<object, () => void>();
/** Several pictures of a box store their clicks at about the same time. */
const TOGETHER_MS = 200;

async function bundleOf(box: BoxLike): Promise<MimeBundle> {
  const { node, html } = await partOf(box);
  const layout: LayoutPayload = {
    payload: PAYLOAD_VERSION,
    layout: node,
    widget: box.modelId,
    data: createHash("sha256").update(JSON.stringify(node)).digest("hex").slice(0, 16),
  };
  return { "text/plain": box.toString(), [PAYLOAD_MIME]: layout, "text/html": `<div>${html}</div>` };
}

const displayId = (box: BoxLike): string => `lm-transparency-${box.modelId}`;

async function displayed(box: BoxLike): Promise<void> {
  shown.get(box)?.();
  const pictures = picturesIn(box);
  let timer: NodeJS.Timeout | undefined;
  const again = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      bundleOf(box).then(
        (bundle) => commHost().updateDisplay(displayId(box), bundle),
        (error: unknown) => commHost().showError(error),
      );
    }, TOGETHER_MS);
  };
  const releases = pictures.map((picture) => picture.holdIn(again));
  shown.set(box, () => releases.forEach((release) => release()));
  await Promise.all(pictures.map((picture) => picture.collected()));
  again();
  if (!frontEndSeen()) {
    clearTimeout(timer);
    commHost().updateDisplay(displayId(box), await bundleOf(box));
  }
}

for (const [box] of KINDS) {
  const plain = (box.prototype as { [JUPYTER_DISPLAY](): MimeBundle | Promise<MimeBundle> })[JUPYTER_DISPLAY];
  Object.defineProperties(box.prototype, {
    [JUPYTER_DISPLAY]: {
      configurable: true,
      value(this: BoxLike) {
        return picturesIn(this).length > 0 ? bundleOf(this) : plain.call(this);
      },
    },
    // Without pictures a box ends with its cell, as before: a value without a display id is not a lasting one.
    [DISPLAY_ID]: {
      configurable: true,
      get(this: BoxLike) {
        return picturesIn(this).length > 0 ? displayId(this) : undefined;
      },
    },
    [DISPLAYED]: {
      configurable: true,
      value(this: BoxLike) {
        return picturesIn(this).length > 0 ? displayed(this) : Promise.resolve();
      },
    },
    [GONE]: {
      configurable: true,
      value(this: BoxLike) {
        shown.get(this)?.();
        shown.delete(this);
      },
    },
  });
}

/** How `layout` puts its children together. */
export interface LayoutOptions {
  /** "column" (default), "row", "tabs" or "accordion". */
  readonly as?: BoxKind;
  /** Titles of tabs, or of an accordion's parts. */
  readonly titles?: readonly string[];
}

/**
 * Several pictures and stock controls in one output: `layout([flowGraph(run, { detail: false }), tokenTable(run)], { as:
 * "row" })`. It is a stock `VBox`, `HBox`, `Tab` or `Accordion`; shared notebooks keep it with its pictures.
 *
 * @param children pictures, stock widgets, other layouts
 * @throws TypeError for a child that is no widget; RangeError for an unknown way to lay them out
 */
export function layout(children: readonly RegisteredWidget[], options: LayoutOptions = {}): RegisteredWidget {
  const { as = "column", titles = [] } = options;
  const given: unknown = children;
  if (
    !Array.isArray(given) ||
    given.some((child) => typeof (child as { modelId?: unknown } | null)?.modelId !== "string")
  )
    throw new TypeError(
      "layout takes a list of pictures and widgets, such as layout([flowGraph(run), tokenTable(run)]).",
    );
  switch (as) {
    case "column":
      return new VBox(children);
    case "row":
      return new HBox(children);
    case "tabs":
      return new Tab(children, { titles: [...titles], selected_index: children.length ? 0 : null });
    case "accordion":
      return new Accordion(children, { titles: [...titles] });
    default:
      throw new RangeError(`as is ${JSON.stringify(as)}, but has to be "column", "row", "tabs" or "accordion".`);
  }
}
