import { select } from "d3-selection";
import type { Selection } from "d3-selection";
import type { ZoomTransform } from "d3-zoom";
import type { NodeName, NodePlace, RunFacts } from "../../../src/protocol";
import { parseNode, stateKinds } from "../../../src/protocol";
import type { DrawnEdge, DrawnRoutes } from "../../core/routes";
import type { Plot } from "./geometry";
import { LABEL_ANGLE } from "./geometry";
import { edgeWidth, strength } from "./ink";
import type { Mark } from "./marks";
import { placeName } from "./marks";
import { pannable } from "./views";

/** What is drawn, apart from where. */
export interface Scene {
  readonly facts: RunFacts;
  readonly routes: DrawnRoutes | undefined;
  /** The node at which the routes begin. */
  readonly begin: NodeName;
  /** The start token. */
  readonly start: number;
  /** States and edges are on a canvas beneath: the SVG has labels and what is pointed at. */
  readonly onCanvas: boolean;
  /** Colour of an edge where it is not its kind's. */
  readonly color: (edge: DrawnEdge) => string | null;
}

/** A mark that stands out. */
export interface Highlight {
  readonly mark: Mark;
  readonly role: "hover" | "cursor" | "chosen";
}

type Content = Selection<SVGGElement, unknown, null, undefined>;

/** Puts the groups into the SVG, where they are not yet. */
export function prepareFigure(node: SVGSVGElement): void {
  const svg = select(node);
  if (!svg.select("g.content").empty()) return;
  svg.append("g").attr("class", "bands");
  const clip = svg.append("g").attr("class", "content");
  for (const name of ["edges", "hits", "states", "dots", "ffns", "marks"]) clip.append("g").attr("class", name);
  svg.append("g").attr("class", "layers");
  svg.append("g").attr("class", "tokens");
  svg.append("g").attr("class", "starts");
}

/** Draws states, edges and feed-forward blocks in the layout's own coordinates. */
export function drawContent(node: SVGSVGElement, plot: Plot, scene: Scene): void {
  const content = select(node).select<SVGGElement>("g.content");
  drawStates(content, plot, scene);
  const edges = scene.onCanvas ? [] : [...(scene.routes?.edges ?? [])].sort((a, b) => a.weight - b.weight);
  drawEdges(content, plot, scene, edges);
  drawBlocks(content, plot, edges);
}

function drawStates(content: Content, { layout }: Plot, { facts, routes, begin, onCanvas }: Scene): void {
  const r = layout.nodeRadius;
  const places: NodePlace[] = [];
  if (!onCanvas) {
    for (let position = 0; position < facts.tokens.length; position++) {
      places.push({ kind: "X", layer: -1, position });
      for (let layer = 0; layer < facts.model.nLayers; layer++)
        for (const kind of stateKinds(facts.model.parallelBlocks)) places.push({ kind, layer, position });
    }
  }
  const named = places.map((place) => ({ name: placeName(place), ...layout.point(place) }));
  content
    .select("g.states")
    .selectAll<SVGCircleElement, (typeof named)[number]>("circle")
    .data(named, (d) => d.name)
    .join("circle")
    .attr("cx", (d) => d.x)
    .attr("cy", (d) => d.y)
    .attr("r", (d) => (d.name === begin ? r * 1.25 : routes?.nodes.has(d.name) ? r : r * 0.72))
    .attr("class", (d) => `state${routes?.nodes.has(d.name) ? " on" : ""}${d.name === begin ? " from" : ""}`);
  content
    .select("g.dots")
    .selectAll<SVGCircleElement, (typeof named)[number]>("circle")
    .data(named, (d) => d.name)
    .join("circle")
    .attr("class", "hit dot")
    .attr("data-node", (d) => d.name)
    .attr("cx", (d) => d.x)
    .attr("cy", (d) => d.y)
    .attr("r", Math.max(r + 1.5, Math.min(8, layout.columnWidth * 0.2, (layout.bands[0]?.height ?? 20) * 0.24)));
}

const side = (edge: DrawnEdge): string => (edge.side ? ` ${edge.side}` : "");

function drawEdges(content: Content, { layout }: Plot, { color }: Scene, edges: readonly DrawnEdge[]): void {
  content
    .select("g.edges")
    .selectAll<SVGPathElement, DrawnEdge>("path")
    .data(edges, (d) => d.key)
    .join("path")
    .order()
    .attr("class", (d) => `edge ${d.kind}${side(d)}`)
    .attr("d", (d) => layout.path(d.from, d.to, d.kind))
    .style("stroke", color)
    .style("--w", (d) => strength(d.weight).toFixed(3))
    .style("stroke-width", (d) => edgeWidth(d.kind, d.weight));
  content
    .select("g.hits")
    .selectAll<SVGPathElement, DrawnEdge>("path")
    .data(edges, (d) => d.key)
    .join("path")
    .order()
    .attr("class", "hit")
    .attr("data-edge", (d) => d.key)
    .attr("data-kind", (d) => d.kind)
    .attr("d", (d) => layout.path(d.from, d.to, d.kind));
}

function drawBlocks(content: Content, { layout }: Plot, edges: readonly DrawnEdge[]): void {
  content
    .select("g.ffns")
    .selectAll<SVGRectElement, DrawnEdge>("rect")
    .data(
      edges.filter((edge) => edge.kind === "ffn-out"),
      (d) => d.source,
    )
    .join("rect")
    .attr("class", (d) => `ffn${side(d)}`)
    .attr("data-ffn", (d) => `${d.from.layer}_${d.from.position}`)
    .attr("rx", 1.5)
    .attr("width", layout.ffnSize)
    .attr("height", layout.ffnSize)
    .attr("x", (d) => layout.point(d.from).x - layout.ffnSize / 2)
    .attr("y", (d) => layout.point(d.from).y - layout.ffnSize / 2)
    .style("--w", (d) => strength(d.weight).toFixed(3));
}

/** Draws what stands out on top of everything else, in SVG also above a canvas. */
export function drawHighlights(node: SVGSVGElement, { layout }: Plot, highlights: readonly Highlight[]): void {
  const shape = ({ mark }: Highlight): string => {
    if (mark.kind === "edge") return layout.path(mark.edge.from, mark.edge.to, mark.edge.kind);
    if (mark.kind === "ffn") {
      const { x, y } = layout.point({ kind: "M", layer: mark.layer, position: mark.position });
      const h = layout.ffnSize / 2 + 2.5;
      return `M${x - h},${y - h}h${2 * h}v${2 * h}h${-2 * h}z`;
    }
    const place = parseNode(mark.node);
    if (!place) return "";
    const { x, y } = layout.point(place);
    const h = layout.nodeRadius + 2.5;
    return `M${x - h},${y}a${h},${h} 0 1 1 ${2 * h},0a${h},${h} 0 1 1 ${-2 * h},0`;
  };
  select(node)
    .select("g.marks")
    .selectAll<SVGPathElement, Highlight>("path")
    .data(highlights)
    .join("path")
    .attr("class", (d) => `mark ${d.role}`)
    .attr("d", shape)
    .attr("stroke-width", (d) =>
      d.mark.kind === "edge" ? edgeWidth(d.mark.edge.kind, d.mark.edge.weight) + (d.role === "chosen" ? 1 : 0) : 2,
    );
}

const box = (left: number, top: number, right: number, bottom: number): string =>
  `${left}px ${top}px,${right}px ${top}px,${right}px ${bottom}px,${left}px ${bottom}px`;

/** Puts everything where the zoom says: the grid slides, its labels stay at the edges. */
export function placeFigure(node: SVGSVGElement, plot: Plot, scene: Scene, transform: ZoomTransform): void {
  const { layout, margin } = plot;
  const { x, y, k } = transform;
  const right = plot.width - margin.right;
  const bottom = Math.min(plot.height - margin.bottom, margin.top + y + k * layout.height);
  const moves = pannable(plot, k);
  // What is outside the plot's box is cut off.
  select(node)
    .classed("pannable", moves)
    .select("g.content")
    .attr("transform", `translate(${margin.left + x},${margin.top + y}) scale(${k})`)
    .style(
      "clip-path",
      moves
        ? `polygon(${box((-x - 8) / k, (-y - 10) / k, (right - margin.left - x + 8) / k, (bottom - margin.top - y + 4) / k)})`
        : "none",
    );
  placeLayers(node, plot, scene, transform, { right, bottom });
  placeTokens(node, plot, scene, transform, { right, bottom });
}

interface Edges {
  readonly right: number;
  readonly bottom: number;
}

function placeLayers(
  node: SVGSVGElement,
  { layout, margin }: Plot,
  { facts }: Scene,
  { x, y, k }: ZoomTransform,
  { right, bottom }: Edges,
): void {
  const svg = select(node);
  const bands = layout.bands
    .map((band) => ({ ...band, top: margin.top + y + k * band.y, size: k * band.height }))
    .filter((band) => band.top + band.size > margin.top - 1 && band.top < bottom + 1);
  const clampTop = (top: number): number => Math.max(margin.top - 2, Math.min(bottom, top));
  svg
    .select("g.bands")
    .selectAll("rect")
    .data(bands.filter((band) => band.layer % 2 === 0))
    .join("rect")
    .attr("class", "band")
    .attr("rx", 3)
    .attr("x", margin.left - 30)
    .attr("width", Math.max(0, Math.min(right, margin.left + x + k * layout.width) + 10 - (margin.left - 30)))
    .attr("y", (d) => clampTop(d.top))
    .attr("height", (d) => Math.max(0, clampTop(d.top + d.size) - clampTop(d.top)));
  const step = bands.length
    ? Math.max(1, Math.ceil(12 / Math.max(1, k * (layout.height / Math.max(1, facts.model.nLayers)))))
    : 1;
  svg
    .select("g.layers")
    .selectAll<SVGTextElement, (typeof bands)[number]>("text")
    .data(
      bands.filter((band) => band.layer % step === 0 && band.size > 9),
      (d) => d.layer,
    )
    .join("text")
    .attr("x", margin.left - 24)
    .attr("y", (d) => d.top + d.size / 2 + 4)
    .text((d) => d.layer);
}

function placeTokens(
  node: SVGSVGElement,
  { layout, margin, texts }: Plot,
  { facts, routes, start }: Scene,
  { x, k }: ZoomTransform,
  { right, bottom }: Edges,
): void {
  const svg = select(node);
  const sx = (position: number): number => margin.left + x + k * layout.x(position);
  const inView = facts.tokens
    .map((_, position) => ({ position, at: sx(position) }))
    .filter((d) => d.at > margin.left - 6 && d.at < right + 6);
  const step = Math.max(1, Math.ceil(13 / (k * layout.columnWidth)));
  const labelled = inView
    .filter((d) => d.position % step === 0 || d.position === start)
    // The start's label is always there; its close neighbours make room.
    .filter((d) => d.position === start || Math.abs(d.at - sx(start)) >= 12 || step === 1);
  svg
    .select("g.tokens")
    .selectAll<SVGTextElement, (typeof labelled)[number]>("text")
    .data(labelled, (d) => d.position)
    .join("text")
    .attr(
      "class",
      (d) =>
        `label${d.position === start ? " start" : ""}${routes && !routes.nodes.has(`X0_${d.position}`) ? " quiet" : ""}`,
    )
    .attr("data-token", (d) => d.position)
    .attr("text-anchor", "end")
    .attr("transform", (d) => `translate(${d.at + 4},${bottom + 14}) rotate(${-LABEL_ANGLE})`)
    .style("unicode-bidi", "isolate")
    .text((d) => texts[d.position] ?? "");
  const half = Math.max(2, Math.min(6, k * layout.columnWidth * 0.3));
  svg
    .select("g.starts")
    .selectAll<SVGPathElement, (typeof inView)[number]>("path")
    .data(inView, (d) => d.position)
    .join("path")
    .attr("class", (d) => `triangle${d.position === start ? " on" : ""}`)
    .attr("data-start", (d) => d.position)
    .attr("d", `M${-half},${-half * 0.8}H${half}L0,${half * 0.9}z`)
    .attr("stroke", "transparent")
    .attr("stroke-width", 8)
    .attr("transform", (d) => `translate(${d.at},12)`);
}
