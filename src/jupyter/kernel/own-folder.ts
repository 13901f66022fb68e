/** Where the compiler is told that this package lies. */
import ts from "typescript";

/** Stands for `node_modules` in the paths that the compiler sees of this package's own files. */
const NAMEABLE = "/.node_modules./";

export function isNameable(path: string): boolean {
  return path.includes(NAMEABLE);
}

/**
 * This package's own files, under paths that a declaration of a cell can name. The compiler writes no path with
 * `node_modules` into a declaration, but only names of packages that the notebook's folder sees; installed globally, in
 * another project or in a wheel, this package is none.
 */
export class OwnFolder {
  readonly #real: string;
  readonly #nameable: string;

  constructor(root: string) {
    this.#real = (ts.sys.realpath?.(root) ?? root).replaceAll("\\", "/");
    this.#nameable = this.#real.replaceAll("/node_modules/", NAMEABLE);
  }

  /** Where the file is. */
  real(path: string): string {
    return isNameable(path) && isWithin(path, this.#nameable) ? this.#real + path.slice(this.#nameable.length) : path;
  }

  /** What the compiler calls it. Packages inside of this one keep their paths. */
  nameable(path: string): string {
    if (!isWithin(path, this.#real)) return path;
    const rest = path.slice(this.#real.length);
    return rest.includes("/node_modules/") ? path : this.#nameable + rest;
  }
}

function isWithin(path: string, folder: string): boolean {
  return path.startsWith(folder) && (path.length === folder.length || path[folder.length] === "/");
}
