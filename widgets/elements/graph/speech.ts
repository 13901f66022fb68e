import { html, nothing } from "lit";
import type { ReactiveControllerHost, TemplateResult } from "lit";
import type { NodeName, RunFacts, WireToken } from "../../../src/protocol";
import { describeNode, parseNode, shortText, visibleText } from "../../../src/protocol";
import { percent, signed, weight as weightText } from "../../core/format";
import type { DrawnEdge, DrawnRoutes } from "../../core/routes";
import type { Coloring } from "./ink";
import { labelOf } from "./ink";
import type { Mark } from "./marks";
import { ffnEdge } from "./marks";

/** What a graph that is shown is about. */
interface Shown {
  readonly facts: RunFacts | undefined;
  readonly routes: DrawnRoutes | undefined;
}

/** A token that a state would predict. */
type Read = Pick<WireToken, "text"> & { readonly probability: number };

/** What an edge carries, in words; of a comparison in both, of a contrast in logits. */
function contributionText({ kind, weight, contribution, delta, both, logit, below }: DrawnEdge): string {
  if (delta === undefined) {
    if (logit === undefined) {
      // Where nothing was dropped both are the same number.
      const differ = contribution !== undefined && weightText(contribution) !== weightText(weight);
      return differ
        ? `contribution ${weightText(weight)} of what passed, ${weightText(contribution)} of everything`
        : `contribution ${weightText(weight)}`;
    }
    if (kind === "residual") return `everything written so far: ${signed(logit)} logits`;
    return `${signed(logit)} logits, ${logit < 0 ? "against" : "for"} the token`;
  }
  const text = (value: number): string => (logit === undefined ? weightText(value) : signed(value));
  const [a, b] = (both ?? []).map((value) => (value === undefined ? "not drawn, its logits not known" : text(value)));
  // Of a part that only one side draws, that it is there is all that is known of the difference.
  if (both?.includes(undefined)) return `logits in A ${a}, in B ${b}`;
  const size = logit === undefined ? weightText(Math.abs(delta)) : `${Math.abs(delta).toFixed(2)} logits`;
  const under = below === undefined ? "" : `, below the threshold in ${below}`;
  return `${logit === undefined ? "contribution" : "logits"} in A ${a}, in B ${b}${under}: ${size} more in ${delta >= 0 ? "A" : "B"}`;
}

/** Heads over many keys, in words; "" where there are none. */
function others(routes: DrawnRoutes | undefined, node: string): string {
  const heads = routes?.others?.get(node) ?? [];
  const named = heads.slice(0, 3).map(({ head, share }) => `head ${head} ${weightText(share)}`);
  return heads.length === 0
    ? ""
    : `from many keys, none of them an edge: ${named.join(", ")}${heads.length > 3 ? `, ${heads.length - 3} more heads` : ""}`;
}

/** What a mark is, for the eye: the content of a tip. `best`: the token that the state reads as, where it is known. */
export function describedMark(
  mark: Mark,
  { facts, routes }: Shown,
  coloring: Coloring,
  best: Read | undefined,
): TemplateResult {
  const token = (position: number): string => shortText(facts?.tokens[position]?.text ?? "", 18);
  if (mark.kind === "ffn") {
    const edge = ffnEdge(routes, mark.layer, mark.position);
    return html`<b>Feed-forward block</b>, layer ${mark.layer}<br /><span class="soft">token ${mark.position} <span class="token">${token(mark.position)}</span></span
      >${edge ? html`<br />${contributionText(edge)}` : nothing}`;
  }
  if (mark.kind === "edge") {
    const { edge } = mark;
    const top = edge.heads[0];
    const label = top && labelOf(coloring, edge.to.layer, top.head);
    return html`<b>${edge.kind === "attention" ? "Attention" : edge.kind === "residual" ? "Residual" : "Feed-forward"}</b>, layer ${edge.to.layer}<br />
      <span class="token">${token(edge.from.position)}</span> → <span class="token">${token(edge.to.position)}</span><br />${
        edge.delta === undefined
          ? html`${contributionText(edge)}${top ? html`, most by head ${top.head}${top.logit === undefined ? nothing : html` (${signed(top.logit)})`}${label === undefined ? nothing : html` <span class="soft">(${coloring.labels?.patterns[label]})</span>`}` : nothing}`
          : contributionText(edge)
      }`;
  }
  const place = parseNode(mark.node);
  return html`<b>${mark.node}</b> <span class="soft">${describeNode(mark.node)}</span> <span class="token">${token(place?.position ?? 0)}</span>${
    best
      ? html`<br />reads as <span class="token">${shortText(best.text, 18)}</span> <span class="soft">${percent(best.probability)}</span>`
      : nothing
  }${others(routes, mark.node) ? html`<br /><span class="soft">${others(routes, mark.node)}</span>` : nothing}`;
}

/** What a mark is, for the ear. */
function spokenMark(mark: Mark, { facts, routes }: Shown): string {
  const token = (position: number): string => visibleText(facts?.tokens[position]?.text ?? "");
  if (mark.kind === "node") {
    const place = parseNode(mark.node);
    return `${mark.node}, ${describeNode(mark.node)}, ${token(place?.position ?? 0)}${routes?.nodes.has(mark.node) ? "" : ", not on the routes"}${others(routes, mark.node) ? `; ${others(routes, mark.node)}` : ""}`;
  }
  if (mark.kind === "edge") {
    const { edge } = mark;
    return `${edge.kind} edge from ${edge.source}, ${token(edge.from.position)}, to ${edge.target}, ${token(edge.to.position)}, ${contributionText(edge)}`;
  }
  const edge = ffnEdge(routes, mark.layer, mark.position);
  return `feed-forward block of layer ${mark.layer}, token ${token(mark.position)}${edge ? `, ${contributionText(edge)}` : ", not on the routes"}`;
}

/** What a screen reader says of the cursor. */
export class Announcer {
  #text = "";
  #round = 0;

  constructor(private readonly host: ReactiveControllerHost) {}

  get text(): string {
    return this.#text;
  }

  say(text: string): void {
    this.#round++;
    this.#text = text;
    this.host.requestUpdate();
  }

  /** Says what a mark is, and what its state reads as when that is known, unless something else was said by then. */
  async describe(mark: Mark, shown: Shown, read: (node: NodeName) => Promise<Read | undefined>): Promise<void> {
    this.say(spokenMark(mark, shown));
    if (mark.kind !== "node") return;
    const round = this.#round;
    try {
      const best = await read(mark.node);
      if (best && round === this.#round)
        this.say(`${this.#text}, reads as ${visibleText(best.text)}, ${percent(best.probability)}`);
    } catch {
      // The name was announced; the click will show the sentence of what is wrong.
    }
  }
}
