import { html, render } from "lit";
import type { TemplateResult } from "lit";
import { initialSelection } from "../../src/protocol";
import type { Selection } from "../../src/protocol";
import { SelectionStore } from "../core/selection-store";
import { CachedSource } from "../core/source";
import "../elements";
import { controlCases } from "./controls-cases";
import { SyntheticSource } from "./synthetic";
import type { SyntheticOptions } from "./synthetic";

/**
 * The test page: every element in all its states. `?only=NAME` shows one state alone; `?theme=dark|light`.
 */

const FRANCE = ["<|im_start|>", "The", " capital", " of", " France", " is"];
const STRANGE = [
  "<script>alert(1)</script>",
  " ",
  "\n\n",
  "\u202eשלום",
  " 東京都",
  "<0xE2>",
  "\u200b",
  "\t",
  " مرحبا",
  "👩‍👩‍👧",
  "",
  " averyveryverylongsingletoken",
];
const long = (n: number): string[] =>
  Array.from({ length: n }, (_, i) => [" the", " war", " lasted", " from", " year", ",", " 17", " to"][i % 8]);

const small: SyntheticOptions = { tokens: FRANCE, nLayers: 12, nHeads: 12 };
const deep: SyntheticOptions = { tokens: FRANCE, nLayers: 30, nHeads: 9 };

interface Case {
  readonly name: string;
  readonly width?: number;
  readonly options?: SyntheticOptions;
  readonly selection?: Partial<Selection>;
  readonly show: (source: CachedSource | undefined, selection: SelectionStore) => TemplateResult;
}

const panel: Case["show"] = (source, selection) =>
  html`<lmt-flow-panel .source=${source} .selection=${selection}></lmt-flow-panel>`;
const graph: Case["show"] = (source, selection) =>
  html`<lmt-flow-graph .source=${source} .selection=${selection}></lmt-flow-graph>`;
const other = new CachedSource(
  new SyntheticSource({ ...small, tokens: ["<|im_start|>", "The", " capital", " of", " Italy", " is"], seed: 5 }),
);
const longer = new CachedSource(
  new SyntheticSource({
    ...small,
    tokens: ["<|im_start|>", "In", " short", ",", "the", " capital", " of", " Italy", " is"],
    seed: 5,
  }),
);
/** Two runs, or, without a second one, the same run for two targets. */
const compare =
  (mode: string, second?: CachedSource): Case["show"] =>
  (source, selection) =>
    html`<lmt-flow-compare mode=${mode} .source=${source} .second=${second ?? source} .selection=${selection}></lmt-flow-compare>`;
const matrix: Case["show"] = (source, selection) =>
  html`<lmt-token-matrix .source=${source} .selection=${selection}></lmt-token-matrix>`;
const explorer: Case["show"] = (source, selection) =>
  html`<lmt-explorer .source=${source} .selection=${selection}></lmt-explorer>`;
/** 30 layers, and routes that reach few of the tokens, as in real models. */
const length = (tokens: number): SyntheticOptions => ({
  tokens: long(tokens),
  nLayers: 30,
  nHeads: 9,
  sparse: true,
  local: true,
});
const unfolded: Case["show"] = (source, selection) =>
  html`<lmt-flow-graph fold="never" .source=${source} .selection=${selection}></lmt-flow-graph>`;
const fitted: Case["show"] = (source, selection) =>
  html`<lmt-flow-graph fold="never" .fit=${true} .source=${source} .selection=${selection}></lmt-flow-graph>`;
const grid: Case["show"] = (source, selection) =>
  html`<lmt-lens-grid .source=${source} .selection=${selection}></lmt-lens-grid>`;

export const CASES: readonly Case[] = [
  { name: "panel", options: deep, show: panel },
  { name: "panel-node", options: small, selection: { focus: { kind: "node", node: "I8_4" } }, show: panel },
  {
    name: "panel-edge",
    options: small,
    selection: { focus: { kind: "edge", source: "I10_4", target: "A11_5" } },
    show: panel,
  },
  { name: "panel-ffn", options: small, selection: { focus: { kind: "ffn", layer: 11, position: 5 } }, show: panel },
  { name: "panel-400", width: 400, options: small, selection: { focus: { kind: "node", node: "I8_4" } }, show: panel },
  { name: "panel-wide", width: 1900, options: { ...small, tokens: long(40) }, show: panel },
  {
    name: "panel-strange",
    options: { ...small, tokens: STRANGE, nLayers: 6 },
    selection: { focus: { kind: "node", node: "I5_11" } },
    show: panel,
  },
  { name: "graph-parallel", options: { ...small, parallelBlocks: true }, show: graph },
  { name: "graph-one-token", options: { ...small, tokens: ["Hi"], nLayers: 2 }, show: graph },
  { name: "graph-empty", show: graph },
  { name: "graph-loading", options: { ...small, delay: Infinity }, show: graph },
  {
    name: "graph-error",
    options: { ...small, error: "The kernel was restarted: run the cell again to ask it." },
    show: graph,
  },
  {
    name: "panel-error",
    options: { ...small, error: "The kernel was restarted: run the cell again to ask it." },
    selection: { focus: { kind: "node", node: "I8_4" } },
    show: panel,
  },
  { name: "graph-128", options: { tokens: long(128), nLayers: 12, nHeads: 12 }, show: graph },
  {
    name: "graph-huge",
    options: { tokens: long(256), nLayers: 32, nHeads: 32 },
    selection: { threshold: 0.02 },
    show: graph,
  },
  {
    name: "matrix",
    options: small,
    selection: { focus: { kind: "edge", source: "I10_4", target: "A11_5" }, head: { layer: 11, head: 3 } },
    show: matrix,
  },
  {
    name: "matrix-400",
    width: 400,
    options: { ...small, tokens: STRANGE },
    selection: { focus: { kind: "edge", source: "I10_4", target: "A11_5" } },
    show: matrix,
  },
  {
    name: "matrix-huge",
    options: { ...small, tokens: long(256) },
    selection: { focus: { kind: "edge", source: "I10_40", target: "A11_50" } },
    show: matrix,
  },
  {
    name: "matrix-1024",
    options: { ...small, tokens: long(1024) },
    selection: { focus: { kind: "edge", source: "I10_40", target: "A11_500" } },
    show: matrix,
  },
  {
    name: "matrix-multiples",
    options: small,
    selection: { head: { layer: 11, head: 3 } },
    show: (source, selection) =>
      html`<lmt-token-matrix multiples .source=${source} .selection=${selection}></lmt-token-matrix>`,
  },
  { name: "matrix-empty", options: small, show: matrix },
  {
    name: "follow",
    options: deep,
    selection: { token: 0, focus: { kind: "node", node: "I20_4" } },
    show: (source, selection) => html`<lmt-follow-chart .source=${source} .selection=${selection}></lmt-follow-chart>`,
  },
  {
    name: "explorer",
    options: small,
    selection: { focus: { kind: "edge", source: "I10_4", target: "A11_5" }, head: { layer: 11, head: 3 }, token: 0 },
    show: explorer,
  },
  {
    name: "explorer-removed",
    options: small,
    selection: {
      focus: { kind: "edge", source: "I10_4", target: "A11_5" },
      head: { layer: 11, head: 3 },
      removed: [
        { kind: "edge", layer: 11, query: 5, key: 4 },
        { kind: "ffn", layer: 11, position: 5 },
        { kind: "attention", layer: 8, head: 2 },
      ],
    },
    show: explorer,
  },
  {
    name: "explorer-wide",
    width: 1880,
    options: small,
    selection: { focus: { kind: "edge", source: "I10_4", target: "A11_5" }, head: { layer: 11, head: 3 }, token: 0 },
    show: explorer,
  },
  {
    name: "explorer-400",
    width: 400,
    options: small,
    selection: { focus: { kind: "ffn", layer: 11, position: 5 } },
    show: explorer,
  },
  { name: "explorer-t10-w420", width: 420, options: length(10), show: explorer },
  {
    name: "explorer-t40-w420",
    width: 420,
    options: length(40),
    selection: { focus: { kind: "node", node: "I20_39" } },
    show: explorer,
  },
  { name: "explorer-t10-w900", width: 900, options: length(10), show: explorer },
  { name: "explorer-t150-w900", width: 900, options: length(150), show: explorer },
  { name: "explorer-t40-w1280", width: 1240, options: length(40), show: explorer },
  {
    name: "explorer-t150-w1280",
    width: 1240,
    options: length(150),
    selection: { focus: { kind: "ffn", layer: 12, position: 149 } },
    show: explorer,
  },
  { name: "explorer-t500-w1280", width: 1240, options: length(500), show: explorer },
  { name: "explorer-t40-w1920", width: 1880, options: length(40), show: explorer },
  {
    name: "explorer-t500-w1920",
    width: 1880,
    options: length(500),
    selection: { focus: { kind: "node", node: "A20_499" } },
    show: explorer,
  },
  {
    name: "explorer-t150-w2560",
    width: 2520,
    options: length(150),
    selection: {
      pins: [{ name: "the mover", note: "copies the name", nodes: ["A20_149", "I12_148"] }],
    },
    show: explorer,
  },
  { name: "explorer-t150-w420", width: 420, options: length(150), show: explorer },
  { name: "explorer-t500-w420", width: 420, options: length(500), show: explorer },
  { name: "explorer-t40-w900", width: 900, options: length(40), show: explorer },
  { name: "explorer-t500-w900", width: 900, options: length(500), show: explorer },
  { name: "explorer-t10-w1280", width: 1240, options: length(10), show: explorer },
  { name: "explorer-t10-w1920", width: 1880, options: length(10), show: explorer },
  { name: "explorer-t150-w1920", width: 1880, options: length(150), show: explorer },
  { name: "explorer-t10-w2560", width: 2520, options: length(10), show: explorer },
  { name: "explorer-t40-w2560", width: 2520, options: length(40), show: explorer },
  { name: "explorer-t500-w2560", width: 2520, options: length(500), show: explorer },
  { name: "graph-unfolded", options: length(60), show: unfolded },
  { name: "graph-fit", options: length(60), show: fitted },
  {
    name: "neurons-by-logit",
    width: 460,
    options: small,
    selection: { focus: { kind: "ffn", layer: 11, position: 5 } },
    show: (source, selection) =>
      html`<lmt-neuron-bars by-logit top-k="8" .source=${source} .selection=${selection}></lmt-neuron-bars>`,
  },
  {
    name: "opponents",
    width: 460,
    options: small,
    selection: { focus: { kind: "node", node: "A8_4" } },
    show: (source, selection) => html`<lmt-inflow opposed .source=${source} .selection=${selection}></lmt-inflow>`,
  },
  { name: "grid", options: small, selection: { focus: { kind: "node", node: "I8_4" } }, show: grid },
  {
    name: "grid-entropy",
    options: deep,
    show: (source, selection) =>
      html`<lmt-lens-grid by="entropy" .source=${source} .selection=${selection}></lmt-lens-grid>`,
  },
  { name: "grid-strange", options: { ...small, tokens: STRANGE, nLayers: 6 }, show: grid },
  { name: "grid-400", width: 400, options: small, show: grid },
  { name: "grid-empty", show: grid },
  { name: "grid-loading", options: { ...small, delay: Infinity }, show: grid },
  {
    name: "grid-error",
    options: { ...small, error: "The kernel was restarted: run the cell again to ask it." },
    show: grid,
  },
  { name: "grid-huge", options: { tokens: long(256), nLayers: 32, nHeads: 32 }, show: grid },
  ...controlCases(small),
  {
    name: "graph-heads",
    options: small,
    selection: { threshold: 0.02 },
    show: (source, selection) =>
      html`<lmt-flow-graph color-by="head" .source=${source} .selection=${selection}></lmt-flow-graph>`,
  },
  {
    name: "graph-compact",
    options: { ...deep, sparse: true },
    selection: { threshold: 0.1 },
    show: (source, selection) =>
      html`<lmt-flow-graph compact .source=${source} .selection=${selection}></lmt-flow-graph>`,
  },
  { name: "graph-contrast", options: small, selection: { contrast: { token: 0, versus: 10 } }, show: graph },
  {
    name: "graph-contrast-stored",
    options: { ...small, unsigned: true },
    selection: { contrast: { token: 0, versus: 10 } },
    show: graph,
  },
  {
    name: "graph-origin",
    options: small,
    selection: { start: 4, origin: "I8_4", focus: { kind: "ffn", layer: 6, position: 4 } },
    show: graph,
  },
  {
    name: "graph-contrast-400",
    width: 400,
    options: small,
    selection: { contrast: { token: 0, versus: 10 } },
    show: graph,
  },
  { name: "compare", options: small, show: compare("side", other) },
  {
    name: "compare-edge",
    options: small,
    selection: { focus: { kind: "edge", source: "I10_4", target: "A11_5" }, head: { layer: 11, head: 3 } },
    show: compare("side", other),
  },
  {
    name: "compare-targets",
    options: small,
    selection: {
      contrast: { token: 0, versus: null },
      secondContrast: { token: 10, versus: null },
      focus: { kind: "node", node: "I8_5" },
    },
    show: compare("side"),
  },
  {
    name: "compare-400",
    width: 400,
    options: small,
    selection: { focus: { kind: "ffn", layer: 11, position: 5 } },
    show: compare("side", longer),
  },
  { name: "difference", options: small, selection: { focus: null }, show: compare("difference", other) },
  {
    name: "difference-ffn",
    options: small,
    selection: { focus: { kind: "ffn", layer: 11, position: 5 } },
    show: compare("difference", other),
  },
];

/** For `npm run bench -- widgets`: shown only by name. */
const BENCH: readonly Case[] = [32, 128, 256].map((n) => ({
  name: `bench-${n}`,
  options: { tokens: long(n), nLayers: 32, nHeads: 32, local: true },
  show: panel,
}));

const query = new URLSearchParams(location.search);
const theme = query.get("theme");
if (theme) document.documentElement.dataset.lmtTheme = theme;
const only = query.get("only");

render(
  html`${[...CASES, ...BENCH]
    .filter((item) => (only ? item.name === only : !item.name.startsWith("bench-")))
    .map((item) => {
      const source = item.options && new CachedSource(new SyntheticSource(item.options));
      const selection = new SelectionStore({
        ...initialSelection(item.options?.tokens.length ?? 1),
        ...item.selection,
      });
      return html`<section id=${item.name} style=${item.width ? `width:${item.width}px` : ""}>
      ${only ? "" : html`<h2>${item.name}</h2>`}
      <div class="stage">${item.show(source, selection)}</div>
    </section>`;
    })}`,
  document.body,
);
