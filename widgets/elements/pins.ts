import { css, html, nothing } from "lit";
import type { TemplateResult } from "lit";
import type { Pin } from "../../src/protocol";
import { PIN_LIMITS, parseNode } from "../../src/protocol";
import { define, LmtElement } from "../core/element";
import type { SaveFormat } from "../core/export";
import { saveCsv } from "../core/export";
import { placeWords } from "../core/places";

/**
 * A person's reading of the circuit: groups of places with a name and a note. They are drawn in the graph, kept with the
 * notebook, and read in cells as `picture.selection.pins`.
 */
export class PinsElement extends LmtElement {
  static override formats: readonly SaveFormat[] = ["csv"];
  static override styles = [
    LmtElement.styles,
    css`
      .pin {
        display: grid;
        gap: 3px;
        padding: 6px 0;
        border-bottom: 1px solid var(--_line);
      }
      .row {
        display: flex;
        gap: 5px;
        align-items: center;
      }
      input,
      textarea {
        font: inherit;
        color: inherit;
        background: var(--_surface);
        border: 1px solid var(--_line);
        border-radius: 5px;
        padding: 2px 6px;
        min-width: 0;
        flex: 1;
      }
      input {
        font-weight: 600;
      }
      textarea {
        resize: vertical;
        min-height: 38px;
      }
      .nodes {
        display: flex;
        flex-wrap: wrap;
        gap: 3px;
      }
      .nodes button {
        font-size: 11.5px;
      }
    `,
  ];

  protected override render(): TemplateResult {
    const { pins, focus } = this.selected;
    const tokens = this.source?.facts.tokens ?? [];
    const node = focus?.kind === "node" ? focus.node : undefined;
    if (pins.length === 0)
      return html`<div class="note">Nothing is pinned. Select a state, an edge or a block and press “Pin” to give it a name and a note; both are kept with the notebook and drawn in the graph.</div>`;
    return html`${pins.map(
      (pin, index) => html`<div class="pin">
        <div class="row">
          <input aria-label="Name of the pin" maxlength=${PIN_LIMITS.name} .value=${pin.name} @change=${(event: Event) => this.#change(index, { name: (event.target as HTMLInputElement).value })} />
          ${node !== undefined && !pin.nodes.includes(node) ? html`<button title="Add ${placeWords(node, tokens)} to this group" @click=${() => this.#change(index, { nodes: [...pin.nodes, node] })}>+ selected</button>` : nothing}
          <button aria-label="Remove the pin ${pin.name}" title="Remove" @click=${() => this.select({ pins: pins.filter((_, i) => i !== index) })}>✕</button>
        </div>
        <textarea aria-label="Note" placeholder="What is it, and how do you know?" maxlength=${PIN_LIMITS.note} .value=${pin.note} @change=${(event: Event) => this.#change(index, { note: (event.target as HTMLTextAreaElement).value })}></textarea>
        <div class="nodes">${pin.nodes.map((name) => html`<button title=${name} @click=${() => this.#look(name)}>${placeWords(name, tokens)}</button>`)}</div>
      </div>`,
    )}`;
  }

  #change(index: number, change: Partial<Pin>): void {
    this.select({ pins: this.selected.pins.map((pin, i) => (i === index ? { ...pin, ...change } : pin)) });
  }

  #look(name: Pin["nodes"][number]): void {
    const place = parseNode(name);
    if (!place) return;
    const { kind, layer, position } = place;
    this.select({
      focus: kind === "M" ? { kind: "ffn", layer, position } : { kind: "node", node: name },
      head: null,
      neuron: null,
    });
  }

  /** Downloads the pins as a table, a line a place. */
  save(): void {
    const rows = this.selected.pins.flatMap((pin) => pin.nodes.map((node) => [pin.name, node, pin.note]));
    saveCsv([["name", "node", "note"], ...rows], "pins.csv");
  }
}

define("lmt-pins", PinsElement);
