import { html, nothing } from "lit";
import type { TemplateResult } from "lit";
import type { Selection } from "../../../src/protocol";
import type { MenuItem } from "../menu";
import { cutControl } from "../cut-control";
import "../menu";

export interface GraphToolbar {
  readonly selected: Pick<Selection, "threshold" | "budget" | "renormalize">;
  /** Edges that are drawn. */
  readonly edges: number | undefined;
  readonly menu: readonly MenuItem[];
  select(change: Partial<Selection>): void;
  zoom(factor: number): void;
  showAll(): void;
  /** All is in view. */
  readonly fit: boolean;
  readonly history: { readonly canGoBack: boolean; readonly canGoForward: boolean };
  back(): void;
  forward(): void;
  /** What the routes are of. */
  readonly trace: TemplateResult | undefined;
}

export function graphToolbar({
  selected,
  edges,
  menu,
  select,
  zoom,
  showAll,
  fit,
  history,
  back,
  forward,
  trace,
}: GraphToolbar): TemplateResult {
  return html`<div class="toolbar" part="toolbar">
    ${cutControl({ selected, edges, select })}
    <label title="Scale the contributions that passed the threshold so that they sum to 1"
      ><input type="checkbox" .checked=${selected.renormalize} @change=${(event: Event) => select({ renormalize: (event.target as HTMLInputElement).checked })} />Renormalise</label
    >
    ${trace ?? nothing}
    <span class="end">
      <button ?disabled=${!history.canGoBack} @click=${() => back()} aria-label="Back" title="Back to what was looked at before (Alt ←)">‹</button>
      <button ?disabled=${!history.canGoForward} @click=${() => forward()} aria-label="Forward" title="Forward again (Alt →)">›</button>
      <button @click=${() => zoom(1 / 1.4)} aria-label="Zoom out" title="Zoom out (−)">−</button>
      <button @click=${() => zoom(1.4)} aria-label="Zoom in" title="Zoom in (+, or Ctrl and wheel)">+</button>
      <button @click=${() => showAll()} aria-pressed=${fit} aria-label="Show all" title="All tokens and layers in view, however small (0)">⤢</button>
      <lmt-menu label="More" .items=${menu}></lmt-menu>
    </span>
  </div>`;
}
