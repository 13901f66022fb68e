import { extname } from "node:path";
import { exportRoutes, ROUTE_FORMATS, type RouteFormat } from "../attribution/route-formats";
import { topIds, probabilities } from "../lens/vocabulary";
import type {
  Intervention,
  InterventionTarget,
  ModelInfo,
  NodeName,
  RouteContrast,
  RouteEdge,
  RouteOptions,
  RouteSelection,
  Run,
  Token,
  TransparentModel,
} from "../model/types";
import { parseTarget } from "../runtime/intervention-places";
import { loadModel } from "../runtime/load";
import { writeFileAtomically } from "../system/write";
import {
  choiceOption,
  loadOptions,
  MODEL_OPTIONS,
  MODEL_USAGE,
  numberOption,
  parseOptions,
  UsageError,
  type Command,
  type Context,
} from "./command";
import { checkWritable, writePieces } from "./output";

/** What `trace` prints. */
export interface TraceOutput {
  readonly schema: "lm-transparency/trace@1";
  readonly model: ModelInfo;
  readonly tokens: readonly Token[];
  /** What was removed, as it was given; missing where nothing was. */
  readonly without?: readonly string[];
  /** Best predictions of the last token first. */
  readonly predictions: readonly (Token & { readonly logit: number; readonly probability: number })[];
  readonly routes: readonly {
    readonly from: number;
    readonly contrast?: RouteContrast;
    readonly nodes: readonly NodeName[];
    readonly edges: readonly RouteEdge[];
  }[];
}

const usage = `lm-transparency trace --model M (--text T | --token-ids 1,2,3) [options]
Runs a prompt and prints, as JSON, its predictions and the routes by which information reached its tokens.

${MODEL_USAGE}
  --text T             the prompt
  --token-ids IDS      the prompt as token ids with commas between them, used exactly as given
  --no-special-tokens  do not put the tokenizer's special tokens before the text
  --from F             last (default), all, or the number of a token, counted from 0
  --threshold X        parts that contribute no more than this are dropped; default 0.04
  --relevance X        instead: the smallest set of parts through which this share of the start reaches the input
  --edges N            instead: of these sets the largest with no more than N edges
  --contrast A [--versus B]  what speaks for the token A (rather than B), and what against it; by text or id
  --no-renormalize     do not scale to sum 1 what is left of each whole
  --join-self          without renormalising: a token's residual and its attention to itself pass together, as in the published tool
  --value-bias V       output (default) or term: where the biases of the values belong
  --include-bias       the output bias is a part of its own
  --without TARGET     remove something and trace what is then computed; may be given several times: head:20.3, head:20.3@5
                       (at token 5), attention:4, ffn:12@4, neuron:12.77@4, edge:9.2:8>3 (what head 2 of layer 9 carries
                       from key 3 to query 8), edge:9:8>3 (all heads), or a state's name
  --top-k N            number of predictions; default 10
  --json FILE          write to a file instead of standard output ("-")
  --graph FILE         write the routes of all starts as one graph too: .json, .graphml, .dot or .csv`;

interface TraceArguments {
  readonly prompt: string | readonly number[];
  readonly from: "last" | "all" | number;
  readonly select: RouteSelection;
  readonly topK: number;
}

/** Token ids out of `1,2,3`. */
export function parseTokenIds(text: string): number[] {
  return text.split(",").map((part) => {
    if (!/^\s*\d+\s*$/.test(part))
      throw new UsageError(
        `--token-ids is ${JSON.stringify(text)}: it must be integers with commas between them, such as 1,2,3`,
      );
    return Number(part);
  });
}

/** A token by its id, or by its text. */
const tokenOption = (value: string): number | string => (/^\d+$/.test(value) ? Number(value) : value);

/** One way to choose what is kept. */
function readSelection(values: {
  readonly threshold?: string;
  readonly relevance?: string;
  readonly edges?: string;
}): RouteSelection {
  const given = (["threshold", "relevance", "edges"] as const).filter((name) => values[name] !== undefined);
  if (given.length > 1)
    throw new UsageError(
      `${given.map((name) => `--${name}`).join(" and ")} are different ways to keep routes: give one`,
    );
  if (values.relevance !== undefined) return { relevance: numberOption("relevance", values.relevance, 0, 1) };
  if (values.edges !== undefined) return { edges: numberOption("edges", values.edges, 1, Infinity, true) };
  return { threshold: numberOption("threshold", values.threshold ?? "0.04", 0, 1) };
}

/** The format of a file of routes by its ending. */
function graphFormat(file: string): RouteFormat {
  const format = ROUTE_FORMATS.find((name) => name === extname(file).slice(1).toLowerCase());
  if (!format)
    throw new UsageError(
      `--graph is ${JSON.stringify(file)}: its ending must be ${ROUTE_FORMATS.map((name) => `.${name}`).join(" or ")}`,
    );
  return format;
}

function readTarget(text: string): InterventionTarget {
  const target = parseTarget(text);
  if (target === undefined)
    throw new UsageError(
      `--without is ${JSON.stringify(text)}: it must be head:LAYER.HEAD, attention:LAYER, ffn:LAYER or neuron:LAYER.NEURON, each with @TOKEN where it is one token's, edge:LAYER.HEAD:QUERY>KEY, edge:LAYER:QUERY>KEY, or a state's name`,
    );
  return target;
}

function readFrom(text: string): "last" | "all" | number {
  if (text === "last" || text === "all") return text;
  if (!/^\d+$/.test(text))
    throw new UsageError(`--from is ${JSON.stringify(text)}: it must be last, all, or the number of a token`);
  return Number(text);
}

async function predictions(run: Run, model: TransparentModel, topK: number): Promise<TraceOutput["predictions"]> {
  const { data } = await run.logits({ position: run.tokens.length - 1 });
  const ids = topIds(data, topK);
  const p = probabilities(data, ids);
  return ids.map((id, i) => ({ ...model.token(id), logit: data[id], probability: p[i] }));
}

/**
 * A `TraceOutput` as JSON, each start's routes traced when those before are written: routes of all tokens of a long
 * prompt are gigabytes.
 */
async function* json(
  run: Run,
  model: TransparentModel,
  starts: readonly number[],
  options: RouteOptions,
  topK: number,
  without: readonly string[] = [],
): AsyncGenerator<string> {
  const head: Omit<TraceOutput, "routes"> = {
    schema: "lm-transparency/trace@1",
    model: model.info,
    tokens: run.tokens,
    ...(without.length > 0 ? { without } : {}),
    predictions: await predictions(run, model, topK),
  };
  yield `${JSON.stringify(head).slice(0, -1)},"routes":[`;
  // Of many starts it is their number that says how far it is.
  const { onProgress } = options;
  const many = starts.length > 1;
  for (const [i, from] of starts.entries()) {
    const { nodes, edges, contrast } = await run.routes({
      ...options,
      from,
      onProgress: many ? undefined : onProgress,
    });
    if (many) onProgress?.({ stage: "routes", done: i + 1, total: starts.length, unit: "tokens" });
    const routes: TraceOutput["routes"][number] = {
      from,
      ...(contrast ? { contrast } : {}),
      nodes: nodes.map(({ name }) => name),
      edges,
    };
    yield `${i > 0 ? "," : ""}${JSON.stringify(routes)}`;
  }
  yield "]}\n";
}

export const trace: Command = {
  name: "trace",
  summary: "routes of one prompt as JSON",
  usage,
  async run(args: readonly string[], context: Context): Promise<void> {
    const values = parseOptions(args, {
      ...MODEL_OPTIONS,
      text: { type: "string" },
      "token-ids": { type: "string" },
      "no-special-tokens": { type: "boolean" },
      from: { type: "string", default: "last" },
      threshold: { type: "string" },
      relevance: { type: "string" },
      edges: { type: "string" },
      contrast: { type: "string" },
      versus: { type: "string" },
      "no-renormalize": { type: "boolean" },
      "join-self": { type: "boolean" },
      "value-bias": { type: "string", default: "output" },
      "include-bias": { type: "boolean" },
      without: { type: "string", multiple: true },
      "top-k": { type: "string", default: "10" },
      json: { type: "string", default: "-" },
      graph: { type: "string" },
    });
    if (values.model === undefined)
      throw new UsageError("--model is missing: name a hub id, a folder, a .gguf file, or default");
    if ((values.text === undefined) === (values["token-ids"] === undefined))
      throw new UsageError("give the prompt either by --text or by --token-ids");
    const parsed: TraceArguments = {
      prompt: values.text ?? parseTokenIds(values["token-ids"] as string),
      from: readFrom(values.from),
      select: readSelection(values),
      topK: numberOption("top-k", values["top-k"], 1, Infinity, true),
    };
    if (values.versus !== undefined && values.contrast === undefined)
      throw new UsageError("--versus names the token that --contrast is compared with: give both");
    if (values.contrast !== undefined && parsed.from === "all")
      throw new UsageError("--contrast is about the routes of one token: --from is last or a number");
    const contrast =
      values.contrast === undefined
        ? undefined
        : {
            token: tokenOption(values.contrast),
            ...(values.versus === undefined ? {} : { versus: tokenOption(values.versus) }),
          };
    const removed = (values.without ?? []).map((text): Intervention => ({ target: readTarget(text), do: "zero" }));
    const format = values.graph === undefined ? undefined : graphFormat(values.graph);
    const routeOptions = {
      select: parsed.select,
      ...(contrast ? { contrast } : {}),
      renormalize: !values["no-renormalize"],
      joinSelf: values["join-self"] ?? false,
      valueBias: choiceOption("value-bias", values["value-bias"], ["output", "term"]),
      includeBias: values["include-bias"] ?? false,
      signal: context.signal,
      onProgress: context.progress,
    };
    await checkWritable(values.json, values.graph);
    const { signal } = context;
    const model = await loadModel(values.model, { ...loadOptions(values), signal, onProgress: context.progress });
    try {
      const runOptions = { signal, onProgress: context.progress, addSpecialTokens: !values["no-special-tokens"] };
      const base =
        typeof parsed.prompt === "string"
          ? await model.run(parsed.prompt, runOptions)
          : await model.run(parsed.prompt, runOptions);
      const run = removed.length === 0 ? base : await base.intervene(removed, { signal });
      const last = run.tokens.length - 1;
      if (typeof parsed.from === "number" && parsed.from > last)
        throw new UsageError(`--from is ${parsed.from}: the tokens of this prompt are numbered 0 to ${last}`);
      const starts =
        parsed.from === "all" ? run.tokens.map((_, t) => t) : [parsed.from === "last" ? last : parsed.from];
      if (values.graph !== undefined && format)
        await writeFileAtomically(
          values.graph,
          exportRoutes(await run.routes({ ...routeOptions, from: starts }), format),
        );
      await writePieces(values.json, json(run, model, starts, routeOptions, parsed.topK, values.without), context);
    } finally {
      await model.dispose();
    }
  },
};
