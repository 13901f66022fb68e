import { css } from "lit";

/**
 * The palette and the basic shapes. Colours follow JupyterLab's theme where there is one; the marks' own colours come
 * as a light and a dark set, chosen to differ in lightness and hue for all common kinds of colour blindness (teal,
 * purple, orange, blue). Every `--lmt-*` variable can be set from outside.
 */
export const theme = css`
  :host {
    --_surface: var(--lmt-surface, var(--jp-layout-color0, #ffffff));
    --_raised: var(--lmt-raised, var(--jp-layout-color1, #ffffff));
    --_band: var(--lmt-band, rgb(15 40 70 / 3.5%));
    --_line: var(--lmt-line, rgb(20 35 55 / 14%));
    --_line-strong: var(--lmt-line-strong, rgb(20 35 55 / 30%));
    --_text: var(--lmt-text, var(--jp-ui-font-color0, #1c2430));
    --_text-soft: var(--lmt-text-soft, #5a6675);
    --_dull: var(--lmt-dull, #d3d9e0);
    --_attention: var(--lmt-attention, #0b7285);
    --_attention-faint: var(--lmt-attention-faint, #b5d8dc);
    --_residual: var(--lmt-residual, #6f7d8f);
    --_residual-faint: var(--lmt-residual-faint, #d9dee5);
    --_ffn: var(--lmt-ffn, #7b3fb0);
    --_ffn-faint: var(--lmt-ffn-faint, #dccbec);
    --_selected: var(--lmt-selected, #d95f02);
    --_selected-text: var(--lmt-selected-text, #9c4200);
    --_up: var(--lmt-up, #1565c0);
    --_down: var(--lmt-down, #b3541e);
    --_more: var(--lmt-more, #1565c0);
    --_less: var(--lmt-less, #a0186a);
    --_focus: var(--lmt-focus, #1a73e8);
    --_wash: var(--lmt-wash, rgb(11 114 133 / 9%));
    --_error: var(--lmt-error, #b3261e);
    --_mono: var(--lmt-font-mono, var(--jp-code-font-family, ui-monospace, "SF Mono", "Cascadia Code", Menlo, Consolas, "DejaVu Sans Mono", monospace));
    --_sans: var(--lmt-font, var(--jp-ui-font-family, system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", "DejaVu Sans", sans-serif));
    display: block;
    box-sizing: border-box;
    color: var(--_text);
    font: 12.5px/1.45 var(--_sans);
    font-variant-numeric: tabular-nums;
    -webkit-font-smoothing: antialiased;
  }
  :host([data-theme="dark"]) {
    --_surface: var(--lmt-surface, var(--jp-layout-color0, #14171c));
    --_raised: var(--lmt-raised, var(--jp-layout-color1, #1b1f26));
    --_band: var(--lmt-band, rgb(180 205 240 / 4.5%));
    --_line: var(--lmt-line, rgb(200 215 235 / 15%));
    --_line-strong: var(--lmt-line-strong, rgb(200 215 235 / 34%));
    --_text: var(--lmt-text, var(--jp-ui-font-color0, #e8ecf2));
    --_text-soft: var(--lmt-text-soft, #a3afbf);
    --_dull: var(--lmt-dull, #3d4550);
    --_attention: var(--lmt-attention, #57cdd9);
    --_attention-faint: var(--lmt-attention-faint, #204a52);
    --_residual: var(--lmt-residual, #9aa8ba);
    --_residual-faint: var(--lmt-residual-faint, #343c47);
    --_ffn: var(--lmt-ffn, #c79bf0);
    --_ffn-faint: var(--lmt-ffn-faint, #453558);
    --_selected: var(--lmt-selected, #ff9b45);
    --_selected-text: var(--lmt-selected-text, #ffb06a);
    --_up: var(--lmt-up, #7db7ff);
    --_down: var(--lmt-down, #f0a878);
    --_more: var(--lmt-more, #7db7ff);
    --_less: var(--lmt-less, #ff8fc7);
    --_focus: var(--lmt-focus, #8ab4f8);
    --_wash: var(--lmt-wash, rgb(87 205 217 / 12%));
    --_error: var(--lmt-error, #f2b8b5);
  }
  @media (prefers-contrast: more) {
    :host {
      --_text-soft: var(--_text);
      --_line: currentColor;
      --_line-strong: currentColor;
      --_dull: #8a919b;
    }
  }
  :host([hidden]) {
    display: none;
  }
  *,
  *::before,
  *::after {
    box-sizing: border-box;
  }
  .token {
    font-family: var(--_mono);
    font-size: 12px;
    white-space: pre;
    unicode-bidi: isolate;
  }
  .soft {
    color: var(--_text-soft);
  }
  h3 {
    margin: 0;
    font-size: 12.5px;
    font-weight: 600;
    letter-spacing: 0.005em;
  }
  h3 .soft {
    font-weight: 400;
    margin-inline-start: 4px;
  }
  button {
    font: inherit;
    color: inherit;
    background: none;
    border: 1px solid var(--_line);
    border-radius: 6px;
    padding: 2px 8px;
    cursor: pointer;
  }
  button:hover {
    border-color: var(--_line-strong);
    background: var(--_wash);
  }
  button[aria-pressed="true"] {
    border-color: var(--_attention);
    background: var(--_wash);
  }
  :focus {
    outline: none;
  }
  :focus-visible {
    outline: 2px solid var(--_focus);
    outline-offset: 1px;
    border-radius: 4px;
  }
  input[type="range"] {
    accent-color: var(--_attention);
    height: 16px;
    margin: 0;
  }
  input[type="checkbox"] {
    accent-color: var(--_attention);
    margin: 0;
  }
  .visually-hidden {
    position: absolute;
    width: 1px;
    height: 1px;
    overflow: hidden;
    clip-path: inset(50%);
    white-space: nowrap;
  }
  .note {
    padding: 14px 4px;
    color: var(--_text-soft);
  }
  .note.unavailable {
    padding: 8px 10px;
    border-inline-start: 3px solid var(--_line-strong);
    font-size: 12px;
  }
  .error {
    display: flex;
    gap: 10px;
    align-items: baseline;
    padding: 8px 10px;
    border: 1px solid var(--_error);
    border-radius: 6px;
    color: var(--_error);
    overflow-wrap: anywhere;
  }
  .error button {
    border-color: currentColor;
    flex: none;
  }
  .busy {
    position: relative;
    height: 2px;
    overflow: hidden;
    border-radius: 1px;
    background: transparent;
  }
  .busy[data-on]::after {
    content: "";
    position: absolute;
    inset: 0 70% 0 0;
    border-radius: 1px;
    background: var(--_attention);
    animation: slide 1.1s ease-in-out infinite alternate;
  }
  /* An old answer stays until the next one is there, but not as if it were that one. */
  .busy ~ * {
    transition: opacity 120ms;
  }
  .busy[data-on] ~ * {
    opacity: 0.42;
    transition-delay: 120ms;
  }
  @keyframes slide {
    to {
      inset: 0 0 0 70%;
    }
  }
  @media (prefers-reduced-motion: reduce) {
    * {
      animation-duration: 0.01ms !important;
      transition: none !important;
    }
    .busy[data-on]::after {
      inset: 0;
      opacity: 0.6;
      animation: none;
    }
  }
  /* The system's own high-contrast colours: it repaints grounds and text. What carries data keeps its colour, what is chosen takes the system's. */
  @media (forced-colors: active) {
    :host,
    :host([data-theme="dark"]) {
      --_surface: Canvas;
      --_raised: Canvas;
      --_band: transparent;
      --_line: CanvasText;
      --_line-strong: CanvasText;
      --_text: CanvasText;
      --_text-soft: CanvasText;
      --_dull: color-mix(in oklab, CanvasText 35%, Canvas);
      --_selected: Highlight;
      --_selected-text: Highlight;
      --_focus: Highlight;
    }
    button[aria-pressed="true"],
    [role="option"][aria-selected="true"],
    tr.chosen td {
      forced-color-adjust: none;
      background: Highlight !important;
      color: HighlightText !important;
    }
    tr.chosen td *,
    [role="option"][aria-selected="true"] * {
      forced-color-adjust: none;
      color: HighlightText !important;
    }
    [role="gridcell"],
    .scale i,
    .track,
    .track i,
    .meter,
    .meter i,
    td.bar::before {
      forced-color-adjust: none;
    }
    svg text {
      fill: CanvasText;
    }
  }
`;
