/** What the build remembers between calls: for each step, a hash of what went in. Kept in `.cache/build.json`. */
import { createHash } from "node:crypto";
import fs from "node:fs";
import path from "node:path";

/** All files below the given files and folders (relative to `root`), sorted. What does not exist is left out. */
export function filesUnder(root, entries, accept = () => true) {
  const found = [];
  const visit = (relative) => {
    const stat = fs.statSync(path.join(root, relative), { throwIfNoEntry: false });
    if (stat === undefined) return;
    if (stat.isDirectory())
      for (const name of fs.readdirSync(path.join(root, relative))) visit(path.posix.join(relative, name));
    else if (accept(relative)) found.push(relative);
  };
  for (const entry of entries) visit(entry);
  return found.sort();
}

/**
 * Hash over names and contents: a touched file is no change, a renamed one is. `known` keeps what was read: asked again
 * with it, a file that changed meanwhile still counts as it was.
 */
export function hashFiles(root, files, known = new Map()) {
  const hash = createHash("sha256");
  for (const file of files) {
    if (!known.has(file))
      known.set(
        file,
        createHash("sha256")
          .update(fs.readFileSync(path.join(root, file)))
          .digest(),
      );
    hash.update(`${file}\0`).update(known.get(file));
  }
  return hash.digest("hex");
}

export function readState(file) {
  try {
    return JSON.parse(fs.readFileSync(file, "utf8"));
  } catch {
    return {}; // missing or cut off: everything is built again
  }
}

/** Written whole or not at all, so that a build that is killed leaves no half state. */
export function writeState(file, state) {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  const temporary = `${file}.${process.pid}.tmp`;
  fs.writeFileSync(temporary, JSON.stringify(state, null, 1) + "\n");
  fs.renameSync(temporary, file);
}
