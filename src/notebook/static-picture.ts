import type { NodeName, RouteEdge, RouteGraph } from "../model/types";
import type { Fold, NodeKind, RunFacts, Selection } from "../protocol";
import {
  columnCount,
  edgeEnds,
  FOLD_ABOVE,
  flowLayout,
  foldsOf,
  nodeName,
  parseNode,
  shortText,
  stateKinds,
  visibleText,
} from "../protocol";
import type { Pen } from "./static-pen";
import { escapeXml } from "../export/xml";
import { onWhite, PdfPen, SvgPen } from "./static-pen";

/**
 * The picture for places where nothing runs: nbviewer, a mail, a diff, a printed page. Drawn by the same layout as the
 * live one, without scripts, style sheets or fonts from anywhere.
 */

const COLORS = {
  attention: "#0b7285",
  residual: "#6f7d8f",
  ffn: "#7b3fb0",
  dull: "#d3d9e0",
  band: "#f4f6f8",
  fold: "#e4e8ed",
  text: "#1c2430",
  soft: "#5a6675",
  start: "#d95f02",
  supports: "#1565c0",
  opposes: "#b3541e",
} as const;

/** What takes more columns, folds among them, is shown in part, up to the start: a still picture cannot be zoomed. */
const COLUMNS = 64;
/** Edges are drawn in so many strengths. */
const STRENGTHS = 12;

interface Place {
  readonly kind: NodeKind;
  readonly layer: number;
  readonly position: number;
}

/** The last token of those that the routes begin at. */
const startOf = ({ from }: Pick<RouteGraph, "from">): number =>
  Math.max(0, ...from.map((name) => parseNode(name)?.position ?? 0));

function titleOf(graph: RouteGraph): string {
  const {
    tokens,
    contrast,
    from: [from],
    model,
  } = graph;
  const place = parseNode(from);
  const start = startOf(graph);
  const top = place?.kind === "I" && place.layer === model.nLayers - 1;
  const about = contrast
    ? `: why ${visibleText(contrast.token.text)}${contrast.versus ? ` rather than ${visibleText(contrast.versus.text)}` : ""}`
    : "";
  return `Information flow routes of ${top ? "" : `${from}, `}token ${start}, ${visibleText(tokens[start]?.text ?? "")}${about}`;
}

const titlesOf = (graphs: readonly RouteGraph[]): string => graphs.map(titleOf).join(" | ");

/** Tokens `first` to `last` − 1 are drawn; `folds` counts from `first`. */
function windowOf(graph: RouteGraph, start: number): { first: number; last: number; folds: readonly Fold[] } {
  const last = graph.tokens.length;
  const keep = new Set([start, ...graph.nodes.map(({ position }) => position)]);
  const folds = last > FOLD_ABOVE ? foldsOf(last, keep) : [];
  const columns: number[] = [];
  for (let position = 0; position < last;) {
    columns.push(position);
    position = folds.find(({ from }) => from === position)?.to ?? position + 1;
  }
  const first = columns.at(-COLUMNS) ?? 0;
  return {
    first,
    last,
    folds: folds.flatMap(({ from, to }) => (from < first ? [] : [{ from: from - first, to: to - first }])),
  };
}

/** Draws the routes with `x` pixels to their left, and returns how far the picture reaches. */
function draw(pen: Pen, graph: RouteGraph, x: number): { width: number; height: number } {
  const { nLayers, parallelBlocks } = graph.model;
  const start = startOf(graph);
  const { first, last, folds } = windowOf(graph, start);
  const shown = last - first;
  const columns = columnCount(shown, folds);
  const layout = flowLayout({
    nTokens: shown,
    nLayers,
    parallelBlocks,
    columnWidth: Math.max(18, Math.min(76, 760 / columns)),
    layerHeight: Math.max(13, Math.min(40, 560 / nLayers)),
    folds,
  });
  const labels = graph.tokens.slice(first, last).map((token) => shortText(token.text, 14));
  for (const { from, to } of folds) labels.fill("", from, to).fill(`… ${to - from} tokens`, from, from + 1);
  const bottom = 22 + 4.6 * Math.max(2, ...labels.map((label) => [...label].length));
  const left = x + Math.max(34, 5.8 * [...labels[0]].length);
  const top = 22;
  const inside = ({ position }: { position: number }): boolean =>
    position >= first && position < last && !layout.folded(position - first);
  const moved = (place: Place): Place => ({ ...place, position: place.position - first });
  const at = (place: Place): { x: number; y: number } => {
    const { x, y } = layout.point(moved(place));
    return { x: x + left, y: y + top };
  };
  const shift = (path: string): string =>
    path.replace(
      /(-?[\d.]+),(-?[\d.]+)/g,
      (_, x: string, y: string) =>
        `${Math.round((Number(x) + left) * 10) / 10},${Math.round((Number(y) + top) * 10) / 10}`,
    );

  for (const band of layout.bands)
    if (band.layer % 2 === 0) pen.rect(left - 30, top + band.y, layout.width + 36, band.height, COLORS.band);

  for (const { from } of folds) {
    const width = layout.columnWidth * 0.46;
    pen.rect(left + layout.x(from) - width / 2, top + 2, width, layout.height - 4, COLORS.fold);
  }

  // Of a contrast: what a block reads goes with what it writes.
  const written = new Map(
    graph.edges.flatMap(({ kind, source, logit }) => (kind === "ffn-out" ? [[source, logit]] : [])),
  );
  const sideOf = ({ kind, target, logit }: RouteEdge): "supports" | "opposes" | undefined => {
    const own = kind === "ffn-in" ? written.get(target) : logit;
    return own === undefined ? undefined : own < 0 ? "opposes" : "supports";
  };
  // Strong edges lie on top; edges of one look follow each other.
  const level = (weight: number): number => Math.max(1, Math.round(Math.max(0, Math.min(1, weight)) * STRENGTHS));
  const kinds = ["residual", "ffn", "attention"] as const;
  const edges = graph.edges
    .map((edge) => ({
      edge,
      ends: edgeEnds(edge.source, edge.target),
      kind: edge.kind === "attention" ? kinds[2] : edge.kind === "residual" ? kinds[0] : kinds[1],
    }))
    .filter(({ ends }) => ends !== undefined && inside(ends[0]) && inside(ends[1]))
    .sort((a, b) => level(a.edge.weight) - level(b.edge.weight) || kinds.indexOf(a.kind) - kinds.indexOf(b.kind));
  for (const { edge, ends, kind } of edges) {
    const weight = level(edge.weight) / STRENGTHS;
    const side = kind === "residual" ? undefined : sideOf(edge);
    const color = onWhite(COLORS[side ?? kind], 0.3 + (kind === "residual" ? 0.4 : 0.7) * weight);
    pen.stroke(
      shift(layout.path(moved(ends![0]), moved(ends![1]), edge.kind)),
      color,
      0.8 + ((kind === "attention" ? 5 : 3) - 0.8) * weight,
      side === "opposes",
    );
  }

  for (const { target, heads } of graph.others ?? [])
    if (Object.keys(heads).length > 0 && inside(parseNode(target)!))
      pen.stroke(shift(layout.fan(moved(parseNode(target)!))), onWhite(COLORS.attention, 0.6), 0.8);

  const on = new Set(graph.nodes.map((node) => node.name));
  const from = new Set(graph.from);
  const states: { place: Place; name: NodeName }[] = [];
  for (let position = first; position < last; position++) {
    if (!inside({ position })) continue;
    const names = [nodeName("X", -1, position)];
    for (let layer = 0; layer < nLayers; layer++)
      for (const kind of stateKinds(parallelBlocks)) names.push(nodeName(kind, layer, position));
    for (const name of names) states.push({ place: parseNode(name)!, name });
  }
  const dots = (wanted: (name: NodeName) => boolean, size: number, color: string): void => {
    for (const { place, name } of states)
      if (wanted(name)) pen.dot(at(place).x, at(place).y, layout.nodeRadius * size, color);
  };
  dots((name) => !on.has(name) && !from.has(name), 0.7, COLORS.dull);
  dots((name) => on.has(name) && !from.has(name), 1, COLORS.residual);
  dots((name) => from.has(name), 1.25, COLORS.text);
  const half = layout.ffnSize / 2;
  for (const node of graph.nodes)
    if (node.kind === "M" && inside(node)) {
      const logit = written.get(node.name);
      const color = logit === undefined ? COLORS.ffn : logit < 0 ? COLORS.opposes : COLORS.supports;
      pen.rect(at(node).x - half, at(node).y - half, 2 * half, 2 * half, color);
    }

  labels.forEach((_, column) => {
    if (!layout.folded(column))
      pen.triangle(left + layout.x(column), 6, 5, first + column === start ? COLORS.start : COLORS.dull);
  });
  for (const band of layout.bands)
    if (band.height >= 10 || band.layer % 2 === 0)
      pen.text(left - 26, top + band.y + band.height / 2 + 3.5, String(band.layer), { fill: COLORS.soft });
  labels.forEach((label, column) => {
    if (label === "") return;
    pen.text(left + layout.x(column) + 4, top + layout.height + 12, label, {
      fill: layout.folded(column) ? COLORS.soft : COLORS.text,
      mono: true,
      bold: first + column === start,
      rotate: -38,
      anchor: "end",
    });
  });
  return { width: Math.ceil(left + layout.width + 14), height: Math.ceil(top + layout.height + bottom) };
}

/** Several graphs beside each other. */
function drawAll(pen: Pen, graphs: readonly RouteGraph[]): { width: number; height: number } {
  return graphs.reduce(
    (size, graph) => {
      const { width, height } = draw(pen, graph, size.width === 0 ? 0 : size.width + 12);
      return { width, height: Math.max(size.height, height) };
    },
    { width: 0, height: 0 },
  );
}

/** An SVG document of the routes. */
export function staticSvg(graph: RouteGraph | readonly RouteGraph[]): string {
  const pen = new SvgPen();
  const graphs = [graph].flat();
  const { width, height } = drawAll(pen, graphs);
  return pen.document(width, height, titlesOf(graphs));
}

/** The same as a PDF of one page, for LaTeX. */
export function staticPdf(graphs: readonly RouteGraph[]): Buffer {
  const pen = new PdfPen();
  const { width, height } = drawAll(pen, graphs);
  return pen.document(width, height);
}

/** Edges listed under a still picture. */
const LISTED = 8;

/**
 * Tokens, predictions, the strongest edges and the picture as HTML without scripts; the SVG is an image, because
 * sanitizers drop inline SVG.
 */
export function staticHtml(
  graph: RouteGraph,
  facts: RunFacts,
  selection: Selection,
  svg: string = staticSvg([graph]),
): string {
  const code = (text: string): string => `<code>${escapeXml(visibleText(text))}</code>`;
  const predictions = facts.predictions
    .slice(0, 5)
    .map((p) => `<tr><td>${code(p.text)}</td><td align="right">${(100 * p.probability).toFixed(1)} %</td></tr>`);
  const tokenOf = (name: string): string => code(facts.tokens[parseNode(name)?.position ?? -1]?.text ?? "");
  const strongest = graph.edges
    .filter(({ kind }) => kind === "attention")
    .sort((a, b) => b.weight - a.weight)
    .slice(0, LISTED)
    .map(({ source, target, weight, heads }) => {
      const best = Object.entries(heads ?? {}).sort((a, b) => b[1] - a[1]);
      return `<tr><td align="right">${parseNode(target)?.layer ?? ""}</td><td>${tokenOf(source)}</td><td>${tokenOf(target)}</td><td align="right">${(100 * weight).toFixed(1)} %</td><td>${best
        .slice(0, 3)
        .map(([head]) => head)
        .join(", ")}</td></tr>`;
    });
  const { budget, threshold } = selection;
  const cut =
    budget === null
      ? `at threshold ${threshold}`
      : "edges" in budget
        ? "the edges of which most reaches the start"
        : `${Math.round(100 * budget.relevance)} % of what makes up the start`;
  const alt = `${titleOf(graph)}, ${cut}: ${graph.nodes.length} states and blocks, ${graph.edges.length} edges`;
  return [
    `<div><p>${facts.tokens
      .slice(0, 400)
      .map((token) => code(token.text))
      .join(" ")}</p>`,
    predictions.length
      ? `<table>\n<thead><tr><th>Next token</th><th>Probability</th></tr></thead>\n<tbody>\n${predictions.join("\n")}\n</tbody></table>`
      : "",
    strongest.length
      ? `<table>\n<thead><tr><th>Layer</th><th>Attention from</th><th>to</th><th>Contribution</th><th>Heads</th></tr></thead>\n<tbody>\n${strongest.join("\n")}\n</tbody></table>`
      : "",
    `<img alt="${escapeXml(alt)}" src="data:image/svg+xml;base64,${Buffer.from(svg, "utf8").toString("base64")}"/></div>`,
    "",
  ].join("\n");
}
