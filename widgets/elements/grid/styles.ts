import { css } from "lit";

/** Shapes and colours of the grid and its toolbar. */
export const gridStyles = css`
  :host {
    min-height: 60px;
    /* As strong as text on it stays readable. */
    --ramp: 58%;
  }
  :host([data-theme="dark"]) {
    --ramp: 46%;
  }
  header {
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    gap: 6px 12px;
    min-height: 30px;
    padding-bottom: 4px;
  }
  header .end {
    margin-inline-start: auto;
    display: inline-flex;
    gap: 6px;
    align-items: center;
  }
  .scale {
    display: inline-flex;
    gap: 5px;
    align-items: center;
    font-size: 11px;
    color: var(--_text-soft);
  }
  .scale i {
    width: 60px;
    height: 8px;
    border-radius: 3px;
    border: 1px solid var(--_line);
    background: linear-gradient(to right in oklab, var(--_surface), color-mix(in oklab, var(--_attention) var(--ramp), var(--_surface)));
  }
  .scroll {
    overflow: auto;
    max-height: var(--lmt-grid-height, 640px);
    /* A scroll bar that lies over the content must not lie over the last row. */
    padding-bottom: 6px;
    scrollbar-width: thin;
    overscroll-behavior-x: contain;
  }
  [role="grid"] {
    display: grid;
    grid-template-columns: var(--head) var(--before) repeat(var(--columns), var(--column)) var(--after);
    width: max-content;
    min-width: 100%;
  }
  [role="row"] {
    display: contents;
  }
  [role="rowheader"],
  [role="columnheader"] {
    position: sticky;
    background: var(--_surface);
    color: var(--_text-soft);
    font-size: 11px;
    padding: 1px 6px;
    z-index: 1;
  }
  [role="rowheader"] {
    left: 0;
    text-align: end;
    line-height: 20px;
    padding: 0 6px;
  }
  [role="columnheader"] {
    bottom: 0;
    text-align: center;
    font-size: 12px;
    color: var(--_text);
    padding: 4px 2px 2px;
    border-top: 1px solid var(--_line-strong);
    overflow: hidden;
    text-overflow: ellipsis;
  }
  [role="gridcell"] {
    font: 11.5px/19px var(--_mono);
    white-space: pre;
    text-align: center;
    padding: 0 4px;
    margin: 0 1px 1px 0;
    border-radius: 2px;
    height: 19px;
    overflow: hidden;
    text-overflow: ellipsis;
    unicode-bidi: isolate;
    cursor: pointer;
    background: color-mix(in oklab, var(--_attention) calc(var(--ramp) * var(--c)), var(--_surface));
  }
  /* The second column stands for all that is not in the page. */
  [role="rowheader"] + [role="gridcell"],
  [role="columnheader"]:first-child + [role="columnheader"] {
    grid-column-start: 3;
  }
  [role="gridcell"].waiting {
    background: var(--_band);
    cursor: default;
  }
  progress {
    width: 90px;
    height: 7px;
    accent-color: var(--_attention);
  }
  [role="gridcell"]:hover {
    box-shadow: inset 0 0 0 1.5px var(--_text-soft);
  }
  [role="gridcell"][aria-selected="true"] {
    box-shadow: inset 0 0 0 2px var(--_selected);
  }
  [role="gridcell"].pinned {
    text-decoration: underline 2px var(--_selected);
    text-underline-offset: 3px;
  }
`;
