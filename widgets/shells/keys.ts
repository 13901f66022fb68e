/**
 * Front ends of Jupyter take single keys as shortcuts of the notebook (arrows, E, F, S, +, −, Enter, …) before a
 * picture sees them, wherever the focus is. While the focus is in one of our pictures they belong to the picture; keys
 * with Ctrl, Alt or Cmd, and Shift+Enter, stay the notebook's.
 */
const SUPPRESS = "data-lm-suppress-shortcuts";
const listening = new WeakSet<Window>();

/** Keeps the keys of everything inside elements of the class `lm-transparency`. May be called any number of times. */
export function keepKeys(page: Window = window): void {
  if (listening.has(page)) return;
  listening.add(page);
  // The window hears a key before the document, where shortcuts are found.
  page.addEventListener(
    "keydown",
    (event) => {
      const target = event.target;
      if (!(target instanceof Element) || !target.closest(".lm-transparency")) return;
      // On the very element: a selector of a shortcut may fit it before any of its ancestors is looked at.
      target.toggleAttribute(
        SUPPRESS,
        !(event.ctrlKey || event.altKey || event.metaKey || (event.shiftKey && event.key === "Enter")),
      );
    },
    true,
  );
}
