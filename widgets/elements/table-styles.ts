import { css } from "lit";

/** Tables and lists of bars look alike in all elements. */
export const tableStyles = css`
  :host {
    min-height: 40px;
  }
  header {
    display: flex;
    align-items: center;
    justify-content: space-between;
    gap: 8px;
    min-height: 28px;
    padding-bottom: 4px;
  }
  header > :last-child {
    display: inline-flex;
    flex: none;
    gap: 5px;
    align-self: flex-start;
  }
  button.more {
    margin: 2px 6px 0 6px;
    font-size: 11.5px;
    color: var(--_text-soft);
  }
  .scroll {
    position: relative;
    max-height: var(--lmt-table-height, 420px);
    overflow: auto;
    scrollbar-width: thin;
    border-top: 1px solid var(--_line);
  }
  table {
    width: 100%;
    border-collapse: collapse;
    table-layout: auto;
    background: none;
    font-size: 12.5px;
  }
  th {
    position: sticky;
    top: 0;
    z-index: 1;
    background: var(--_surface);
    font-weight: 500;
    font-size: 11px;
    color: var(--_text-soft);
    text-align: start;
    padding: 4px 6px;
    white-space: nowrap;
  }
  td {
    padding: 1px 6px;
    text-align: start;
    border-top: 1px solid color-mix(in srgb, var(--_line) 55%, transparent);
    line-height: 22px;
  }
  .n {
    text-align: end;
    font-variant-numeric: tabular-nums;
    white-space: nowrap;
  }
  td.bar {
    position: relative;
    min-width: 74px;
    isolation: isolate;
  }
  td.bar::before {
    content: "";
    position: absolute;
    z-index: -1;
    inset: 3px 0 3px auto;
    width: calc(100% * var(--b, 0));
    border-radius: 3px;
    background: color-mix(in oklab, var(--bar, var(--_attention)) 26%, transparent);
  }
  tr:hover td {
    background: var(--_wash);
  }
  tr.chosen td {
    background: color-mix(in oklab, var(--_selected) 14%, transparent);
  }
  button.plain {
    border: 0;
    padding: 0 3px;
    margin: 0 -3px;
    border-radius: 4px;
    background: none;
    text-align: start;
    max-width: 22ch;
    overflow: hidden;
    text-overflow: ellipsis;
    vertical-align: bottom;
    user-select: text;
  }
  button.plain:hover {
    background: var(--_wash);
  }
  button.plain[aria-pressed="true"] {
    background: none;
    color: var(--_selected-text);
    font-weight: 600;
  }
`;
