/**
 * The walls of the code: which room may import from which, and why no further. This table is the one place of it;
 * `docs/architecture.md` draws it, `rooms.test.ts` holds the sources to it.
 */

export interface Room {
  /** Other rooms that files of this one may import from. */
  readonly from: readonly string[];
  /** Why from no others: the end of "…, because …". */
  readonly because: string;
}

/** A room is a folder, or a file; of several that fit, the longest name counts. */
export const ROOMS: Readonly<Record<string, Room>> = {
  "src/signals.ts": { from: [], because: "every room may need it" },
  "src/requester.ts": { from: [], because: "every room may need it, in browsers too" },
  "src/system": { from: [], because: "it reads and writes files, whatever is in them" },
  "src/model": {
    from: ["src/system", "src/signals.ts"],
    because: "it is the contract and the files that all others build on",
  },
  "src/threads": { from: [], because: "it knows worker threads and nothing of what they compute" },
  "src/engine": {
    from: ["src/requester.ts", "src/model", "src/threads"],
    because: "it computes states and knows neither contributions nor pictures",
  },
  "src/attribution": {
    from: ["src/requester.ts", "src/model", "src/threads"],
    because: "it is mathematics on arrays: it never sees ONNX, and browsers run its trace",
  },
  "src/lens": { from: ["src/model"], because: "it reads scores of a vocabulary, whoever made them" },
  "src/runtime": {
    from: ["src/system", "src/model", "src/threads", "src/engine", "src/attribution", "src/lens"],
    because: "it is the library for programs without a notebook",
  },
  "src/protocol": {
    from: ["src/model"],
    because: "it is what kernel and browser agree on: both load it, so it may load neither",
  },
  "src/payload": {
    from: ["src/model", "src/attribution", "src/protocol"],
    because: "browsers read payloads: whatever it imports is loaded by every page",
  },
  "src/system/check-platform.ts": {
    from: ["src/system"],
    because: "it runs before anything else is loaded",
  },
  "src/system/exit-where-it-cannot-run.ts": {
    from: ["src/system"],
    because: "it runs before anything else is loaded",
  },
  "src/install": {
    from: ["src/system"],
    because: "it puts files where Jupyter looks for them, and knows nothing of models",
  },
  "src/jupyter": {
    from: ["src/signals.ts", "src/requester.ts", "src/system/exit-where-it-cannot-run.ts"],
    because: "it knows no language models and could be published alone",
  },
  "src/config": { from: ["src/system", "src/model", "src/payload"], because: "it reads a file and starts nothing" },
  "src/export": {
    from: ["src/system", "src/payload", "src/protocol"],
    because: "it makes pages of stored outputs: no model and no kernel is there",
  },
  "src/notebook": {
    from: [
      "src/system",
      "src/signals.ts",
      "src/model",
      "src/threads",
      "src/engine",
      "src/attribution",
      "src/lens",
      "src/runtime",
      "src/protocol",
      "src/payload",
      "src/jupyter",
      "src/config",
      "src/export",
    ],
    because: "what it needs comes from the rooms below it",
  },
  "src/cli": {
    from: [
      "src/install",
      "src/system/exit-where-it-cannot-run.ts",
      "src/system",
      "src/model",
      "src/attribution",
      "src/lens",
      "src/runtime",
      "src/export",
    ],
    because: "commands run where there is no notebook",
  },
  "src/index.ts": {
    from: [
      "src/system/check-platform.ts",
      "src/model",
      "src/attribution",
      "src/lens",
      "src/runtime",
      "src/notebook",
      "src/config",
    ],
    because: "it only names what is public",
  },
  "widgets/core": {
    from: ["src/protocol", "src/payload"],
    because: "the browser knows the kernel by its protocol alone",
  },
  "widgets/elements": {
    from: ["src/protocol", "widgets/core"],
    because: "elements get a narrow source and selection, never a widget manager",
  },
  "widgets/shells": {
    from: ["src/requester.ts", "src/protocol", "src/payload", "widgets/core", "widgets/elements"],
    because: "shells join elements to one front end each",
  },
  "widgets/static": { from: ["src/payload", "widgets/shells"], because: "it is the script of exported pages" },
  "widgets/gallery": {
    from: ["src/protocol", "widgets/core", "widgets/elements"],
    because: "it shows elements with no kernel and no shell",
  },
  labextension: {
    from: ["src/protocol", "src/payload", "widgets/shells"],
    because: "JupyterLab loads it with every page",
  },
};

export const roomOf = (file: string): string | undefined =>
  Object.keys(ROOMS)
    .filter((room) => file === room || `${file}.ts` === room || file.startsWith(`${room}/`))
    .sort((a, b) => b.length - a.length)[0];

/** Relative imports, re-exports and dynamic imports of a source. */
export function importsOf(text: string): string[] {
  return [...text.matchAll(/(?:\bfrom\s*|\bimport\s*\(?\s*|\brequire\(\s*)["'](\.{1,2}\/[^"']+)["']/g)].map(
    ([, name]) => name,
  );
}

/**
 * The sentence about an import that goes through a wall; undefined where it may stand. `target`: the imported file from
 * the root, without ending.
 */
export function wallBetween(file: string, target: string): string | undefined {
  const [own, other] = [roomOf(file), roomOf(target)];
  if (own === undefined)
    return `${file} is in no room: put it into a folder of test/structure/rooms.ts, or add its room there.`;
  if (other === undefined) return `${file} imports ${target}, which is in no room of test/structure/rooms.ts.`;
  if (own === other || ROOMS[own].from.includes(other)) return undefined;
  const allowed = ROOMS[own].from;
  return `${file} imports ${target}: ${own} may import from ${allowed.length > 0 ? allowed.join(", ") : "no other room"}, not from ${other}, because ${ROOMS[own].because}.`;
}
