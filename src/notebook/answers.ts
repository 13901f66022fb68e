import { HEAD_PATTERNS } from "../attribution/head-patterns";
import { followToken } from "../lens/follow";
import { searchTokens } from "../lens/search";
import { isLensTableKnown, lensTable, type LensTable } from "../lens/table";
import { basename, isAbsolute, relative } from "node:path";
import { headPatterns } from "../runtime/aggregate";
import { loadedFrom } from "../runtime/load";
import type { ModelInfo, NodeName, Run } from "../model/types";
import type {
  Answer,
  Inflow,
  ModelFacts,
  Question,
  QuestionKind,
  RoutesAnswer,
  RunFacts,
  WireChangedToken,
  WirePrediction,
  WireToken,
} from "../protocol";
import {
  EDGE_KINDS,
  inflowAnswer,
  LEAST_INFLOW,
  nodeName,
  parseNode,
  PROTOCOL_VERSION,
  ProtocolError,
  questionKey,
  stateBelow,
  tensor,
} from "../protocol";
import { routesAnswer } from "../payload/routes";
import { CutRuns } from "./cut-runs";
import { askedRoutes } from "./selection";

/**
 * Answers a picture's questions from a run: nothing is computed before it is asked for. Only the public interface of
 * `Run` is used, so a model of one's own is asked in the same way.
 */

const factsOf = (info: ModelInfo): ModelFacts => ({
  name: info.name,
  family: info.family,
  nLayers: info.nLayers,
  nHeads: info.nHeads,
  dFfn: info.dFfn,
  parallelBlocks: info.parallelBlocks,
  device: info.device,
  dtype: info.dtype,
});

/** What a model was loaded from, as a cell of this folder would name it; paths elsewhere stay where they are. */
function sourceOf(model: object): { readonly source?: string } {
  const source = loadedFrom(model);
  if (source === undefined) return {};
  const within = isAbsolute(source) ? relative(process.cwd(), source) : source;
  return within.startsWith("..") || isAbsolute(within) ? { source: basename(source) } : { source: within };
}

/** What is known of a run without computing anything; `predictions` come from `predictionsOf`. */
export function runFacts(run: Run, predictions: readonly WirePrediction[] = []): RunFacts {
  return {
    protocol: PROTOCOL_VERSION,
    model: { ...factsOf(run.model.info), ...sourceOf(run.model) },
    tokens: run.tokens.map(({ id, text }) => ({ id, text })),
    predictions,
    ...(run.intervene ? {} : { unchangeable: true as const }),
  };
}

/** The most likely tokens after `position`, best first. */
export async function predictionsOf(run: Run, position: number, topK: number): Promise<WirePrediction[]> {
  const tokens = await run.lens(nodeName("I", run.model.info.nLayers - 1, position), { topK });
  return tokens.map(({ id, text, logit, probability }) => ({ id, text, logit, probability }));
}

async function routes(run: Run, question: Question<"routes">, signal: AbortSignal): Promise<RoutesAnswer> {
  return routesAnswer(await askedRoutes(run, question, signal));
}

async function targets(run: Run, { position, text, topK }: Question<"targets">): Promise<Answer<"targets">> {
  within("The position", position, run.tokens.length);
  const tokens = await searchTokens(run, text, { position, topK });
  return { tokens: tokens.map(({ id, text: own, logit, probability }) => ({ id, text: own, logit, probability })) };
}

function wireToken(run: Run, id: number): WireToken {
  const { text } = run.model.token(id);
  return { id, text };
}

function within(name: string, value: number, count: number): void {
  if (value >= count) throw new ProtocolError("range", `${name} is ${value}, but has to be from 0 to ${count - 1}.`);
}

async function heads(
  run: Run,
  { layer, query, key }: Question<"heads">,
  signal: AbortSignal,
): Promise<Answer<"heads">> {
  const { nHeads, nLayers } = run.model.info;
  const T = run.tokens.length;
  within("The layer", layer, nLayers);
  within("The query's position", query, T);
  within("The key's position", key, T);
  const [contributions, pattern] = await Promise.all([
    run.attentionContributions(layer, { positions: [query], signal }),
    run.attentionPattern(layer),
  ]);
  const weights = new Float32Array(nHeads);
  for (let h = 0; h < nHeads; h++) weights[h] = pattern.data[(h * T + query) * T + key];
  return {
    contributions: tensor(contributions.terms.data.slice(key * nHeads, (key + 1) * nHeads)),
    weights: tensor(weights),
  };
}

/** Everything that makes up states, by layer: a layer's rows are computed together. */
async function inflow(run: Run, { nodes }: Question<"inflow">, signal: AbortSignal): Promise<Answer<"inflow">> {
  const { nHeads, nLayers, parallelBlocks } = run.model.info;
  const T = run.tokens.length;
  const found = new Map<NodeName, Inflow>();
  const byBlock = new Map<string, { kind: "A" | "I"; layer: number; positions: number[] }>();
  for (const node of nodes) {
    const { kind, layer, position } = parseNode(node)!;
    within("The layer", layer, nLayers);
    within("The position", position, T);
    if (kind !== "A" && kind !== "I") throw new ProtocolError("range", `${node} has nothing that flows into it.`);
    if (kind === "A" && parallelBlocks)
      throw new ProtocolError("range", `${node} is no state of this model: its blocks are in parallel.`);
    const key = `${kind}${layer}`;
    const block = byBlock.get(key) ?? { kind, layer, positions: [] };
    byBlock.set(key, block);
    if (!block.positions.includes(position)) block.positions.push(position);
  }
  for (const { kind, layer, positions } of byBlock.values()) {
    if (kind === "I" && !parallelBlocks) {
      const { ffn, residual } = await run.ffnContributions(layer);
      for (const position of positions)
        found.set(nodeName("I", layer, position), {
          sources: [
            { source: nodeName("A", layer, position), kind: "residual", contribution: residual.data[position] },
            { source: nodeName("M", layer, position), kind: "ffn-out", contribution: ffn.data[position] },
          ],
          rest: 0,
        });
      continue;
    }
    const { terms, residual, ffn } = await run.attentionContributions(layer, { positions, signal });
    positions.forEach((position, row) => {
      const attention = Array.from({ length: position + 1 }, (_, key) => {
        let contribution = 0;
        for (let head = 0; head < nHeads; head++) contribution += terms.data[(row * T + key) * nHeads + head];
        return { source: stateBelow(layer, key), kind: "attention" as const, contribution };
      });
      const small = attention.filter(({ contribution }) => contribution < LEAST_INFLOW);
      found.set(nodeName(kind, layer, position), {
        sources: [
          { source: stateBelow(layer, position), kind: "residual", contribution: residual.data[row] },
          ...(ffn
            ? [{ source: nodeName("M", layer, position), kind: "ffn-out" as const, contribution: ffn.data[row] }]
            : []),
          ...attention.filter(({ contribution }) => contribution >= LEAST_INFLOW),
        ],
        rest: small.reduce((sum, { contribution }) => sum + contribution, 0),
      });
    });
  }
  return inflowAnswer(
    nodes.map((node) => found.get(node)!),
    LEAST_INFLOW,
  );
}

/** The parts of a state without which it would be larger. */
async function opponents(
  run: Run,
  { node, topK }: Question<"opponents">,
  signal: AbortSignal,
): Promise<Answer<"opponents">> {
  const { nHeads, nLayers, parallelBlocks } = run.model.info;
  const T = run.tokens.length;
  const { kind, layer, position } = parseNode(node)!;
  within("The layer", layer, nLayers);
  within("The position", position, T);
  if (kind === "A" && parallelBlocks)
    throw new ProtocolError("range", `${node} is no state of this model: its blocks are in parallel.`);
  const none = (): never => {
    throw new ProtocolError("range", "This model's runs give no signed proximities.");
  };
  const parts: { source: NodeName; kind: "attention" | "residual" | "ffn-out"; head: number; proximity: number }[] = [];
  const block = nodeName("M", layer, position);
  if (kind === "I" && !parallelBlocks) {
    const { proximities = none() } = await run.ffnContributions(layer, { signed: true });
    const beside = nodeName("A", layer, position);
    parts.push(
      { source: beside, kind: "residual", head: -1, proximity: proximities.residual.data[position] },
      { source: block, kind: "ffn-out", head: -1, proximity: proximities.ffn.data[position] },
    );
  } else {
    const asked = { positions: [position], signed: true, signal };
    const { proximities = none() } = await run.attentionContributions(layer, asked);
    const { terms, residual, ffn } = proximities;
    const below = stateBelow(layer, position);
    parts.push({ source: below, kind: "residual", head: -1, proximity: residual.data[0] });
    if (ffn) parts.push({ source: block, kind: "ffn-out", head: -1, proximity: ffn.data[0] });
    for (let key = 0; key <= position; key++)
      for (let head = 0; head < nHeads; head++)
        parts.push({
          source: stateBelow(layer, key),
          kind: "attention",
          head,
          proximity: terms.data[key * nHeads + head],
        });
  }
  const against = parts.filter(({ proximity }) => proximity < 0).sort((a, b) => a.proximity - b.proximity);
  const listed = against.slice(0, topK);
  return {
    sources: listed.map(({ source }) => source),
    kinds: tensor(Uint8Array.from(listed, (part) => EDGE_KINDS.indexOf(part.kind))),
    heads: tensor(Int32Array.from(listed, (part) => part.head)),
    proximities: tensor(Float32Array.from(listed, (part) => part.proximity)),
    count: against.length,
  };
}

async function neurons(
  run: Run,
  { layer, position, topK, by, contrast }: Question<"neurons">,
): Promise<Answer<"neurons">> {
  if (by === undefined) return { neurons: await run.neuronContributions(layer, position, { topK }) };
  within("The position", position, run.tokens.length);
  const token = contrast?.token ?? (await predictionsOf(run, position, 1))[0].id;
  const versus = contrast?.versus ?? undefined;
  return {
    neurons: await run.neuronContributions(layer, position, { topK, by, token, versus }),
    about: { token: wireToken(run, token), ...(versus === undefined ? {} : { versus: wireToken(run, versus) }) },
  };
}

/** Attention and contributions of all heads, both [H, query, key]. */
async function layerMaps(
  run: Run,
  layer: number,
  signal: AbortSignal,
): Promise<{ pattern: Float32Array; contributions: Float32Array }> {
  within("The layer", layer, run.model.info.nLayers);
  const H = run.model.info.nHeads;
  const T = run.tokens.length;
  const [{ terms }, pattern] = await Promise.all([
    run.attentionContributions(layer, { signal }),
    run.attentionPattern(layer),
  ]);
  const contributions = new Float32Array(H * T * T);
  for (let qk = 0; qk < T * T; qk++) for (let h = 0; h < H; h++) contributions[h * T * T + qk] = terms.data[qk * H + h];
  return { pattern: pattern.data, contributions };
}

async function maps(run: Run, { layer, head }: Question<"maps">, signal: AbortSignal): Promise<Answer<"maps">> {
  const H = run.model.info.nHeads;
  const T = run.tokens.length;
  if (head !== null) within("The head", head, H);
  const all = await layerMaps(run, layer, signal);
  const pick = (values: Float32Array): Float32Array => {
    if (head !== null) return values.slice(head * T * T, (head + 1) * T * T);
    const sum = new Float32Array(T * T);
    for (let i = 0; i < values.length; i++) sum[i % (T * T)] += values[i];
    return sum;
  };
  return { pattern: tensor(pick(all.pattern), [T, T]), contributions: tensor(pick(all.contributions), [T, T]) };
}

/** The best of scores, best first, and the logarithm of the sum of their exponentials. */
function readScores(
  scores: ArrayLike<number>,
  topK: number,
): { readonly best: readonly number[]; readonly logZ: number } {
  const best: number[] = [];
  let most = -Infinity;
  for (let id = 0; id < scores.length; id++) {
    most = Math.max(most, scores[id]);
    if (best.length === topK && !(scores[id] > scores[best[topK - 1]])) continue;
    let at = best.length;
    while (at > 0 && scores[id] > scores[best[at - 1]]) at--;
    best.splice(at, 0, id);
    if (best.length > topK) best.pop();
  }
  let sum = 0;
  for (let id = 0; id < scores.length; id++) sum += Math.exp(scores[id] - most);
  return { best, logZ: most + Math.log(sum) };
}

const cutRuns = new CutRuns();

async function removed(
  run: Run,
  { removals, position, topK, contrast }: Question<"removed">,
  signal: AbortSignal,
): Promise<Answer<"removed">> {
  within("The position", position, run.tokens.length);
  const { dVocab } = run.model.info;
  for (const id of [contrast?.token, contrast?.versus])
    if (id !== undefined && id !== null) within("The token's id", id, dVocab);
  const [before, after] = await cutRuns.use(
    run,
    removals,
    async (cut) => [(await run.logits({ position })).data, (await cut.logits({ position })).data] as const,
    signal,
  );
  const [was, is] = [readScores(before, topK), readScores(after, topK)];
  const token = (id: number): WireChangedToken => ({
    ...wireToken(run, id),
    logit: before[id],
    probability: Math.exp(before[id] - was.logZ),
    logitAfter: after[id],
    probabilityAfter: Math.exp(after[id] - is.logZ),
  });
  const versus = contrast?.versus ?? undefined;
  return {
    tokens: [...new Set([...was.best, ...is.best])].map(token).sort((a, b) => b.logit - a.logit),
    target: token(contrast?.token ?? was.best[0]),
    ...(versus === undefined ? {} : { versus: token(versus) }),
  };
}

async function follow(
  run: Run,
  { position, token, normalize }: Question<"follow">,
  signal: AbortSignal,
): Promise<Answer<"follow">> {
  within("The position", position, run.tokens.length);
  within("The token's id", token, run.model.info.dVocab);
  const { nodes, ranks, probabilities } = await followToken(run, token, { position, normalize, signal });
  return { nodes, token: wireToken(run, token), ranks: tensor(ranks), probabilities: tensor(probabilities) };
}

/** A table of states as it crosses: each of its tokens once. */
function gridAnswer(run: Run, { rows, columns, tops, probabilities, entropies }: LensTable): Answer<"grid"> {
  const shape = [rows, columns];
  const tokens: WireToken[] = [];
  const places = new Map<number, number>();
  const indices = tops.map((id) => {
    const known = places.get(id);
    if (known !== undefined) return known;
    places.set(id, tokens.length);
    return tokens.push(wireToken(run, id)) - 1;
  });
  return {
    tops: tensor(indices, shape),
    tokens,
    probabilities: tensor(probabilities, shape),
    entropies: tensor(entropies, shape),
  };
}

async function gridPart(
  run: Run,
  { row, first, count, normalize }: Question<"gridPart">,
  signal: AbortSignal,
): Promise<Answer<"gridPart">> {
  const { nLayers } = run.model.info;
  const T = run.tokens.length;
  if (row > nLayers)
    throw new ProtocolError(
      "range",
      `The row is ${row}, but has to be from 0 (the embedding) to ${nLayers} (the state after the last layer).`,
    );
  if (count < 1 || first + count > T)
    throw new ProtocolError("range", `The columns ${first} to ${first + count - 1} do not lie within the ${T} tokens.`);
  return gridAnswer(run, await lensTable(run, { firstRow: row, rows: 1, first, count, normalize, signal }));
}

const labelled = new WeakMap<Run["model"], Promise<Answer<"headLabels">>>();

/** Labels belong to the model, not to the prompt: measured once. */
function headLabels(run: Run): Promise<Answer<"headLabels">> {
  const { model } = run;
  const { nLayers, nHeads, maxPositions } = model.info;
  const known = labelled.get(model);
  if (known) return known;
  const measured = (async (): Promise<Answer<"headLabels">> => {
    const aggregate = await headPatterns(model, {
      nTokens: Math.max(2, Math.min(25, Math.floor((maxPositions - 4) / 2))),
    });
    const labels = new Uint8Array(nLayers * nHeads).fill(255);
    const scores = new Float32Array(nLayers * nHeads);
    for (const { layer, head, pattern, score } of aggregate.labels()) {
      const i = layer * nHeads + head;
      // Clearest first: a head keeps the pattern it follows most.
      if (labels[i] !== 255) continue;
      labels[i] = HEAD_PATTERNS.indexOf(pattern);
      scores[i] = score;
    }
    return {
      patterns: HEAD_PATTERNS,
      labels: tensor(labels, [nLayers, nHeads]),
      scores: tensor(scores, [nLayers, nHeads]),
    };
  })();
  labelled.set(model, measured);
  measured.catch(() => labelled.delete(model));
  return measured;
}

/** Computes the answer to one question. Rejects with the run's own errors, whose messages are sentences. */
export async function answerQuestion(
  run: Run,
  question: Question,
  signal: AbortSignal = new AbortController().signal,
): Promise<Answer<QuestionKind>> {
  switch (question.kind) {
    case "routes":
      return routes(run, question, signal);
    case "targets":
      return targets(run, question);
    case "lens":
      return { tokens: await run.lens(question.node, { normalize: question.normalize, topK: question.topK }) };
    case "effect":
      return run.effect(question.component, { normalize: question.normalize, topK: question.topK });
    case "heads":
      return heads(run, question, signal);
    case "inflow":
      return inflow(run, question, signal);
    case "opponents":
      return opponents(run, question, signal);
    case "neurons":
      return neurons(run, question);
    case "maps":
      return maps(run, question, signal);
    case "layerMaps": {
      const { pattern, contributions } = await layerMaps(run, question.layer, signal);
      const shape = [run.model.info.nHeads, run.tokens.length, run.tokens.length];
      return { pattern: tensor(pattern, shape), contributions: tensor(contributions, shape) };
    }
    case "grid":
      return gridAnswer(run, await lensTable(run, { normalize: question.normalize, signal }));
    case "gridPart":
      return gridPart(run, question, signal);
    case "headLabels":
      return headLabels(run);
    case "removed":
      return removed(run, question, signal);
    case "second":
      throw new ProtocolError("range", "This picture shows one run: there is no second one to ask.");
    case "follow":
      return follow(run, question, signal);
  }
}

/** Answers that took a pass through the vocabulary or a layer are remembered, newest kept. */
const REMEMBERED = 512;

/** A run's answers, each computed once. Pictures of the same run share one of these. */
export class Answerer {
  readonly #answers = new Map<string, Answer<QuestionKind>>();

  constructor(readonly run: Run) {}

  /** Answers that were given already, by `questionKey`. */
  get seen(): ReadonlyMap<string, Answer<QuestionKind>> {
    return this.#answers;
  }

  async ask(question: Question, signal?: AbortSignal): Promise<Answer<QuestionKind>> {
    const key = questionKey(question);
    const known = this.#answers.get(key);
    if (known !== undefined) return known;
    const answer = await this.answer(question, signal);
    // Maps of all heads are large, and quickly made again from what the run keeps; so are parts of a grid.
    if (question.kind !== "layerMaps" && question.kind !== "gridPart") this.#answers.set(key, answer);
    // A grid that was seen in parts was seen.
    if (question.kind === "gridPart" && isLensTableKnown(this.run, question.normalize))
      await this.ask({ kind: "grid", normalize: question.normalize }, signal);
    if (this.#answers.size > REMEMBERED) this.#answers.delete(this.#answers.keys().next().value!);
    return answer;
  }

  /** Computes an answer that is not remembered. */
  protected answer(question: Question, signal?: AbortSignal): Promise<Answer<QuestionKind>> {
    return answerQuestion(this.run, question, signal);
  }
}

const answerers = new WeakMap<Run, Answerer>();

/** The one `Answerer` of a run. */
export function answererOf(run: Run): Answerer {
  let answerer = answerers.get(run);
  if (!answerer) answerers.set(run, (answerer = new Answerer(run)));
  return answerer;
}
