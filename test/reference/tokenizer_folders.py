"""Token ids of folders in the hub's layout, by transformers' AutoTokenizer.

python tokenizer_folders.py CASES_FOLDER out.json    (transformers 5.24.0, then 4.57.x: each adds its values to the file)

"pairs": folders of vocab.json and merges.txt with the files that may lie beside them. "ends": what add_bos_token and add_eos_token
of a tokenizer_config.json do beside a tokenizer.json, by class: B before the text, E behind it. CASES_FOLDER is a folder with a vocab.json
and a merges.txt of GPT-2's kind.
"""
import itertools
import json
import os
import pathlib
import sys
import tempfile

os.environ["TRANSFORMERS_VERBOSITY"] = "critical"
import transformers  # noqa: E402
from transformers import AutoTokenizer  # noqa: E402

source, target = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
out = json.loads(target.read_text()) if target.exists() else {}
version = transformers.__version__
TEXTS = ["<|user|> Hi", "a [SEP] b", " a<|endoftext|>b</s> <s>x", "\n Hi", "<mask>\u00e9 <|user|>[SEP]", "xyz<|extra|> Hi"]
vocab, merges = json.loads((source / "vocab.json").read_text()), (source / "merges.txt").read_text()
END = "<|endoftext|>"
GPT2 = {"tokenizer_class": "GPT2Tokenizer", "unk_token": END, "bos_token": END, "eos_token": END}
MASK = {"content": "<mask>", "lstrip": True, "normalized": False, "single_word": False, "rstrip": False}
OPT = {"tokenizer_class": "GPT2Tokenizer", "unk_token": "</s>", "bos_token": "</s>", "eos_token": "</s>", "pad_token": "<pad>", "add_bos_token": True, "add_prefix_space": False, "errors": "replace"}
config, added, special = "tokenizer_config.json", "added_tokens.json", "special_tokens_map.json"
PAIRS = {
    "nothing beside": ({}, "gpt2"),
    "nothing beside, gpt_neo": ({}, "gpt_neo"),
    "OPT": ({config: OPT}, "opt"),
    "BOS": ({config: {**GPT2, "add_bos_token": True}}, "gpt2"),
    "added": ({added: {"<|user|>": 300, "[SEP]": 301}}, "gpt2"),
    "added, out of order": ({config: GPT2, added: {"[SEP]": 301, "<|user|>": 300}}, "gpt2"),
    "added, with holes": ({config: GPT2, added: {"[SEP]": 400, "<|user|>": 350}}, "gpt2"),
    "special": ({config: GPT2, special: {"additional_special_tokens": ["<|user|>"], "pad_token": "[SEP]", "mask_token": MASK}}, "gpt2"),
    "added and special": ({config: GPT2, added: {"[SEP]": 301, "<|user|>": 300}, special: {"additional_special_tokens": ["<|extra|>", "<|user|>"], "pad_token": "[SEP]"}}, "gpt2"),
    "decoder": ({config: {**GPT2, "added_tokens_decoder": {"300": {"content": "<|user|>", "special": True, "rstrip": True}, "301": {"content": "[SEP]", "special": False, "normalized": True}}}}, "gpt2"),
    "decoder, and older files": ({config: {**GPT2, "added_tokens_decoder": {"300": {"content": "<|user|>", "special": True, "rstrip": True}}}, added: {"[SEP]": 301}, special: {"additional_special_tokens": ["<|extra|>"]}}, "gpt2"),
    "a word alone": ({config: {**GPT2, "added_tokens_decoder": {"300": {"content": "Hi", "special": False, "single_word": True}, "301": {"content": "b", "special": False, "lstrip": True}}}}, "gpt2"),
    "prefix": ({config: {**GPT2, "add_prefix_space": True}}, "gpt2"),
    "prefix and decoder": ({config: {**GPT2, "add_prefix_space": True, "added_tokens_decoder": {"300": {"content": "<|user|>"}}}}, "gpt2"),
}
if version.startswith("5."):
    out.update({"texts": TEXTS, "vocab": vocab, "merges": merges, "pairs": {}})
    for name, (files, model_type) in PAIRS.items():
        with tempfile.TemporaryDirectory() as folder:
            everything = {"vocab.json": vocab, "config.json": {"model_type": model_type}, **files}
            for file, value in everything.items():
                (pathlib.Path(folder) / file).write_text(json.dumps(value))
            (pathlib.Path(folder) / "merges.txt").write_text(merges)
            tokenizer = AutoTokenizer.from_pretrained(folder)
            out["pairs"][name] = {"files": files, "model_type": model_type, "ids": [tokenizer(text)["input_ids"] for text in TEXTS]}

SPECIAL = [{"id": i, "content": c, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True} for i, c in enumerate(["<s>", "</s>", "<unk>"])]
MODEL = {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": False, "ignore_merges": False, "vocab": {"<s>": 0, "</s>": 1, "<unk>": 2, "a": 3}, "merges": []}


def post(bos, eos):
    text = lambda t: [{"SpecialToken": {"id": t, "type_id": 0}}]  # noqa: E731
    sequence = [{"Sequence": {"id": "A", "type_id": 0}}]
    return {"type": "TemplateProcessing", "single": text("<s>") * bos + sequence + text("</s>") * eos, "pair": sequence + [{"Sequence": {"id": "B", "type_id": 1}}], "special_tokens": {t: {"id": t, "ids": [i], "tokens": [t]} for t, i in (("<s>", 0), ("</s>", 1))}}


ends = out.setdefault("ends", [])
known = {(e["class"], e["file"], e["add_bos_token"], e["add_eos_token"]): e for e in ends}
for name in ["LlamaTokenizer", "LlamaTokenizerFast", "GemmaTokenizer", "GemmaTokenizerFast", "PreTrainedTokenizerFast", "GPT2Tokenizer", "Qwen2Tokenizer", "CohereTokenizer", "BloomTokenizerFast", None]:
    for file, bos, eos in itertools.product(["Bx", "xE", "x"], [None, True, False], [None, True, False]):
        with tempfile.TemporaryDirectory() as folder:
            settings = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", **({"tokenizer_class": name} if name else {})}
            settings.update({key: value for key, value in (("add_bos_token", bos), ("add_eos_token", eos)) if value is not None})
            whole = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": SPECIAL, "normalizer": None, "pre_tokenizer": None, "post_processor": post("B" in file, "E" in file) if file != "x" else None, "decoder": None, "model": MODEL}
            for path, value in {"tokenizer.json": whole, config: settings, "config.json": {"model_type": "llama"}}.items():
                (pathlib.Path(folder) / path).write_text(json.dumps(value))
            ids = AutoTokenizer.from_pretrained(folder)("a")["input_ids"]
            entry = known.setdefault((name, file, bos, eos), {"class": name, "file": file, "add_bos_token": bos, "add_eos_token": eos})
            entry[version.rsplit(".", 1)[0]] = "B" * (ids[:1] == [0]) + "x" + "E" * (ids[-1:] == [1])
out["ends"] = list(known.values())
target.write_text("{\n" + ",\n".join(f"{json.dumps(key)}: " + ("[\n" + ",\n".join(json.dumps(e) for e in value) + "\n]" if key == "ends" else json.dumps(value)) for key, value in out.items()) + "\n}\n")
