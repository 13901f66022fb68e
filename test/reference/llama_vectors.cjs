/**
 * llama.cpp's own vectors against ours: node llama_vectors.cjs FOLDER, after a build. FOLDER is vendor/llama.cpp/models
 * of the source package of llama-cpp-python (0.3.36: pip download --no-deps --no-binary :all: llama-cpp-python). Prints
 * how many of each file differ.
 */
const { existsSync, readFileSync, readdirSync } = require("node:fs");
const { join } = require("node:path");
const { gguf } = require("@huggingface/gguf");
const { GgufMetadata } = require("../../dist/model/gguf-metadata");
const { exactStrings } = require("../../dist/model/gguf-strings");
const { ggufTokenizer } = require("../../dist/model/gguf-tokenizer");

(async () => {
  const folder = process.argv[2];
  for (const name of readdirSync(folder).filter(
    (file) => file.endsWith(".gguf") && existsSync(join(folder, `${file}.inp`)),
  )) {
    const file = join(folder, name);
    const { metadata } = await gguf(file, { allowLocalFile: true });
    let tokenizer;
    try {
      tokenizer = ggufTokenizer(new GgufMetadata(name, { ...metadata, ...exactStrings(file) }));
    } catch (error) {
      console.log(`${name}: refused: ${error.message.slice(0, 100)}`);
      continue;
    }
    const texts = readFileSync(`${file}.inp`, "utf8").split("\n__ggml_vocab_test__\n").slice(0, -1);
    const ids = readFileSync(`${file}.out`, "utf8").split("\n");
    const different = texts.filter(
      (text, i) => tokenizer.encode(text, { addSpecialTokens: false }).join(" ") !== ids[i].trim(),
    );
    console.log(`${name}: ${different.length} of ${texts.length} differ ${JSON.stringify(different)}`);
  }
})();
