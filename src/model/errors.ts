/** A model that cannot be opened: what is wrong, where, and what would work, in one sentence. */
export class ModelFileError extends Error {
  override readonly name: string = "ModelFileError";
}

/** `a, b and c` */
export function list(names: Iterable<string>, word: "and" | "or" = "and"): string {
  const all = [...names];
  return all.length < 2 ? all.join("") : `${all.slice(0, -1).join(", ")} ${word} ${all[all.length - 1]}`;
}
