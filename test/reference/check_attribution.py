"""Checks logits and contributions against transformers in float64, by a derivation of its own from the modules' inputs and outputs.

    python test/reference/check_attribution.py MODEL_FOLDER...      (after `npm run build`; needs torch and transformers)

Prints, for each model and both readings of value biases, the largest absolute difference over all layers, queries, keys and heads. Prompts
are random token ids of a fixed seed. Knows GPT-2, OPT, GPT-NeoX, Phi, and what has `model.layers[i].self_attn.{v,o}_proj` (Llama, Mistral,
Qwen, Gemma, SmolLM3, ...). Formulas: docs/method.md.
"""
import json
import random
import subprocess
import sys
from pathlib import Path

import torch
import transformers
from transformers import AutoModelForCausalLM

ROOT = Path(__file__).resolve().parents[2]
EPSILON = 1e-5
OURS = """
const { loadModel } = require(process.argv[1]);
(async () => {
  const [folder, ids, valueBias] = JSON.parse(process.argv[2]);
  const model = await loadModel(folder);
  const run = await model.run(ids);
  const layers = [];
  for (let layer = 0; layer < model.info.nLayers; layer++) {
    const attention = await run.attentionContributions(layer, { valueBias });
    const ffn = attention.ffn ?? (await run.ffnContributions(layer)).ffn;
    layers.push([[...attention.terms.data], [...attention.residual.data], [...ffn.data]]);
  }
  console.log(JSON.stringify([[...(await run.logits()).data], layers]));
  await model.dispose();
})();
"""


def shares(whole, parts):
    """Contributions of `parts`, each [n, d], to `whole` [d]; they sum to 1."""
    raw = [(whole.abs().sum() - (part - whole).abs().sum(-1)).clamp(min=EPSILON) for part in parts]
    total = sum(part.sum() for part in raw)
    return [part / total for part in raw]


def reference(folder, ids, value_bias):
    """Logits [T, V] and for each layer (terms [T, T, H], residual [T], ffn [T])."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager").eval()
    config, kind = model.config, model.config.model_type
    heads, parallel = config.num_attention_heads, kind in ("gpt_neox", "phi")
    post_norms = kind.startswith("gemma") and kind != "gemma"
    base = {"gpt2": lambda: model.transformer, "gpt_neox": lambda: model.gpt_neox, "opt": lambda: model.model.decoder}.get(kind, lambda: model.model)()
    blocks = base.h if kind == "gpt2" else base.layers
    seen = [{} for _ in blocks]

    def watch(module, layer, name, incoming=False):
        def hook(_, args, kwargs, out):
            seen[layer][name] = (args[0] if args else kwargs["hidden_states"]) if incoming else (out[0] if isinstance(out, tuple) else out)

        module.register_forward_hook(hook, with_kwargs=True)

    for layer, block in enumerate(blocks):
        attention = block.attn if kind == "gpt2" else block.attention if kind == "gpt_neox" else block.self_attn
        watch(block, layer, "pre", incoming=True)
        watch(block, layer, "post")
        watch(attention, layer, "attention")
        watch(block.fc2 if kind == "opt" else block.mlp, layer, "ffn")
        watch({"gpt2": lambda: attention.c_attn, "gpt_neox": lambda: attention.query_key_value}.get(kind, lambda: attention.v_proj)(), layer, "value")
        if post_norms:
            watch(block.post_attention_layernorm, layer, "attention_normed")
            watch(block.post_feedforward_layernorm, layer, "ffn_normed")
    output = model(torch.tensor([ids]), output_attentions=True)
    T, layers = len(ids), []
    for layer, block in enumerate(blocks):
        at, pattern = seen[layer], output.attentions[layer][0]
        attention = block.attn if kind == "gpt2" else block.attention if kind == "gpt_neox" else block.self_attn
        projected = at["value"].reshape(T, -1)
        if kind == "gpt2":
            W_O, bias, value = attention.c_proj.weight.T, attention.c_attn.bias[2 * config.hidden_size :], projected[:, 2 * config.hidden_size :]
        elif kind == "gpt_neox":
            W_O = attention.dense.weight
            per_head = (heads, 3, W_O.shape[1] // heads)
            bias, value = attention.query_key_value.bias.view(per_head)[:, 2].reshape(-1), projected.view(T, *per_head)[:, :, 2].reshape(T, -1)
        else:
            W_O = (attention.dense if kind == "phi" else attention.out_proj if kind == "opt" else attention.o_proj).weight
            bias, value = attention.v_proj.bias, projected
        if bias is not None and value_bias == "output":
            value = value - bias
        d_head = W_O.shape[1] // heads
        value = value.reshape(T, -1, d_head)
        value = value.repeat_interleave(heads // value.shape[1], 1)
        written = torch.einsum("khe,dhe->khd", value, W_O.reshape(-1, heads, d_head))
        pre, attn, ffn, scale = at["pre"][0], at["attention"][0], at["ffn"].reshape(T, -1), torch.ones(T, dtype=torch.float64)
        if post_norms:
            norm = block.post_attention_layernorm
            scale = (attn.pow(2).mean(-1) + norm.eps).rsqrt()
            written = written * (1 + norm.weight)
            attn, ffn = at["attention_normed"][0], at["ffn_normed"].reshape(T, -1)
        mid, post = pre + attn, pre + attn + ffn
        assert (post - at["post"].reshape(T, -1)).abs().max() < 1e-6
        terms, residual, ffn_share = torch.zeros(T, T, heads), torch.zeros(T), torch.zeros(T)
        for q in range(T):
            parts = [(pattern[:, q, : q + 1].T[:, :, None] * written[: q + 1] * scale[q]).reshape(-1, pre.shape[1]), pre[q : q + 1]]
            found = shares(post[q] if parallel else mid[q], parts + ([ffn[q : q + 1]] if parallel else []))
            terms[q, : q + 1], residual[q] = found[0].reshape(q + 1, heads), found[1]
            ffn_share[q] = found[2] if parallel else shares(post[q], [ffn[q : q + 1], mid[q : q + 1]])[0]
        layers.append((terms, residual, ffn_share))
    return output.logits[0], layers


def main(folders):
    transformers.logging.set_verbosity_error()
    torch.set_grad_enabled(False)
    torch.set_default_dtype(torch.float64)
    random.seed(3)
    for folder in folders:
        config = json.loads((Path(folder) / "config.json").read_text())
        for value_bias in ("output", "term"):
            ids = [random.randrange(config["vocab_size"]) for _ in range(11)]
            logits, layers = reference(folder, ids, value_bias)
            answer = subprocess.run(["node", "-e", OURS, str(ROOT), json.dumps([str(Path(folder).resolve()), ids, value_bias])], capture_output=True, text=True, check=True)
            ours_logits, ours_layers = json.loads(answer.stdout)
            off = max((a.flatten() - torch.tensor(b)).abs().max().item() for ours, ref in zip(ours_layers, layers) for a, b in zip(ref, ours))
            print(f"{Path(folder).name} ({config['model_type']}), value bias in {value_bias}: logits {(logits.flatten() - torch.tensor(ours_logits)).abs().max():.1e}, contributions {off:.1e}")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1:])
