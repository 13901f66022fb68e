import { html, nothing } from "lit";
import type { TemplateResult } from "lit";
import type { WireContrast } from "../../../src/protocol";
import { shortText } from "../../../src/protocol";
import { signed, weight } from "../../core/format";
import type { ComparedRoutes, DrawnRoutes } from "../../core/routes";
import { FULL_DIFFERENCE, FULL_LOGITS } from "../../core/routes";
import type { Coloring } from "./ink";
import { edgeWidth, headColor, labelColor, strength } from "./ink";

/** Legend of a comparison. */
export function comparisonLegend(routes: DrawnRoutes | undefined): TemplateResult {
  const edges = routes?.edges ?? [];
  const largest = edges.reduce((most, edge) => Math.max(most, Math.abs(edge.delta ?? 0)), 0);
  const signed = edges.some(({ logit }) => logit !== undefined);
  const { unplaced = 0, unknown = 0 } = (routes ?? {}) as Partial<ComparedRoutes>;
  // What a contrast does not draw on one side has logits that nobody knows: the line is as wide as on the other.
  const under = signed ? "not drawn" : "below the threshold";
  const line = (look: string): TemplateResult =>
    html`<svg width="36" height="10" aria-hidden="true"><path class="edge ${look}" style="--w:1;stroke-width:3" d="M2,5h32"></path></svg>`;
  return html`<div class="legend" part="legend">
    <span>${line("more")} more in A</span>
    <span>${line("less")} more in B</span>
    <span>${line("more below")} ${under} in B</span>
    <span>${line("less below")} ${under} in A</span>
    <span>full width: ${signed ? `${FULL_LOGITS} logits` : weight(FULL_DIFFERENCE)} or more; largest here ${signed ? largest.toFixed(2) : weight(largest)}</span>
    ${unplaced ? html`<span>${unplaced} edges of B lie at tokens that A does not have, and are not drawn</span>` : nothing}
    ${unknown ? html`<span>${unknown} edges are not drawn: what they contribute on the other side is not kept in this notebook; run the cell again to see them</span>` : nothing}
  </div>`;
}

/** Four weights of one kind of edge. */
function ramp(name: string): TemplateResult {
  return html`<svg width="44" height="10" aria-hidden="true">
    ${[0.1, 0.35, 0.65, 1].map((value, i) => {
      const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
      path.setAttribute("class", `edge ${name}`);
      path.setAttribute("d", `M${2 + i * 11},5h8`);
      path.setAttribute("style", `--w:${strength(value)};stroke-width:${edgeWidth(name, value)}`);
      return path;
    })}
  </svg>`;
}

/** Legend of a contrast: what the colours say, and how the parts that are drawn make up the logits. */
export function contrastLegend(routes: DrawnRoutes | undefined, contrast: WireContrast): TemplateResult {
  const name = shortText(contrast.token.text, 14);
  const parts = (routes?.edges ?? []).filter(({ kind, side }) => kind !== "ffn-in" && side !== undefined);
  const largest = parts.reduce((most, { logit = 0 }) => Math.max(most, Math.abs(logit)), 0);
  return html`<div class="legend" part="legend">
    <span><svg width="26" height="10" aria-hidden="true"><path class="edge supports" style="--w:1;stroke-width:3" d="M2,5h22"></path></svg> speaks for <span class="token">${name}</span></span>
    <span><svg width="26" height="10" aria-hidden="true"><path class="edge opposes" style="--w:1;stroke-width:3" d="M2,5h22"></path></svg> speaks against it</span>
    <span>thicker and stronger: more logits, here up to ${signed(largest).slice(1)}</span>
    <span>other colours: how the other tokens came about</span>
    <span>▼ start token</span>
  </div>`;
}

export function routesLegend(routes: DrawnRoutes | undefined, { by, dark, labels }: Coloring): TemplateResult {
  const heads =
    by === "head"
      ? [...new Set((routes?.edges ?? []).flatMap((edge) => (edge.heads.length ? [edge.heads[0].head] : [])))].sort(
          (a, b) => a - b,
        )
      : [];
  return html`<div class="legend" part="legend">
    ${
      by === "label" && labels
        ? html`${labels.patterns.map((name, label) => html`<span><span class="swatch"><i style="background:${labelColor(label, dark)}"></i></span>${name} heads</span>`)}<span>${ramp("attention")} other attention</span>`
        : heads.length
          ? html`<span>attention by head ${heads.slice(0, 32).map((head) => html`<span class="swatch"><i style="background:${headColor(head, dark)}"></i>${head}</span>`)}</span>`
          : html`<span>${ramp("attention")} attention</span>`
    }
    <span>${ramp("ffn-in")} feed-forward ■</span>
    <span>${ramp("residual")} residual</span>
    ${routes?.others?.size ? html`<span title="Heads that read many tokens a little: none is an edge, together they are more than one has to be"><svg width="14" height="10" aria-hidden="true"><path class="fan" style="--w:1" d="M2,1L12,5M2,5L12,5M2,9L12,5"></path></svg> many tokens</span>` : nothing}
    <span>thicker: larger contribution</span>
    <span>▼ start token</span>
  </div>`;
}
