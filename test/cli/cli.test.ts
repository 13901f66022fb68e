/** The command line as a process: what it prints, where errors go, how it ends. */
import { spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { aggregate, importRoutes, loadModel, type AggregateState, type RouteGraph } from "../../src/index";
import { defaultModelFile } from "../support/default-model";
import { modelFolder, readGolden, root } from "../support/fixtures";

const program = path.join(root, "dist/cli/main.js");
const folder = modelFolder("llama-tiny");
const golden = readGolden("llama-tiny.p6");
const ids = golden.token_ids.join(",");
let temporary: string;
beforeAll(() => {
  temporary = fs.mkdtempSync(path.join(os.tmpdir(), "lm-transparency-cli-"));
});
afterAll(() => fs.rmSync(temporary, { recursive: true, force: true }));

function run(...args: string[]): { readonly code: number | null; readonly out: string; readonly err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], {
    encoding: "utf8",
    cwd: temporary,
    timeout: 50000,
  });
  return { code: status, out: stdout, err: stderr };
}

interface Trace {
  readonly schema: string;
  readonly model: { readonly name: string; readonly nLayers: number };
  readonly tokens: readonly { readonly id: number; readonly text: string }[];
  readonly predictions: readonly {
    readonly id: number;
    readonly text: string;
    readonly logit: number;
    readonly probability: number;
  }[];
  readonly routes: readonly {
    readonly from: number;
    readonly nodes: readonly string[];
    readonly edges: readonly {
      readonly source: string;
      readonly target: string;
      readonly kind: string;
      readonly weight: number;
      readonly heads?: Record<string, number>;
    }[];
  }[];
}

test("trace prints predictions and routes that equal the reference values", () => {
  const { code, out, err } = run("trace", "--model", folder, "--token-ids", ids, "--from", "all");
  expect([code, err]).toEqual([0, ""]);
  const trace = JSON.parse(out) as Trace;
  expect(Object.keys(trace)).toEqual(["schema", "model", "tokens", "predictions", "routes"]);
  expect(trace.schema).toBe("lm-transparency/trace@1");
  expect(trace.tokens.map(({ id }) => id)).toEqual(golden.token_ids);
  const logits = golden.logits_last;
  const best = logits.indexOf(Math.max(...logits));
  expect(trace.predictions[0].id).toBe(best);
  expect(Math.abs(trace.predictions[0].logit - logits[best])).toBeLessThan(1e-4);
  const total = logits.reduce((sum, logit) => sum + Math.exp(logit - logits[best]), 0);
  expect(trace.predictions[0].probability).toBeCloseTo(1 / total, 4);
  expect(trace.routes.map(({ from }) => from)).toEqual([0, 1, 2, 3, 4, 5]);
  const weights = new Map(
    (golden.peer?.graph["renorm_0.04_ffnfix"] ?? []).map(([from, to, weight]) => [`${from} ${to}`, weight]),
  );
  for (const { from, nodes, edges } of trace.routes) {
    const expected = golden.peer?.paths["renorm_0.04_ffnfix__thr_0.04"][from] as unknown as readonly (readonly [
      string,
      string,
    ])[];
    const merged = new Map<string, number>();
    for (const { source, target, weight, kind, heads } of edges) {
      merged.set(`${source} ${target}`, (merged.get(`${source} ${target}`) ?? 0) + weight);
      expect(heads !== undefined).toBe(kind === "attention");
      if (heads) expect(Object.values(heads).reduce((a, b) => a + b, 0)).toBeCloseTo(weight, 6);
    }
    expect(new Set(merged.keys())).toEqual(new Set(expected.map((edge) => edge.join(" "))));
    for (const [key, weight] of merged) expect(Math.abs(weight - (weights.get(key) as number))).toBeLessThan(5e-5);
    expect(new Set(nodes)).toEqual(
      new Set([`I${trace.model.nLayers - 1}_${from}`, ...edges.flatMap(({ source, target }) => [source, target])]),
    );
  }
});

test("trace takes a text, one start, its options, and writes files", () => {
  const json = path.join(temporary, "trace.json");
  const graph = path.join(temporary, "trace.graphml");
  const { code, out, err } = run(
    "trace",
    "--model",
    folder,
    "--text",
    golden.prompt,
    "--from",
    "2",
    "--threshold",
    "0.1",
    "--no-renormalize",
    "--value-bias",
    "term",
    "--include-bias",
    "--top-k",
    "3",
    "--json",
    json,
    "--graph",
    graph,
  );
  expect([code, out, err]).toEqual([0, "", ""]);
  const trace = JSON.parse(fs.readFileSync(json, "utf8")) as Trace;
  expect(trace.tokens.map(({ id }) => id)).toEqual(golden.token_ids_plain_hf_tokenizer);
  expect(trace.predictions.length).toBe(3);
  expect(trace.routes.map(({ from }) => from)).toEqual([2]);
  expect(trace.routes[0].edges.every(({ weight }) => weight > 0.1)).toBe(true);
  const read: RouteGraph = importRoutes(fs.readFileSync(graph, "utf8"));
  expect([read.threshold, read.renormalize, read.edges]).toEqual([0.1, false, trace.routes[0].edges]);
});

test("trace keeps routes by relevance or by their number, and of a contrast", () => {
  const ids = ["trace", "--model", folder, "--token-ids", "1,2,3,4,5"];
  const edges = (...options: string[]): Trace["routes"][number]["edges"] =>
    (JSON.parse(run(...ids, ...options).out) as Trace).routes[0].edges;
  expect(edges("--edges", "12").length).toBeLessThanOrEqual(12);
  expect(edges("--relevance", "1").length).toBeGreaterThan(edges("--relevance", "0.3").length);
  const { routes } = JSON.parse(run(...ids, "--contrast", "7", "--versus", "9").out) as {
    routes: { contrast: { token: { id: number }; versus: { id: number } }; edges: { logit?: number }[] }[];
  };
  expect([routes[0].contrast.token.id, routes[0].contrast.versus.id]).toEqual([7, 9]);
  expect(routes[0].edges.some(({ logit = 0 }) => logit < 0)).toBe(true);
});

test("the last token is traced where nothing is said", () => {
  const { out } = run("trace", "--model", folder, "--token-ids", "1,2,3");
  expect((JSON.parse(out) as Trace).routes.map(({ from }) => from)).toEqual([2]);
});

/** A folder with the tiny model and a template, and a conversation in a file. */
function chatty(): { readonly model: string; readonly chat: string } {
  const model = path.join(temporary, "chatty");
  const chat = path.join(temporary, "chat.json");
  if (!fs.existsSync(model)) {
    fs.cpSync(folder, model, { recursive: true });
    fs.writeFileSync(
      path.join(model, "chat_template.jinja"),
      "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}bot:{% endif %}",
    );
    fs.writeFileSync(chat, JSON.stringify([{ role: "user", content: "we light" }]));
  }
  return { model, chat };
}

interface Generated {
  readonly schema: string;
  readonly tokens: readonly { readonly id: number; readonly text: string }[];
  readonly promptLength: number;
  readonly turns: readonly { readonly role: string; readonly from: number; readonly to: number }[];
  readonly stopReason: string;
  readonly text: string;
}

test("generate continues a prompt as the library does, and prints its text or JSON", async () => {
  const model = await loadModel(folder);
  try {
    const answer = await (await model.run(golden.token_ids)).generate({ maxTokens: 8 });
    const added = answer.tokens.slice(answer.promptLength).map(({ id }) => id);
    const asked = ["generate", "--model", folder, "--token-ids", ids, "--max-tokens", "8"];
    const text = run(...asked);
    expect([text.code, text.err]).toEqual([0, ""]);
    const plain = model.decode(added).replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, "\ufffd");
    expect(text.out).toBe(`${plain}\n`);
    const generated = JSON.parse(run(...asked, "--json", "-").out) as Generated;
    expect(generated).toEqual({
      schema: "lm-transparency/generate@1",
      model: { ...model.info, name: "llama-tiny" },
      tokens: answer.tokens,
      promptLength: golden.token_ids.length,
      turns: [],
      stopReason: answer.stopReason,
      text: model.decode(added),
    });
    const seeded = (seed: string): readonly { readonly id: number }[] =>
      (
        JSON.parse(
          run(...asked, "--temperature", "2", "--top-k", "50", "--top-p", "0.95", "--seed", seed, "--json", "-").out,
        ) as Generated
      ).tokens;
    const drawn = await (
      await model.run(golden.token_ids)
    ).generate({ maxTokens: 8, temperature: 2, topK: 50, topP: 0.95, seed: 3 });
    expect(seeded("3")).toEqual(drawn.tokens);
    expect(seeded("4")).not.toEqual(drawn.tokens);
  } finally {
    await model.dispose();
  }
});

test("generate answers a conversation, and ends at a text", () => {
  const { model, chat } = chatty();
  const file = path.join(temporary, "answer.json");
  const asked = ["generate", "--model", model, "--chat", chat, "--max-tokens", "5"];
  const { code, out, err } = run(...asked, "--json", file);
  expect([code, err]).toEqual([0, ""]);
  const answer = JSON.parse(fs.readFileSync(file, "utf8")) as Generated;
  expect(answer.turns.map(({ role }) => role)).toEqual(["user", "assistant"]);
  expect(answer.turns[1].to).toBe(answer.tokens.length);
  expect(out.length).toBeGreaterThan(1);
  const stop = answer.tokens[answer.promptLength + 1].text;
  const stopped = JSON.parse(run(...asked, `--stop=${stop}`, "--json", "-").out) as Generated;
  expect(stopped.stopReason).toBe("stop");
  expect(stopped.text.endsWith(stop)).toBe(true);
  expect(stopped.tokens.length).toBeLessThanOrEqual(answer.promptLength + 2);
  const other = JSON.parse(run(...asked, "--template", "{{ messages[0].content }}", "--json", "-").out) as Generated;
  expect(
    other.tokens
      .slice(0, other.promptLength)
      .map(({ text }) => text)
      .join(""),
  ).toBe("we light");
});

test("trace of a generated answer: the routes of what predicted each new token", async () => {
  const { model: source, chat } = chatty();
  const { code, out, err } = run(
    ...["trace", "--model", source, "--chat", chat, "--generate", "4", "--from", "answer"],
  );
  expect([code, err]).toEqual([0, ""]);
  const trace = JSON.parse(out) as Trace & Generated;
  const { promptLength, tokens, turns } = trace;
  expect(tokens.length - promptLength).toBe(4);
  expect(turns[1]).toMatchObject({ role: "assistant", to: tokens.length });
  expect(trace.routes.map(({ from }) => from)).toEqual([0, 1, 2, 3].map((i) => promptLength - 1 + i));
  const model = await loadModel(source);
  try {
    const whole = await model.run(tokens.map(({ id }) => id));
    for (const { from, edges } of trace.routes) {
      const expected = await whole.routes({ from });
      expect(edges.map(({ source: a, target }) => [a, target])).toEqual(
        expected.edges.map(({ source: a, target }) => [a, target]),
      );
      edges.forEach(({ weight }, i) => expect(Math.abs(weight - expected.edges[i].weight)).toBeLessThan(1e-5));
    }
  } finally {
    await model.dispose();
  }
});

test("what is removed is removed from the answer that was given with it", () => {
  const { model, chat } = chatty();
  const asked = ["trace", "--model", model, "--chat", chat, "--generate", "4", "--from", "answer"];
  const [whole, cut] = [[], ["--without", "attention:0"]].map(
    (more) => JSON.parse(run(...asked, ...more).out) as Trace & Generated & { readonly without?: readonly string[] },
  );
  expect(cut.without).toEqual(["attention:0"]);
  expect([cut.tokens, cut.promptLength, cut.turns]).toEqual([whole.tokens, whole.promptLength, whole.turns]);
  expect(cut.routes.map(({ from }) => from)).toEqual(whole.routes.map(({ from }) => from));
  expect(cut.predictions).not.toEqual(whole.predictions);
});

test("an interrupt of generate keeps what is there", async () => {
  const file = path.join(temporary, "interrupted.json");
  const child = spawn(
    process.execPath,
    [
      ...[program, "generate", "--model", await defaultModelFile(), "--text", "Once upon a time"],
      ...["--max-tokens", "4000", "--json", file],
    ],
    { cwd: temporary },
  );
  let [out, err] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    if (out === "") setTimeout(() => child.kill("SIGINT"), 300);
    out += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => (err += text));
  const code = await new Promise((resolve) => child.once("close", resolve));
  expect([code, err]).toEqual([130, "lm-transparency: interrupted\n"]);
  const answer = JSON.parse(fs.readFileSync(file, "utf8")) as Generated;
  expect(answer.stopReason).toBe("aborted");
  expect(answer.tokens.length).toBeGreaterThan(answer.promptLength);
  expect(out).toBe(`${answer.text}\n`);
});

const wrong: readonly (readonly [string, readonly string[], number, RegExp])[] = [
  ["no command", [], 2, /^lm-transparency: which command\? There are trace, generate, aggregate/],
  [
    "an unknown command",
    ["draw"],
    2,
    /^lm-transparency: there is no command "draw": there are trace, generate, aggregate/,
  ],
  ["an unknown option", ["trace", "--colour", "red"], 2, /Unknown option '--colour'/],
  ["a stray argument", ["trace", "--model", "m", "text"], 2, /unexpected argument "text"/],
  ["no model", ["trace", "--text", "a"], 2, /--model is missing/],
  ["no prompt", ["trace", "--model", "m"], 2, /give the prompt either by --text, by --token-ids or by --chat/],
  [
    "two prompts",
    ["trace", "--model", "m", "--text", "a", "--token-ids", "1"],
    2,
    /give the prompt either by --text, by --token-ids or by --chat/,
  ],
  [
    "a conversation that is none",
    ["generate", "--model", "m", "--chat", "none.json"],
    1,
    /none\.json cannot be read: /,
  ],
  [
    "a template without a conversation",
    ["trace", "--model", "m", "--text", "a", "--template", "x"],
    2,
    /--template is about a conversation: give one by --chat/,
  ],
  [
    "an answer that nobody asked for",
    ["trace", "--model", "m", "--text", "a", "--from", "answer"],
    2,
    /--from answer is about generated tokens: say by --generate how many/,
  ],
  [
    "no tokens",
    ["generate", "--model", "m", "--text", "a", "--max-tokens", "0"],
    2,
    /--max-tokens is "0": it must be an integer of at least 1/,
  ],
  [
    "a bad share",
    ["generate", "--model", "m", "--text", "a", "--top-p", "2"],
    2,
    /--top-p is "2": it must be a number from 0 to 1/,
  ],
  [
    "no ids",
    ["trace", "--model", "m", "--token-ids", "1,b"],
    2,
    /--token-ids is "1,b": it must be integers with commas between them, such as 1,2,3/,
  ],
  [
    "a bad start",
    ["trace", "--model", "m", "--text", "a", "--from", "first"],
    2,
    /--from is "first": it must be last, all, answer, or the number of a token/,
  ],
  [
    "a bad threshold",
    ["trace", "--model", "m", "--text", "a", "--threshold", "1.5"],
    2,
    /--threshold is "1.5": it must be a number from 0 to 1/,
  ],
  [
    "two ways to keep routes",
    ["trace", "--model", "m", "--text", "a", "--threshold", "0.1", "--edges", "5"],
    2,
    /--threshold and --edges are different ways to keep routes: give one/,
  ],
  [
    "a token to compare with, and none to speak for",
    ["trace", "--model", "m", "--text", "a", "--versus", "5"],
    2,
    /--versus names the token that --contrast is compared with: give both/,
  ],
  [
    "a contrast of all tokens",
    ["trace", "--model", "m", "--text", "a", "--contrast", "5", "--from", "all"],
    2,
    /--contrast is about the routes of one token: --from is last or a number/,
  ],
  [
    "a bad reading",
    ["trace", "--model", "m", "--text", "a", "--value-bias", "none"],
    2,
    /--value-bias is "none": it must be output or term/,
  ],
  [
    "a start after the end",
    ["trace", "--model", folder, "--token-ids", "1,2", "--from", "2"],
    2,
    /--from is 2: the tokens of this prompt are numbered 0 to 1/,
  ],
  [
    "an id outside",
    ["trace", "--model", folder, "--token-ids", "1,300"],
    2,
    /Token id 300 at position 1 of the prompt is outside the vocabulary: ids go from 0 to 299\./,
  ],
  [
    "a value that begins with a dash",
    ["trace", "--model", "m", "--text", "a", "--threshold", "-1"],
    2,
    /--threshold is "-1": it must be a number from 0 to 1/,
  ],
  [
    "an option where a value should be",
    ["trace", "--model", "m", "--text", "--from", "all"],
    2,
    /--text has no value: --from comes after it \(write --text=--from if that is the value\)/,
  ],
  ["an option at the end without a value", ["trace", "--model", "m", "--text"], 2, /--text/],
  [
    "a file of routes of no known format",
    ["trace", "--model", "m", "--text", "a", "--graph", "routes.svg"],
    2,
    /--graph is "routes.svg": its ending must be .json or .graphml or .dot or .csv/,
  ],
  ["no such model", ["trace", "--model", "/no/such/folder", "--text", "a"], 1, /\/no\/such\/folder/],
  ["a file that is no model", ["trace", "--model", __filename, "--text", "a"], 1, /\S/],
  [
    "a folder that cannot be written",
    ["trace", "--model", folder, "--token-ids", "1", "--json", "/no/such/folder/x"],
    1,
    /\/no\/such\/folder\/x cannot be written: there is no such file or folder\./,
  ],
  [
    "a table that cannot be written",
    ["aggregate", "--model", folder, "--prompts", __filename, "--csv", "/no/such/x.csv"],
    1,
    /\/no\/such\/x\.csv cannot be written: there is no such file or folder\./,
  ],
  [
    "a state that cannot be written",
    ["aggregate", "--model", folder, "--prompts", __filename, "--state", os.tmpdir()],
    1,
    /cannot be written: it is a folder\./,
  ],
  ["no prompts", ["aggregate", "--model", "m"], 2, /--prompts is missing/],
  [
    "no file of prompts",
    ["aggregate", "--model", folder, "--prompts", "/no/such/file"],
    1,
    /\/no\/such\/file cannot be read: there is no such file or folder\./,
  ],
  [
    "a folder of prompts",
    ["aggregate", "--model", folder, "--prompts", os.tmpdir()],
    1,
    /cannot be read: it is a folder\./,
  ],
];
test.each(wrong)("%s: one line on standard error and the exit code", (_, args, code, sentence) => {
  const result = run(...args);
  expect(result.out).toBe("");
  expect(result.err).toMatch(sentence);
  expect(result.err.trimEnd().split("\n").length).toBe(1);
  expect(result.code).toBe(code);
});

test("a prompt may begin with a dash", () => {
  const { code, out, err } = run("trace", "--model", folder, "--text", "--5 + 3", "--no-special-tokens");
  expect([code, err]).toEqual([0, ""]);
  expect((JSON.parse(out) as Trace).tokens.map(({ text }) => text).join("")).toBe("--5 + 3");
});

test("an ending in capitals is the same format", () => {
  const graph = path.join(temporary, "ROUTES.DOT");
  expect(
    run("trace", "--model", folder, "--token-ids", "1,2", "--json", path.join(temporary, "x.json"), "--graph", graph)
      .code,
  ).toBe(0);
  expect(fs.readFileSync(graph, "utf8")).toMatch(/^digraph/);
});

test("help and version", () => {
  expect([run("-h").out, run("trace", "-h").out, run("-v").out]).toEqual([
    run("--help").out,
    run("trace", "--help").out,
    run("--version").out,
  ]);
  expect(run("--help").out).toContain("trace");
  expect(run("trace", "--help").out).toContain("--no-renormalize");
  expect(run("aggregate", "--help").out).toContain("--state");
  const { version } = JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8")) as {
    readonly version: string;
  };
  expect(run("--version").out).toBe(`${version}\n`);
});

test("a reader that goes away is no error", async () => {
  const child = spawn(process.execPath, [
    program,
    "trace",
    "--model",
    folder,
    "--token-ids",
    ids,
    "--from",
    "all",
    "--threshold",
    "0",
  ]);
  child.stdout.destroy();
  let err = "";
  child.stderr.on("data", (chunk) => {
    err += String(chunk);
  });
  const code = await new Promise((resolve) => child.on("exit", resolve));
  expect([code, err]).toEqual([0, ""]);
});

describe("aggregate", () => {
  const lines = [
    "The cat sat",
    "",
    "on the mat",
    JSON.stringify({ text: "the cat" }),
    JSON.stringify({ token_ids: [1, 5, 9, 5] }),
  ];

  test("equals the library's, for a file of JSON lines; table and state too", async () => {
    const file = path.join(temporary, "prompts.jsonl");
    fs.writeFileSync(
      file,
      `${lines.map((line) => (line.startsWith("{") || line === "" ? line : JSON.stringify(line))).join("\r\n")}\n`,
    );
    const [csv, state] = [path.join(temporary, "table.csv"), path.join(temporary, "state.json")];
    const { code, out, err } = run(
      "aggregate",
      "--model",
      folder,
      "--prompts",
      file,
      "--positions",
      "last",
      "--csv",
      csv,
      "--state",
      state,
    );
    expect([code, err]).toEqual([0, ""]);
    const model = await loadModel(folder);
    const expected = await aggregate(model, ["The cat sat", "on the mat", "the cat", [1, 5, 9, 5]], {
      positions: "last",
    });
    await model.dispose();
    expect(JSON.parse(out)).toEqual(JSON.parse(JSON.stringify(expected)));
    expect(fs.readFileSync(csv, "utf8")).toBe(expected.toCSV());
    expect(JSON.parse(fs.readFileSync(state, "utf8"))).toEqual(expected.state);
  });

  test("goes on from a state after an interrupt, to the same result", async () => {
    const file = path.join(temporary, "many.txt");
    // Far more than it can do before it is interrupted.
    fs.writeFileSync(file, Array.from({ length: 50000 }, (_, i) => `prompt number ${i}`).join("\n"));
    const state = path.join(temporary, "many.state");
    const child = spawn(process.execPath, [
      program,
      "aggregate",
      "--model",
      folder,
      "--prompts",
      file,
      "--state",
      state,
    ]);
    let err = "";
    child.stderr.on("data", (chunk) => {
      err += String(chunk);
    });
    while (!fs.existsSync(state)) await new Promise((resolve) => setTimeout(resolve, 20));
    child.kill("SIGINT");
    const code = await new Promise((resolve) => child.on("exit", resolve));
    expect([code, err]).toEqual([130, "lm-transparency: interrupted\n"]);
    const reached = (JSON.parse(fs.readFileSync(state, "utf8")) as AggregateState).nPrompts;
    expect(reached).toBeGreaterThan(0);
    const limit = String(reached + 5);
    const resumed = run("aggregate", "--model", folder, "--prompts", file, "--state", state, "--limit", limit);
    const whole = run("aggregate", "--model", folder, "--prompts", file, "--limit", limit);
    expect([resumed.code, resumed.out]).toEqual([0, whole.out]);
  });

  test("empty lines, line ends of all kinds and a byte order mark are none of a prompt; a prompt that fails is named by its line", async () => {
    const file = path.join(temporary, "lines.txt");
    fs.writeFileSync(file, "\ufeffthe cat\r\n\r\n   \r\non the 🙂\nlast without an end");
    const { code, out, err } = run("aggregate", "--model", folder, "--prompts", file);
    expect([code, err]).toEqual([0, ""]);
    const model = await loadModel(folder);
    const expected = await aggregate(model, ["the cat", "on the 🙂", "last without an end"]);
    await model.dispose();
    expect(JSON.parse(out)).toEqual(JSON.parse(JSON.stringify(expected)));
    fs.writeFileSync(file, `fine\n\n${"much too long ".repeat(50)}\nfine`);
    const failed = run("aggregate", "--model", folder, "--prompts", file);
    expect(failed.code).toBe(2);
    expect(failed.err).toMatch(
      /lines\.txt, line 3: The prompt has \d+ tokens, and llama-tiny was made for at most 64\.\n$/,
    );
  });

  test.each(["", "{", "null", "[]", '{"schema":"lm-transparency/aggregate@1"}'])(
    "a state file that holds %j is refused, and stays",
    (text) => {
      const [file, state] = [path.join(temporary, "few.txt"), path.join(temporary, "torn.json")];
      fs.writeFileSync(file, "the cat\n");
      fs.writeFileSync(state, text);
      const { code, err } = run("aggregate", "--model", folder, "--prompts", file, "--state", state);
      expect([code, err]).toEqual([2, expect.stringMatching(/^lm-transparency: .*state.*\n$/)]);
      expect(fs.readFileSync(state, "utf8")).toBe(text);
    },
  );

  test("goes on after it was killed", async () => {
    const file = path.join(temporary, "killed.txt");
    fs.writeFileSync(file, Array.from({ length: 50000 }, (_, i) => `prompt number ${i}`).join("\n"));
    const state = path.join(temporary, "killed.state");
    const child = spawn(process.execPath, [
      program,
      "aggregate",
      "--model",
      folder,
      "--prompts",
      file,
      "--state",
      state,
    ]);
    while (!fs.existsSync(state)) await new Promise((resolve) => setTimeout(resolve, 20));
    child.kill("SIGKILL");
    await new Promise((resolve) => child.on("exit", resolve));
    // What was being written when it died.
    fs.writeFileSync(`${state}.new`, fs.readFileSync(state, "utf8").slice(0, 100));
    const limit = String((JSON.parse(fs.readFileSync(state, "utf8")) as AggregateState).nPrompts + 5);
    const resumed = run("aggregate", "--model", folder, "--prompts", file, "--state", state, "--limit", limit);
    const whole = run("aggregate", "--model", folder, "--prompts", file, "--limit", limit);
    expect([resumed.code, resumed.out]).toEqual([0, whole.out]);
  });

  test("a line that is no prompt is named", () => {
    const file = path.join(temporary, "bad.jsonl");
    fs.writeFileSync(file, '"fine"\n{"prompt": "x"}\n');
    const { code, err } = run("aggregate", "--model", folder, "--prompts", file);
    expect([code, err]).toEqual([
      2,
      `lm-transparency: ${file}, line 2: a prompt is a text, {"text": "…"} or {"token_ids": [1, 2]}\n`,
    ]);
  });
});
