import type { NodeName } from "../../../src/protocol";
import type { ReactiveController, ReactiveControllerHost } from "lit";
import type { Mark } from "./marks";
import { sameMark } from "./marks";

/** After so many milliseconds on one state it is worth asking what the state says. */
const REST_MS = 180;

/** What the pointer is on, and since when. */
export class Hover implements ReactiveController {
  #mark: Mark | undefined;
  #rests = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #at = { x: 0, y: 0 };

  constructor(private readonly host: ReactiveControllerHost) {
    host.addController(this);
  }

  get mark(): Mark | undefined {
    return this.#mark;
  }

  /** The state on which the pointer has rested. */
  get rested(): NodeName | undefined {
    return this.#rests && this.#mark?.kind === "node" ? this.#mark.node : undefined;
  }

  /** Whether the pointer has rested on the mark: what belongs to it may stand out. */
  get settled(): boolean {
    return this.#rests;
  }

  /** The pointer is at a place of the figure, on a mark. Returns false where it only moved on the same one. */
  move(mark: Mark | undefined, at: { readonly x: number; readonly y: number }): boolean {
    this.#at = at;
    return this.#set(mark);
  }

  leave(): void {
    if (this.#mark) this.#set(undefined);
  }

  /** Without news: another run is shown. */
  forget(): void {
    this.#mark = undefined;
  }

  /** Style of a tip beside the pointer, in a figure of this width. */
  tipStyle(width: number): string {
    const { x, y } = this.#at;
    return `${x > width / 2 ? `right:${Math.max(0, width - x + 12)}px` : `left:${x + 14}px`};top:${Math.max(0, y - 12)}px`;
  }

  hostDisconnected(): void {
    clearTimeout(this.#timer);
  }

  #set(mark: Mark | undefined): boolean {
    if (sameMark(mark, this.#mark)) return false;
    this.#mark = mark;
    this.#rests = false;
    clearTimeout(this.#timer);
    if (mark) {
      this.#timer = setTimeout(() => {
        this.#rests = true;
        this.host.requestUpdate();
      }, REST_MS);
    }
    this.host.requestUpdate();
    return true;
  }
}
