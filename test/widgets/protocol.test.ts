/** What crosses between kernel and browser: read back equal, or refused with a sentence. */
import fc from "fast-check";
import {
  alignmentOf,
  checkVersion,
  alignTokens,
  unseenTargets,
  columnCount,
  fittingLayerHeight,
  flowLayout,
  foldsOf,
  initialSelection,
  mirroredSelection,
  nodeName,
  pack,
  parseNode,
  PROTOCOL_VERSION,
  questionKey,
  readAskPayload,
  readQuestion,
  readRunFacts,
  readSelection,
  removedQuestion,
  shortText,
  tensor,
  unpack,
  visibleText,
  withRemoval,
  type WireTensor,
} from "../../src/protocol";
import { comparedRoutes, withoutSinks } from "../../widgets/core/routes";
import type { DrawnEdge, DrawnRoutes } from "../../widgets/core/routes";

describe("removals", () => {
  const head = { kind: "attention", layer: 2, head: 1 } as const;
  const selection = initialSelection(4);

  test("they are read with their parts in one order; what is none, or gone already, is left out", () => {
    const given = [
      { head: 1, layer: 2, kind: "attention", more: 1 },
      { kind: "attention", layer: 2, position: 3, head: 1 },
      { kind: "ffn", layer: -1 },
      { kind: "edge", layer: 0, query: 1, key: 2 },
      null,
      { neuron: 5, kind: "ffn", layer: 0, position: 1 },
    ];
    const read = readSelection({ removed: given }, selection).removed;
    expect(JSON.stringify(read)).toBe(JSON.stringify([head, { kind: "ffn", layer: 0, position: 1, neuron: 5 }]));
  });

  test("a selection stored before there were any has none", () => {
    const { removed, ...old } = selection;
    expect(removed).toEqual([]);
    expect(readSelection(old, initialSelection(4)).removed).toEqual([]);
    expect(removedQuestion(readSelection(old, initialSelection(4)))).toBeUndefined();
  });

  test("the whole takes the place of its parts", () => {
    const all = withRemoval(withRemoval([], { kind: "attention", layer: 2, position: 3, head: 1 }), head);
    expect(all).toEqual([head]);
    expect(withRemoval(all, { kind: "attention", layer: 2, position: 0, head: 1 })).toEqual([head]);
    expect(withRemoval(all, { kind: "attention", layer: 2 })).toEqual([{ kind: "attention", layer: 2 }]);
    expect(withRemoval(all, { kind: "attention", layer: 2, head: 0 })).toHaveLength(2);
    const edge = { kind: "edge", layer: 2, query: 3, key: 1 } as const;
    expect(
      withRemoval(
        [
          { ...edge, head: 0 },
          { ...edge, head: 1 },
        ],
        edge,
      ),
    ).toEqual([edge]);
  });

  test("the order in which things were removed makes no other question", () => {
    const other = { kind: "ffn", layer: 0, position: 2 } as const;
    const [a, b] = [
      [head, other],
      [other, head],
    ].map((removed) => questionKey(removedQuestion({ ...selection, removed })!));
    expect(a).toBe(b);
    const question = readQuestion(JSON.parse(a));
    expect(questionKey(question)).toBe(a);
    expect(question).toMatchObject({ position: 3, removals: [other, head] });
  });

  test("in the other graph of a comparison they are at the tokens' partners; what has none is not removed there", () => {
    const states = (
      texts: string,
    ): { tokens: { id: number; text: string }[]; model: { nLayers: number; parallelBlocks: boolean } } => ({
      tokens: [...texts].map((text, id) => ({ id, text })),
      model: { nLayers: 3, parallelBlocks: false },
    });
    const removed = [
      head,
      { kind: "ffn", layer: 1, position: 2 },
      { kind: "edge", layer: 1, query: 3, key: 0 },
      { kind: "edge", layer: 1, query: 3, key: 1 },
      { kind: "ffn", layer: 5 },
    ] as const;
    const mirrored = mirroredSelection({ ...selection, removed }, states("abcd"), states("acd"));
    expect(mirrored.removed).toEqual([
      head,
      { kind: "ffn", layer: 1, position: 1 },
      { kind: "edge", layer: 1, query: 2, key: 0 },
    ]);
  });
});

describe("codec", () => {
  test("values with tensors come back equal, from buffers at any alignment", () => {
    const leaf = fc.oneof(
      fc.integer(),
      fc.string(),
      fc.boolean(),
      fc.constant(null),
      fc.array(fc.float({ noNaN: true }), { maxLength: 9 }).map((values) => tensor(Float32Array.from(values))),
      fc.array(fc.nat(), { minLength: 6, maxLength: 6 }).map((values) => tensor(Uint32Array.from(values), [2, 3])),
      fc.uint8Array({ maxLength: 5 }).map((values) => tensor(values)),
    );
    const key = fc.string().filter((k) => k !== "__proto__" && k !== "$tensor");
    const value = fc.letrec((tie) => ({
      v: fc.oneof(
        { maxDepth: 4 },
        leaf,
        fc.array(tie("v"), { maxLength: 4 }),
        fc.dictionary(key, tie("v"), { maxKeys: 4 }),
      ),
    })).v;
    fc.assert(
      fc.property(value, fc.nat(7), (original, shift) => {
        const { json, buffers } = pack(original);
        const wire = JSON.parse(JSON.stringify(json)) as unknown;
        const shifted = buffers.map((view) => {
          const bytes = new Uint8Array(view.byteLength + shift);
          bytes.set(new Uint8Array(view.buffer, view.byteOffset, view.byteLength), shift);
          return new DataView(bytes.buffer, shift);
        });
        // -0 is 0 in JSON.
        expect(JSON.stringify(plain(unpack(wire, shifted)))).toBe(JSON.stringify(plain(original)));
      }),
    );
  });

  test("numbers of tensors are not in the JSON", () => {
    const { json, buffers } = pack({ a: tensor(new Float32Array(1000)) });
    expect(JSON.stringify(json).length).toBeLessThan(100);
    expect(buffers[0].byteLength).toBe(4000);
  });

  test.each([
    ["a missing buffer", { buffer: 3, dtype: "float32", shape: [1] }, /refers to buffer 3, but 1 came/],
    ["a wrong size", { buffer: 0, dtype: "float32", shape: [1000000] }, /came with 8 bytes/],
    ["an unknown type", { buffer: 0, dtype: "float8", shape: [8] }, /known are float32/],
    ["a type from the prototype", { buffer: 0, dtype: "constructor", shape: [8] }, /known are float32/],
    ["a negative shape", { buffer: 0, dtype: "uint8", shape: [-8] }, /not a list of sizes/],
    ["no reference at all", null, /has the type/],
  ])("%s is refused", (_, reference, sentence) => {
    expect(() => unpack({ x: { $tensor: reference } }, [new Uint8Array(8)])).toThrow(sentence);
  });

  test("deep nesting is refused", () => {
    let deep: unknown = 1;
    for (let i = 0; i < 100; i++) deep = [deep];
    expect(() => unpack(deep, [])).toThrow(/nested/);
  });
});

/** Tensors as plain lists, for comparing. */
function plain(value: unknown): unknown {
  if (ArrayBuffer.isView(value)) return [...(value as Float32Array)];
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === "object" && value !== null)
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
  return value;
}

describe("questions", () => {
  test("a good one is read, with nothing else in it", () => {
    const question = { kind: "lens", node: "I5_3", normalize: true, topK: 5, extra: "x" };
    expect(readQuestion(question)).toEqual({ kind: "lens", node: "I5_3", normalize: true, topK: 5 });
  });

  test.each([
    [{ kind: "everything" }, /no question of kind "everything"; known are routes, targets, lens/],
    [{ kind: "toString" }, /no question of kind/],
    [undefined, /no question of kind/],
    [{ kind: "lens", node: "Z5", normalize: true, topK: 5 }, /node has to be a node's name/],
    [{ kind: "lens", node: "I5_3", normalize: 1, topK: 5 }, /normalize has to be true or false/],
    [{ kind: "lens", node: "I5_3", normalize: true, topK: 1e9 }, /topK has to be a whole number from 1 to 1000/],
    [{ kind: "routes", from: 1, threshold: "0", renormalize: true }, /threshold has to be a number from 0 to 1/],
    [
      { kind: "effect", component: { kind: "attention", layer: 1, position: -1 }, normalize: true, topK: 3 },
      /component has to be/,
    ],
    [{ kind: "removed", removals: [], position: 1, topK: 3 }, /removals has to be a list of 1 to 50/],
    [
      { kind: "removed", removals: [{ kind: "edge", layer: 1, query: 1, key: 2 }], position: 1, topK: 3 },
      /removals has to be/,
    ],
  ])("%j is refused with a sentence", (question, sentence) => {
    expect(() => readQuestion(question)).toThrow(sentence);
  });

  test("the key does not depend on the order of keys", () => {
    const a = readQuestion({ kind: "heads", layer: 1, query: 2, key: 0 });
    expect(questionKey(a)).toBe(questionKey({ key: 0, query: 2, layer: 1, kind: "heads" } as never));
    expect(questionKey(a)).not.toBe(questionKey(readQuestion({ kind: "heads", layer: 1, query: 2, key: 1 })));
  });

  test("another version is refused, saying what to do", () => {
    const question = { kind: "layerMaps", layer: 0 };
    expect(readAskPayload({ protocol: PROTOCOL_VERSION, question })).toEqual(question);
    expect(() => readAskPayload({ protocol: PROTOCOL_VERSION + 1, question })).toThrow(
      /newer lm-transparency .* Run the cell again/,
    );
    expect(() => checkVersion(0, "It")).toThrow(/older/);
    expect(() => readAskPayload("x")).toThrow(/does not say/);
  });
});

describe("facts and selection", () => {
  const facts = {
    protocol: PROTOCOL_VERSION,
    model: { nLayers: 2, nHeads: 2, dFfn: 8, name: "m" },
    tokens: [{ id: 1, text: "a" }],
    predictions: [],
  };

  test("hostile facts are refused or read as harmless", () => {
    expect(readRunFacts(facts).tokens).toEqual([{ id: 1, text: "a" }]);
    expect(() => readRunFacts({ ...facts, model: { ...facts.model, nLayers: 1e9 } })).toThrow(/nLayers = 1000000000/);
    expect(() => readRunFacts({ ...facts, tokens: new Array(100_000).fill({ id: 0, text: "" }) })).toThrow(
      /between 1 and/,
    );
    expect(() => readRunFacts({ ...facts, tokens: [] })).toThrow(/between 1 and/);
    expect(
      readRunFacts({ ...facts, tokens: [null], predictions: [null, { text: 5, probability: "x" }] }).predictions[1],
    ).toEqual({ id: 0, text: "", logit: 0, probability: 0 });
  });

  test("what is malformed in a selection keeps the value it had", () => {
    const base = { ...initialSelection(5), threshold: 0.1 };
    fc.assert(
      fc.property(fc.anything(), (value) => {
        const read = readSelection(value, base);
        expect(Object.keys(read).sort()).toEqual(Object.keys(base).sort());
        expect(read.threshold).toBeGreaterThanOrEqual(0);
      }),
    );
    expect(readSelection({ threshold: 7, start: -1, focus: { kind: "node", node: "nope" } }, base)).toEqual({
      ...base,
      focus: null,
    });
    expect(readSelection({ focus: { kind: "edge", source: "I0_1", target: "A1_2" } }, base).focus).toEqual({
      kind: "edge",
      source: "I0_1",
      target: "A1_2",
    });
  });
});

describe("names and texts", () => {
  test("names are read as they are written", () => {
    expect(parseNode("X0_7")).toEqual({ kind: "X", layer: -1, position: 7 });
    expect(parseNode("A12_0")).toEqual({ kind: "A", layer: 12, position: 0 });
    for (const bad of ["", "X1_7", "I5", "I5_", "I-1_2", "I1_2x", "B1_2", "I1_9999999999"])
      expect(parseNode(bad)).toBeUndefined();
    expect(nodeName("M", 3, 4)).toBe("M3_4");
  });

  test("blanks and control characters become visible; nothing else changes", () => {
    expect(visibleText(" a\n\tb")).toBe("·a↵⇥b");
    expect(visibleText("")).toBe("∅");
    expect(visibleText("\u202eabc\u200b")).toBe("⟨202E⟩abc⟨200B⟩");
    expect(visibleText("<b>東京</b>👩\u200d👧")).toBe("<b>東京</b>👩\u200d👧");
    expect(visibleText("\u200d👧")).toBe("⟨200D⟩👧");
    expect(shortText("👍🏽👍🏽👍🏽👍🏽", 3)).toBe("👍🏽👍🏽…");
  });
});

describe("layout", () => {
  const layout = flowLayout({ nTokens: 4, nLayers: 3, parallelBlocks: false, columnWidth: 40, layerHeight: 30 });

  test("layers go upward, tokens to the right, and the nearest state of a state's place is itself", () => {
    expect(layout.point({ kind: "I", layer: 2, position: 0 }).y).toBeLessThan(
      layout.point({ kind: "A", layer: 2, position: 0 }).y,
    );
    expect(layout.point({ kind: "A", layer: 0, position: 0 }).y).toBeLessThan(
      layout.point({ kind: "X", layer: -1, position: 0 }).y,
    );
    expect(layout.x(3)).toBeGreaterThan(layout.x(2));
    for (const name of ["X0_0", "A0_1", "I0_2", "M1_3", "A2_3", "I2_0"]) {
      const place = parseNode(name)!;
      expect(layout.nearest(layout.point(place))).toEqual(place);
    }
    expect(layout.nearest({ x: -1, y: 3 })).toBeUndefined();
  });

  test("folded tokens share a column, and nothing is hit there", () => {
    const folds = foldsOf(10, new Set([0, 1, 7, 9]));
    expect(folds).toEqual([{ from: 2, to: 7 }]);
    const folded = flowLayout({
      nTokens: 10,
      nLayers: 2,
      parallelBlocks: false,
      columnWidth: 40,
      layerHeight: 30,
      folds,
    });
    expect(columnCount(10, folds)).toBe(6);
    expect(folded.width).toBe(6 * 40);
    expect([1, 2, 6, 7, 8, 9].map((position) => folded.x(position))).toEqual([60, 100, 100, 140, 180, 220]);
    expect([1, 2, 6, 7].map((position) => folded.folded(position))).toEqual([false, true, true, false]);
    expect(folded.nearest(folded.point({ kind: "I", layer: 1, position: 4 }))).toBeUndefined();
    for (const position of [0, 1, 7, 8, 9]) {
      const place = { kind: "I" as const, layer: 1, position };
      expect(folded.nearest(folded.point(place))).toEqual(place);
    }
  });

  test("a stack of layers fits into its room, down to what can be told apart", () => {
    expect(31 * fittingLayerHeight(30, 400)).toBeLessThanOrEqual(400);
    expect(fittingLayerHeight(80, 400)).toBe(11);
    expect(fittingLayerHeight(2, 400)).toBe(46);
  });

  test("a token's attention to itself is another line than its residual edge", () => {
    const [a, b] = [parseNode("I0_1")!, parseNode("A1_1")!];
    expect(layout.path(a, b, "attention")).not.toBe(layout.path(a, b, "residual"));
  });
});

describe("alignment", () => {
  const words = (text: string): string[] => text.split(" ");
  const pairs = (a: string, b: string): string[] => {
    const [first, second] = [words(a), words(b)];
    const { forth, back } = alignTokens(first, second);
    forth.forEach((to, from) => to >= 0 && expect(back[to]).toBe(from));
    back.forEach((from, to) => from >= 0 && expect(forth[from]).toBe(to));
    return first.map((word, i) => `${word}:${forth[i] < 0 ? "" : second[forth[i]]}`);
  };

  test("prompts of one length are aligned place by place", () => {
    expect(pairs("the capital of France is", "the river of Italy was")).toEqual([
      "the:the",
      "capital:river",
      "of:of",
      "France:Italy",
      "is:was",
    ]);
  });

  test("a token before the prompt, or a longer word, moves nothing else", () => {
    expect(pairs("the capital of France is", "BOS the capital of France is")).toEqual([
      "the:the",
      "capital:capital",
      "of:of",
      "France:France",
      "is:is",
    ]);
    expect(pairs("the capital of France is", "the capital of Bur kina is")).toEqual([
      "the:the",
      "capital:capital",
      "of:of",
      "France:kina",
      "is:is",
    ]);
    expect(pairs("a b", "x y z")).toEqual(["a:y", "b:z"]);
  });

  test("also where prompts of one length are shifted, and not where words were only exchanged", () => {
    expect(pairs("BOS the capital of France", "the capital of France is")).toEqual([
      "BOS:",
      "the:the",
      "capital:capital",
      "of:of",
      "France:France",
    ]);
    expect(pairs("Mary and John went , John gave", "John and Mary went , Mary gave")).toEqual([
      "Mary:John",
      "and:and",
      "John:Mary",
      "went:went",
      ",:,",
      "John:Mary",
      "gave:gave",
    ]);
  });

  test("the way back is the way there, of several as good ones too", () => {
    const tokens = (text: string): { text: string }[] => words(text).map((word) => ({ text: word }));
    const [a, b] = [{ tokens: tokens("a b a") }, { tokens: tokens("b a b a a") }];
    expect(alignmentOf(b, a).forth).toEqual(alignmentOf(a, b).back);
  });

  test("order is kept, whatever the prompts are", () => {
    let seed = 7;
    const random = (n: number): number => (seed = (seed * 16807) % 2147483647) % n;
    for (let round = 0; round < 300; round++) {
      const [a, b] = [0, 1].map(() => Array.from({ length: random(12) }, () => "abcd"[random(4)]));
      const { forth } = alignTokens(a, b);
      const places = [...forth].filter((to) => to >= 0);
      expect(places).toEqual([...places].sort((x, y) => x - y));
      expect(new Set(places).size).toBe(places.length);
    }
  });
});

test("attention to the first token is hidden with what is reached through it alone, and its share is said", () => {
  const edge = (source: string, target: string, kind: "attention" | "residual", weight: number): DrawnEdge => ({
    key: `${source}>${target}:${kind}`,
    source: source as never,
    target: target as never,
    from: parseNode(source)!,
    to: parseNode(target)!,
    kind,
    weight,
    heads: [],
  });
  const edges = [
    edge("X0_2", "A0_2", "residual", 0.5),
    edge("X0_0", "A0_2", "attention", 0.3),
    edge("X0_1", "A0_2", "attention", 0.1),
    edge("A0_2", "I0_2", "residual", 1),
  ];
  const routes: DrawnRoutes = {
    nodes: new Set(["I0_2", "A0_2", "X0_0", "X0_1", "X0_2"]),
    edges,
    byKey: new Map(edges.map((one) => [one.key, one])),
  };
  const { routes: shown, hidden } = withoutSinks(routes, "I0_2");
  expect(hidden.edges).toBe(1);
  expect(hidden.share).toBeCloseTo(0.75, 6);
  expect([...shown.nodes].sort()).toEqual(["A0_2", "I0_2", "X0_1", "X0_2"]);
  expect(shown.edges).toHaveLength(3);
  // The first token's attention to itself is none from a later token.
  const own = edge("X0_0", "A0_0", "attention", 1);
  const first: DrawnRoutes = { nodes: new Set(["A0_0", "X0_0"]), edges: [own], byKey: new Map([[own.key, own]]) };
  expect(withoutSinks(first, "A0_0").routes.edges).toHaveLength(1);
});

test("a difference is of what contributes: an edge just below the threshold is none of 0", () => {
  const ffn = (weight: number, contribution: number): DrawnEdge => ({
    key: "M1_0>I1_0:ffn-out",
    source: "M1_0",
    target: "I1_0",
    from: parseNode("M1_0")!,
    to: parseNode("I1_0")!,
    kind: "ffn-out",
    weight,
    contribution,
    heads: [],
  });
  const attention = (weight: number): DrawnEdge => ({
    ...ffn(weight, weight),
    key: "I0_0>A1_0:attention",
    source: "I0_0",
    target: "A1_0",
    from: parseNode("I0_0")!,
    to: parseNode("A1_0")!,
    kind: "attention",
  });
  const routes = (...edges: DrawnEdge[]): DrawnRoutes => ({
    nodes: new Set(edges.flatMap(({ source, target }) => [source, target])),
    edges,
    byKey: new Map(edges.map((edge) => [edge.key, edge])),
  });
  const first = routes(ffn(0.0424, 0.0424), attention(0.2));
  const second = routes(attention(0.18));
  expect(unseenTargets(second.edges, first.edges, Int32Array.of(0))).toEqual(["I1_0"]);
  const { edges, unknown } = comparedRoutes(first, second, alignTokens(["a"], ["a"]), [() => undefined, () => 0.0394]);
  const [block, edge] = edges;
  expect(unknown).toBe(0);
  expect(block).toMatchObject({ side: "more", below: "B", both: [0.0424, 0.0394] });
  expect(block.delta).toBeCloseTo(0.003, 6);
  expect(edge.delta).toBeCloseTo(0.02, 6);
  // One scale for all pairs: 0.1 is full width.
  expect(edge.weight).toBeCloseTo(0.2, 6);
  expect(block.weight).toBeCloseTo(0.03, 6);
  // A part of a contrast that one side does not draw: its own size, and no number for the other.
  const logit = { ...attention(0.2), logit: -1 };
  const contrast = comparedRoutes(routes(logit), routes(), alignTokens(["a"], ["a"]), [() => 0, () => 0]);
  expect(contrast.edges[0]).toMatchObject({ both: [-1, undefined], side: "less", below: "B", weight: 0.5 });
  // What nobody knows is not drawn as a difference.
  expect(comparedRoutes(first, second, alignTokens(["a"], ["a"]), [() => undefined, () => undefined])).toMatchObject({
    unknown: 1,
  });
});

test("tensors on shared memory are copied for the wire", () => {
  const shared = new Float32Array(new SharedArrayBuffer(8));
  shared.set([1, 2]);
  const { buffers } = pack({ x: tensor(shared) });
  expect(Object.prototype.toString.call(buffers[0].buffer)).toBe("[object ArrayBuffer]");
  expect([
    ...(unpack({ x: { $tensor: { buffer: 0, dtype: "float32", shape: [2] } } }, buffers) as { x: WireTensor }).x.data,
  ]).toEqual([1, 2]);
});
