import type {
  Answer,
  GridAnswer,
  Question,
  QuestionKind,
  RunFacts,
  WireChangedToken,
  WireToken,
} from "../../src/protocol";
import type { NodeName } from "../../src/protocol";
import {
  EDGE_KINDS,
  inflowAnswer,
  LEAST_INFLOW,
  nodeName,
  parseNode,
  partOfGrid,
  PROTOCOL_VERSION,
  ProtocolError,
  stateBelow,
  tensor,
} from "../../src/protocol";
import type { FlowSource } from "../core/source";

/**
 * A made-up run: deterministic numbers that obey the same rules as real ones, and any state that an element can be in.
 */
export interface SyntheticOptions {
  readonly tokens: readonly string[];
  readonly nLayers: number;
  readonly nHeads: number;
  readonly parallelBlocks?: boolean;
  /** Other numbers of the same kind. */
  readonly seed?: number;
  /** Attention mostly to the first token and the last few, as in real models. */
  readonly local?: boolean;
  /** Contrasts as earlier versions stored them: without the sign of their parts. */
  readonly unsigned?: boolean;
  /** Few layers do anything. */
  readonly sparse?: boolean;
  /** Milliseconds until an answer; Infinity: never. */
  readonly delay?: number;
  /** Sentence that every question is refused with. */
  readonly error?: string;
}

const WORDS = [
  " Paris",
  " the",
  " a",
  " located",
  " France",
  "\n",
  " <b>bold</b>",
  " city",
  " not",
  " 東京",
  " Lyon",
  "<0xE2>",
  " one",
  " home",
  " also",
  " known",
  " called",
  " in",
  " capital",
  " very",
];

/** A number in [0, 1) from whole numbers: the same for the same ones. */
function noise(...seeds: number[]): number {
  let h = 2166136261;
  for (const seed of seeds) {
    h ^= seed + 0x9e3779b9;
    h = Math.imul(h, 16777619);
    h ^= h >>> 13;
  }
  h = Math.imul(h ^ (h >>> 16), 2246822507);
  h ^= h >>> 13;
  return (h >>> 0) / 4294967296;
}

export class SyntheticSource implements FlowSource {
  readonly facts: RunFacts;

  constructor(readonly options: SyntheticOptions) {
    const { nLayers, nHeads } = options;
    this.facts = {
      protocol: PROTOCOL_VERSION,
      model: {
        name: "synthetic",
        family: "synthetic",
        nLayers,
        nHeads,
        dFfn: 512,
        parallelBlocks: options.parallelBlocks ?? false,
        device: "cpu",
        dtype: "float32",
      },
      tokens: options.tokens.map((text, index) => ({ id: index + 100, text })),
      predictions: [0.612, 0.104, 0.041, 0.022, 0.013].map((probability, i) => ({
        id: i,
        text: WORDS[i],
        logit: 18 - 2 * i,
        probability,
      })),
    };
  }

  ask<K extends QuestionKind>(question: Question<K>, signal?: AbortSignal): Promise<Answer<K>>;
  async ask(question: Question, signal?: AbortSignal): Promise<unknown> {
    const { delay = 0, error } = this.options;
    await new Promise<void>((resolve, reject) => {
      if (Number.isFinite(delay)) setTimeout(resolve, delay);
      signal?.addEventListener("abort", () => reject(new ProtocolError("cancelled", "Withdrawn.")));
    });
    if (error) throw new ProtocolError("failed", error);
    return this.#answer(question);
  }

  #token(seed: number): WireToken {
    const id = Math.floor(noise(seed) * WORDS.length);
    return { id, text: WORDS[id] };
  }

  /** Attention of a head: a few sharp patterns and some noise, rows summing to 1. */
  #pattern(layer: number, head: number): Float32Array {
    const T = this.facts.tokens.length;
    const data = new Float32Array(T * T);
    const style = Math.floor(noise(layer, head, 7) * 4);
    for (let q = 0; q < T; q++) {
      let sum = 0;
      for (let k = 0; k <= q; k++) {
        const peak = style === 0 ? k === q - 1 : style === 1 ? k === 0 : style === 2 ? k === q : noise(k, layer) > 0.8;
        sum += data[q * T + k] = (peak ? 4 : 0.1) + noise(layer, head, q, k) ** 4;
      }
      for (let k = 0; k <= q; k++) data[q * T + k] /= sum;
    }
    return data;
  }

  #answer(question: Question): Answer<QuestionKind> {
    const { tokens, model } = this.facts;
    const T = tokens.length;
    switch (question.kind) {
      case "routes":
        return this.#routes(question);
      case "targets": {
        const found = WORDS.map((text, id) => ({ id, text, logit: 20 - id, probability: 0.6 * 0.5 ** id })).filter(
          ({ text }) => text.trim().toLowerCase().startsWith(question.text.trim().toLowerCase()),
        );
        return { tokens: found.slice(0, question.topK) };
      }
      case "lens": {
        const seed = [...question.node].reduce((h, c) => h * 31 + c.charCodeAt(0), 7) % 1e6;
        let rest = 1;
        return {
          tokens: Array.from({ length: question.topK }, (_, rank) => {
            const probability = rest * (0.25 + 0.4 * noise(seed, rank));
            rest -= probability;
            return {
              ...this.#token(seed + rank * 17),
              logit: 20 - rank * 0.6,
              probability,
              rank,
              rankChange: question.node.startsWith("X")
                ? undefined
                : Math.round((noise(seed, rank, 3) - 0.4) * 40 * rank),
            };
          }),
        };
      }
      case "effect":
        return {
          promoted: Array.from({ length: question.topK }, (_, i) => ({
            ...this.#token(i * 13 + question.component.layer),
            score: 3.4 - i * 0.13,
          })),
          suppressed: Array.from({ length: question.topK }, (_, i) => ({
            ...this.#token(i * 7 + 5),
            score: -2.9 + i * 0.11,
          })),
        };
      case "heads": {
        const contributions = new Float32Array(model.nHeads);
        const weights = new Float32Array(model.nHeads);
        for (let h = 0; h < model.nHeads; h++) {
          weights[h] = this.#pattern(question.layer, h)[question.query * T + question.key];
          contributions[h] = (weights[h] * noise(question.layer, h, 5)) / model.nHeads;
        }
        return { contributions: tensor(contributions), weights: tensor(weights) };
      }
      case "inflow":
        return inflowAnswer(
          question.nodes.map((node) => {
            const routes = this.#routes({ kind: "routes", from: node, threshold: 0.001, renormalize: false });
            const sources = Array.from(routes.kinds.data, (_, e) => e)
              .filter((e) => routes.nodes[routes.targets.data[e]] === node)
              .map((e) => ({
                source: routes.nodes[routes.sources.data[e]],
                kind: EDGE_KINDS[routes.kinds.data[e]] as "residual" | "attention" | "ffn-out",
                contribution: routes.weights.data[e],
              }));
            return { sources, rest: Math.max(0, 1 - sources.reduce((sum, one) => sum + one.contribution, 0)) };
          }),
          LEAST_INFLOW,
        );
      case "opponents": {
        const { layer, position } = parseNode(question.node)!;
        const sources = Array.from({ length: Math.min(question.topK, position + 1) }, (_, key) =>
          stateBelow(layer, key),
        );
        return {
          sources,
          kinds: tensor(Uint8Array.from(sources, () => EDGE_KINDS.indexOf("attention"))),
          heads: tensor(Int32Array.from(sources, (_, i) => Math.floor(noise(layer, i, 7) * model.nHeads))),
          proximities: tensor(Float32Array.from(sources, (_, i) => -0.04 / (i + 1))),
          count: sources.length,
        };
      }
      case "neurons":
        return {
          neurons: Array.from({ length: question.topK }, (_, i) => ({
            neuron: Math.floor(noise(question.layer, question.position, i) * model.dFfn),
            activation: (noise(i, question.layer) - 0.3) * 6,
            contribution: 0.06 / (i + 1),
            ...(question.by ? { logit: (noise(i, 3) < 0.4 ? -1 : 1) * (0.9 / (i + 1)) } : {}),
          })),
          ...(question.by ? { about: { token: { id: 1, text: WORDS[1] }, versus: { id: 2, text: WORDS[2] } } } : {}),
        };
      case "maps": {
        const heads = question.head === null ? Array.from({ length: model.nHeads }, (_, h) => h) : [question.head];
        const pattern = new Float32Array(T * T);
        const contributions = new Float32Array(T * T);
        for (const h of heads) {
          this.#pattern(question.layer, h).forEach((a, i) => {
            pattern[i] += a;
            contributions[i] += (a * noise(i % T, h)) / model.nHeads;
          });
        }
        return { pattern: tensor(pattern, [T, T]), contributions: tensor(contributions, [T, T]) };
      }
      case "layerMaps": {
        const pattern = new Float32Array(model.nHeads * T * T);
        for (let h = 0; h < model.nHeads; h++) pattern.set(this.#pattern(question.layer, h), h * T * T);
        const contributions = pattern.map((a, i) => (a * noise(i % T)) / model.nHeads);
        return {
          pattern: tensor(pattern, [model.nHeads, T, T]),
          contributions: tensor(contributions, [model.nHeads, T, T]),
        };
      }
      case "grid": {
        const size = (model.nLayers + 1) * T;
        const shape = [model.nLayers + 1, T];
        return {
          tops: tensor(
            Uint32Array.from({ length: size }, (_, i) => Math.floor(noise(i) * WORDS.length)),
            shape,
          ),
          tokens: WORDS.map((text, id) => ({ id, text })),
          probabilities: tensor(
            Float32Array.from({ length: size }, (_, i) =>
              Math.min(1, noise(i, 2) * (0.15 + (0.85 * Math.floor(i / T)) / model.nLayers)),
            ),
            shape,
          ),
          entropies: tensor(
            Float32Array.from(
              { length: size },
              (_, i) => 12 * (1 - Math.floor(i / T) / (model.nLayers + 1)) * (0.6 + 0.4 * noise(i, 4)),
            ),
            shape,
          ),
        };
      }
      case "gridPart":
        return partOfGrid(this.#answer({ kind: "grid", normalize: question.normalize }) as GridAnswer, question)!;
      case "removed": {
        // What is removed moves every token by its own amount.
        const shift = (id: number): number =>
          question.removals.reduce((sum, { layer, kind }) => sum + 2.4 * (noise(id, layer, kind.length) - 0.62), 0);
        const before = WORDS.map((_, id) => 18 - 1.3 * id);
        const after = before.map((logit, id) => logit + shift(id));
        const Z = (scores: readonly number[]): number => scores.reduce((sum, score) => sum + Math.exp(score), 0);
        const token = (id: number): WireChangedToken => ({
          id,
          text: WORDS[id],
          logit: before[id],
          probability: Math.exp(before[id]) / Z(before),
          logitAfter: after[id],
          probabilityAfter: Math.exp(after[id]) / Z(after),
        });
        const best = (scores: readonly number[]): number[] =>
          [...scores.keys()].sort((a, b) => scores[b] - scores[a]).slice(0, question.topK);
        const { contrast } = question;
        return {
          tokens: [...new Set([...best(before), ...best(after)])].sort((a, b) => before[b] - before[a]).map(token),
          target: token(contrast?.token ?? best(before)[0]),
          ...(contrast?.versus == null ? {} : { versus: token(contrast.versus) }),
        };
      }
      case "second":
        return { answer: this.#answer(question.question) };
      case "headLabels": {
        const size = model.nLayers * model.nHeads;
        const labels = Uint8Array.from({ length: size }, (_, i) =>
          noise(i, 9) < 0.4 ? 255 : Math.floor(noise(i, 8) * 4),
        );
        return {
          patterns: ["previous token", "first token", "induction", "duplicate token"],
          labels: tensor(labels, [model.nLayers, model.nHeads]),
          scores: tensor(
            Float32Array.from({ length: size }, (_, i) => noise(i, 3)),
            [model.nLayers, model.nHeads],
          ),
        };
      }
      case "follow": {
        const nodes = [nodeName("X", -1, question.position)];
        for (let layer = 0; layer < model.nLayers; layer++) {
          if (!model.parallelBlocks) nodes.push(nodeName("A", layer, question.position));
          nodes.push(nodeName("I", layer, question.position));
        }
        const ranks = Uint32Array.from(nodes, (_, i) =>
          Math.floor(48000 * (1 - i / nodes.length) ** 3 * (0.4 + 0.6 * noise(i, question.token))),
        );
        const probabilities = Float32Array.from(ranks, (rank) => 0.62 / (1 + rank * 3));
        return {
          nodes,
          token: { id: question.token, text: WORDS[question.token % WORDS.length] },
          ranks: tensor(ranks),
          probabilities: tensor(probabilities),
        };
      }
    }
  }

  /** Some states read many tokens at once. */
  #others(nodes: readonly NodeName[]): Pick<Answer<"routes">, "otherTargets" | "otherHeads" | "otherShares"> {
    const kind = this.facts.model.parallelBlocks ? "I" : "A";
    const places = nodes.map((name) => parseNode(name)!);
    const found = [...places.keys()].filter(
      (i) => places[i].kind === kind && noise(places[i].layer, places[i].position, 23) < 0.12,
    );
    return {
      otherTargets: tensor(Uint32Array.from(found)),
      otherHeads: tensor(Uint16Array.from(found, (i) => i % this.facts.model.nHeads)),
      otherShares: tensor(Float32Array.from(found, (i) => 0.05 + 0.1 * noise(i, 5))),
    };
  }

  /** Routes traced through made-up contributions by the rules of real ones. */
  #routes({ from: origin, threshold, renormalize, contrast }: Question<"routes">): Answer<"routes"> {
    const { model } = this.facts;
    const top =
      typeof origin === "string"
        ? parseNode(origin)!
        : { kind: "I" as const, layer: model.nLayers - 1, position: origin };
    const from = top.position;
    const about = (id: number | null): WireToken => ({ id: id ?? 0, text: WORDS[(id ?? 0) % WORDS.length] });
    const slant = contrast ? 1 + (contrast.token ?? 0) + 7 * (contrast.versus ?? 0) : 0;
    const nodes: NodeName[] = [];
    const index = new Map<string, number>();
    const indexOf = (name: NodeName): number => {
      if (!index.has(name)) {
        index.set(name, nodes.length);
        nodes.push(name);
      }
      return index.get(name)!;
    };
    const columns = {
      sources: [] as number[],
      targets: [] as number[],
      kinds: [] as number[],
      weights: [] as number[],
      starts: [0],
      heads: [] as number[],
      headWeights: [] as number[],
      logits: [] as number[],
      headLogits: [] as number[],
    };
    const add = (source: NodeName, target: NodeName, kind: (typeof EDGE_KINDS)[number], weight: number): void => {
      columns.sources.push(indexOf(source));
      columns.targets.push(indexOf(target));
      columns.kinds.push(EDGE_KINDS.indexOf(kind));
      columns.weights.push(weight);
      // What the start's edges add: as much as they weigh, for or against.
      const own = contrast && kind !== "ffn-in" && parseNode(target)?.position === from;
      const logit = own ? 3 * weight * (noise(weight * 1e5) < 0.4 && kind !== "residual" ? -1 : 1) : 0;
      columns.logits.push(logit);
      if (kind === "attention") {
        const head = Math.floor(noise(weight * 1e6) * model.nHeads);
        columns.heads.push(head);
        columns.headWeights.push(weight);
        columns.headLogits.push(logit);
      }
      columns.starts.push(columns.heads.length);
    };
    let reached = new Set([from]);
    indexOf(nodeName(top.kind, top.layer, from));
    for (let layer = top.layer; layer >= 0; layer--) {
      const next = new Set<number>();
      for (const t of reached) {
        const top = nodeName("I", layer, t);
        const middle = model.parallelBlocks ? top : nodeName("A", layer, t);
        const below = stateBelow(layer, t);
        const seed = (this.options.seed ?? 0) + (t === from ? slant : 0);
        const idle = this.options.sparse && layer % 5 > 1;
        const ffn = idle ? 0.001 : 0.02 + 0.4 * noise(layer, t, 1 + seed) ** 3;
        if (ffn > threshold) {
          add(model.parallelBlocks ? below : middle, nodeName("M", layer, t), "ffn-in", ffn);
          add(nodeName("M", layer, t), top, "ffn-out", ffn);
        }
        if (!model.parallelBlocks) add(middle, top, "residual", 1 - ffn);
        const far = (k: number): boolean => this.options.local === true && k > 1 && t - k > 6;
        const parts = Array.from({ length: t + 1 }, (_, k) =>
          far(k) ? 0 : (idle ? 0 : 0.5) * noise(layer, t, k + seed * 31) ** (9 + (t - k === 1 || k === 0 ? -5 : 6)),
        );
        const sum = parts.reduce((s, p) => s + p, 0.55);
        const kept = parts.map((p) => p / sum).map((p) => (p > threshold ? p : 0));
        const scale = renormalize ? 1 / (kept.reduce((s, p) => s + p, 0) + 0.55 / sum) : 1;
        kept.forEach((p, k) => {
          if (p === 0) return;
          add(stateBelow(layer, k), middle, "attention", p * scale);
          next.add(k);
        });
        add(below, middle, "residual", (0.55 / sum) * scale);
        next.add(t);
      }
      reached = next;
    }
    return {
      from: [nodeName(top.kind, top.layer, from)],
      threshold,
      renormalize,
      ...(contrast
        ? {
            contrast: {
              token: about(contrast.token),
              ...(contrast.versus === null ? {} : { versus: about(contrast.versus) }),
              ...(this.options.unsigned
                ? {}
                : { logit: 2.41, constant: 0.1, rest: { supports: 1.24, opposes: -0.87 } }),
            },
          }
        : {}),
      nodes,
      sources: tensor(Uint32Array.from(columns.sources)),
      targets: tensor(Uint32Array.from(columns.targets)),
      kinds: tensor(Uint8Array.from(columns.kinds)),
      weights: tensor(Float32Array.from(columns.weights)),
      ...(contrast ? {} : this.#others(nodes)),
      headStarts: tensor(Uint32Array.from(columns.starts)),
      heads: tensor(Uint16Array.from(columns.heads)),
      headWeights: tensor(Float32Array.from(columns.headWeights)),
      ...(contrast && !this.options.unsigned
        ? {
            logits: tensor(Float32Array.from(columns.logits)),
            headLogits: tensor(Float32Array.from(columns.headLogits)),
          }
        : {}),
    };
  }
}
