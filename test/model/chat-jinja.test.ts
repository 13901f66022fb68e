/** Pieces of templates against transformers' jinja2 (test/reference/make_jinja.py). */
import fs from "node:fs";
import path from "node:path";
import { renderMessages } from "../../src/model/chat";
import type { ChatMessage } from "../../src/model/types";
import { root } from "../support/fixtures";

const reference = JSON.parse(fs.readFileSync(path.join(root, "test/reference/jinja.json"), "utf8")) as {
  readonly messages: readonly ChatMessage[];
  readonly special_tokens: Record<string, string>;
  readonly cases: readonly (readonly [string, string | null])[];
};

/** What a piece renders to; an error where it is refused. */
function render(template: string): string | Error {
  try {
    const format = {
      origin: "",
      templates: new Map([["default", template]]),
      specialTokens: reference.special_tokens,
      endIds: [],
    };
    return renderMessages(format, "m", reference.messages).text;
  } catch (error) {
    return error as Error;
  }
}

/** What jinja2 knows and we say that we do not. */
const UNKNOWN = [
  "| format(",
  "'{}'.format",
  "| round(",
  "sum(start",
  "[1]*2",
  "1 < 2 < 3",
  "raw",
  "1e3",
  "groupby",
  "urlencode",
  "dict(a=1)",
  "is eq 'x'",
  "true + 1",
  "{%+",
  "+%}",
  "['user']) | list",
];

test("there are many, and few that we do not know", () => {
  const rendered = reference.cases.filter(([, text]) => text !== null);
  expect(rendered.length).toBeGreaterThan(125);
  const unknown = rendered.filter(([piece]) => UNKNOWN.some((part) => piece.includes(part)));
  expect(unknown.length).toBeLessThanOrEqual(UNKNOWN.length);
});

test.each(reference.cases)("%j", (piece, text) => {
  const ours = render(piece);
  if (text === null || UNKNOWN.some((part) => piece.includes(part))) {
    // Never another text.
    expect(ours).toEqual(expect.any(Error));
    expect((ours as Error).message).toMatch(/^The chat template of m (cannot be (read|rendered)|refuses).*: [^]+\.$/);
  } else expect(ours).toBe(text);
});
