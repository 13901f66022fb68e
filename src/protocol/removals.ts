/**
 * Something that is taken out of the computation: 0 stands in its place. Without `position` at every token. An edge is
 * what one head, or all, carry from `key` to `query`.
 */
export type Removal =
  | { readonly kind: "attention"; readonly layer: number; readonly position?: number; readonly head?: number }
  | { readonly kind: "ffn"; readonly layer: number; readonly position?: number; readonly neuron?: number }
  | {
      readonly kind: "edge";
      readonly layer: number;
      readonly query: number;
      readonly key: number;
      readonly head?: number;
    };

/** More are not removed at once. */
export const MOST_REMOVED = 50;

/** Numbers of each kind by name, those that may be left out last. */
export const REMOVAL_PARTS = {
  attention: { needed: ["layer"], optional: ["position", "head"] },
  ffn: { needed: ["layer"], optional: ["position", "neuron"] },
  edge: { needed: ["layer", "query", "key"], optional: ["head"] },
} as const;

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

/** Reads one; undefined where it is none. Its parts come in one order, so that equal ones are equal as texts. */
export function readRemoval(value: unknown): Removal | undefined {
  const given = (typeof value === "object" && value !== null ? value : {}) as Record<string, unknown>;
  const { kind } = given;
  if (kind !== "attention" && kind !== "ffn" && kind !== "edge") return undefined;
  const { needed, optional } = REMOVAL_PARTS[kind];
  if (!needed.every((part) => isCount(given[part]))) return undefined;
  if (!optional.every((part) => given[part] === undefined || isCount(given[part]))) return undefined;
  if (kind === "edge" && (given.key as number) > (given.query as number)) return undefined;
  const parts = [...needed, ...optional].flatMap((part) => (given[part] === undefined ? [] : [[part, given[part]]]));
  return { kind, ...Object.fromEntries(parts) } as Removal;
}

/** Undefined where it is no list; what is none of it, or there already, is left out. */
export function readRemovals(value: unknown): readonly Removal[] | undefined {
  if (!Array.isArray(value)) return undefined;
  return value
    .slice(0, MOST_REMOVED)
    .flatMap((given) => readRemoval(given) ?? [])
    .reduce<readonly Removal[]>((all, removal) => withRemoval(all, removal), []);
}

/** Whether with `whole` gone `part` is gone too: it is the same, or a part of it. */
export function covers(whole: Removal, part: Removal): boolean {
  if (whole.kind !== part.kind) return false;
  const [a, b] = [whole, part] as readonly Readonly<Record<string, unknown>>[];
  const { needed, optional } = REMOVAL_PARTS[whole.kind];
  return (
    needed.every((name) => a[name] === b[name]) &&
    optional.every((name) => a[name] === undefined || a[name] === b[name])
  );
}

/** The list with one more: its parts are not named beside it, and what is gone already is not named again. */
export function withRemoval(all: readonly Removal[], removal: Removal): readonly Removal[] {
  if (all.some((one) => covers(one, removal))) return all;
  return [...all.filter((one) => !covers(removal, one)), removal].slice(-MOST_REMOVED);
}

/** In one order: what is removed first makes no difference. */
export const sortedRemovals = (all: readonly Removal[]): readonly Removal[] =>
  [...all].sort((a, b) => a.layer - b.layer || (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));

/** The same in another prompt, whose partner of a position `partner` gives (-1: none); undefined where it has no place. */
export function mirroredRemoval(
  removal: Removal,
  partner: (position: number) => number,
  has: (layer: number, position: number) => boolean,
): Removal | undefined {
  if (removal.kind === "edge") {
    const [query, key] = [partner(removal.query), partner(removal.key)];
    return has(removal.layer, query) && has(removal.layer, key) && key <= query
      ? { ...removal, query, key }
      : undefined;
  }
  if (removal.position === undefined) return has(removal.layer, 0) ? removal : undefined;
  const position = partner(removal.position);
  return has(removal.layer, position) ? { ...removal, position } : undefined;
}
