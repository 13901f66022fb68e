import type { PropertyValues } from "lit";
import type { Choice, ControlChoices, ControlCurrent, ControlStatus } from "../../src/protocol";
import { LmtElement } from "./element";
import { sentenceOf } from "./source";

/** All that the controls know of where their state comes from. */
export interface Controls {
  readonly choices: ControlChoices;
  readonly current: ControlCurrent;
  readonly status: ControlStatus;
  /** Resolves when the choice was taken; what comes of it arrives as state. Rejects with a sentence. */
  choose(choice: Choice): Promise<void>;
  openDataset(file: string): Promise<void>;
  stop(): Promise<void>;
  /** Calls `listener` on every change until `signal` aborts. */
  subscribe(listener: () => void, signal: AbortSignal): void;
}

/** An element that shows a session's controls. Graph settings are those of the selection. */
export abstract class ControlElement extends LmtElement {
  static override properties = { ...LmtElement.properties, controls: { attribute: false } };

  declare controls: Controls | undefined;

  /** Why the last choice was not taken. */
  protected refused = "";

  #listening: AbortController | undefined;

  override connectedCallback(): void {
    super.connectedCallback();
    this.#listen();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#listening?.abort();
  }

  protected override willUpdate(changed: PropertyValues): void {
    super.willUpdate(changed);
    if (changed.has("controls" as never)) this.#listen();
  }

  #listen(): void {
    this.#listening?.abort();
    if (!this.isConnected || !this.controls) return;
    this.#listening = new AbortController();
    this.controls.subscribe(() => this.requestUpdate(), this.#listening.signal);
  }

  /** Sends a choice; a refusal is shown as its sentence. */
  protected async take(action: (controls: Controls) => Promise<void>): Promise<boolean> {
    if (!this.controls) return false;
    try {
      await action(this.controls);
      this.refused = "";
      return true;
    } catch (error) {
      this.refused = sentenceOf(error);
      return false;
    } finally {
      this.requestUpdate();
    }
  }

  protected choose(choice: Choice): Promise<boolean> {
    const { threshold, renormalize, normalize } = this.selected;
    return this.take((controls) => controls.choose({ ...choice, settings: { threshold, renormalize, normalize } }));
  }
}
