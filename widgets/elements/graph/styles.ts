import { css } from "lit";

/** The tool bar, also where it stands above two graphs. */
export const graphToolbarStyles = css`
  .toolbar {
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    gap: 4px 10px;
    min-height: 30px;
    padding: 0 2px 4px;
  }
  .toolbar input[type="range"] {
    width: 96px;
  }
  .toolbar label {
    display: inline-flex;
    align-items: center;
    gap: 7px;
    white-space: nowrap;
  }
  .toolbar .cut {
    display: inline-flex;
    align-items: center;
    gap: 7px;
    white-space: nowrap;
  }
  .toolbar select {
    height: 24px;
    padding: 0 4px;
    font: inherit;
    color: inherit;
    background: none;
    border: 1px solid var(--_line);
    border-radius: 6px;
    cursor: pointer;
  }
  .toolbar option {
    color: var(--_text);
    background: var(--_raised);
  }
  .toolbar output {
    min-width: 2.6em;
    font-variant-numeric: tabular-nums;
  }
  .toolbar lmt-trace-bar {
    flex: 0 1 auto;
    min-width: 0;
  }
  .toolbar .end button:disabled {
    opacity: 0.4;
    cursor: default;
  }
  .toolbar .end {
    margin-inline-start: auto;
    display: inline-flex;
    gap: 3px;
    align-items: center;
  }
  .toolbar .end button {
    min-width: 24px;
    height: 24px;
    padding: 0 5px;
    line-height: 1;
  }
`;

/** Shapes and colours of the graph, its legend and tip. */
export const graphStyles = css`
  :host {
    min-height: 120px;
  }
  .figure {
    position: relative;
    overflow: hidden;
    border-radius: 8px;
    background: var(--_surface);
  }
  .busy {
    position: absolute;
    inset: 0 0 auto 0;
    z-index: 2;
  }
  .error {
    margin: 4px 0 8px;
  }
  svg,
  canvas {
    display: block;
    touch-action: pan-y;
  }
  canvas {
    position: absolute;
    inset: 0;
    pointer-events: none;
  }
  svg:focus-visible {
    outline-offset: -2px;
    border-radius: 8px;
  }
  .pannable {
    cursor: grab;
  }
  /* Not :active: a cursor is inherited by every mark, and a click that styles thousands of them anew is a slow click. */
  .panning {
    cursor: grabbing;
  }
  text {
    font: 11px var(--_sans);
    fill: var(--_text-soft);
  }
  .label {
    font: 12px var(--_mono);
    fill: var(--_text);
    cursor: pointer;
  }
  .label.quiet {
    fill: var(--_text-soft);
  }
  .label.start {
    font-weight: 700;
  }
  .band {
    fill: var(--_band);
  }
  .state {
    fill: var(--_dull);
    cursor: pointer;
  }
  .state.on {
    fill: var(--_residual);
  }
  .state.from {
    fill: var(--_text);
  }
  .ffn {
    fill: var(--_ffn);
    fill: color-mix(in oklab, var(--_ffn) calc(30% + 70% * var(--w)), var(--_ffn-faint));
    cursor: pointer;
  }
  .fan {
    fill: none;
    stroke: var(--_attention);
    stroke-width: 1;
    stroke-opacity: calc(0.35 + 0.65 * var(--w));
    pointer-events: none;
  }
  .ffn.more {
    fill: color-mix(in oklab, var(--_more) calc(100% * var(--w)), var(--_residual-faint));
  }
  .ffn.supports {
    fill: color-mix(in oklab, var(--_up) calc(100% * var(--w)), var(--_residual-faint));
  }
  .ffn.less {
    fill: color-mix(in oklab, var(--_less) calc(100% * var(--w)), var(--_residual-faint));
  }
  .ffn.below {
    fill: var(--_raised);
    stroke-width: 2px;
  }
  .ffn.below.more {
    stroke: color-mix(in oklab, var(--_more) calc(40% + 60% * var(--w)), var(--_residual-faint));
  }
  .ffn.below.less {
    stroke: color-mix(in oklab, var(--_less) calc(40% + 60% * var(--w)), var(--_residual-faint));
  }
  .ffn.opposes {
    fill: var(--_raised);
    stroke: color-mix(in oklab, var(--_down) calc(40% + 60% * var(--w)), var(--_residual-faint));
    stroke-width: 2px;
  }
  .edge {
    fill: none;
    stroke-linecap: round;
    pointer-events: none;
  }
  .edge.attention {
    stroke: color-mix(in oklab, var(--_attention) calc(100% * var(--w)), var(--_attention-faint));
  }
  .edge.residual {
    stroke: color-mix(in oklab, var(--_residual) calc(62% * var(--w)), var(--_residual-faint));
  }
  .edge.ffn-in,
  .edge.ffn-out {
    stroke: color-mix(in oklab, var(--_ffn) calc(100% * var(--w)), var(--_ffn-faint));
  }
  .edge.more {
    stroke: color-mix(in oklab, var(--_more) calc(100% * var(--w)), var(--_residual-faint));
  }
  .edge.less {
    stroke: color-mix(in oklab, var(--_less) calc(100% * var(--w)), var(--_residual-faint));
    stroke-dasharray: 6 3;
    stroke-linecap: butt;
  }
  /* Not on the routes of the other side, though not nothing there. */
  .edge.below.more {
    stroke-dasharray: 12 4;
    stroke-linecap: butt;
  }
  .edge.below.less {
    stroke-dasharray: 2 3;
  }
  .edge.supports {
    stroke: color-mix(in oklab, var(--_up) calc(100% * var(--w)), var(--_residual-faint));
  }
  .edge.opposes {
    stroke: color-mix(in oklab, var(--_down) calc(100% * var(--w)), var(--_residual-faint));
    stroke-dasharray: 5 3;
    stroke-linecap: butt;
  }
  .hit {
    fill: none;
    stroke: transparent;
    stroke-width: 11px;
    pointer-events: stroke;
    cursor: pointer;
  }
  /* A residual edge is a line of states: what is between them is hit, not they. */
  .hit.residual {
    stroke-width: 5px;
  }
  .fold {
    fill: var(--_band);
    stroke: var(--_line-strong);
    stroke-dasharray: 2 3;
    cursor: pointer;
  }
  .fold:hover {
    fill: var(--_wash);
  }
  .label.folded {
    font: 11px var(--_sans);
  }
  .label.folded:hover {
    fill: var(--_text);
    text-decoration: underline;
  }
  .beyond {
    font: 10.5px var(--_mono);
    fill: var(--_text);
    stroke: var(--_surface);
    stroke-width: 3px;
    paint-order: stroke;
    pointer-events: none;
  }
  .dimmed :is(.edges, .states, .ffns),
  canvas.dimmed {
    opacity: 0.2;
  }
  .lit {
    pointer-events: none;
  }
  /* What is removed: its line broken up by the ground's colour, a cross on it. */
  path.gone {
    fill: none;
    stroke: var(--_surface);
    stroke-dasharray: 4 4;
    pointer-events: none;
  }
  path.cut {
    fill: none;
    stroke: var(--_error);
    stroke-width: 2.4px;
    stroke-linecap: round;
    pointer-events: none;
  }
  circle.pin {
    fill: none;
    stroke: var(--_text);
    stroke-width: 1.4px;
    pointer-events: none;
  }
  text.pin {
    font: 600 11px var(--_sans);
    fill: var(--_text);
    stroke: var(--_surface);
    stroke-width: 3px;
    paint-order: stroke;
    pointer-events: none;
  }
  .scroll {
    height: 12px;
    overflow: auto hidden;
    scrollbar-width: thin;
  }
  .scroll > div {
    height: 1px;
  }
  .hit.dot {
    stroke: none;
    fill: transparent;
    pointer-events: fill;
  }
  .mark {
    fill: none;
    pointer-events: none;
    stroke-linecap: round;
  }
  .mark.hover {
    stroke: var(--_text);
    stroke-opacity: 0.55;
  }
  .mark.cursor {
    stroke: var(--_focus);
    stroke-dasharray: 3 2.5;
  }
  .mark.chosen {
    stroke: var(--_selected);
  }
  .triangle {
    fill: var(--_dull);
    cursor: pointer;
  }
  .triangle:hover {
    fill: var(--_text-soft);
  }
  .triangle.on {
    fill: var(--_selected);
  }
  .legend {
    display: flex;
    flex-wrap: wrap;
    gap: 4px 16px;
    padding: 6px 2px 0;
    color: var(--_text-soft);
    font-size: 11.5px;
  }
  .legend span {
    display: inline-flex;
    align-items: center;
    gap: 6px;
  }
  .legend .swatch {
    gap: 3px;
  }
  .legend .swatch i {
    width: 10px;
    height: 4px;
    border-radius: 2px;
  }
  .legend svg {
    overflow: visible;
  }
  .tip {
    position: absolute;
    z-index: 3;
    max-width: min(300px, 90%);
    padding: 6px 9px;
    border: 1px solid var(--_line);
    border-radius: 7px;
    background: var(--_raised);
    box-shadow: 0 4px 16px rgb(0 0 0 / 16%);
    pointer-events: none;
    font-size: 12px;
    line-height: 1.4;
  }
  .tip b {
    font-weight: 600;
  }
`;
