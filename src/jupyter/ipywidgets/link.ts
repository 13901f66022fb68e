import { DirectionalLink, Link } from "./generated";
import type { RegisteredWidget } from "./registry";
import type { Widget } from "./widget";

/** A widget and one of its keys. */
export type End<S extends object, K extends keyof S & string> = readonly [widget: Widget<S, object>, name: K];

/** A link that can be cut. */
export interface Cut {
  /** Cuts it: both keys go on by themselves. */
  unlink(): void;
}

/**
 * Keeps two keys equal, through the kernel; the target takes the source's value at once. Where one side refuses or
 * corrects a value (its bounds), the other follows what came of it.
 */
export function link<A extends object, K extends keyof A & string, B extends object, J extends keyof B & string>(
  source: End<A, K>,
  target: End<B, J>,
): Cut {
  const forth = dlink(source, target);
  const back = follow(target, source, (value) => value as unknown as A[K]);
  return {
    unlink: () => {
      forth.unlink();
      back();
    },
  };
}

/** Has the target follow the source, through the kernel; `transform` makes the target's value of the source's. */
export function dlink<A extends object, K extends keyof A & string, B extends object, J extends keyof B & string>(
  source: End<A, K>,
  target: End<B, J>,
  transform: (value: A[K]) => B[J] = (value) => value as unknown as B[J],
): Cut {
  put(target, transform(source[0].get(source[1])));
  return { unlink: follow(source, target, transform) };
}

function put<S extends object, K extends keyof S & string>([widget, name]: End<S, K>, value: S[K]): void {
  widget.set({ [name]: value } as unknown as Partial<S>);
}

function follow<A extends object, K extends keyof A & string, B extends object, J extends keyof B & string>(
  source: End<A, K>,
  target: End<B, J>,
  transform: (value: A[K]) => B[J],
): () => void {
  return source[0].observe(source[1], (change) => put(target, transform(change.new)));
}

/**
 * Keeps two keys equal in the browser, without the kernel: works in a saved notebook too. Types must be equal; nothing
 * is checked.
 */
export function jslink(source: readonly [RegisteredWidget, string], target: readonly [RegisteredWidget, string]): Link {
  return new Link({ source, target });
}

/** Has the target follow the source in the browser, without the kernel. */
export function jsdlink(
  source: readonly [RegisteredWidget, string],
  target: readonly [RegisteredWidget, string],
): DirectionalLink {
  return new DirectionalLink({ source, target });
}
