import { css } from "lit";

/** Shapes and colours of the maps, their toolbar and the small multiples. */
export const matrixStyles = css`
  :host {
    min-height: 60px;
  }
  header {
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    gap: 6px 14px;
    min-height: 28px;
    padding-bottom: 6px;
  }
  header .end {
    margin-inline-start: auto;
    display: inline-flex;
    gap: 6px;
    align-items: center;
  }
  label {
    display: inline-flex;
    gap: 6px;
    align-items: center;
  }
  button.icon {
    min-width: 26px;
    height: 24px;
    padding: 0 6px;
    line-height: 1;
  }
  button:disabled {
    opacity: 0.45;
    cursor: default;
  }
  .maps {
    display: flex;
    flex-wrap: wrap;
    gap: 14px 26px;
  }
  .maps.tight {
    gap: 8px 12px;
  }
  .maps.tight figcaption {
    flex-wrap: wrap;
    gap: 0 6px;
  }
  figure {
    margin: 0;
    min-width: 0;
  }
  figcaption {
    display: flex;
    gap: 8px;
    align-items: center;
    justify-content: space-between;
    padding-bottom: 4px;
    font-size: 12px;
  }
  .scale {
    display: inline-flex;
    gap: 5px;
    align-items: center;
    font-size: 11px;
    color: var(--_text-soft);
  }
  .scale i {
    width: 56px;
    height: 7px;
    border-radius: 3px;
    background: linear-gradient(to right in oklab, var(--_map-low), var(--_map-high));
    border: 1px solid var(--_line);
  }
  :host {
    --_map-low: var(--lmt-map-low, var(--_surface));
    --_map-high: var(--lmt-map-high, var(--_attention));
  }
  canvas {
    display: block;
    cursor: crosshair;
    touch-action: pan-x pan-y;
  }
  canvas.zoomed {
    touch-action: none;
  }
  .readout {
    min-height: 20px;
    padding-top: 4px;
    color: var(--_text-soft);
  }
  .multiples {
    display: grid;
    grid-template-columns: repeat(auto-fill, minmax(104px, 1fr));
    gap: 10px;
  }
  .multiples button {
    padding: 5px;
    text-align: start;
    font-size: 11.5px;
  }
  .multiples canvas {
    width: 100%;
    height: auto;
    aspect-ratio: 1;
    margin-top: 3px;
    image-rendering: pixelated;
    border-radius: 2px;
    cursor: pointer;
  }
  .multiples button[aria-pressed="true"] {
    border-color: var(--_selected);
    background: color-mix(in oklab, var(--_selected) 10%, transparent);
  }
`;
