import { inspect } from "node:util";
import {
  commHost,
  DISPLAY_ID,
  DISPLAYED,
  isLasting,
  JUPYTER_DISPLAY,
  type DisplayOptions,
  type Displayable,
  type MimeBundle,
} from "../comm-host";
import { Object, Buffer } from "../natives";

function isDisplayable(value: unknown): value is Displayable {
  return (
    (typeof value === "object" || typeof value === "function") &&
    value !== null &&
    typeof (value as Partial<Displayable>)[JUPYTER_DISPLAY] === "function"
  );
}

/**
 * How a value shows itself: by its `[Symbol.for("Jupyter.display")]()` where it has one, else as text. `text/plain` is
 * always there. What the method throws is passed on.
 */
export async function mimeBundle(value: unknown): Promise<MimeBundle> {
  if (isDisplayable(value)) {
    const bundle: unknown = await value[JUPYTER_DISPLAY]();
    if (typeof bundle === "object" && bundle !== null)
      return { "text/plain": "", ...encodeBinary(bundle as MimeBundle) };
  }
  return {
    "text/plain":
      typeof value === "string"
        ? inspect(value, { breakLength: 100, maxStringLength: 100_000 })
        : inspect(value, { breakLength: 100, depth: 3 }),
  };
}

/** What an output of this value keeps alive; null: nothing. */
export function ownerOf(value: unknown): object | null {
  return isDisplayable(value) ? value : null;
}

/** Binary payloads are base64 text in a bundle. */
function encodeBinary(bundle: MimeBundle): MimeBundle {
  return Object.fromEntries(
    Object.entries(bundle).map(([type, payload]) => [
      type,
      payload instanceof Uint8Array
        ? Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString("base64")
        : payload,
    ]),
  );
}

/** Shows a value under the running cell, as the last expression of a cell is shown. */
export async function display(value: unknown, options: DisplayOptions = {}): Promise<void> {
  const lasting = isLasting(value);
  commHost().display(await mimeBundle(value), {
    owner: ownerOf(value),
    ...options,
    displayId: options.displayId ?? (lasting ? value[DISPLAY_ID] : undefined),
  });
  // Without a kernel nobody sees what would come.
  if (lasting && commHost().live) await value[DISPLAYED]();
}

/** Shows a value in place of what was displayed with `displayId`. */
export async function updateDisplay(displayId: string, value: unknown): Promise<void> {
  commHost().updateDisplay(displayId, await mimeBundle(value), { owner: ownerOf(value) });
}
