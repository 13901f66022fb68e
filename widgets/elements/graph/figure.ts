import { select } from "d3-selection";
import type { Selection } from "d3-selection";
import type { ZoomTransform } from "d3-zoom";
import type { Fold, NodeName, NodePlace, RunFacts } from "../../../src/protocol";
import { parseNode, shortText, stateKinds } from "../../../src/protocol";
import type { DrawnEdge, DrawnRoutes } from "../../core/routes";
import type { Cut } from "./cuts";
import type { Plot } from "./geometry";
import { LABEL_ANGLE, pointOf } from "./geometry";
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
  /** Places that a person pinned, and how they are called. */
  readonly pins: readonly { readonly place: NodePlace; readonly name: string }[];
  /** What is struck through. */
  readonly cuts: readonly Cut[];
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
  for (const name of ["folds", "fans", "edges", "hits", "states", "dots", "ffns", "lit", "cuts", "pins", "marks"])
    clip.append("g").attr("class", name);
  svg.append("g").attr("class", "layers");
  svg.append("g").attr("class", "tokens");
  svg.append("g").attr("class", "outside");
  svg.append("g").attr("class", "starts");
}

/** Draws states, edges and feed-forward blocks in the layout's own coordinates. */
export function drawContent(node: SVGSVGElement, plot: Plot, scene: Scene): void {
  const content = select(node).select<SVGGElement>("g.content");
  drawFolds(content, plot);
  drawFans(content, plot, scene);
  drawStates(content, plot, scene);
  drawPins(content, plot, scene);
  drawCuts(content, plot, scene);
  const edges = scene.onCanvas ? [] : [...(scene.routes?.edges ?? [])].sort((a, b) => a.weight - b.weight);
  drawLines(content.select("g.edges"), plot, scene, edges);
  drawHits(content, plot, edges);
  drawSquares(content.select("g.ffns"), plot, edges).attr("data-ffn", (d) => `${d.from.layer}_${d.from.position}`);
}

/** Columns that stand for several tokens. */
function drawFolds(content: Content, { layout }: Plot): void {
  const width = layout.columnWidth * 0.46;
  content
    .select("g.folds")
    .selectAll<SVGRectElement, Fold>("rect")
    .data(layout.folds, (d) => d.from)
    .join("rect")
    .attr("class", "fold")
    .attr("data-fold", (d) => d.from)
    .attr("rx", 4)
    .attr("x", (d) => layout.x(d.from) - width / 2)
    .attr("y", 2)
    .attr("width", width)
    .attr("height", Math.max(1, layout.height - 4));
}

/** What came from many keys, none of which is an edge. */
function drawFans(content: Content, { layout }: Plot, { routes, onCanvas }: Scene): void {
  const fans = [...((onCanvas ? undefined : routes?.others) ?? [])].filter(([name]) => routes?.nodes.has(name));
  content
    .select("g.fans")
    .selectAll<SVGPathElement, (typeof fans)[number]>("path")
    .data(fans, ([name]) => name)
    .join("path")
    .attr("class", "fan")
    .attr("data-others", ([name]) => name)
    .attr("d", ([name]) => layout.fan(parseNode(name)!))
    .style("--w", ([, heads]) => strength(heads.reduce((sum, { share }) => sum + share, 0)).toFixed(3));
}

/** Rings and names of what was pinned: part of the picture, so that they are saved with it. */
function drawPins(content: Content, { layout }: Plot, { pins }: Scene): void {
  const shown = pins
    .filter(({ place }) => !layout.folded(place.position))
    .map((pin) => ({ ...pin, ...layout.point(pin.place) }));
  content
    .select("g.pins")
    .selectAll<SVGCircleElement, (typeof shown)[number]>("circle")
    .data(shown)
    .join("circle")
    .attr("class", "pin")
    .attr("cx", (d) => d.x)
    .attr("cy", (d) => d.y)
    .attr("r", Math.max(5, layout.nodeRadius + 3));
  content
    .select("g.pins")
    .selectAll<SVGTextElement, (typeof shown)[number]>("text")
    .data(shown)
    .join("text")
    .attr("class", "pin")
    .attr("x", (d) => d.x + Math.max(5, layout.nodeRadius + 3) + 3)
    .attr("y", (d) => d.y + 4)
    .text((d) => (d.name === "" ? "" : shortText(d.name, 18)));
}

/** Half of a cross. */
const CROSS = 5.5;

/** What was removed is struck through, on top of a canvas as of SVG: a cross, or one stroke where only a part is gone. */
function drawCuts(content: Content, { layout }: Plot, { cuts }: Scene): void {
  const shown = cuts.flatMap((cut) => {
    const place = cut.kind === "edge" ? { kind: cut.kind, source: cut.edge.source, target: cut.edge.target } : cut;
    const point = pointOf(layout, place);
    const ends = cut.kind === "edge" ? [cut.edge.from.position, cut.edge.to.position] : [cut.position];
    return point && !ends.some((position) => layout.folded(position)) ? [{ cut, x: point.x, y: point.y }] : [];
  });
  type Struck = (typeof shown)[number];
  content
    .select("g.cuts")
    .selectAll<SVGPathElement, Struck>("path.gone")
    .data(shown.filter(({ cut }) => cut.kind === "edge" && cut.whole))
    .join("path")
    .attr("class", "gone")
    .attr("d", ({ cut }) => (cut.kind === "edge" ? layout.path(cut.edge.from, cut.edge.to, cut.edge.kind) : ""))
    .style("stroke-width", ({ cut }) => (cut.kind === "edge" ? edgeWidth(cut.edge.kind, cut.edge.weight) + 1 : 0));
  content
    .select("g.cuts")
    .selectAll<SVGPathElement, Struck>("path.cut")
    .data(shown)
    .join("path")
    .attr("class", ({ cut }) => `cut ${cut.kind} ${cut.whole ? "whole" : "part"}`)
    .attr("data-cut", ({ cut }) => (cut.kind === "edge" ? cut.edge.key : `${cut.layer}_${cut.position}`))
    .attr("d", ({ cut, x, y }) => {
      const h = cut.kind === "ffn" ? Math.max(CROSS, layout.ffnSize / 2 + 1) : CROSS;
      const stroke = `M${x - h},${y + h}l${2 * h},${-2 * h}`;
      return cut.whole ? `${stroke}M${x - h},${y - h}l${2 * h},${2 * h}` : stroke;
    });
}

function drawStates(content: Content, { layout }: Plot, { facts, routes, begin, onCanvas }: Scene): void {
  const r = layout.nodeRadius;
  const places: NodePlace[] = [];
  if (!onCanvas) {
    for (let position = 0; position < facts.tokens.length; position++) {
      if (layout.folded(position)) continue;
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
  // As tall as its neighbours allow, and wider: a state is easier to hit than the residual edges that pass it.
  const spacing = (layout.bands[0]?.height ?? 20) * (facts.model.parallelBlocks ? 1 : 0.5);
  content
    .select("g.dots")
    .selectAll<SVGEllipseElement, (typeof named)[number]>("ellipse")
    .data(named, (d) => d.name)
    .join("ellipse")
    .attr("class", "hit dot")
    .attr("data-node", (d) => d.name)
    .attr("cx", (d) => d.x)
    .attr("cy", (d) => d.y)
    .attr("rx", Math.max(r + 1.5, Math.min(9, layout.columnWidth * 0.24)))
    .attr("ry", Math.max(r + 1, Math.min(9, spacing * 0.46)));
}

const side = (edge: DrawnEdge): string => `${edge.side ? ` ${edge.side}` : ""}${edge.below ? " below" : ""}`;

type Group = Selection<SVGGElement, unknown, null, undefined>;
type Squares = Selection<SVGRectElement, DrawnEdge, SVGGElement, unknown>;

/** Lines of edges, weakest first. */
function drawLines(group: Group, { layout }: Plot, { color }: Scene, edges: readonly DrawnEdge[]): void {
  group
    .selectAll<SVGPathElement, DrawnEdge>("path")
    .data(edges, (d) => d.key)
    .join("path")
    .order()
    .attr("class", (d) => `edge ${d.kind}${side(d)}`)
    .attr("d", (d) => layout.path(d.from, d.to, d.kind))
    .style("stroke", color)
    .style("--w", (d) => strength(d.weight).toFixed(3))
    .style("stroke-width", (d) => edgeWidth(d.kind, d.weight));
}

/** Squares of the feed-forward blocks that write, for those of the edges that are what they write. */
function drawSquares(group: Group, { layout }: Plot, edges: readonly DrawnEdge[]): Squares {
  return group
    .selectAll<SVGRectElement, DrawnEdge>("rect")
    .data(
      edges.filter((edge) => edge.kind === "ffn-out"),
      (d) => d.source,
    )
    .join("rect")
    .attr("class", (d) => `ffn${side(d)}`)
    .attr("rx", 1.5)
    .attr("width", layout.ffnSize)
    .attr("height", layout.ffnSize)
    .attr("x", (d) => layout.point(d.from).x - layout.ffnSize / 2)
    .attr("y", (d) => layout.point(d.from).y - layout.ffnSize / 2)
    .style("--w", (d) => strength(d.weight).toFixed(3));
}

function drawHits(content: Content, { layout }: Plot, edges: readonly DrawnEdge[]): void {
  content
    .select("g.hits")
    .selectAll<SVGPathElement, DrawnEdge>("path")
    .data(edges, (d) => d.key)
    .join("path")
    .order()
    .attr("class", (d) => `hit ${d.kind}`)
    .attr("data-edge", (d) => d.key)
    .attr("data-kind", (d) => d.kind)
    .attr("d", (d) => layout.path(d.from, d.to, d.kind));
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

/** What is up or down the stream of what is pointed at stands out: the rest is dimmed and this is drawn once more. */
export function drawLit(node: SVGSVGElement, plot: Plot, scene: Scene, lit: readonly DrawnEdge[] | undefined): void {
  const { layout } = plot;
  const { begin } = scene;
  const svg = select<SVGSVGElement, unknown>(node).classed("dimmed", lit !== undefined);
  const content = svg.select<SVGGElement>("g.lit");
  drawLines(content, plot, scene, lit ?? []);
  drawSquares(content, plot, lit ?? []);
  const states = new Map(
    (lit ?? []).flatMap(({ source, target, from, to }) => [[source, from] as const, [target, to] as const]),
  );
  const named = [...states].filter(([, { kind }]) => kind !== "M");
  content
    .selectAll<SVGCircleElement, (typeof named)[number]>("circle")
    .data(named, (d) => d[0])
    .join("circle")
    .attr("class", ([name]) => `state on${name === begin ? " from" : ""}`)
    .attr("cx", ([, place]) => layout.point(place).x)
    .attr("cy", ([, place]) => layout.point(place).y)
    .attr("r", layout.nodeRadius);
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
  placeOutside(node, plot, scene, transform, { right, bottom });
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
  // Layers that are drawn flat have no number, unless all are.
  const tallest = bands.reduce((most, band) => Math.max(most, band.size), 0);
  const step = bands.length
    ? Math.max(1, Math.ceil(12 / Math.max(1, k * (layout.height / Math.max(1, facts.model.nLayers)))))
    : 1;
  svg
    .select("g.layers")
    .selectAll<SVGTextElement, (typeof bands)[number]>("text")
    .data(
      bands.filter((band) => band.layer % step === 0 && (band.size > 9 || band.size > Math.max(5.5, 0.9 * tallest))),
      (d) => d.layer,
    )
    .join("text")
    .attr("x", margin.left - 24)
    .attr("y", (d) => d.top + d.size / 2 + 4)
    .text((d) => d.layer);
}

function placeTokens(
  node: SVGSVGElement,
  { layout, margin, texts, labelsAbove }: Plot,
  { facts, routes, start }: Scene,
  { x, k }: ZoomTransform,
  { right, bottom }: Edges,
): void {
  const svg = select(node);
  const sx = (position: number): number => margin.left + x + k * layout.x(position);
  const visible = (at: number): boolean => at > margin.left - 6 && at < right + 6;
  const inView = facts.tokens
    .map((_, position) => ({ position, at: sx(position) }))
    .filter((d) => visible(d.at) && !layout.folded(d.position));
  const folds = layout.folds.map((fold) => ({ ...fold, at: sx(fold.from) })).filter((d) => visible(d.at));
  const onRoutes = (position: number): boolean => !routes || routes.nodes.has(`X0_${position}`);
  // Where not all labels find room, the start token's comes first, then those of the routes.
  const taken: number[] = folds.map((fold) => fold.at);
  const labelled = [...inView]
    .sort((a, b) => rank(a.position) - rank(b.position) || b.position - a.position)
    .filter(({ at, position }) => {
      if (position !== start && taken.some((other) => Math.abs(other - at) < 12)) return false;
      taken.push(at);
      return true;
    });
  function rank(position: number): number {
    return position === start ? 0 : onRoutes(position) ? 1 : 2;
  }
  const ends = [
    { below: true, y: bottom + 14, anchor: "end", shift: 4 },
    ...(labelsAbove ? [{ below: false, y: margin.top - 24, anchor: "start", shift: 0 }] : []),
  ];
  const labels = ends.flatMap((end) => labelled.map((d) => ({ ...d, ...end })));
  svg
    .select("g.tokens")
    .selectAll<SVGTextElement, (typeof labels)[number]>("text.label:not(.folded)")
    .data(labels, (d) => `${d.below ? "" : "above "}${d.position}`)
    .join("text")
    .attr("class", (d) => `label${d.position === start ? " start" : ""}${onRoutes(d.position) ? "" : " quiet"}`)
    .attr("data-token", (d) => d.position)
    .attr("aria-hidden", (d) => (d.below ? null : "true"))
    .attr("text-anchor", (d) => d.anchor)
    .attr("transform", (d) => `translate(${d.at + d.shift},${d.y}) rotate(${-LABEL_ANGLE})`)
    .style("unicode-bidi", "isolate")
    .text((d) => texts[d.position] ?? "");
  svg
    .select("g.tokens")
    .selectAll<SVGTextElement, (typeof folds)[number]>("text.folded")
    .data(folds, (d) => d.from)
    .join("text")
    .attr("class", "label folded quiet")
    .attr("data-fold", (d) => d.from)
    .attr("text-anchor", "end")
    .attr("transform", (d) => `translate(${d.at + 4},${bottom + 14}) rotate(${-LABEL_ANGLE})`)
    .text((d) => `⋯ ${d.to - d.from} tokens`)
    .append("title")
    .text((d) => `Tokens ${d.from} to ${d.to - 1} are not on the routes. Click to open them.`);
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
    .attr("transform", (d) => `translate(${d.at},${margin.top - 12})`);
}

/** Beyond so many names at the edges of the view, the weakest edges go unnamed. */
const MOST_OUTSIDE = 14;

/** Names of the tokens at the other end of edges that leave the view to the left or right. */
function placeOutside(
  node: SVGSVGElement,
  { layout, margin, texts }: Plot,
  { routes }: Scene,
  { x, y, k }: ZoomTransform,
  { right, bottom }: Edges,
): void {
  const left = margin.left;
  const named: {
    readonly key: string;
    readonly x: number;
    readonly y: number;
    readonly text: string;
    readonly leftward: boolean;
  }[] = [];
  if (routes && k * layout.width > right - left + 1) {
    const leaving = routes.edges.filter(({ kind, from, to }) => kind === "attention" && from.position !== to.position);
    for (const { key, from, to } of [...leaving].sort((a, b) => b.weight - a.weight)) {
      if (named.length >= MOST_OUTSIDE) break;
      const [a, b] = [layout.point(from), layout.point(to)].map((point) => ({
        x: left + x + k * point.x,
        y: margin.top + y + k * point.y,
      }));
      const inside = (at: number): boolean => at >= left - 4 && at <= right + 4;
      if (inside(a.x) === inside(b.x)) continue;
      const leftward = Math.min(a.x, b.x) < left - 4;
      const end = inside(a.x) ? to : from;
      const border = leftward ? left : right;
      const at = a.y + ((border - a.x) / (b.x - a.x || 1)) * (b.y - a.y);
      if (
        at < margin.top - 4 ||
        at > bottom + 4 ||
        named.some((other) => other.leftward === leftward && Math.abs(other.y - at) < 13)
      )
        continue;
      named.push({ key, x: border, y: at, text: texts[end.position] ?? "", leftward });
    }
  }
  select(node)
    .select("g.outside")
    .selectAll<SVGTextElement, (typeof named)[number]>("text")
    .data(named, (d) => d.key)
    .join("text")
    .attr("class", "beyond")
    .attr("text-anchor", (d) => (d.leftward ? "start" : "end"))
    .attr("x", (d) => d.x + (d.leftward ? 2 : -2))
    .attr("y", (d) => d.y - 3)
    .text((d) => (d.leftward ? `← ${d.text}` : `${d.text} →`));
}
