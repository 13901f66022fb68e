import { css } from "lit";
import { tableStyles } from "./table-styles";

/** Lists of bars that can be chosen from. */
export const barsStyles = [
  tableStyles,
  css`
    [role="listbox"] {
      position: relative;
      max-height: var(--lmt-table-height, 420px);
      overflow: auto;
      scrollbar-width: thin;
      border-top: 1px solid var(--_line);
      padding: 4px 0;
    }
    [role="option"] {
      display: grid;
      grid-template-columns: 4.6em minmax(40px, 1fr) 4em 4.6em;
      gap: 8px;
      align-items: center;
      padding: 1px 6px;
      border-radius: 5px;
      cursor: pointer;
      line-height: 19px;
    }
    [role="option"]:hover {
      background: var(--_wash);
    }
    [role="option"][aria-selected="true"] {
      background: color-mix(in oklab, var(--_selected) 14%, transparent);
      color: var(--_text);
      box-shadow: inset 2px 0 var(--_selected);
    }
    [role="option"].below {
      color: var(--_text-soft);
    }
    [role="option"].below .track i {
      background: var(--_dull);
    }
    .about {
      padding: 2px 0 0;
      color: var(--_text-soft);
      font-size: 11.5px;
      line-height: 1.35;
    }
    .track {
      height: 10px;
      border-radius: 3px;
      background: color-mix(in oklab, var(--bar, var(--_attention)) 8%, transparent);
      overflow: hidden;
    }
    .track i {
      display: block;
      height: 100%;
      border-radius: 3px;
      background: var(--bar, var(--_attention));
      width: calc(100% * var(--b));
      min-width: 1px;
    }
    .heading {
      display: grid;
      grid-template-columns: 4.6em minmax(40px, 1fr) 4em 4.6em;
      gap: 8px;
      padding: 2px 6px;
      font-size: 11px;
      color: var(--_text-soft);
    }
    .heading :nth-child(2) {
      grid-column: 2 / 4;
      text-align: end;
    }
    .heading :last-child {
      text-align: end;
    }
  `,
];

/** Moves within a list of options by keyboard: the key's new index, or undefined for other keys. */
export function movedIndex(key: string, index: number, count: number): number | undefined {
  if (count === 0) return undefined;
  switch (key) {
    case "ArrowDown":
      return Math.min(count - 1, index + 1);
    case "ArrowUp":
      return Math.max(0, index - 1);
    case "Home":
      return 0;
    case "End":
      return count - 1;
    default:
      return undefined;
  }
}
