/**
 * A model of Llama 7B's shape with random weights, in bfloat16 and in 4-bit blocks: what loading and a forward of 32
 * tokens take. The files (13.5 and 4.3 GB) are made in the temporary folder, or in LM_TRANSPARENCY_BENCH, once.
 *
 *     npm run bench -- large [bfloat16 | q4] [layers] [GB that weights and runs may take]
 */
import { spawnSync } from "node:child_process";
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const require = createRequire(import.meta.url);
const [D, H, F, V] = [4096, 32, 11008, 32000];
const N_TOKENS = 32;

function tensors(nLayers) {
  const names = [
    ["model.embed_tokens.weight", [V, D]],
    ["lm_head.weight", [V, D]],
    ["model.norm.weight", [D]],
  ];
  for (let layer = 0; layer < nLayers; layer++) {
    const stem = `model.layers.${layer}`;
    for (const name of ["q", "k", "v", "o"]) names.push([`${stem}.self_attn.${name}_proj.weight`, [D, D]]);
    names.push(
      [`${stem}.mlp.gate_proj.weight`, [F, D]],
      [`${stem}.mlp.up_proj.weight`, [F, D]],
      [`${stem}.mlp.down_proj.weight`, [D, F]],
    );
    names.push([`${stem}.input_layernorm.weight`, [D]], [`${stem}.post_attention_layernorm.weight`, [D]]);
  }
  return names;
}

/** Random bytes of one kind, repeated: the arithmetic does not care. */
function pattern(kind) {
  const bytes = new Uint8Array(18 << 20);
  let state = 1;
  const random = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0);
  if (kind === "bfloat16") {
    // Small numbers of both signs: exponents around 2^-6.
    const view = new Uint16Array(bytes.buffer);
    for (let i = 0; i < view.length; i++)
      view[i] = ((random() >>> 16) & 0x807f) | (0x3c80 - 0x80 * ((random() >>> 24) & 3));
  } else {
    for (let i = 0; i < bytes.length; i++) bytes[i] = random() >>> 24;
    // The scale of each block of 18 bytes: 0.003 in float16.
    for (let i = 0; i < bytes.length; i += 18) bytes.set([0x25, 0x1a], i);
  }
  return bytes;
}

function writeBytes(file, length, bytes) {
  for (let done = 0; done < length;) done += writeSync(file, bytes, 0, Math.min(bytes.length, length - done));
}

/** Writes the weights; gives each tensor's place. */
function make(folder, kind, nLayers) {
  const path = join(folder, kind === "bfloat16" ? "model.safetensors" : "blocks.bin");
  const places = [];
  let size = 0;
  for (const [name, dims] of tensors(nLayers)) {
    const values = dims.reduce((a, b) => a * b);
    const blocks = kind === "q4" && /_proj/.test(name);
    const byteLength = blocks ? (values / 32) * 18 : values * 2;
    places.push({ name, dims, type: blocks ? "Q4_0" : "BF16", offset: size, byteLength });
    size += byteLength;
  }
  const header = JSON.stringify(
    Object.fromEntries(
      places.map(({ name, dims, offset, byteLength }) => [
        name,
        { dtype: "BF16", shape: dims, data_offsets: [offset, offset + byteLength] },
      ]),
    ),
  );
  const start = kind === "bfloat16" ? 8 + Buffer.byteLength(header) : 0;
  if (!existsSync(path) || statSync(path).size !== start + size) {
    const file = openSync(`${path}.part`, "w");
    if (start > 0) {
      const length = Buffer.alloc(8);
      length.writeBigUInt64LE(BigInt(start - 8));
      writeSync(file, length);
      writeSync(file, header);
    }
    const [half, block] = [pattern("bfloat16"), pattern("q4")];
    for (const { type, byteLength } of places) writeBytes(file, byteLength, type === "BF16" ? half : block);
    closeSync(file);
    renameSync(`${path}.part`, path);
  }
  return places.map(({ offset, ...place }) => ({ ...place, file: path, offset: start + offset }));
}

function field(name) {
  return Number(new RegExp(`${name}:\\s+(\\d+)`).exec(readFileSync("/proc/self/status", "utf8"))[1]) * 1024;
}

async function measure(kind, nLayers, gigabytes) {
  const folder = join(
    process.env.LM_TRANSPARENCY_BENCH ?? join(tmpdir(), "lm-transparency-bench"),
    `llama-7b-${nLayers}-layers`,
  );
  mkdirSync(folder, { recursive: true });
  writeFileSync(
    join(folder, "config.json"),
    JSON.stringify({
      model_type: "llama",
      hidden_size: D,
      intermediate_size: F,
      num_attention_heads: H,
      num_key_value_heads: H,
      num_hidden_layers: nLayers,
      vocab_size: V,
      max_position_embeddings: 4096,
      rms_norm_eps: 1e-5,
      hidden_act: "silu",
      tie_word_embeddings: false,
      torch_dtype: "bfloat16",
    }),
  );
  writeFileSync(
    join(folder, "tokenizer.json"),
    readFileSync(fileURLToPath(new URL("support/tokenizer.json", import.meta.url))),
  );
  make(folder, "bfloat16", nLayers);
  const entries = kind === "q4" ? make(folder, "q4", nLayers) : undefined;
  const { createEngine } = require("../dist/engine/index.js");
  const { openModel } = require("../dist/model/open.js");
  const { createWeightSource } = require("../dist/model/weight-source.js");
  const before = field("VmRSS");
  let start = performance.now();
  const files = await openModel(folder);
  const engine = await createEngine(
    entries ? { ...files, weights: createWeightSource(entries), storedType: "q4_0" } : files,
    { memoryBytes: gigabytes && gigabytes * 1e9 },
  );
  const loadSeconds = (performance.now() - start) / 1000;
  const loaded = field("VmRSS");
  const seconds = [];
  let anonymous = 0;
  const watch = setInterval(() => (anonymous = Math.max(anonymous, field("RssAnon"))), 50);
  for (let round = 0; round < 2; round++) {
    start = performance.now();
    const pass = await engine.forward(Array.from({ length: N_TOKENS }, (_, i) => 100 + i * 7));
    await pass.logits(N_TOKENS - 1);
    seconds.push((performance.now() - start) / 1000);
  }
  clearInterval(watch);
  const controller = new AbortController();
  const cancelled = engine
    .forward([1, 2, 3], { signal: controller.signal, onProgress: () => controller.abort() })
    .catch((error) => error.name);
  await cancelled;
  start = performance.now();
  await engine.dispose();
  console.log(
    JSON.stringify({
      kind,
      dtype: engine.dtype,
      "load, s": loadSeconds.toFixed(1),
      "loaded, GB": ((loaded - before) / 1e9).toFixed(2),
      "first forward, s": seconds[0].toFixed(1),
      "second, s": seconds[1].toFixed(1),
      "peak, GB": (field("VmHWM") / 1e9).toFixed(2),
      "of it not mapped, GB": (anonymous / 1e9).toFixed(2),
      "leaving after cancel, s": ((performance.now() - start) / 1000).toFixed(2),
    }),
  );
}

const [kind, layers = "32", gigabytes] = process.argv.slice(2).filter((argument) => argument !== "--child");
if (process.argv.includes("--child")) await measure(kind, Number(layers), gigabytes && Number(gigabytes));
else
  for (const each of kind ? [kind] : ["bfloat16", "q4"]) {
    const { status } = spawnSync(
      process.execPath,
      [fileURLToPath(import.meta.url), "--child", each, layers, ...(gigabytes ? [gigabytes] : [])],
      { stdio: "inherit" },
    );
    if (status !== 0) process.exit(status ?? 1);
  }
