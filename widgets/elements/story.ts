import { css, html, nothing } from "lit";
import type { TemplateResult } from "lit";
import { effectNormalize, focusEdgeKind, parseNode, shortText } from "../../src/protocol";
import { Ask } from "../core/ask";
import { define, LmtElement } from "../core/element";
import { weight } from "../core/format";
import { focusWords } from "../core/places";

/**
 * What is selected, as one sentence made from its numbers: "·Mary reaches ·to in layer 23, mostly through head 0, which
 * promotes ·Mary." Nothing is said that the answers do not hold.
 */
export class StoryElement extends LmtElement {
  static override styles = [
    LmtElement.styles,
    css`
      p {
        margin: 1px 0 0;
        line-height: 1.4;
      }
      strong {
        font-weight: 600;
      }
    `,
  ];

  readonly #heads = new Ask(this, () => {
    const edge = this.#edge;
    return edge && { kind: "heads" as const, layer: edge.layer, query: edge.query, key: edge.key };
  });
  /** What the head that is chosen, or else carries most, wrote: the same as the table of its effect asks. */
  readonly #effect = new Ask(this, () => {
    const edge = this.#edge;
    const head = this.#head?.head;
    if (!edge || head === undefined) return undefined;
    const component = { kind: "attention" as const, layer: edge.layer, position: edge.query, head };
    return { kind: "effect" as const, component, normalize: effectNormalize(this.selected.normalize), topK: 15 };
  });

  get #edge(): { readonly layer: number; readonly query: number; readonly key: number } | undefined {
    const { focus } = this.selected;
    if (focus?.kind !== "edge" || focusEdgeKind(focus) === "residual") return undefined;
    const [from, to] = [parseNode(focus.source), parseNode(focus.target)];
    return from && to && { layer: to.layer, query: to.position, key: from.position };
  }

  /** The head that the sentence is about, and its share of all heads; undefined before it is known. */
  get #head():
    { readonly head: number; readonly share: number; readonly largest: boolean; readonly sum: number } | undefined {
    const edge = this.#edge;
    const answered = this.#heads.answered;
    const values = this.#heads.value?.contributions.data;
    if (
      !edge ||
      !values ||
      answered?.layer !== edge.layer ||
      answered.query !== edge.query ||
      answered.key !== edge.key
    )
      return undefined;
    const sum = values.reduce((total, value) => total + value, 0);
    const best = values.reduce((most, value, head) => (value > values[most] ? head : most), 0);
    const { head: chosen } = this.selected;
    const head = chosen?.layer === edge.layer && chosen.head < values.length ? chosen.head : best;
    return { head, share: sum > 0 ? values[head] / sum : 0, largest: head === best, sum };
  }

  protected override render(): TemplateResult | typeof nothing {
    const { focus } = this.selected;
    const facts = this.source?.facts;
    if (!focus || !facts) return nothing;
    const edge = this.#edge;
    if (!edge) return html`<p><strong>${capital(focusWords(focus, facts.tokens))}</strong></p>`;
    const token = (position: number): TemplateResult =>
      html`<strong class="token">${shortText(facts.tokens[position]?.text ?? "", 16)}</strong>`;
    const found = this.#head;
    const { answered } = this.#effect;
    const promoted =
      found &&
      answered?.component.layer === edge.layer &&
      "head" in answered.component &&
      answered.component.head === found.head
        ? this.#effect.value?.promoted[0]
        : undefined;
    const percent = found && `${Math.round(found.share * 100)} %`;
    const through =
      found &&
      (found.largest
        ? found.share > 0.5
          ? `mostly through head ${found.head} (${percent})`
          : `through head ${found.head} more than any other (${percent})`
        : `${percent} of it through head ${found.head}`);
    return html`<p>
      ${token(edge.key)} reaches ${token(edge.query)} in layer ${edge.layer}${
        found
          ? html` with ${weight(found.sum)} of everything there, ${through}${promoted ? html`, which promotes <strong class="token">${shortText(promoted.text, 16)}</strong>` : nothing}`
          : nothing
      }.
    </p>`;
  }
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

define("lmt-story", StoryElement);
