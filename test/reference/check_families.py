"""Checks random models of every family, in random shapes, options, precisions and config formats, against transformers.

    python test/reference/check_families.py [--seed N] [--variants N] [FAMILY ...]     (after `npm run build`; needs torch and transformers)

Each model is saved as float32, float16 or bfloat16, in one file or in shards, with a config as transformers 5 or transformers 4 writes it, and
read back by transformers in float32. Compared at prompts of 1, 2, 7 and 33 tokens, relative to the largest reference value where that is above 1:
states before, inside and after each layer, attention, neurons, logits. Configs that transformers itself cannot build are skipped.
"""
import argparse
import json
import random
import shutil
import subprocess
import tempfile
from pathlib import Path

import torch
import transformers
from transformers import CONFIG_MAPPING, AutoModelForCausalLM

transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
ROOT = Path(__file__).resolve().parents[2]
LENGTHS = [1, 2, 7, 33]
MOST = 1e-4
ACTIVATIONS = ["gelu", "gelu_new", "gelu_pytorch_tanh", "gelu_fast", "gelu_python", "gelu_accurate", "quick_gelu", "relu", "relu2", "silu", "swish"]
OURS = """
const { loadModel } = require(process.argv[1]);
const { readFileSync } = require("node:fs");
const apart = (ours, theirs) => {
  if (ours.length !== theirs.length) return Infinity;
  let [most, size] = [0, 1];
  for (let i = 0; i < ours.length; i++) {
    const difference = Math.abs(ours[i] - theirs[i]);
    if (!(difference <= most)) most = difference;
    size = Math.max(size, Math.abs(theirs[i]));
  }
  return most / size;
};
(async () => {
  const [folder, reference] = process.argv.slice(2);
  const model = await loadModel(folder);
  const worst = {};
  const check = (what, ours, theirs) => { worst[what] = Math.max(worst[what] ?? 0, apart(ours, theirs)); };
  for (const { ids, logits, layers } of JSON.parse(readFileSync(reference, "utf8"))) {
    const run = await model.run(ids);
    for (const [layer, { pre, mid, post, attention, neurons }] of layers.entries()) {
      check("pre", (await run.residual(layer, "pre")).data, pre);
      if (mid) check("mid", (await run.residual(layer, "mid")).data, mid);
      check("post", (await run.residual(layer, "post")).data, post);
      if (attention) check("attention", (await run.attentionPattern(layer)).data, attention);
      const f = neurons.length / ids.length;
      for (const t of new Set([0, ids.length - 1])) check("neurons", (await run.neuronActivations(layer, t, "post")).data, neurons.slice(t * f, (t + 1) * f));
    }
    check("logits", (await run.logits()).data, logits);
    await run.dispose();
  }
  await model.dispose();
  console.log(JSON.stringify(worst));
})().catch((error) => { console.log(JSON.stringify({ [error.message]: 1e9 })); });
"""


class Draw(random.Random):
    """Random settings; `likely` is a coin."""

    def likely(self, chance=0.5):
        return self.random() < chance

    def shape(self):
        keys, group, width = self.choice([1, 2, 3]), self.choice([1, 2, 3, 5]), self.choice([4, 6, 8, 10])
        heads = keys * group
        common = dict(
            vocab_size=self.choice([53, 71, 97]), hidden_size=heads * width, num_hidden_layers=self.choice([2, 3]), num_attention_heads=heads,
            intermediate_size=self.choice([20, 37, 64]), max_position_embeddings=64, bos_token_id=0, eos_token_id=1, pad_token_id=None,
            tie_word_embeddings=self.likely(),
        )
        return common, heads, keys, width

    def rope(self, width):
        kind = self.choice(["default", "linear", "dynamic", "llama3", "yarn", "longrope"])
        rope = dict(rope_type=kind, rope_theta=self.choice([500.0, 10000.0, 1e6]))
        if kind in ("linear", "dynamic", "yarn", "llama3"):
            rope["factor"] = self.choice([2.0, 3.5, 8.0])
        if kind == "llama3":
            rope |= dict(low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=self.choice([8, 16]))
        if kind == "yarn":
            options = [dict(original_max_position_embeddings=16), dict(attention_factor=0.8), dict(beta_fast=20, beta_slow=2), dict(mscale=1.0, mscale_all_dim=0.8), dict(truncate=False)]
            for option in options:
                rope |= option if self.likely(0.4) else {}
        if kind == "longrope":
            factors = [[round(self.uniform(low, high), 2) for _ in range(width // 2)] for low, high in ((1, 2), (2, 6))]
            rope |= dict(short_factor=factors[0], long_factor=factors[1], original_max_position_embeddings=16)
            rope |= dict(factor=3.0) if self.likely(0.4) else {}
        return rope


def llama(draw):
    common, _, keys, width = draw.shape()
    head = draw.choice([None, 4, 12])
    return dict(common, num_key_value_heads=keys, head_dim=head, attention_bias=draw.likely(), mlp_bias=draw.likely(), hidden_act=draw.choice(ACTIVATIONS),
                rms_norm_eps=draw.choice([1e-6, 1e-2]), rope_parameters=draw.rope(head or width))


def mistral(draw):
    common, _, keys, width = draw.shape()
    head = draw.choice([None, 4, 12])
    return dict(common, num_key_value_heads=keys, head_dim=head, hidden_act=draw.choice(ACTIVATIONS), sliding_window=draw.choice([None, 1, 2, 5, 33, 100]), rope_parameters=draw.rope(head or width))


def qwen2(draw):
    common, _, keys, width = draw.shape()
    return dict(common, num_key_value_heads=keys, hidden_act=draw.choice(ACTIVATIONS), use_sliding_window=draw.likely(), sliding_window=draw.choice([2, 5]),
                max_window_layers=draw.choice([0, 1, 2, 28]), rope_parameters=draw.rope(width))


def qwen3(draw):
    head = draw.choice([6, 10])
    return dict(qwen2(draw), head_dim=head, attention_bias=draw.likely(), rope_parameters=draw.rope(head))


def gemma(draw):
    common, _, keys, _ = draw.shape()
    return dict(common, num_key_value_heads=keys, head_dim=draw.choice([4, 12]), hidden_act=draw.choice(ACTIVATIONS), attention_bias=draw.likely(), pad_token_id=0)


def gemma2(draw):
    settings = gemma(draw)
    return dict(settings, hidden_activation=settings.pop("hidden_act"), query_pre_attn_scalar=draw.choice([3, 17, 256]), sliding_window=draw.choice([1, 4, 6]),
                attn_logit_softcapping=draw.choice([None, 2.0, 50.0]), final_logit_softcapping=draw.choice([None, 3.0, 30.0]))


def gemma3(draw):
    full = draw.choice([dict(rope_type="default", rope_theta=1e6), dict(rope_type="linear", factor=8.0, rope_theta=3e5)])
    local = dict(rope_type="default", rope_theta=draw.choice([1e4, 700.0]))
    return dict(gemma2(draw), num_hidden_layers=draw.choice([3, 7]), rope_parameters=dict(full_attention=full, sliding_attention=local))


def phi(draw):
    common, _, keys, width = draw.shape()
    return dict(common, num_key_value_heads=draw.choice([None, keys]), hidden_act=draw.choice(ACTIVATIONS), partial_rotary_factor=draw.choice([0.5, 1.0]) if width % 4 == 0 else 1.0,
                qk_layernorm=draw.likely(), layer_norm_eps=draw.choice([1e-5, 1e-2]))


def phi3(draw):
    common, _, keys, width = draw.shape()
    partial = draw.choice([0.5, 1.0]) if width == 8 else 1.0
    pairs = int(width * partial) // 2
    long = dict(rope_type="longrope", rope_theta=1e4, short_factor=[1 + i / 7 for i in range(pairs)], long_factor=[2 + i / 3 for i in range(pairs)])
    settings = dict(common, num_key_value_heads=keys, hidden_act=draw.choice(["silu", "gelu"]), sliding_window=draw.choice([None, 3, 11]), original_max_position_embeddings=16, partial_rotary_factor=partial)
    return dict(settings, rope_parameters=long) if draw.likely() else settings


def gpt_neox(draw):
    common, *_ = draw.shape()
    return dict(common, hidden_act=draw.choice(ACTIVATIONS), rotary_pct=draw.choice([0.5, 1.0]), use_parallel_residual=draw.likely(), attention_bias=draw.likely(),
                layer_norm_eps=draw.choice([1e-5, 1e-2]), rotary_emb_base=draw.choice([1e4, 600]))


def gpt2(draw):
    common, heads, *_ = draw.shape()
    return dict(vocab_size=common["vocab_size"], n_embd=common["hidden_size"], n_layer=3, n_head=heads, n_inner=draw.choice([None, 30]), n_positions=64, bos_token_id=0, eos_token_id=1,
                activation_function=draw.choice(ACTIVATIONS), scale_attn_weights=draw.likely(0.7), scale_attn_by_inverse_layer_idx=draw.likely(0.3), reorder_and_upcast_attn=draw.likely(0.3),
                tie_word_embeddings=draw.likely(), layer_norm_epsilon=draw.choice([1e-5, 1e-2]))


def gptj(draw):
    common, heads, *_ = draw.shape()
    return dict(vocab_size=common["vocab_size"], n_embd=common["hidden_size"], n_layer=2, n_head=heads, n_inner=draw.choice([None, 30]), n_positions=64, rotary_dim=draw.choice([2, 4]),
                bos_token_id=0, eos_token_id=1, activation_function=draw.choice(ACTIVATIONS), tie_word_embeddings=False, layer_norm_epsilon=draw.choice([1e-5, 1e-2]))


def gpt_neo(draw):
    common, heads, *_ = draw.shape()
    types = draw.choice([[[["global", "local"], 2]], [[["local"], 3], [["global"], 1]], [[["global"], 2], [["local", "global"], 1]]])
    return dict(vocab_size=common["vocab_size"], hidden_size=common["hidden_size"], num_layers=4, num_heads=heads, intermediate_size=draw.choice([None, 30]), max_position_embeddings=64,
                window_size=draw.choice([1, 3, 8]), attention_types=types, activation_function=draw.choice(ACTIVATIONS), bos_token_id=0, eos_token_id=1, tie_word_embeddings=draw.likely())


def opt(draw):
    common, heads, *_ = draw.shape()
    return dict(vocab_size=common["vocab_size"], hidden_size=common["hidden_size"], word_embed_proj_dim=common["hidden_size"], num_hidden_layers=2, num_attention_heads=heads, ffn_dim=draw.choice([30, 64]),
                max_position_embeddings=64, bos_token_id=0, eos_token_id=1, pad_token_id=2, enable_bias=draw.likely(), activation_function=draw.choice(ACTIVATIONS),
                layer_norm_elementwise_affine=draw.likely(0.7), _remove_final_layer_norm=draw.likely(0.2), tie_word_embeddings=draw.likely())


def stablelm(draw):
    common, heads, keys, _ = draw.shape()
    return dict(common, hidden_size=heads * 8, num_key_value_heads=keys, hidden_act=draw.choice(ACTIVATIONS), use_qkv_bias=draw.likely(), qk_layernorm=draw.likely(), use_parallel_residual=draw.likely(),
                partial_rotary_factor=draw.choice([0.25, 0.5, 1.0]))


def falcon(draw):
    common, heads, keys, _ = draw.shape()
    grouped = draw.likely()
    return dict(vocab_size=common["vocab_size"], hidden_size=common["hidden_size"], num_hidden_layers=2, num_attention_heads=heads, new_decoder_architecture=grouped, multi_query=draw.likely(),
                parallel_attn=grouped or draw.likely(), bias=draw.likely(), alibi=draw.likely(0.3), ffn_hidden_size=draw.choice([None, 30]), activation=draw.choice(ACTIVATIONS), bos_token_id=0,
                eos_token_id=1, max_position_embeddings=64, tie_word_embeddings=draw.likely(), num_kv_heads=keys if grouped else None, num_ln_in_parallel_attn=draw.choice([None, 1, 2]) if grouped else None)


def bloom(draw):
    common, heads, *_ = draw.shape()
    return dict(vocab_size=common["vocab_size"], hidden_size=common["hidden_size"], n_layer=2, n_head=heads, bos_token_id=0, eos_token_id=1, layer_norm_epsilon=draw.choice([1e-5, 1e-2]), tie_word_embeddings=draw.likely())


def olmo(draw):
    common, _, keys, _ = draw.shape()
    return dict(common, num_key_value_heads=keys, hidden_act=draw.choice(ACTIVATIONS), attention_bias=draw.likely())


def smollm3(draw):
    return dict(olmo(draw), pad_token_id=0, num_hidden_layers=4, no_rope_layer_interval=draw.choice([2, 3]), mlp_bias=draw.likely(), use_sliding_window=draw.likely(), sliding_window=4)


def starcoder2(draw):
    common, _, keys, _ = draw.shape()
    return dict(common, num_key_value_heads=keys, hidden_act=draw.choice(ACTIVATIONS), use_bias=draw.likely(), sliding_window=draw.choice([None, 4]), norm_epsilon=1e-3)


def cohere(draw):
    return dict(olmo(draw), pad_token_id=0, use_qk_norm=draw.likely(), logit_scale=draw.choice([0.3, 1.0]))


FAMILIES = dict(llama=llama, mistral=mistral, qwen2=qwen2, qwen3=qwen3, gemma=gemma, gemma2=gemma2, gemma3_text=gemma3, phi=phi, phi3=phi3, gpt_neox=gpt_neox, gpt2=gpt2, gptj=gptj, gpt_neo=gpt_neo, opt=opt,
                stablelm=stablelm, falcon=falcon, bloom=bloom, olmo=olmo, olmo2=olmo, smollm3=smollm3, starcoder2=starcoder2, cohere=cohere)


def as_version_4(config):
    """A config.json as transformers 4 wrote it: rotary settings beside each other, scaling apart."""
    config = {key: value for key, value in config.items() if key not in ("rope_parameters", "dtype")} | {"rope": dict(config.get("rope_parameters") or {})}
    rope = config.pop("rope")
    # Its key of before 4.43, when there was no Gemma 3.
    kind = "rope_type" if "full_attention" in rope else "type"
    if "full_attention" in rope:
        config["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"]
        rope = dict(rope["full_attention"])
    neox = config["model_type"] == "gpt_neox"
    for new, old in (("rope_theta", "rotary_emb_base" if neox else "rope_theta"), ("partial_rotary_factor", "rotary_pct" if neox else "partial_rotary_factor")):
        if new in rope:
            config[old] = rope.pop(new)
    if rope.get("rope_type", "default") != "default":
        config["rope_scaling"] = {kind: rope.pop("rope_type"), **rope}
    return config


def attribute(module, *names):
    for name in names:
        found = module
        for part in name.split("."):
            found = getattr(found, part, None)
        if found is not None:
            return found
    return None


def evaluate(model, ids, parallel):
    """Everything that is compared, of one prompt; states from hooks."""
    layers, handles = [], []
    n = ids.shape[1]
    rows = lambda tensor: tensor.reshape(n, -1).flatten().tolist()  # noqa: E731
    for module in attribute(model, "model.layers", "model.decoder.layers", "transformer.h", "gpt_neox.layers"):
        layer = {}
        layers.append(layer)
        handles.append(module.register_forward_pre_hook(lambda _, args, kwargs, layer=layer: layer.update(pre=rows(args[0] if args else kwargs["hidden_states"])), with_kwargs=True))
        handles.append(module.register_forward_hook(lambda _, __, out, layer=layer: layer.update(post=rows(out[0] if isinstance(out, tuple) else out))))
        down = attribute(module, "mlp.down_proj", "mlp.c_proj", "mlp.fc_out", "mlp.dense_4h_to_h", "fc2", "mlp.fc2")
        handles.append(down.register_forward_pre_hook(lambda _, args, layer=layer: layer.update(neurons=rows(args[0]))))
        if not parallel:
            # Norms behind blocks (OLMo 2) leave nothing but the FFN itself to read the state from.
            before = attribute(module, "mlp") if model.config.model_type == "olmo2" else attribute(module, "pre_feedforward_layernorm", "post_attention_layernorm", "ln_2", "final_layer_norm")
            handles.append(before.register_forward_pre_hook(lambda _, args, layer=layer: layer.update(mid=rows(args[0]))))
    eager = model.config._attn_implementation == "eager"
    with torch.no_grad():
        out = model(ids, use_cache=False, output_attentions=eager)
    for handle in handles:
        handle.remove()
    for layer, attention in zip(layers, out.attentions or [] if eager else []):
        if attention is not None:
            layer["attention"] = attention[0].flatten().tolist()
    return dict(ids=ids[0].tolist(), logits=rows(out.logits), layers=layers)


def is_parallel(family, settings):
    return family in ("gptj", "phi", "cohere") or settings.get("use_parallel_residual", False) or (family == "falcon" and settings["parallel_attn"])


def check(family, seed, folder):
    """Worst difference of each kind; None where transformers cannot build or read the model."""
    draw = Draw(f"{family} {seed}")
    settings = FAMILIES[family](draw)
    version = draw.choice([4, 5])
    stored = draw.choice([torch.float32, torch.float16, torch.bfloat16])
    # Falcon's "eager" attention adds ALiBi twice.
    implementation = "sdpa" if settings.get("alibi") else "eager"
    torch.manual_seed(draw.randrange(2**31))
    try:
        config = CONFIG_MAPPING[family](**settings)
        model = AutoModelForCausalLM.from_config(config, attn_implementation=implementation).float().eval()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                norm = parameter.dim() < 2 and not name.endswith("bias")
                spread = 0.3 if parameter.dim() < 2 else 1.2 / parameter.shape[-1] ** 0.5
                parameter.normal_(1.0 if norm and "gemma" not in family else 0.0, spread)
        model.to(stored).save_pretrained(folder, max_shard_size=draw.choice(["12KB", "5GB"]))
        path = folder / "config.json"
        if version == 4:
            path.write_text(json.dumps(as_version_4(json.loads(path.read_text()))))
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation=implementation).eval()
        runs = [evaluate(model, torch.randint(3, settings["vocab_size"], (1, n)), is_parallel(family, settings)) for n in LENGTHS]
    except Exception as error:  # noqa: BLE001
        return settings, f"skipped: {error!r}"[:160]
    reference = folder / "reference.json"
    reference.write_text(json.dumps(runs))
    out = subprocess.run(["node", "-e", OURS, str(ROOT / "dist/index.js"), str(folder), str(reference)], capture_output=True, text=True, check=True)
    return settings, json.loads(out.stdout)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("families", nargs="*")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--variants", type=int, default=4)
    options = parser.parse_args()
    failed = 0
    for family in options.families or FAMILIES:
        worst, checked = 0.0, 0
        for variant in range(options.variants):
            folder = Path(tempfile.mkdtemp(prefix="families-"))
            try:
                settings, found = check(family, options.seed * 1000 + variant, folder)
            finally:
                shutil.rmtree(folder)
            if isinstance(found, str):
                print(f"{family} {variant}: {found}")
                continue
            checked += 1
            worst = max(worst, *found.values())
            if not max(found.values()) < MOST:
                failed += 1
                print(f"{family} {variant}: {found} {settings}")
        print(f"{family}: {checked} models, largest difference {worst:.1e}", flush=True)
    raise SystemExit(failed > 0)


main()
