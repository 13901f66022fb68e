/** SentencePiece's merging by scores, as llama.cpp does it (`llm_tokenizer_spm_session`). */

interface Symbol {
  text: string;
  prev: number;
  next: number;
}

interface Pair {
  readonly left: number;
  readonly right: number;
  readonly score: number;
  readonly text: string;
}

export class ScoredPairs {
  constructor(
    private readonly ids: ReadonlyMap<string, number>,
    private readonly scores: readonly number[],
    private readonly unknown: number | undefined,
  ) {}

  /** Ids of a text whose blanks are \u2581, pushed onto `ids`. */
  encode(text: string, ids: number[]): void {
    const symbols: Symbol[] = Array.from(text, (character, i) => ({ text: character, prev: i - 1, next: i + 1 }));
    if (symbols.length === 0) return;
    symbols[symbols.length - 1].next = -1;
    const queue: Pair[] = [];
    const consider = (left: number, right: number): void => {
      if (left < 0 || right < 0) return;
      const whole = symbols[left].text + symbols[right].text;
      const id = this.ids.get(whole);
      if (id === undefined) return;
      push(queue, { left, right, score: this.scores[id] ?? 0, text: whole });
    };
    for (let i = 1; i < symbols.length; i++) consider(i - 1, i);
    for (let pair = pop(queue); pair !== undefined; pair = pop(queue)) {
      const [left, right] = [symbols[pair.left], symbols[pair.right]];
      if (left.text === "" || right.text === "" || left.text.length + right.text.length !== pair.text.length) continue;
      left.text += right.text;
      right.text = "";
      left.next = right.next;
      if (right.next >= 0) symbols[right.next].prev = pair.left;
      consider(left.prev, pair.left);
      consider(pair.left, left.next);
    }
    for (let i = 0; i >= 0; i = symbols[i].next) this.#spell(symbols[i].text, ids);
  }

  /** A merged text is always a token; a character that is none goes byte by byte. */
  #spell(text: string, ids: number[]): void {
    const id = this.ids.get(text);
    if (id !== undefined) {
      ids.push(id);
      return;
    }
    for (const byte of Buffer.from(text, "utf8")) {
      const name = byte.toString(16).toUpperCase().padStart(2, "0");
      const found =
        this.ids.get(`<0x${name}>`) ??
        (byte < 0x80 ? this.ids.get(String.fromCharCode(byte)) : undefined) ??
        this.unknown;
      if (found !== undefined) ids.push(found);
    }
  }
}

/** Best score first, then leftmost. */
function before(a: Pair, b: Pair): boolean {
  return a.score > b.score || (a.score === b.score && a.left < b.left);
}

function push(heap: Pair[], pair: Pair): void {
  let i = heap.push(pair) - 1;
  while (i > 0) {
    const parent = (i - 1) >> 1;
    if (!before(heap[i], heap[parent])) return;
    [heap[i], heap[parent]] = [heap[parent], heap[i]];
    i = parent;
  }
}

function pop(heap: Pair[]): Pair | undefined {
  const top = heap[0] as Pair | undefined;
  const last = heap.pop();
  if (last === undefined || heap.length === 0) return top;
  heap[0] = last;
  for (let i = 0; ;) {
    let best = i;
    for (const child of [2 * i + 1, 2 * i + 2])
      if (child < heap.length && before(heap[child], heap[best])) best = child;
    if (best === i) return top;
    [heap[i], heap[best]] = [heap[best], heap[i]];
    i = best;
  }
}
