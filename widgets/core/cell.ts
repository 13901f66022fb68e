import type { RunFacts, Selection } from "../../src/protocol";
import { initialSelection } from "../../src/protocol";

/**
 * The TypeScript of what is looked at: a cell that loads the model, runs the prompt and shows the same picture with the
 * same selection. Tokens are given by id, so that no other tokenisation can creep in.
 */
export function cellOf(facts: RunFacts, selection: Selection, picture: "explorer" | "flowGraph"): string {
  const { model, tokens } = facts;
  const text = tokens.map((token) => token.text).join("");
  const initial: Readonly<Record<string, unknown>> = { ...initialSelection(tokens.length) };
  const changed = Object.entries(selection).filter(
    ([name, value]) => name !== "writer" && JSON.stringify(value) !== JSON.stringify(initial[name]),
  );
  const loaded =
    model.source === undefined ? JSON.stringify(model.name) : model.source === "" ? "" : JSON.stringify(model.source);
  const options = changed.length
    ? `, {\n  selection: {\n${changed.map(([name, value]) => `    ${name}: ${literal(value)},\n`).join("")}  },\n}`
    : "";
  return [
    `import { ${picture}, loadModel } from "lm-transparency";`,
    "",
    `const model = await loadModel(${loaded});`,
    `// ${JSON.stringify(text.length > 400 ? `${text.slice(0, 400)}…` : text)}`,
    `const run = await model.run([${tokens.map(({ id }) => id).join(", ")}]);`,
    `${picture}(run${options})`,
    "",
  ].join("\n");
}

/** A value as it is written in TypeScript: names of properties without quotes. */
function literal(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(literal).join(", ")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  return `{ ${Object.entries(value)
    .map(([name, inner]) => `${name}: ${literal(inner)}`)
    .join(", ")} }`;
}

/** Puts a text onto the clipboard; false where the page may not. */
export async function copied(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Pages without a secure context have only the old way.
    const area = document.createElement("textarea");
    area.value = text;
    area.style.position = "fixed";
    area.style.opacity = "0";
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}
