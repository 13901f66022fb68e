/**
 * The states of a residual stream, read through the public interface of a run: a model of one's own is read in the same
 * way.
 */
import { nodeName, parseNode } from "../model/names";
import type { ModelInfo, NodeName, Run } from "../model/types";

/**
 * Names of all states of a position, bottom to top: the embedding, then of each layer the state after attention (where
 * there is one) and after the layer.
 */
export function statesOf(
  { nLayers, parallelBlocks }: Pick<ModelInfo, "nLayers" | "parallelBlocks">,
  position: number,
): NodeName[] {
  const nodes = [nodeName("X", -1, position)];
  for (let layer = 0; layer < nLayers; layer++) {
    if (!parallelBlocks) nodes.push(nodeName("A", layer, position));
    nodes.push(nodeName("I", layer, position));
  }
  return nodes;
}

/** The residual stream at a state, `[d]`. */
async function vectorAt(run: Run, node: NodeName): Promise<Float32Array> {
  const place = parseNode(node);
  if (!place || place.kind === "M") throw new RangeError(`${node} is not the name of a state.`);
  const { data, dims } =
    place.kind === "X"
      ? await run.residual(0, "pre")
      : await run.residual(place.layer, place.kind === "A" ? "mid" : "post");
  return Float32Array.from(data.subarray(place.position * dims[1], (place.position + 1) * dims[1]));
}

/** Logits of states, `[V]` each. They are asked for at once: a model may do them in one pass over its weights. */
export async function logitsOf(run: Run, nodes: readonly NodeName[], normalize: boolean): Promise<Float32Array[]> {
  const states = await Promise.all(nodes.map((node) => vectorAt(run, node)));
  return (await Promise.all(states.map((state) => run.model.unembed(state, { normalize })))).map(({ data }) => data);
}
