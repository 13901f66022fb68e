import { scaleLinear, scaleLog } from "d3-scale";
import { line } from "d3-shape";
import { css, html, nothing, svg } from "lit";
import type { TemplateResult } from "lit";
import type { NodeName } from "../../src/protocol";
import { parseNode, visibleText } from "../../src/protocol";
import { Ask } from "../core/ask";
import { define, LmtElement } from "../core/element";
import type { SaveFormat } from "../core/export";
import { saveCsv, saveSvg, savePng } from "../core/export";
import { percent, whole } from "../core/format";
import "./menu";

/**
 * One token's way through the layers at a position: its rank (log scale, best on top) and its probability in every
 * state, by the logit lens. Follows the selection's `token`; a click on a point selects its state.
 */
export class FollowChartElement extends LmtElement {
  static override formats: readonly SaveFormat[] = ["svg", "png", "csv"];
  static override styles = [
    LmtElement.styles,
    css`
      :host {
        min-height: 40px;
      }
      header {
        display: flex;
        align-items: center;
        gap: 8px;
        min-height: 28px;
      }
      header .end {
        margin-inline-start: auto;
        display: inline-flex;
        gap: 6px;
      }
      svg {
        display: block;
        overflow: visible;
      }
      text {
        font: 11px var(--_sans);
        fill: var(--_text-soft);
      }
      .grid {
        stroke: var(--_line);
      }
      .rank {
        fill: none;
        stroke: var(--_attention);
        stroke-width: 1.8;
      }
      .probability {
        fill: color-mix(in oklab, var(--_ffn) 20%, transparent);
        stroke: var(--_ffn);
        stroke-width: 1.2;
      }
      .point {
        fill: var(--_attention);
        cursor: pointer;
      }
      .point.chosen {
        fill: var(--_selected);
      }
      .hit {
        fill: transparent;
        cursor: pointer;
      }
      .hit:hover + .point {
        r: 5;
      }
      .key {
        font-size: 11.5px;
        color: var(--_text-soft);
        display: flex;
        gap: 14px;
      }
      .key i {
        display: inline-block;
        width: 14px;
        height: 3px;
        border-radius: 2px;
        margin-inline-end: 5px;
        vertical-align: middle;
      }
    `,
  ];

  readonly #follow = new Ask(this, () => {
    const { token, normalize } = this.selected;
    return token === null ? undefined : { kind: "follow" as const, position: this.#position, token, normalize };
  });

  /** Position of the focused state, or of the start token. */
  get #position(): number {
    const { focus, start } = this.selected;
    const place =
      focus?.kind === "node" ? parseNode(focus.node) : focus?.kind === "edge" ? parseNode(focus.target) : focus;
    return place?.position ?? start;
  }

  protected override render(): TemplateResult {
    const facts = this.source?.facts;
    const { token, focus } = this.selected;
    if (!facts || token === null)
      return html`<div class="note">Click a token in a table to follow it through the layers.</div>`;
    const answer = this.#follow.value;
    return html`
      <header>
        <h3>
          ${answer ? html`<span class="token">${visibleText(answer.token.text)}</span>` : "A token"} through the layers
          <span class="soft">at token ${this.#position} <span class="token">${visibleText(facts.tokens[this.#position]?.text ?? "")}</span></span>
        </h3>
        <span class="end">
          <button @click=${() => this.select({ token: null })} title="Follow no token">Let go</button>
          <lmt-menu
            label="Save this chart"
            .items=${[
              { label: "Save as SVG", run: () => void this.save("svg") },
              { label: "Save as PNG", run: () => void this.save("png") },
              { label: "Save as CSV", run: () => void this.save("csv") },
            ]}
          ></lmt-menu>
        </span>
      </header>
      ${this.#follow.renderStatus()}
      ${answer && this.width > 0 ? this.#renderChart(answer.nodes, answer.ranks.data, answer.probabilities.data, focus?.kind === "node" ? focus.node : "") : nothing}
    `;
  }

  #renderChart(
    nodes: readonly NodeName[],
    ranks: Uint32Array,
    probabilities: Float32Array,
    chosen: string,
  ): TemplateResult {
    const [left, right, top, bottom] = [46, 42, 8, 24];
    const width = this.width;
    const height = 170;
    const x = scaleLinear([0, Math.max(1, nodes.length - 1)], [left, width - right]);
    const worst = Math.max(10, ...ranks) + 1;
    const y = scaleLog([1, worst], [top, height - bottom]);
    const most = Math.max(0.01, ...probabilities);
    const p = scaleLinear([0, most], [height - bottom, top]).nice(3);
    const ticks = [1, 10, 100, 1000, 10_000, 100_000].filter((t) => t <= worst);
    const layers = nodes.map((name, i) => ({ i, place: parseNode(name) })).filter(({ place }) => place?.kind === "I");
    const step = Math.max(1, Math.ceil((layers.length * 24) / Math.max(1, width - left - right)));
    const ranked =
      line<number>(
        (_, i) => x(i),
        (rank) => y(rank + 1),
      )([...ranks]) ?? "";
    const area =
      line<number>(
        (_, i) => x(i),
        (value) => p(value),
      )([...probabilities]) ?? "";
    return html`<svg width=${width} height=${height} role="img" aria-label=${`Rank and probability through ${nodes.length} states; at the top rank ${ranks[ranks.length - 1] + 1}, probability ${percent(probabilities[probabilities.length - 1])}`}>
        ${ticks.map((t) => svg`<line class="grid" x1=${left} x2=${width - right} y1=${y(t)} y2=${y(t)}></line><text x=${left - 6} y=${y(t) + 4} text-anchor="end">${whole(t)}</text>`)}
        ${p.ticks(3).map((t) => svg`<text x=${width - right + 6} y=${p(t) + 4}>${Math.round(t * 1000) / 10} %</text>`)}
        ${layers.filter((_, i) => i % step === 0).map(({ i, place }) => svg`<text x=${x(i)} y=${height - 6} text-anchor="middle">${place?.layer}</text>`)}
        <path class="probability" d="${area}L${x(nodes.length - 1)},${height - bottom}L${left},${height - bottom}Z"></path>
        <path class="rank" d=${ranked}></path>
        ${nodes.map(
          (name, i) =>
            svg`<circle class="hit" cx=${x(i)} cy=${y(ranks[i] + 1)} r="8" data-node=${name} @click=${() => this.select({ focus: { kind: "node", node: name }, head: null, neuron: null })}><title>${`${name}: rank ${ranks[i] + 1}, ${percent(probabilities[i])}`}</title></circle><circle class="point ${name === chosen ? "chosen" : ""}" cx=${x(i)} cy=${y(ranks[i] + 1)} r=${name === chosen ? 5 : nodes.length > 50 ? 2 : 3} pointer-events="none"></circle>`,
        )}
      </svg>
      <div class="key"><span><i style="background:var(--_attention)"></i>rank (left)</span><span><i style="background:var(--_ffn)"></i>probability (right)</span><span>layers from left to right</span></div>`;
  }

  /** Downloads the chart, or its numbers. */
  async save(format: SaveFormat): Promise<void> {
    const answer = this.#follow.value;
    const picture = this.renderRoot.querySelector("svg");
    if (!answer || !picture) return;
    if (format === "csv")
      saveCsv(
        [
          ["state", "rank", "probability"],
          ...answer.nodes.map((name, i) => [name, answer.ranks.data[i] + 1, answer.probabilities.data[i]]),
        ],
        "followed-token.csv",
      );
    else if (format === "svg") saveSvg(picture, "followed-token.svg");
    else await savePng(picture, "followed-token.png");
  }
}

define("lmt-follow-chart", FollowChartElement);
