import { css } from "lit";
import { LmtElement } from "../core/element";
import type { SaveFormat } from "../core/export";
import { FlowGraphElement } from "./graph/flow-graph";

/** What elements have in common that put a graph and its surroundings onto one surface. */
export abstract class PanelElement extends LmtElement {
  static override formats: readonly SaveFormat[] = ["svg", "png", "csv"];
  static override parts = FlowGraphElement.parts;
  static override styles = [
    LmtElement.styles,
    css`
      :host {
        padding: 12px 14px 14px;
        background: var(--_surface);
      }
      .body {
        display: grid;
        gap: 14px 22px;
        margin-top: 10px;
        padding-top: 10px;
        border-top: 1px solid var(--_line);
      }
      .body > *,
      .pair > * {
        min-width: 0;
      }
      .bar {
        display: flex;
        flex-wrap: wrap;
        gap: 6px 16px;
        align-items: center;
      }
    `,
  ];

  /** Downloads the graph, or its edges. */
  async save(format: SaveFormat): Promise<void> {
    await this.renderRoot.querySelector<FlowGraphElement>("lmt-flow-graph")?.save(format);
  }
}
