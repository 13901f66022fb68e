import { html } from "lit";
import type { TemplateResult } from "lit";
import { live } from "lit/directives/live.js";
import type { RouteBudget, Selection } from "../../src/protocol";
import { DEFAULT_EDGES, MOST_EDGES } from "../../src/protocol";

export interface CutControl {
  readonly selected: Pick<Selection, "threshold" | "budget">;
  /** Edges that are drawn now: what another way to cut begins with. */
  readonly edges: number | undefined;
  select(change: Partial<Selection>): void;
}

const LEAST_EDGES = 10;
/** Steps of the slider: edges grow by the same factor with each. */
const STEPS = 200;
const FACTOR = Math.log(MOST_EDGES / LEAST_EDGES);

const edgesAt = (step: number): number => {
  const edges = LEAST_EDGES * Math.exp((FACTOR * step) / STEPS);
  const digits = edges < 100 ? 1 : 10;
  return Math.round(edges / digits) * digits;
};
const stepOf = (edges: number): number =>
  Math.round((STEPS * Math.log(Math.min(MOST_EDGES, Math.max(LEAST_EDGES, edges)) / LEAST_EDGES)) / FACTOR);

type Way = "threshold" | "edges" | "relevance";

const WAYS: readonly { readonly way: Way; readonly label: string; readonly title: string }[] = [
  {
    way: "threshold",
    label: "Threshold",
    title: "Within each state that is reached: the parts that contribute more than this (as published)",
  },
  {
    way: "edges",
    label: "Edges",
    title: "The parts of which most reaches the start, ranked by the products of contributions along the paths to it",
  },
  {
    way: "relevance",
    label: "Share",
    title: "The fewest parts through which this share of what makes up the start still reaches the tokens",
  },
];

/** How the graph is cut: the published threshold, or the parts of which most reaches the start. */
export function cutControl({ selected: { threshold, budget }, edges, select }: CutControl): TemplateResult {
  const way: Way = budget === null ? "threshold" : "edges" in budget ? "edges" : "relevance";
  const begin: Readonly<Record<Way, RouteBudget | null>> = {
    threshold: null,
    edges: { edges: Math.max(LEAST_EDGES, Math.min(MOST_EDGES, edges ?? DEFAULT_EDGES)) },
    relevance: { relevance: 0.5 },
  };
  const chosen = WAYS.find((one) => one.way === way)!;
  return html`<span class="cut">
    <select name="cut" aria-label="How the graph is cut" title=${chosen.title} .value=${live(way)} @change=${(event: Event) => select({ budget: begin[(event.target as HTMLSelectElement).value as Way] })}>
      ${WAYS.map(({ way: own, label, title }) => html`<option value=${own} title=${title} ?selected=${own === way}>${label}</option>`)}
    </select>
    ${
      budget === null
        ? slider({
            name: "threshold",
            label: "Contribution threshold",
            most: Math.max(0.2, threshold),
            step: 0.005,
            value: threshold,
            shown: threshold.toFixed(3).replace(/0$/, ""),
            set: (value) => select({ threshold: value }),
          })
        : "edges" in budget
          ? slider({
              name: "edges",
              label: "Number of edges",
              most: STEPS,
              step: 1,
              value: stepOf(budget.edges),
              shown: String(budget.edges),
              set: (value) => select({ budget: { edges: edgesAt(value) } }),
            })
          : slider({
              name: "share",
              label: "Share of the start that reaches the tokens",
              most: 1,
              step: 0.01,
              value: budget.relevance,
              shown: `${Math.round(100 * budget.relevance)} %`,
              set: (value) => select({ budget: { relevance: value } }),
            })
    }
  </span>`;
}

function slider(given: {
  readonly name: string;
  readonly label: string;
  readonly most: number;
  readonly step: number;
  readonly value: number;
  readonly shown: string;
  set(value: number): void;
}): TemplateResult {
  return html`<input
      type="range"
      name=${given.name}
      min="0"
      max=${given.most}
      step=${given.step}
      .value=${live(String(given.value))}
      aria-label=${given.label}
      aria-valuetext=${given.shown}
      @input=${(event: Event) => given.set(Number((event.target as HTMLInputElement).value))}
    /><output>${given.shown}</output>`;
}
