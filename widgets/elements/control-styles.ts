import { css } from "lit";

/** Fields of the controls: a caption above each, the same height for all. */
export const controlStyles = css`
  .fields {
    display: flex;
    flex-wrap: wrap;
    gap: 8px 12px;
    align-items: flex-end;
  }
  .field {
    display: flex;
    flex-direction: column;
    gap: 3px;
    min-width: 0;
  }
  .field > span,
  legend {
    font-size: 11px;
    color: var(--_text-soft);
    padding: 0;
  }
  .grow {
    flex: 1 1 220px;
  }
  select,
  input[type="text"],
  textarea {
    font: inherit;
    color: var(--_text);
    background: var(--_raised);
    border: 1px solid var(--_line-strong);
    border-radius: 6px;
    height: 28px;
    padding: 0 8px;
    margin: 0;
    min-width: 0;
    max-width: 100%;
    box-shadow: none;
  }
  select {
    padding-inline-end: 4px;
  }
  option {
    color: var(--_text);
    background: var(--_raised);
  }
  textarea {
    height: auto;
    min-height: 28px;
    padding: 4px 8px;
    line-height: 18px;
    resize: vertical;
    width: 100%;
  }
  select:disabled,
  input:disabled,
  textarea:disabled {
    opacity: 1;
    color: var(--_text-soft);
    background: transparent;
    border-color: var(--_line);
  }
  .field button,
  button.tall {
    height: 28px;
    padding: 0 12px;
    white-space: nowrap;
  }
  button.main {
    background: var(--_attention);
    border-color: var(--_attention);
    color: var(--_on-attention);
    font-weight: 600;
  }
  button.main:hover {
    background: var(--_attention);
    filter: brightness(1.08);
  }
  button:disabled {
    cursor: default;
    opacity: 0.55;
    filter: none;
  }
  .facts {
    display: flex;
    flex-wrap: wrap;
    gap: 1px 14px;
    margin: 8px 0 0;
    color: var(--_text-soft);
    font-size: 12px;
  }
  .facts b {
    color: var(--_text);
    font-weight: 500;
  }
  .refused {
    margin: 6px 0 0;
    color: var(--_error);
    overflow-wrap: anywhere;
  }
  :host {
    --_on-attention: #ffffff;
  }
  :host([data-theme="dark"]) {
    --_on-attention: #0c1a1d;
  }
`;
