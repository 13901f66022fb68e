import type { Answer, PicturePart, Question, QuestionKind, RunFacts, SingleQuestion } from "../../src/protocol";
import {
  describePicture,
  isPicture,
  PART_ELEMENTS,
  PICTURES,
  ProtocolError,
  readRunFacts,
  readStyle,
} from "../../src/protocol";
import { captured } from "../core/export";
import type { LmtElement } from "../core/element";
import { elementNames } from "../core/element";
import type { SelectionStore } from "../core/selection-store";
import type { FlowSource } from "../core/source";
import { sentenceOf } from "../core/source";
import "../elements";
import { keepKeys } from "./keys";

export interface PictureParts {
  readonly picture: unknown;
  readonly options: unknown;
  readonly source: FlowSource;
  readonly selection: SelectionStore;
  /** Id of its widget's model, where it has one. */
  readonly widget?: string;
}

/** Makes the element of a picture. Throws a `ProtocolError` for a name that this version does not know. */
export function pictureElement({ picture, options, source, selection, widget }: PictureParts): LmtElement {
  if (!isPicture(picture)) {
    throw new ProtocolError(
      "version",
      `This version of lm-transparency has no picture named ${JSON.stringify(picture)}; it has ${PICTURES.join(", ")}.`,
    );
  }
  keepKeys();
  const description = describePicture(picture);
  const element = document.createElement(description.element) as LmtElement & { second?: FlowSource };
  element.source = source;
  element.selection = selection;
  if (widget !== undefined) element.dataset.widget = widget;
  for (const [name, value] of Object.entries((options ?? {}) as Record<string, unknown>)) {
    if (Object.hasOwn(description.options, name) && typeof value === description.options[name])
      Object.assign(element, { [name]: value });
  }
  for (const [name, value] of Object.entries(readStyle((options as { style?: unknown } | null)?.style)))
    element.style.setProperty(name, value);
  if (description.compares)
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
  for (const element of root.querySelectorAll<LmtElement>(elementNames().join())) {
    if (element.localName === tag) yield element;
    else if (element.shadowRoot) yield* elementsNamed(tag, element.shadowRoot);
  }
}

/** The element by which this page shows a picture with this selection. */
export function shownPicture(picture: unknown, selection: SelectionStore): LmtElement | undefined {
  return isPicture(picture)
    ? [...elementsNamed(describePicture(picture).element)].find((element) => element.selection === selection)
    : undefined;
}

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
  const known: readonly string[] = (target.constructor as typeof LmtElement).formats;
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
