import type {
  Answer,
  PictureName,
  PicturePart,
  Question,
  QuestionKind,
  RunFacts,
  SingleQuestion,
} from "../../src/protocol";
import { PICTURES, ProtocolError, readRunFacts, readStyle } from "../../src/protocol";
import { captured } from "../core/export";
import type { LmtElement } from "../core/element";
import type { SelectionStore } from "../core/selection-store";
import type { FlowSource } from "../core/source";
import { sentenceOf } from "../core/source";
import { FlowCompareElement } from "../elements";
import { keepKeys } from "./keys";

/** The element of each picture. */
const ELEMENTS: Readonly<Record<PictureName, string>> = {
  "flow-graph": "lmt-flow-panel",
  explorer: "lmt-explorer",
  "token-matrix": "lmt-token-matrix",
  "token-table": "lmt-token-table",
  "head-bars": "lmt-head-bars",
  "neuron-bars": "lmt-neuron-bars",
  "lens-grid": "lmt-lens-grid",
  "flow-compare": "lmt-flow-compare",
};

/** Options of pictures by name, and the element's property that each one sets. Others are ignored. */
const OPTIONS: Readonly<Record<string, { readonly property: string; readonly type: "boolean" | "number" | "string" }>> =
  {
    detail: { property: "detail", type: "boolean" },
    bare: { property: "bare", type: "boolean" },
    topK: { property: "topK", type: "number" },
    node: { property: "node", type: "string" },
    layer: { property: "layer", type: "number" },
    head: { property: "head", type: "number" },
    together: { property: "together", type: "boolean" },
    multiples: { property: "multiples", type: "boolean" },
    sorted: { property: "sorted", type: "boolean" },
    by: { property: "by", type: "string" },
    colorBy: { property: "colorBy", type: "string" },
    compact: { property: "compact", type: "boolean" },
    mode: { property: "mode", type: "string" },
  };

export interface PictureParts {
  readonly picture: unknown;
  readonly options: unknown;
  readonly source: FlowSource;
  readonly selection: SelectionStore;
}

/** Makes the element of a picture. Throws a `ProtocolError` for a name that this version does not know. */
export function pictureElement({ picture, options, source, selection }: PictureParts): LmtElement {
  if (typeof picture !== "string" || !(PICTURES as readonly string[]).includes(picture)) {
    throw new ProtocolError(
      "version",
      `This version of lm-transparency has no picture named ${JSON.stringify(picture)}; it has ${PICTURES.join(", ")}.`,
    );
  }
  keepKeys();
  const element = document.createElement(ELEMENTS[picture as PictureName]) as LmtElement;
  element.source = source;
  element.selection = selection;
  for (const [name, value] of Object.entries((options ?? {}) as Record<string, unknown>)) {
    const option = Object.hasOwn(OPTIONS, name) ? OPTIONS[name] : undefined;
    if (option && typeof value === option.type) Object.assign(element, { [option.property]: value });
  }
  for (const [name, value] of Object.entries(readStyle((options as { style?: unknown } | null)?.style)))
    element.style.setProperty(name, value);
  if (element instanceof FlowCompareElement)
    element.second = secondSource(source, readRunFacts((options as { second?: unknown } | null)?.second));
  return element;
}

/** The second run of a comparison, asked through the first one's source. */
function secondSource(source: FlowSource, facts: RunFacts): FlowSource {
  return {
    facts,
    ask: async <K extends QuestionKind>(question: Question<K>, signal?: AbortSignal) =>
      (await source.ask({ kind: "second", question: question as unknown as SingleQuestion }, signal))
        .answer as Answer<K>,
  };
}

/** Elements with this name in the page, those within other elements of ours too, outermost first. */
function* elementsNamed(tag: string, root: ParentNode = document): Generator<LmtElement> {
  for (const element of root.querySelectorAll<LmtElement>([tag, ...SURROUNDING].join())) {
    if (element.localName === tag) yield element;
    else if (element.shadowRoot) yield* elementsNamed(tag, element.shadowRoot);
  }
}

/** Elements that have others within them. */
const SURROUNDING = ["lmt-explore", "lmt-explorer", "lmt-flow-panel", "lmt-flow-compare", "lmt-detail-panel"];

/** The element by which this page shows a picture with this selection. */
export function shownPicture(picture: unknown, selection: SelectionStore): LmtElement | undefined {
  const tag =
    typeof picture === "string" && Object.hasOwn(ELEMENTS, picture) ? ELEMENTS[picture as PictureName] : undefined;
  return tag === undefined ? undefined : [...elementsNamed(tag)].find((element) => element.selection === selection);
}

/** Formats that an element's `save` knows. */
const FORMATS: Readonly<Record<string, readonly string[]>> = {
  "lmt-flow-panel": ["svg", "png", "csv"],
  "lmt-flow-graph": ["svg", "png", "csv"],
  "lmt-flow-compare": ["svg", "png", "csv"],
  "lmt-explorer": ["svg", "png", "csv"],
  "lmt-token-matrix": ["svg", "png", "csv"],
  "lmt-follow-chart": ["svg", "png", "csv"],
  "lmt-token-table": ["csv"],
  "lmt-effect-table": ["csv"],
  "lmt-head-bars": ["svg", "png", "csv"],
  "lmt-neuron-bars": ["svg", "png", "csv"],
  "lmt-lens-grid": ["svg", "png", "csv"],
};

const PART_ELEMENTS: Readonly<Record<PicturePart, string>> = {
  graph: "lmt-flow-graph",
  heads: "lmt-head-bars",
  neurons: "lmt-neuron-bars",
  maps: "lmt-token-matrix",
  tokens: "lmt-token-table",
  effect: "lmt-effect-table",
  follow: "lmt-follow-chart",
};

/**
 * The file that an element, or the part of it that is asked for, saves. Rejects with a sentence for a format or part
 * that it does not have.
 */
export async function savedPicture(element: LmtElement, format: string, part?: unknown): Promise<Blob> {
  let target: LmtElement | undefined = element;
  if (part !== undefined) {
    const tag =
      typeof part === "string" && Object.hasOwn(PART_ELEMENTS, part) ? PART_ELEMENTS[part as PicturePart] : "";
    target =
      tag !== "" && element.shadowRoot
        ? (elementsNamed(tag, element.shadowRoot).next().value as LmtElement | undefined)
        : undefined;
    if (!target)
      throw new Error(`This picture shows no part ${JSON.stringify(part)} now: select what it is about first.`);
  }
  const known = FORMATS[target.localName] ?? [];
  if (!known.includes(format))
    throw new Error(
      `${part === undefined ? "This picture" : `Its part ${JSON.stringify(part)}`} cannot be saved as .${format}; it can as ${known.map((name) => `.${name}`).join(", ")}.`,
    );
  return captured(() => (target as LmtElement & { save(format: string): void | Promise<void> }).save(format));
}

/** A sentence where a picture would be. */
export function sentenceElement(error: unknown): HTMLElement {
  const box = document.createElement("div");
  box.setAttribute("role", "alert");
  box.style.cssText =
    "padding:10px 14px;font:13px/1.5 var(--jp-ui-font-family, system-ui, sans-serif);color:var(--jp-error-color0, #b3261e)";
  box.textContent = error instanceof ProtocolError ? error.message : sentenceOf(error);
  return box;
}
