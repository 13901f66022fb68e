import type { RouteGraph } from "../model/types";
import type { RunFacts, Selection } from "../protocol";
import { edgeEnds, flowLayout, nodeName, parseNode, shortText, stateKinds, visibleText } from "../protocol";

/**
 * The picture for places where nothing runs: nbviewer, a mail, a diff. Drawn by the same layout as the live one, without
 * scripts, style sheets or fonts from anywhere.
 */

const COLORS = { attention: "#0b7285", residual: "#6f7d8f", ffn: "#7b3fb0", dull: "#d3d9e0", text: "#1c2430", soft: "#5a6675", start: "#d95f02" } as const;

/** Text for XML: what could be markup is escaped, what XML forbids is replaced. */
export function escapeXml(text: string): string {
  return (
    text
       
      .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, "\ufffd")
      .replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, "\ufffd")
      .replaceAll("&", "&amp;")
      .replaceAll("<", "&lt;")
      .replaceAll(">", "&gt;")
      .replaceAll('"', "&quot;")
      .replaceAll("'", "&#39;")
  );
}

const n = (value: number): string => String(Math.round(value * 10) / 10);

/** Prompts longer than this are shown in part, around the start: a static picture cannot be zoomed. */
const COLUMNS = 64;

/** An SVG document of the routes. */
export function staticSvg(graph: RouteGraph, selection: Pick<Selection, "start">): string {
  const { nLayers, parallelBlocks } = graph.model;
  const first = Math.max(0, Math.min(graph.tokens.length - COLUMNS, selection.start - COLUMNS + 1));
  const shown = Math.min(COLUMNS, graph.tokens.length);
  const layout = flowLayout({
    nTokens: shown,
    nLayers,
    parallelBlocks,
    columnWidth: Math.max(18, Math.min(76, 760 / shown)),
    layerHeight: Math.max(13, Math.min(40, 560 / nLayers)),
  });
  const labels = graph.tokens.slice(first, first + shown).map((token) => shortText(token.text, 14));
  const bottom = 22 + 4.6 * Math.max(2, ...labels.map((label) => [...label].length));
  const left = Math.max(34, 5.8 * [...labels[0]].length);
  const top = 22;
  const width = Math.ceil(left + layout.width + 14);
  const height = Math.ceil(top + layout.height + bottom);
  const inside = (position: number): boolean => position >= first && position < first + shown;

  const out: string[] = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" font-family="DejaVu Sans, Verdana, sans-serif" font-size="10">`,
    `<title>${escapeXml(`Information flow routes of token ${selection.start}, ${visibleText(graph.tokens[selection.start]?.text ?? "")}`)}</title>`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/><g transform="translate(${left},${top})">`,
  ];
  for (const band of layout.bands) {
    if (band.layer % 2 === 0) out.push(`<rect x="-30" y="${n(band.y)}" width="${n(layout.width + 36)}" height="${n(band.height)}" fill="#f4f6f8"/>`);
    if (band.height >= 10 || band.layer % 2 === 0) out.push(`<text x="-26" y="${n(band.y + band.height / 2 + 3.5)}" fill="${COLORS.soft}">${band.layer}</text>`);
  }
  const edges = graph.edges
    .map((edge) => ({ edge, ends: edgeEnds(edge.source, edge.target) }))
    .filter(({ ends }) => ends && inside(ends[0].position) && inside(ends[1].position))
    .sort((a, b) => a.edge.weight - b.edge.weight);
  const moved = (place: { kind: "X" | "A" | "M" | "I"; layer: number; position: number }): typeof place => ({ ...place, position: place.position - first });
  for (const { edge, ends } of edges) {
    if (!ends) continue;
    const color = edge.kind === "attention" ? COLORS.attention : edge.kind === "residual" ? COLORS.residual : COLORS.ffn;
    const widest = edge.kind === "attention" ? 5 : 3;
    const strength = 0.3 + (edge.kind === "residual" ? 0.4 : 0.7) * edge.weight;
    out.push(`<path d="${layout.path(moved(ends[0]), moved(ends[1]), edge.kind)}" fill="none" stroke="${color}" stroke-width="${n(0.8 + (widest - 0.8) * edge.weight)}" stroke-opacity="${n(strength)}" stroke-linecap="round"/>`);
  }
  const on = new Set(graph.nodes.map((node) => node.name));
  const from = new Set(graph.from);
  for (let position = first; position < first + shown; position++) {
    const names = [nodeName("X", -1, position)];
    for (let layer = 0; layer < nLayers; layer++) for (const kind of stateKinds(parallelBlocks)) names.push(nodeName(kind, layer, position));
    for (const name of names) {
      const { x, y } = layout.point(moved(parseNode(name)!));
      const reached = on.has(name);
      out.push(`<circle cx="${n(x)}" cy="${n(y)}" r="${n(layout.nodeRadius * (from.has(name) ? 1.25 : reached ? 1 : 0.7))}" fill="${from.has(name) ? COLORS.text : reached ? COLORS.residual : COLORS.dull}"/>`);
    }
  }
  for (const node of graph.nodes) {
    if (node.kind !== "M" || !inside(node.position)) continue;
    const { x, y } = layout.point(moved(node));
    const half = layout.ffnSize / 2;
    out.push(`<rect x="${n(x - half)}" y="${n(y - half)}" width="${n(2 * half)}" height="${n(2 * half)}" rx="1.5" fill="${COLORS.ffn}"/>`);
  }
  labels.forEach((label, column) => {
    const x = layout.x(column);
    const start = first + column === selection.start;
    out.push(`<path d="M${n(x - 5)},-16h10l-5,8z" fill="${start ? COLORS.start : COLORS.dull}"/>`);
    out.push(`<text transform="translate(${n(x + 4)},${n(layout.height + 12)}) rotate(-38)" text-anchor="end" font-family="DejaVu Sans Mono, monospace" fill="${COLORS.text}"${start ? ' font-weight="bold"' : ""}>${escapeXml(label)}</text>`);
  });
  out.push("</g></svg>");
  return out.join("");
}

/** Tokens, predictions and the picture as HTML without scripts; the SVG is an image, because sanitizers drop inline SVG. */
export function staticHtml(graph: RouteGraph, facts: RunFacts, selection: Selection): string {
  const code = (text: string): string => `<code>${escapeXml(visibleText(text))}</code>`;
  const svg = Buffer.from(staticSvg(graph, selection), "utf8").toString("base64");
  const predictions = facts.predictions.slice(0, 5).map((p) => `<tr><td>${code(p.text)}</td><td align="right">${(100 * p.probability).toFixed(1)} %</td></tr>`);
  const start = facts.tokens[selection.start];
  const alt = `Information flow routes of token ${selection.start}, ${visibleText(start?.text ?? "")}, at threshold ${selection.threshold}: ${graph.nodes.length} states and blocks, ${graph.edges.length} edges`;
  return [
    `<div><p>${facts.tokens.slice(0, 400).map((token) => code(token.text)).join(" ")}</p>`,
    predictions.length ? `<table><thead><tr><th>Next token</th><th>Probability</th></tr></thead><tbody>${predictions.join("")}</tbody></table>` : "",
    `<img alt="${escapeXml(alt)}" src="data:image/svg+xml;base64,${svg}"/></div>`,
  ].join("");
}
