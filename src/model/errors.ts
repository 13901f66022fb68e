/** Longest message; what is longer is cut in its middle. */
const MOST = 1200;

/** A model that cannot be opened: what is wrong, where, and what would work, in one sentence on one line. */
export class ModelFileError extends Error {
  /** Tells it from other errors, also across threads. */
  override readonly name: string = "ModelFileError";

  constructor(message: string) {
    // Names out of files can hold anything, and be of any length.
    const line = (message.length > 2 * MOST ? `${message.slice(0, MOST)}${message.slice(-MOST)}` : message).replace(
      /[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g,
      " ",
    );
    super(line.length > MOST ? `${line.slice(0, MOST - 301)}…${line.slice(-300)}` : line);
  }
}

/** `a, b and c` */
export function list(names: Iterable<string>, word: "and" | "or" = "and"): string {
  const all = [...names];
  return all.length < 2 ? all.join("") : `${all.slice(0, -1).join(", ")} ${word} ${all[all.length - 1]}`;
}
