/**
 * Where a text stops being JSON: JavaScript engines say that in different words, and often not at all.
 * Index of the first character that cannot stand there (`text.length`: something is missing at the end), or undefined
 * where it is JSON.
 */
export function jsonErrorIndex(text: string): number | undefined {
  let at = 0;
  const token = (pattern: RegExp): boolean => {
    pattern.lastIndex = at;
    const found = pattern.exec(text);
    if (found) at += found[0].length;
    return found !== null;
  };
  const blank = (): boolean => token(/[ \t\n\r]*/y);
  const next = (char: string): boolean => {
    blank();
    if (text[at] !== char) return false;
    at++;
    return true;
  };
  const string = (): boolean => {
    if (text[at] !== '"') return false;
    at++;
    while (token(/[^"\\\u0000-\u001f]+|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y));
    if (text[at] !== '"') return false;
    at++;
    return true;
  };
  // Open brackets, so that deep nesting costs no stack.
  const open: ("[" | "{")[] = [];
  for (;;) {
    // A value is due here.
    blank();
    if (text[at] === "[" || text[at] === "{") {
      const bracket = text[at++] as "[" | "{";
      if (!next(bracket === "[" ? "]" : "}")) {
        open.push(bracket);
        if (bracket === "{" && !key()) return at;
        continue;
      }
    } else if (!string() && !token(/-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y)) return at;
    // A value ended here.
    for (;;) {
      const inside = open[open.length - 1];
      if (inside === undefined) {
        blank();
        return at === text.length ? undefined : at;
      }
      if (next(",")) {
        if (inside === "{" && !key()) return at;
        break;
      }
      if (!next(inside === "[" ? "]" : "}")) return at;
      open.pop();
    }
  }

  function key(): boolean {
    blank();
    return string() && next(":");
  }
}
