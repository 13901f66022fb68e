"""Logits under interventions, made by transformers with hooks: reference for test/runtime/interventions-reference.test.ts.

    python test/reference/make_interventions.py [NAME ...]

writes test/reference/interventions.json.gz: for every model of test/reference/families the first logits of the last token
under each intervention of `cases`, as this library spells them. What a block writes and reads is hooked at its output
matrix (its input is what heads or neurons give it, its output what the block writes before a norm behind it), attention
weights at the softmax that the model calls, states at the layers. Versions used are written into the file.
"""

import gzip
import json
import pathlib
import sys

import torch
import transformers
from transformers import AutoModelForCausalLM

HERE = pathlib.Path(__file__).parent
FAMILIES = HERE / "families"
T, SHOWN = 7, 20
PATHS = {"layers": ["model.layers", "transformer.h", "transformer.blocks", "gpt_neox.layers", "model.decoder.layers"],
         "attn": ["self_attn.o_proj", "self_attn.out_proj", "self_attn.dense", "attention.dense", "self_attention.dense", "attn.attention.out_proj", "attn.out_proj", "attn.c_proj"],
         "ffn": ["mlp.down_proj", "mlp.dense_4h_to_h", "mlp.fc_out", "mlp.fc2", "mlp.c_proj", "ffn.down_proj", "fc2"]}


def find(root, paths):
    for path in paths:
        module = root
        for part in path.split("."):
            module = getattr(module, part, None)
            if module is None:
                break
        if module is not None:
            return module
    raise LookupError(f"{type(root).__name__} has none of {paths}")


def scaled(factor):
    return lambda module, args, output: output * factor


class Model:
    """A model whose places can be read and written: `run(ids, edits)` with edits {(layer, place): tensor → tensor}."""

    def __init__(self, folder):
        name = folder.name
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa" if name.startswith("falcon") else "eager").eval()
        config = self.model.config
        self.layers = find(self.model, PATHS["layers"])
        self.n_heads = config.num_attention_heads
        self.parallel = name in PARALLEL
        self.edits, self.seen, self.layer = {}, {}, None
        for index, layer in enumerate(self.layers):
            attn, ffn = find(layer, PATHS["attn"]), find(layer, PATHS["ffn"])
            behind = getattr(layer, "post_attention_layernorm", None) if name.startswith(("gemma2", "gemma3", "olmo2", "olmo3", "exaone4")) else getattr(layer, "post_self_attn_layernorm", None)
            layer.register_forward_pre_hook(self.before(index), with_kwargs=True)
            layer.register_forward_hook(self.after(index, "post"))
            attn.register_forward_pre_hook(self.reading(index, "mix"))
            attn.register_forward_hook(self.after(index, "attn_raw"))
            factor = getattr(layer, "residual_multiplier", 1.0)
            if factor != 1.0:
                # Granite scales what a block writes where it adds it: here, so that there is a place behind it.
                layer.residual_multiplier = 1.0
                attn.register_forward_hook(scaled(factor))
            (behind or attn).register_forward_hook(self.after(index, "attn_out"))
            behind_ffn = getattr(layer, "post_feedforward_layernorm", getattr(layer, "post_mlp_layernorm", None))
            ffn.register_forward_pre_hook(self.reading(index, "ffn_post"))
            ffn.register_forward_hook(self.after(index, "ffn_raw"))
            if factor != 1.0:
                ffn.register_forward_hook(scaled(factor))
            (behind_ffn or ffn).register_forward_hook(self.after(index, "ffn_out"))

    def at(self, layer, place, value):
        shape = value.shape
        edit = self.edits.get((layer, place))
        if edit:
            value = edit(value.reshape(-1, shape[-1]) if place not in ("scores", "weights") else value).reshape(shape)
        self.seen[layer, place] = (value.reshape(-1, shape[-1]) if place not in ("scores", "weights") else value).detach().clone()
        return value

    def before(self, index):
        def hook(module, args, kwargs):
            self.layer = index
            if args:
                return (self.at(index, "pre", args[0]),) + args[1:], kwargs
            return args, {**kwargs, "hidden_states": self.at(index, "pre", kwargs["hidden_states"])}
        return hook

    def reading(self, index, place):
        return lambda module, args: (self.at(index, place, args[0]),) + args[1:]

    def after(self, index, place):
        def hook(module, args, output):
            return (self.at(index, place, output[0]),) + output[1:] if isinstance(output, tuple) else self.at(index, place, output)
        return hook

    @torch.no_grad()
    def run(self, ids, edits={}):
        self.edits, self.seen = edits, {}
        functional = torch.nn.functional
        softmax, sdpa = functional.softmax, functional.scaled_dot_product_attention

        def own_softmax(scores, dim=-1, dtype=None, **rest):
            if scores.dim() != 4:
                return softmax(scores, dim=dim, dtype=dtype, **rest)
            return self.at(self.layer, "weights", softmax(self.at(self.layer, "scores", scores), dim=dim, dtype=dtype, **rest))

        def own_sdpa(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False):
            group = query.shape[1] // key.shape[1]
            key, value = key.repeat_interleave(group, 1), value.repeat_interleave(group, 1)
            scores = query @ key.transpose(-1, -2) * (query.shape[-1] ** -0.5 if scale is None else scale)
            if attn_mask is not None and attn_mask.dtype == torch.bool:
                scores = scores.masked_fill(~attn_mask, float("-inf"))
            elif attn_mask is not None:
                scores = scores + attn_mask
            if is_causal:
                scores = scores.masked_fill(torch.ones(scores.shape[-2:]).triu(1).bool(), float("-inf"))
            return own_softmax(scores) @ value

        functional.softmax, functional.scaled_dot_product_attention = own_softmax, own_sdpa
        try:
            logits = self.model(torch.tensor([ids]), use_cache=False).logits[0]
        finally:
            functional.softmax, functional.scaled_dot_product_attention = softmax, sdpa
        return logits, self.seen


PARALLEL = set()


def is_parallel(folder):
    config = json.loads((folder / "config.json").read_text())
    kind = config["model_type"]
    if kind in ("gptj", "phi", "cohere", "cohere2"):
        return True
    if kind in ("gpt_neox", "stablelm"):
        return config.get("use_parallel_residual", kind == "gpt_neox")
    return kind == "falcon" and (config.get("parallel_attn", True) or config.get("new_decoder_architecture", False))


def compose(*functions):
    def all_of(x):
        for f in functions:
            x = f(x)
        return x
    return all_of


def put(x, rows, columns, value):
    x = x.clone()
    x[rows, columns] = value
    return x


class Cases:
    """Every intervention as edits of a Model, and as the library spells it. A target's place and columns, first."""

    def __init__(self, model, ids, other, third):
        self.model, self.ids, self.runs = model, ids, {"other": other, "third": third}
        self.d_head = model.run(ids)[1][0, "mix"].shape[-1] // model.n_heads
        self.seen = {name: model.run(own)[1] for name, own in self.runs.items()}

    def place(self, target):
        if isinstance(target, str):
            kind, (layer, position) = target[0], map(int, target[1:].split("_"))
            name = {"X": "pre", "I": "post", "A": "mid"}[kind]
            return layer, name, [position], slice(None)
        rows = [target["position"]] if "position" in target else list(range(T))
        if target["kind"] == "attention":
            if "head" not in target:
                return target["layer"], "attn_raw", rows, slice(None)
            return target["layer"], "mix", rows, slice(target["head"] * self.d_head, (target["head"] + 1) * self.d_head)
        if "neuron" not in target:
            return target["layer"], "ffn_raw", rows, slice(None)
        return target["layer"], "ffn_post", rows, slice(target["neuron"], target["neuron"] + 1)

    def value(self, name, layer, place):
        if place == "mid":
            return self.seen[name][layer, "pre"] + self.seen[name][layer, "attn_out"]
        return self.seen[name][layer, place]

    def term(self, name, layer, keep):
        """head_mix of a run in which only the weights of `keep` [H, T, T] are left."""
        return self.model.run(self.runs[name], {(layer, "weights"): lambda a: a * keep})[1][layer, "mix"]

    def edits(self, change):
        if "keep" in change:
            return self.keep(change)
        target, do = change["target"], change["do"]
        if isinstance(target, dict) and target["kind"] == "edge":
            return self.edge(target, change)
        layer, place, rows, columns = self.place(target)
        if do == "zero":
            new = lambda x: put(x, rows, columns, 0)
        elif do == "scale":
            new = lambda x: put(x, rows, columns, x[rows, columns] * change["by"])
        elif do == "add":
            new = lambda x: put(x, rows, columns, x[rows, columns] + torch.tensor(change["vector"]) * change.get("by", 1))
        elif do == "mean":
            mean = torch.cat([self.value(name, layer, place) for name in change["of"]]).mean(0)[columns]
            new = lambda x: put(x, rows, columns, mean)
        else:
            there = self.value(change["from"], layer, place)
            source = [change["position"]] * len(rows) if "position" in change else rows
            new = lambda x: put(x, rows, columns, there[source, columns])
        if place != "mid":
            return [((layer, place), new)]
        # The state after attention is the layer's input and what is added to it.
        held = {}
        return [((layer, "pre"), lambda x: self.hold(held, x)),
                ((layer, "attn_out"), lambda a: put(a, rows, columns, (new(held["x"] + a) - held["x"])[rows]))]

    @staticmethod
    def hold(held, x):
        held["x"] = x.clone()
        return x

    def edge(self, target, change):
        layer, q, k, do = target["layer"], target["query"], target["key"], change["do"]
        heads = [target["head"]] if "head" in target else list(range(self.model.n_heads))
        def weight(by):
            def scaled(a):
                a = a.clone()
                a[:, heads, q, k] *= by
                return a
            return scaled
        if do == "zero":
            return [((layer, "weights"), weight(0))]
        if do == "scale":
            return [((layer, "weights"), weight(change["by"]))]
        if do == "block":
            def blocked(scores):
                scores = scores.clone()
                scores[:, heads, q, k] = float("-inf")
                return scores
            return [((layer, "scores"), blocked)]
        if do == "patch":
            keep = torch.zeros(self.model.n_heads, T, T)
            keep[heads, q, k] = 1
            added = self.term(change["from"], layer, keep)[q]
        else:
            seen = torch.cat([self.seen[name][layer, "weights"][0] for name in change["of"]])
            pairs = sum(int((self.seen[name][layer, "weights"][0, 0] > 0).sum()) for name in change["of"])
            mean = sum(self.seen[name][layer, "mix"].sum(0) for name in change["of"]) / pairs
            added = torch.zeros_like(mean)
            for head in heads:
                own = slice(head * self.d_head, (head + 1) * self.d_head)
                added[own] = mean[own]
        return [((layer, "weights"), weight(0)), ((layer, "mix"), lambda x: put(x, [q], slice(None), x[q] + added))]

    def keep(self, change):
        edits = []
        for layer in range(len(self.model.layers)):
            terms, blocks = kept(layer, self.model.n_heads)
            gone = self.term("other", layer, 1 - terms) if change["others"] == "patch" else 0
            edits += [((layer, "weights"), lambda a, terms=terms: a * terms), ((layer, "mix"), lambda x, gone=gone: x + gone)]
            there = self.seen["other"][layer, "ffn_raw"] if change["others"] == "patch" else torch.zeros_like(self.seen["other"][layer, "ffn_raw"])
            edits.append(((layer, "ffn_raw"), lambda x, blocks=blocks, there=there: torch.where(blocks[:, None] > 0, x, there)))
        return edits

    def path(self, change):
        """Readers' outputs, recorded where their input is the stream and what the sender would add, are put in their place."""
        base = self.model.run(self.ids)[1]
        sender = {key: value for key, value in change.items() if key != "into"}
        changed = self.model.run(self.ids, merged(self.edits(sender)))[1]
        layer, place, *_ = self.place(change["target"])
        added = "ffn_out" if place.startswith("ffn") else "attn_out"
        delta = changed[layer, added] - base[layer, added]
        edits = []
        for reader in change["into"] if isinstance(change["into"], list) else [change["into"]]:
            own, where, rows, columns = self.place(reader)
            behind = where.startswith("ffn") and not self.model.parallel
            entry = [((own, "attn_out" if behind else "pre"), lambda x: x + delta)]
            read = self.model.run(self.ids, merged(edits + entry))[1][own, where]
            edits = edits + [((own, where), lambda x, read=read, rows=rows, columns=columns: put(x, rows, columns, read[rows, columns]))]
        return edits


def kept(layer, heads):
    h, q, k = torch.meshgrid(torch.arange(heads), torch.arange(T), torch.arange(T), indexing="ij")
    return ((h + 2 * q + k + layer) % 3 != 0).float(), ((layer + torch.arange(T)) % 2 == 0).float()


def merged(edits):
    out = {}
    for key, edit in edits:
        out[key] = compose(out[key], edit) if key in out else edit
    return out


def cases(d, heads, parallel):
    vector = [round(((i * 7) % 11 - 5) / 5, 2) for i in range(d)]
    head = lambda layer, h, **at: {"kind": "attention", "layer": layer, "head": h, **at}
    attention = lambda layer, **at: {"kind": "attention", "layer": layer, **at}
    ffn = lambda layer, **at: {"kind": "ffn", "layer": layer, **at}
    edge = lambda layer, q, k, **at: {"kind": "edge", "layer": layer, "query": q, "key": k, **at}
    one = [
        {"target": head(0, 1), "do": "zero"},
        {"target": head(1, 0, position=5), "do": "scale", "by": -0.5},
        {"target": attention(0), "do": "zero"},
        {"target": attention(1), "do": "mean", "of": ["other", "third"]},
        {"target": ffn(0, position=3), "do": "patch", "from": "other"},
        {"target": ffn(1), "do": "zero"},
        {"target": ffn(0), "do": "scale", "by": 2},
        {"target": ffn(1, neuron=7), "do": "zero"},
        {"target": ffn(0, neuron=3), "do": "mean", "of": ["other", "third"]},
        {"target": head(0, heads - 1, position=4), "do": "patch", "from": "other", "position": 2},
        {"target": head(0, 0), "do": "mean", "of": ["third"]},
        {"target": edge(0, 6, 2), "do": "zero"},
        {"target": edge(1, 6, 3, head=1), "do": "scale", "by": 3},
        {"target": edge(0, 6, 6), "do": "block"},
        {"target": edge(1, 6, 4, head=0), "do": "block"},
        {"target": edge(0, 6, 4), "do": "patch", "from": "other"},
        {"target": edge(1, 6, 5, head=heads - 1), "do": "patch", "from": "other"},
        {"target": edge(0, 5, 5), "do": "mean", "of": ["other", "third"]},
        {"target": "I0_4", "do": "add", "vector": vector, "by": 1.5},
        {"target": "X0_2", "do": "zero"},
        {"target": "I0_5", "do": "patch", "from": "other", "position": 1},
        {"target": "I0_6", "do": "mean", "of": ["other", "third"]},
    ]
    if not parallel:
        one += [{"target": "A0_3", "do": "patch", "from": "other"}, {"target": "A1_6", "do": "scale", "by": 0.5}, {"target": "A0_6", "do": "add", "vector": vector}]
    several = [one[0], one[11], one[12], one[7], one[18], one[4]]
    lists = [[change] for change in one] + [several, [{"keep": "rule", "others": "zero"}], [{"keep": "rule", "others": "patch", "of": "other"}]]
    lists += [
        [{"target": head(0, 1), "do": "zero", "into": head(1, 0)}],
        [{"target": ffn(0), "do": "patch", "from": "other", "into": [attention(1), ffn(1, position=6)]}],
        [{"target": attention(0, position=3), "do": "zero", "into": head(1, heads - 1, position=6)}],
    ]
    if not parallel:
        lists.append([{"target": head(0, 0), "do": "mean", "of": ["other"], "into": ffn(0)}])
    return lists


def main():
    names = sys.argv[1:] or sorted(folder.name for folder in FAMILIES.iterdir() if (folder / "reference.json").exists())
    out = {}
    for name in names:
        folder = FAMILIES / name
        if is_parallel(folder):
            PARALLEL.add(name)
        ids = json.loads((folder / "reference.json").read_text())["token_ids"]
        model = Model(folder)
        own = Cases(model, ids[:T], ids[T : 2 * T], ids[2 * T : 3 * T])
        plain = model.run(ids[:T])[0]
        width = model.run(ids[:T])[1][0, "pre"].shape[-1]
        family = []
        for changes in cases(width, model.n_heads, model.parallel):
            edits = []
            for change in changes:
                edits += own.path(change) if "into" in change else own.edits(change)
            logits = model.run(ids[:T], merged(edits))[0]
            family.append({"changes": changes, "logits": [float(f"{x:.7g}") for x in logits[-1, :SHOWN].tolist()]})
        assert torch.allclose(model.run(ids[:T])[0], plain)
        out[name] = {"cases": family}
        print(name, len(family), "parallel" if model.parallel else "", max(abs(a - b) for c in family for a, b in zip(c["logits"], plain[-1].tolist())))
    lines = ",\n".join(f"{json.dumps(name)}:{json.dumps(value, separators=(',', ':'))}" for name, value in out.items())
    made_by = json.dumps({"transformers": transformers.__version__, "torch": torch.__version__})
    text = f'{{"made_by":{made_by},"tokens":{T},"families":{{\n{lines}\n}}}}\n'
    (HERE / "interventions.json.gz").write_bytes(gzip.compress(text.encode(), mtime=0))


main()
