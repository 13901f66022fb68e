/** Interventions and faithfulness from the command line: the same numbers as from the library. */
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { loadModel, type Faithfulness } from "../../src/index";
import { modelFolder, root } from "../support/fixtures";

const program = path.join(root, "dist/cli/main.js");
const folder = modelFolder("llama-tiny");
let temporary: string;
beforeAll(() => (temporary = fs.mkdtempSync(path.join(os.tmpdir(), "lm-transparency-cli-"))));
afterAll(() => fs.rmSync(temporary, { recursive: true, force: true }));

function run(...args: string[]): { readonly code: number | null; readonly out: string; readonly err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], {
    encoding: "utf8",
    cwd: temporary,
    timeout: 50000,
  });
  return { code: status, out: stdout, err: stderr };
}

test("trace --without: predictions and routes of the changed run", async () => {
  const without = [
    "head:1.3",
    "head:0.0@2",
    "attention:2@1",
    "ffn:0@2",
    "neuron:1.5",
    "edge:0.1:3>1",
    "edge:2:3>0",
    "I0_1",
  ];
  const { code, out, err } = run(
    "trace",
    "--model",
    folder,
    "--token-ids",
    "1,7,3,5",
    ...without.flatMap((target) => ["--without", target]),
  );
  expect([code, err]).toEqual([0, ""]);
  const trace = JSON.parse(out) as {
    readonly without: readonly string[];
    readonly predictions: readonly { readonly id: number; readonly logit: number }[];
    readonly routes: readonly { readonly edges: readonly object[] }[];
  };
  expect(trace.without).toEqual(without);
  const model = await loadModel(folder);
  const base = await model.run([1, 7, 3, 5]);
  const cut = await base.intervene([
    { target: { kind: "attention", layer: 1, head: 3 }, do: "zero" },
    { target: { kind: "attention", layer: 0, head: 0, position: 2 }, do: "zero" },
    { target: { kind: "attention", layer: 2, position: 1 }, do: "zero" },
    { target: { kind: "ffn", layer: 0, position: 2 }, do: "zero" },
    { target: { kind: "ffn", layer: 1, neuron: 5 }, do: "zero" },
    { target: { kind: "edge", layer: 0, head: 1, query: 3, key: 1 }, do: "zero" },
    { target: { kind: "edge", layer: 2, query: 3, key: 0 }, do: "zero" },
    { target: "I0_1", do: "zero" },
  ]);
  const { data } = await cut.logits({ position: 3 });
  for (const { id, logit } of trace.predictions) expect(logit).toBeCloseTo(data[id], 5);
  expect(trace.predictions[0].id).toBe(data.indexOf(Math.max(...data)));
  expect(trace.routes[0].edges).toHaveLength((await cut.routes()).edges.length);
  await model.dispose();
});

test.each([
  [["--without", "head:1"], /^lm-transparency: --without is "head:1": it must be head:LAYER\.HEAD/],
  [["--without", "edge:0.1:1>3"], /There is no key 3 for the query 1/],
  [["--without", "ffn:0", "--without", "ffn:0@1"], /^lm-transparency: Interventions 0 and 1 are both for/],
])("trace %j is refused", (args, sentence) => {
  const { code, err } = run("trace", "--model", folder, "--token-ids", "1,7,3,5", ...args);
  expect(code).toBe(2);
  expect(err).toMatch(sentence);
  expect(err.trim().split("\n")).toHaveLength(1);
});

test("faithfulness: a file of pairs as JSON and as a table", async () => {
  const file = path.join(temporary, "pairs.jsonl");
  fs.writeFileSync(
    file,
    '{"token_ids":[1,7,3,5],"counterfactual":[1,4,3,5],"token":3,"versus":5}\n\n{"token_ids":[1,2,3,5,6]}\n',
  );
  const table = path.join(temporary, "table.csv");
  const { code, out, err } = run(
    ...[
      "faithfulness",
      "--model",
      folder,
      "--prompts",
      file,
      "--thresholds",
      "0.02,0.1",
      "--controls",
      "2",
      "--csv",
      table,
    ],
  );
  expect([code, err]).toEqual([0, ""]);
  const { schema, prompts, summary } = JSON.parse(out) as {
    readonly schema: string;
    readonly prompts: readonly (Faithfulness & { readonly line: number; readonly others: string })[];
    readonly summary: readonly {
      readonly n: number;
      readonly kept: { readonly mean: number; readonly median: number };
    }[];
  };
  expect(schema).toBe("lm-transparency/faithfulness@1");
  expect(prompts.map(({ line, others }) => [line, others])).toEqual([
    [1, "patch"],
    [3, "zero"],
  ]);
  const model = await loadModel(folder);
  const [base, other, second] = await model.run([
    [1, 7, 3, 5],
    [1, 4, 3, 5],
    [1, 2, 3, 5, 6],
  ]);
  const options = { thresholds: [0.02, 0.1], controls: 2 };
  const expected = [
    await base.faithfulness({ ...options, metric: { token: 3, versus: 5 }, of: other }),
    await second.faithfulness(options),
  ];
  prompts.forEach(({ full, ablated, rows }, i) => {
    expect(full).toBeCloseTo(expected[i].full, 5);
    expect(ablated).toBeCloseTo(expected[i].ablated, 5);
    rows.forEach(({ kept, random }, j) => {
      expect(kept.metric).toBeCloseTo(expected[i].rows[j].kept.metric, 5);
      expect(random!.mean.removed.metric).toBeCloseTo(expected[i].rows[j].random!.mean.removed.metric, 5);
    });
  });
  summary.forEach(({ n, kept }, j) => {
    const values = expected.map(({ rows }) => rows[j].kept.normalized);
    expect(n).toBe(2);
    expect(kept.mean).toBeCloseTo((values[0] + values[1]) / 2, 4);
    expect(kept.median).toBeCloseTo((values[0] + values[1]) / 2, 4);
  });
  const lines = fs.readFileSync(table, "utf8").trim().split("\n");
  expect(lines).toHaveLength(5);
  const cells = lines[2].split(",");
  const columns = lines[0].split(",");
  expect(Number(cells[columns.indexOf("kept_normalized")])).toBeCloseTo(expected[0].rows[1].kept.normalized, 4);
  expect(Number(cells[columns.indexOf("attention_removed")])).toBeCloseTo(
    expected[0].rows[1].attention!.removed.normalized,
    4,
  );
  await model.dispose();
});

test("a line that cannot be measured is named", () => {
  const file = path.join(temporary, "wrong.jsonl");
  const check = (line: string, sentence: RegExp, ...args: string[]): void => {
    fs.writeFileSync(file, `{"token_ids":[1,2]}\n${line}\n`);
    const { code, err } = run("faithfulness", "--model", folder, "--prompts", file, "--controls", "0", ...args);
    expect([code, sentence.test(err)]).toEqual([2, true]);
  };
  check(
    '{"token_ids":[1,2],"counterfactual":[1,2,3]}',
    /wrong\.jsonl, line 2: Others are patched from a run of as many tokens/,
  );
  check('{"token_ids":[1,2],"counterfactual":7}', /line 2: a counterfactual is a text or a list of token ids/);
  check('{"token_ids":[1,2],"token":true}', /line 2: token and versus/);
  check('{"token_ids":[1,2]}', /line 1: there is no counterfactual to patch from/, "--others", "patch");
});
