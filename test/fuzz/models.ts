import { ModelFileError } from "../../src/model/errors";
import { openModel } from "../../src/model/open";
import { isSentence } from "./support";

/** Memory in MB that opening and reading one small model may take beside what there is. */
const MOST_MB = 300;

/** Opens a model's files and reads some of its weights; each refusal must be one sentence. */
export async function tryModel(source: string): Promise<"accepted" | "refused"> {
  const before = process.memoryUsage().rss;
  let files;
  try {
    files = await openModel(source);
  } catch (error) {
    if (!(error instanceof ModelFileError) || !isSentence(error)) throw error;
    if (error.message.length > 1300) throw new Error(`A message of ${error.message.length} characters`);
    return "refused";
  } finally {
    const grown = (process.memoryUsage().rss - before) / 2 ** 20;
    if (grown > MOST_MB) throw new Error(`took ${grown.toFixed(0)} MB`);
  }
  try {
    const { architecture, weights, tokenizer } = files;
    weights.readRows(architecture.embedding.token, [0, architecture.dVocab - 1]);
    const layer = architecture.layers[architecture.layers.length - 1];
    weights.read(layer.attention.output.weight);
    weights.read(architecture.unembedding.weight);
    for (const { attention } of architecture.layers) {
      const frequencies = attention.rotary?.frequencies(3);
      if (frequencies !== undefined && !frequencies.every(Number.isFinite))
        throw new Error("Frequencies that are not finite");
    }
    tokenizer.token(0);
    return "accepted";
  } finally {
    files.weights.close();
  }
}
