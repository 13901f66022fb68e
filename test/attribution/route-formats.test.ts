import { spawnSync } from "node:child_process";
import fc from "fast-check";
import { exportRoutes, ROUTE_FORMATS, type RouteFormat } from "../../src/attribution/route-formats";
import { routeGraph } from "../../src/attribution/route-graph";
import { importRoutes } from "../../src/attribution/route-import";
import { ToyModel } from "../support/toy-model";

const shape = { nLayers: 2, nHeads: 3, dHead: 2, dModel: 6, dFfn: 5, dVocab: 9 };

/**
 * Texts with everything that could break a format: quotes, tags, commas, line ends, control characters, lone
 * surrogates, emoji.
 */
const texts = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.constantFrom(
    '"',
    "\\",
    '\\"',
    "a,b",
    "\n",
    "\r\n",
    "\u0000",
    "\ud800",
    "<b>&amp;",
    "]]>",
    "# nodes",
    "🙂",
    " ",
    "];",
    "\u2028",
  ),
);

test.each(ROUTE_FORMATS)("%s reads back exactly what it wrote, whatever the tokens are", async (format) => {
  const model = new ToyModel(shape);
  const run = await model.run([1, 2, 3]);
  await fc.assert(
    fc.asyncProperty(
      fc.tuple(texts, texts, texts),
      texts,
      fc.constantFrom(0, 0.04, 0.5),
      fc.boolean(),
      async (tokens, name, threshold, renormalize) => {
        const plain = await run.routes({ from: "all", threshold, renormalize, contrast: undefined });
        const graph = routeGraph({
          ...plain,
          model: { ...plain.model, name },
          tokens: tokens.map((text, id) => ({ id, text })),
          contrast: { token: { id: 1, text: tokens[0] } },
        });
        const text = exportRoutes(graph, format);
        expect(importRoutes(text).toJSON()).toEqual(graph.toJSON());
        expect(importRoutes(text, format).toJSON()).toEqual(graph.toJSON());
        expect(importRoutes(exportRoutes(plain, format)).toJSON()).toEqual(plain.toJSON());
      },
    ),
    { numRuns: 60 },
  );
});

test("a graph of one node without edges, and one of a whole trace, survive", async () => {
  const run = await new ToyModel(shape).run([1, 2, 3]);
  for (const graph of [
    await run.routes({ from: "X0_1" }),
    await run.routes({ from: ["I0_1", "A1_2"], threshold: 0 }),
    await run.routes({ renormalize: false, joinSelf: true }),
  ]) {
    for (const format of ROUTE_FORMATS)
      expect(importRoutes(exportRoutes(graph, format), format).toJSON()).toEqual(graph.toJSON());
  }
});

test("a GraphML file is well-formed XML, as another parser sees it", async () => {
  const run = await new ToyModel(shape).run([1, 2, 3]);
  const plain = await run.routes();
  const graph = routeGraph({
    ...plain,
    tokens: ['<a&"', "\u0001\u0002", "\ud800🙂"].map((text, id) => ({ id, text })),
  });
  const script =
    "import sys, xml.etree.ElementTree as e; g = e.fromstring(sys.stdin.buffer.read()); n = '{http://graphml.graphdrawing.org/xmlns}'; print(len(g.findall(f'.//{n}node')), len(g.findall(f'.//{n}edge')))";
  const { stdout, stderr } = spawnSync("python3", ["-c", script], {
    input: exportRoutes(graph, "graphml"),
    encoding: "utf8",
  });
  expect(stderr).toBe("");
  expect(stdout.trim()).toBe(`${graph.nodes.length} ${graph.edges.length}`);
});

test("a graph writes itself", async () => {
  const graph = await (await new ToyModel(shape).run([1, 2])).routes();
  expect([JSON.stringify(graph), graph.toGraphML(), graph.toDOT(), graph.toCSV()]).toEqual([
    exportRoutes(graph, "json").trimEnd(),
    exportRoutes(graph, "graphml"),
    exportRoutes(graph, "dot"),
    exportRoutes(graph, "csv"),
  ]);
});

const wrong: readonly (readonly [string, string, RouteFormat | undefined, string])[] = [
  ["other JSON", "{}", undefined, "this is no JSON that was written here"],
  [
    "other JSON with lists",
    '{"nodes":[],"edges":[]}',
    undefined,
    "their schema is undefined, not lm-transparency/route-graph@1",
  ],
  ["broken JSON", "{", undefined, "this is no JSON that was written here"],
  ["other XML", "<graphml/>", undefined, "this is no GraphML that was written here"],
  ["other DOT", "digraph { a -> b }", undefined, "this is no DOT that was written here"],
  ["other CSV", "a,b\n1,2\n", undefined, "this is no CSV that was written here"],
  ["format", "", "svg" as RouteFormat, 'There is no format "svg": use json, graphml, dot, csv.'],
];
test.each(wrong)("%s is refused in one sentence", (_, text, format, sentence) => {
  expect(() => importRoutes(text, format)).toThrow(sentence);
});

test.each(ROUTE_FORMATS)(
  "%s: what was cut off anywhere is refused, not read as a smaller graph; line ends and a byte order mark do not matter",
  async (format) => {
    const graph = await (await new ToyModel(shape).run([1, 2, 3])).routes({ from: "all", threshold: 0 });
    const text = exportRoutes(graph, format);
    const end = text.trimEnd().length;
    // Every tenth place, and each near the end.
    for (let length = 0; length < end; length += length < end - 60 ? 10 : 1)
      expect(() => importRoutes(text.slice(0, length), format)).toThrow(/^Routes cannot be read: .*\.$/);
    for (const other of [text.replace(/\n/g, "\r\n"), `\ufeff${text}`])
      expect(importRoutes(other).toJSON()).toEqual(graph.toJSON());
  },
);

test("a row that was taken out of a table is missed, unless the line that counts them went too", async () => {
  const graph = await (await new ToyModel(shape).run([1, 2])).routes();
  const lines = exportRoutes(graph, "csv").split("\n");
  const fewer = [...lines.slice(0, -2), ""];
  expect(() => importRoutes(fewer.join("\n"))).toThrow(
    `there are ${graph.edges.length - 1} edges, and the line "# edges" says "${graph.edges.length}"`,
  );
  expect(importRoutes(fewer.filter((line) => !line.startsWith("# edges")).join("\n")).edges.length).toBe(
    graph.edges.length - 1,
  );
});

test("Graphviz does not read a token as a character entity", async () => {
  const plain = await (await new ToyModel(shape).run([1])).routes();
  expect(exportRoutes(routeGraph({ ...plain, tokens: [{ id: 1, text: "&lt;" }] }), "dot")).toContain(
    'label="X0_0 &amp;lt;"',
  );
});

test("every part of foreign data is checked", async () => {
  const graph = JSON.parse(exportRoutes(await (await new ToyModel(shape).run([1, 2])).routes(), "json")) as Record<
    string,
    unknown
  > & { readonly edges: object[] };
  const [first] = graph.edges;
  const changes: readonly (readonly [Record<string, unknown>, string])[] = [
    [{ model: undefined }, '"model" is missing or damaged'],
    [{ model: {} }, '"model" is missing or damaged'],
    [{ tokens: 5 }, '"tokens" is missing or damaged'],
    [{ tokens: [{ id: 1 }, { id: 2 }] }, '"tokens" is missing or damaged'],
    [{ from: "I1_1" }, '"from" is missing or damaged'],
    [{ from: ["I1_0"] }, "they start at I1_0, which is none of their nodes"],
    [{ threshold: "0.04" }, '"threshold" is missing or damaged'],
    [{ renormalize: 1 }, '"renormalize" is missing or damaged'],
    [{ contrast: { token: "a" } }, '"contrast" is missing or damaged'],
    [{ nodes: [null] }, "null is no node's name"],
    [{ nodes: [{ name: "I0_99" }] }, "there is a node I0_99, and only 2 tokens"],
    [{ nodes: [{ name: "x".repeat(100) }] }, `"${"x".repeat(59)}… is no node's name`],
    [{ edges: [null] }, "null is no edge"],
    [{ edges: [{ ...first, weight: "1" }] }, 'an edge\'s weight is "1", which is no number'],
    [{ edges: [{ ...first, kind: "up" }] }, 'an edge is of kind "up"'],
    [{ edges: [{ ...first, source: "X0_7" }] }, "an edge is at X0_7, which is none of the nodes"],
    [{ edges: [{ ...first, heads: { one: 1 } }] }, 'an edge\'s heads are {"one":1}'],
  ];
  for (const [change, sentence] of changes)
    expect(() => importRoutes(JSON.stringify({ ...graph, ...change }))).toThrow(`Routes cannot be read: ${sentence}`);
  expect(() => importRoutes('<graphml><data key="rest">&#9999999999;</data></graphml>')).toThrow(
    "&#9999999999; is no character",
  );
  expect(() => importRoutes(undefined as unknown as string)).toThrow(
    "Routes are read from a text, not from a value of type undefined.",
  );
});

test("a damaged edge is named", async () => {
  const text = exportRoutes(await (await new ToyModel(shape).run([1, 2])).routes(), "csv");
  expect(() => importRoutes(text.replace(/residual,[^,]+/, "residual,much"))).toThrow(
    'an edge\'s weight is "much", which is no number',
  );
  expect(() => importRoutes(text.replace(/,residual,/, ",sideways,"))).toThrow(
    'an edge is of kind "sideways"; kinds are attention, residual, ffn-in, ffn-out',
  );
  expect(() => importRoutes(text.replace(/\nX0_0,/, "\nZ0_0,"))).toThrow('"Z0_0" is no node\'s name');
});

test.each([false, true])("a graph that no model has is refused, with parallel blocks: %s", async (parallelBlocks) => {
  const run = await new ToyModel({ ...shape, parallelBlocks }).run([1, 2, 3]);
  const graph = JSON.parse(exportRoutes(await run.routes({ from: "all", threshold: 0 }), "json")) as {
    readonly model: object;
    readonly nodes: { readonly name: string }[];
    readonly edges: { readonly kind: string }[];
  };
  const attention = graph.edges.find(({ kind }) => kind === "attention")!;
  const block = graph.edges.find(({ kind }) => kind === "ffn-out")!;
  const state = parallelBlocks ? "I" : "A";
  const plus = (edge: object): Record<string, unknown> => ({ edges: [...graph.edges, edge] });
  const none = `is none that a model${parallelBlocks ? " with parallel blocks" : ""} has`;
  const changes: readonly (readonly [Record<string, unknown>, string])[] = [
    [
      plus({ source: "X0_2", target: `${state}0_1`, kind: "attention", weight: 0.1 }),
      `the attention edge from X0_2 to ${state}0_1 ${none}`,
    ],
    [
      plus({ source: "X0_0", target: `${state}1_1`, kind: "attention", weight: 0.1 }),
      `the attention edge from X0_0 to ${state}1_1 ${none}`,
    ],
    [
      plus({ source: "I1_1", target: "I0_1", kind: "residual", weight: 0.1 }),
      `the residual edge from I1_1 to I0_1 ${none}`,
    ],
    [
      plus({ source: "I0_1", target: "I0_1", kind: "residual", weight: 0.1 }),
      `the residual edge from I0_1 to I0_1 ${none}`,
    ],
    [
      plus({ source: "X0_0", target: `${state}0_1`, kind: "residual", weight: 0.1 }),
      `the residual edge from X0_0 to ${state}0_1 ${none}`,
    ],
    [
      plus({ source: "M0_1", target: "I1_1", kind: "ffn-out", weight: 0.1 }),
      `the ffn-out edge from M0_1 to I1_1 ${none}`,
    ],
    [
      plus({ source: "I0_1", target: "M0_1", kind: "ffn-in", weight: 0.1 }),
      `the ffn-in edge from I0_1 to M0_1 ${none}`,
    ],
    [plus(attention), "is there twice"],
    [{ nodes: [...graph.nodes, graph.nodes[0]] }, `the node ${graph.nodes[0].name} is there twice`],
    [{ nodes: [...graph.nodes, { name: "I2_0" }] }, "there is a node I2_0, and the model has only 2 layers"],
    [{ nodes: [...graph.nodes, { name: `I0_${"9".repeat(400)}` }] }, "is no node's name"],
    [{ model: { ...graph.model, nLayers: 1e9 } }, "their model has 1000000000 layers, and only 1 to 1024 can be drawn"],
    [{ model: { ...graph.model, nLayers: 0 } }, "their model has 0 layers"],
    [{ model: { ...graph.model, nHeads: 1e9 } }, "their model has 1000000000 heads"],
    [{ model: { ...graph.model, parallelBlocks: "no" } }, '"model" is missing or damaged'],
    [{ model: { ...graph.model, more: [[[]]] } }, '"model" is missing or damaged'],
    [{ from: [] }, '"from" is missing or damaged'],
    [plus({ ...block, heads: { 0: 1 } }), "is there twice"],
    [{ edges: [{ ...block, heads: { 0: 1 } }] }, "has heads, and only attention has them"],
    [{ edges: [{ ...attention, heads: { 3: 0.1 } }] }, "names head 3, and the model has only 3"],
    [{ edges: [{ ...attention, weight: -0.1 }] }, "has the weight -0.1, which is no share"],
  ];
  for (const [change, sentence] of changes)
    expect(() => importRoutes(JSON.stringify({ ...graph, ...change }))).toThrow(sentence);
  if (parallelBlocks)
    expect(() => importRoutes(JSON.stringify({ ...graph, nodes: [...graph.nodes, { name: "A0_0" }] }))).toThrow(
      "a model with parallel blocks has no state after attention",
    );
  const endless = JSON.stringify({ ...graph, edges: [], threshold: 0 }).replace('"threshold":0', '"threshold":1e999');
  expect(() => importRoutes(endless)).toThrow('"threshold" is missing or damaged');
  expect(() => importRoutes(JSON.stringify(graph).replace('"weight":', '"weight":1e999,"was":'))).toThrow(
    "has the weight Infinity, which is no share",
  );
  expect(() => importRoutes(`{"nodes":[${"[".repeat(100_000)}${"]".repeat(100_000)}],"edges":[]}`)).toThrow(
    "something nested without end is no node's name",
  );
});
