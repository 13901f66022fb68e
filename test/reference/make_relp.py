"""RelP (arXiv 2508.21258) by autograd, on the tiny models of test/reference/families and on SmolLM2: reference for test/runtime/relp.test.ts.

    python test/reference/make_relp.py [path/to/SmolLM2-135M-Instruct.Q4_1.gguf]

writes test/reference/relp.json and, with the file, test/model-real/relp.json. The models are transformers' own; the rules are hooks:

- norms: y = (x - mean) * scale, with what multiplies detached (LN rule);
- attention patterns: the softmax gives a leaf, so nothing flows to queries and keys (AH rule), and its gradient times itself is the terms;
- activations: act(x) = x * (act(x) / x), the ratio detached (identity rule);
- gated FFNs: half of the product is detached, so that each factor gets one half (half rule);
- what comes behind the unembedding (scale, soft cap): the factor that it is at this logit, detached.

Value biases are inside the terms and heads. Everything is float64. Versions used: torch 2.13.0, transformers 5.24.0.
"""

import json
import pathlib
import sys

import torch
import transformers
from transformers import AutoModelForCausalLM

HERE = pathlib.Path(__file__).parent
NAMES = (
    "arcee bloom cohere cohere-norms cohere2 exaone4 falcon-7b falcon-11b falcon-40b falcon-rw gemma gemma2 gemma3 gemma3-capped glm4 gpt-bigcode gpt-neo gpt-neox gpt-neox-sequential gpt2 gptj granite llama "
    "llama-biased mistral mpt nemotron olmo olmo2 olmo3 opt opt-plain phi phi-gqa-norm phi3 qwen2 qwen3 seed-oss smollm3 stablelm stablelm-norms starcoder2"
).split()
N_TOKENS = 6


def first(module, *names):
    """The first of these submodules that there is."""
    for name in names:
        found = module
        for part in name.split("."):
            found = getattr(found, part, None)
        if found is not None:
            return found
    raise LookupError(f"{type(module).__name__} has none of {names}")


def nonzero(x):
    """Quantised embeddings hold exact zeros; what multiplies them is found beside them."""
    return torch.where(x == 0, -1e-12, x)


def freeze_norm(module):
    centre = isinstance(module, torch.nn.LayerNorm) or "LayerNorm" in type(module).__name__
    original = module.forward

    def forward(x):
        bias = getattr(module, "bias", None)
        bias = 0 if bias is None else bias
        centred = lambda of: of - of.mean(-1, keepdim=True) if centre else of
        with torch.no_grad():
            beside = nonzero(x)
            scale = (original(beside) - bias) / centred(beside)
        return centred(x) * scale + bias

    module.forward = forward


def freeze_activation(module):
    original = module.forward

    def forward(x):
        with torch.no_grad():
            ratio = original(nonzero(x)) / nonzero(x)
        return x * ratio

    module.forward = forward


def relevances(model, ids, token, versus, last_only=False, other=None):
    base = first(model, "transformer", "gpt_neox", "model.decoder", "model")
    blocks = first(base, "h", "layers", "blocks")
    activations = [module for module in model.modules() if "activations" in type(module).__module__ or type(module).__name__ in ("GELU", "SiLU", "ReLU", "BloomGelu", "GELUActivation")]
    for module in activations:
        freeze_activation(module)
    for name, module in model.named_modules():
        # Norms of queries and keys act on the pattern alone.
        if "Norm" in type(module).__name__ and not any(part in name for part in ("q_norm", "k_norm", "q_layernorm", "k_layernorm")):
            freeze_norm(module)
    patterns, embedded, mixed, neurons, written, raw = [], [], [], [], [], []

    def softmax(scores, *args, **kwargs):
        pattern = original_softmax(scores, *args, **kwargs).detach().requires_grad_()
        patterns.append(pattern)
        return pattern

    original_softmax = torch.nn.functional.softmax
    torch.nn.functional.softmax = softmax
    torch.softmax, original_torch = softmax, torch.softmax

    def embed(_, args, kwargs):
        state = (args[0] if args else kwargs["hidden_states"]).detach().requires_grad_()
        embedded.append(state)
        return ((state, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": state})

    def keep(store, half=False):
        def hook(_, args):
            x = args[0]
            x = 0.5 * x + 0.5 * x.detach() if half else x * 1
            x.retain_grad()
            store.append(x)
            return (x, *args[1:])

        return hook

    def out(store):
        def hook(_, args, result):
            kept = result * 1
            kept.retain_grad()
            store.append(kept)
            # Falcon adds attention's output in place.
            return kept * 1

        return hook

    hooks = [blocks[0].register_forward_pre_hook(embed, with_kwargs=True)]
    for block in blocks:
        attention = first(block, "attn.attention", "attn", "self_attention", "attention", "self_attn")
        mlp = block if hasattr(block, "fc2") else first(block, "mlp", "ffn")
        project = first(attention, "o_proj", "out_proj", "c_proj", "dense")
        down = first(mlp, "down_proj", "fc2", "dense_4h_to_h", "c_proj", "fc_out")
        gated = hasattr(mlp, "gate_proj") or hasattr(mlp, "gate_up_proj")
        hooks += [project.register_forward_pre_hook(keep(mixed)), down.register_forward_pre_hook(keep(neurons, gated))]
        post = getattr(block, "post_feedforward_layernorm", getattr(block, "post_mlp_layernorm", None))
        hooks.append((post or down).register_forward_hook(out(written)))
    hooks.append(model.get_output_embeddings().register_forward_hook(lambda _, args, result: raw.append(result)))
    logits = model(torch.tensor([ids]), use_cache=False).logits[0, -1]
    if other:
        model(torch.tensor([other]), use_cache=False)
    torch.nn.functional.softmax, torch.softmax = original_softmax, original_torch
    for hook in hooks:
        hook.remove()
    L = len(blocks)
    assert len(patterns) == len(written) == (2 * L if other else L), (len(patterns), L, len(written))
    there = {"embedded": embedded[1:], "written": written[L:], "mixed": mixed[L:]}
    del patterns[L:], embedded[1:], written[L:], mixed[L:], neurons[L:]
    before = raw[0].reshape(-1, logits.shape[0])[-1]
    at = lambda i: before[i] * (logits[i] / before[i]).detach()
    metric = at(token) - at(versus)
    metric.backward()
    heads, T = patterns[0].shape[-3], len(ids)
    share = lambda x: (x * x.grad).reshape(T, -1).sum(-1)
    rounded = lambda x: [float(f"{v:.6g}") for v in x.flatten().tolist()]
    lower = torch.tril_indices(T, T)
    by_head = lambda x: (x * x.grad).reshape(T, heads, -1).sum(-1)
    values = {
        "logit": float((logits[token] - logits[versus]).detach()),
        "tokens": rounded(share(embedded[0])),
        "ffn": [rounded(share(x)) for x in written],
        # [T, H], or of the last position
        "heads": [rounded(by_head(x)[-1:] if last_only else by_head(x)) for x in mixed],
        # [f] of the last position
        "neurons": [rounded((x * x.grad).reshape(T, -1)[-1]) for x in neurons],
    }
    if other:
        # Each part less what it is in the other prompt, along the same coefficients.
        beyond = lambda x, y: ((x - y) * x.grad).reshape(T, -1)
        values["beyond"] = {
            "tokens": rounded(beyond(embedded[0], there["embedded"][0]).sum(-1)),
            "ffn": [rounded(beyond(*pair).sum(-1)) for pair in zip(written, there["written"])],
        }
        # Behind a norm of its own, what a head wrote there depends on that norm there.
        if not any(hasattr(block, "post_feedforward_layernorm") or hasattr(block, "post_mlp_layernorm") for block in blocks):
            values["beyond"]["heads"] = [rounded(beyond(*pair).reshape(T, heads, -1).sum(-1)) for pair in zip(mixed, there["mixed"])]
    if not last_only:
        # [H, pairs of query and key up to the query]
        values["terms"] = [rounded((x * x.grad).reshape(heads, T, T)[:, lower[0], lower[1]]) for x in patterns]
    return values


def tiny(name):
    folder = HERE / "families" / name
    # Falcon's "eager" attention adds ALiBi twice; only its way without the fused kernel has a softmax.
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager").eval()
    reference = json.loads((folder / "reference.json").read_text())
    ids = reference["token_ids"][:N_TOKENS]
    plain = model(torch.tensor([ids])).logits[0]
    off = (plain - torch.tensor(reference["logits"], dtype=torch.float64)[:N_TOKENS]).abs().max()
    if off > 1e-4:
        print(f"{name}: left out, eager attention is off by {off:.1e}")
        return None
    order = plain[-1].argsort(descending=True)
    token, versus = int(order[0]), int(order[7])
    other = reference["token_ids"][N_TOKENS : 2 * N_TOKENS]
    return dict(ids=ids, other=other, token=token, versus=versus, **relevances(model, ids, token, versus, other=other))


def main(file=None):
    transformers.logging.set_verbosity_error()
    made = {name: values for name in NAMES if (values := tiny(name))}
    (HERE / "relp.json").write_text("{\n" + ",\n".join(f"{json.dumps(name)}:{json.dumps(values, separators=(',', ':'))}" for name, values in made.items()) + "\n}\n")
    print(f"{len(made)} families")
    if file is None:
        return
    from transformers import AutoTokenizer

    path = pathlib.Path(file).resolve()
    tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    prompts = []
    for text, token, versus in (("The capital of France is", " Paris", " London"), ("When Mary and John went to the store, John gave a drink to", " Mary", " John")):
        model = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float64, attn_implementation="eager").eval()
        ids, pair = tokenizer(text)["input_ids"], [tokenizer(word)["input_ids"] for word in (token, versus)]
        assert all(len(word) == 1 for word in pair)
        values = relevances(model, ids, pair[0][0], pair[1][0], last_only=True)
        strongest = [sorted(range(len(row)), key=lambda i: -abs(row[i]))[:5] for row in values["neurons"]]
        values["neurons"] = [[[i, row[i]] for i in best] for best, row in zip(strongest, values["neurons"])]
        prompts.append(dict(text=text, ids=ids, token=pair[0][0], versus=pair[1][0], **values))
    (HERE.parent / "model-real" / "relp.json").write_text("[\n" + ",\n".join(json.dumps(prompt, separators=(",", ":")) for prompt in prompts) + "\n]\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
