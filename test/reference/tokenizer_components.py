"""Token ids of every type of component of a tokenizer.json in its variants, by the tokenizers library.

python tokenizer_components.py out.json    (tokenizers 0.23)

The model spells every byte, and a mark behind each piece: ids show the normalised text and where it was cut.
"""
import base64
import itertools
import json
import random
import struct
import sys

from tokenizers import Tokenizer

TEXTS = [
    "", " ", "a", "Hello, World! it's 12\u00b2 x_y",
    "  two  blanks\tand\n\nlines \u00a0\u2009\u3000end  ",
    "\u00c5ngstr\u00f6m e\u0301 \ufb01 \u1100\u1161\u11a8 \u0130I \u03a3\u03a3 \u039f\u0394\u039f\u03a3 \u01c5",
    "\u4e2d\u6587\u3001\u65e5\u672c \U00020000 \ud55c\u56fd -- (a)[b]{c} $5 \u20ac3 \u00bfque?",
    "\u0661\u0662 \u2163 \u2460 1,000 a\u200db \u200b\ufeff\x00\x85 \x1f",
    "\U0001f600\U0001f468\u200d\U0001f469 <s>a</s> <tok>x<tok> word keyword a word. \u2581\u2581x",
    "ab-cd--ef...g  --  h",
]
rng = random.Random(7)
POOL = list("aAbBsz01.,-_'\u2019 \t\n\u00a0\u2581\u00e9\u0301\u03a3\u00df\u4e2d\u0661\u00b2\U0001f600\u200d!()[]") + ["<s>", "<tok>", "word", "  ", "'s", "ab"]
TEXTS += ["".join(rng.choice(POOL) for _ in range(rng.randrange(1, 24))) for _ in range(24)]

BYTES = {f"<0x{i:02X}>": i for i in range(256)}
MODEL = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": "</w>", "fuse_unk": False, "byte_fallback": True, "ignore_merges": False, "vocab": BYTES, "merges": []}


def added(content, **flags):
    return {"id": 0, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False, **flags}


def file(**parts):
    whole = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None, "pre_tokenizer": None, "post_processor": None, "decoder": None, "model": MODEL}
    whole.update(parts)
    n = len(whole["model"]["vocab"])
    for i, token in enumerate(whole["added_tokens"]):
        token["id"] = n + i
    return whole


def charsmap(rules):
    """SentencePiece's compiled rules."""
    blob, starts = b"", {}
    for key, value in rules.items():
        starts[key] = len(blob)
        blob += value.encode() + b"\0"
    units, free = [0] * 4096, 256

    def place(node, suffixes):
        nonlocal free
        base = free
        free += 256
        units[node] = (units[node] & 0x800000FF) | ((base ^ node) << 10) | (units[node] & 0x100)
        for first, group in itertools.groupby(sorted(suffixes), key=lambda s: s[0][:1]):
            group = list(group)
            if first == b"":
                units[node] |= 0x100
                units[base] = 0x80000000 | starts[group[0][1]]
                continue
            child = base ^ first[0]
            units[child] = first[0]
            place(child, [(s[1:], k) for s, k in group])

    place(0, [(k.encode(), k) for k in rules])
    trie = struct.pack(f"<{len(units)}I", *units)
    return base64.b64encode(struct.pack("<I", len(trie)) + trie + blob).decode()


CASES = {}
for name in ["NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "ByteLevel"]:
    CASES[f"normalizer {name}"] = file(normalizer={"type": name})
for left, right in itertools.product([True, False], repeat=2):
    CASES[f"normalizer Strip {left} {right}"] = file(normalizer={"type": "Strip", "strip_left": left, "strip_right": right})
CASES["normalizer Prepend"] = file(normalizer={"type": "Prepend", "prepend": "\u2581"})
for pattern, content in [({"String": " "}, "\u2581"), ({"String": "."}, "$&"), ({"Regex": "\\s+"}, " "), ({"Regex": " {2,}"}, "\u2581"), ({"Regex": "(?<=a)b|[[:punct:]]"}, "")]:
    CASES[f"normalizer Replace {pattern} {content}"] = file(normalizer={"type": "Replace", "pattern": pattern, "content": content})
for clean, chinese, accents, lower in itertools.product([True, False], [True, False], [None, True, False], [True, False]):
    CASES[f"normalizer BertNormalizer {clean} {chinese} {accents} {lower}"] = file(normalizer={"type": "BertNormalizer", "clean_text": clean, "handle_chinese_chars": chinese, "strip_accents": accents, "lowercase": lower})
CASES["normalizer Precompiled"] = file(normalizer={"type": "Precompiled", "precompiled_charsmap": charsmap({"\ufb01": "fi", "\u00a0": " ", "\u3000": " ", "e\u0301": "\u00e9", "\u0661": "1"})})
CASES["normalizer Sequence"] = file(normalizer={"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "Lowercase"}, {"type": "Prepend", "prepend": "_"}]})

BEHAVIORS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]
for name in ["BertPreTokenizer", "Whitespace", "WhitespaceSplit"]:
    CASES[f"pre_tokenizer {name}"] = file(pre_tokenizer={"type": name})
for prefix, regex in itertools.product([True, False], repeat=2):
    CASES[f"pre_tokenizer ByteLevel {prefix} {regex}"] = file(pre_tokenizer={"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": regex})
CASES["pre_tokenizer CharDelimiterSplit"] = file(pre_tokenizer={"type": "CharDelimiterSplit", "delimiter": "-"})
for individual in [True, False]:
    CASES[f"pre_tokenizer Digits {individual}"] = file(pre_tokenizer={"type": "Digits", "individual_digits": individual})
CASES["pre_tokenizer FixedLength"] = file(pre_tokenizer={"type": "FixedLength", "length": 3})
for behavior in BEHAVIORS:
    CASES[f"pre_tokenizer Punctuation {behavior}"] = file(pre_tokenizer={"type": "Punctuation", "behavior": behavior})
    for invert in [True, False]:
        for pattern in [{"String": "-"}, {"Regex": "\\p{L}+|\\s"}, {"Regex": "(?=b)"}]:
            CASES[f"pre_tokenizer Split {pattern} {behavior} {invert}"] = file(pre_tokenizer={"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert})
for scheme, split, replacement in itertools.product(["always", "first", "never"], [True, False], ["\u2581", "_"]):
    step = {"type": "Metaspace", "replacement": replacement, "prepend_scheme": scheme, "split": split}
    CASES[f"pre_tokenizer Metaspace {scheme} {split} {replacement}"] = file(pre_tokenizer=step, added_tokens=[added("<s>", special=True)])
    CASES[f"pre_tokenizer Split, Metaspace {scheme} {split} {replacement}"] = file(pre_tokenizer={"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"String": "-"}, "behavior": "Isolated", "invert": False}, step]})
CASES["pre_tokenizer Metaspace of old files"] = file(pre_tokenizer={"type": "Metaspace", "replacement": "\u2581", "add_prefix_space": True})
CASES["pre_tokenizer possessive"] = file(pre_tokenizer={"type": "Split", "pattern": {"Regex": "[^\\r\\n\\p{L}\\p{N}]?+\\p{L}++|\\p{N}{1,3}+| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s++$|\\s*[\\r\\n]|\\s+(?!\\S)|\\s"}, "behavior": "Isolated", "invert": False})

for flags in itertools.product([True, False], repeat=4):
    named = dict(zip(["single_word", "lstrip", "rstrip", "normalized"], flags))
    for normalizer in [None, {"type": "Lowercase"}, {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"}, {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]}]:
        CASES[f"added {named} {normalizer}"] = file(normalizer=normalizer, added_tokens=[added("word", **named), added("<tok>", **named), added("<s>", special=True), added("ab", **named), added("  ", **named)])

LETTERS = {"<unk>": 0, "a": 1, "b": 2, "ab": 3, "\u2581": 4, "\u2581a": 5, "<0x41>": 6, "<0xC3>": 7, "<0xA9>": 8, "bb": 9, " ": 10, "aba": 11, "a</w>": 12, "ba</w>": 13, "b</w>": 14, "<s>": 15}
MERGES = [["a", "b"], ["b", "b"], ["\u2581", "a"], ["ab", "a"]]
for fuse, fallback, whole, unknown in itertools.product([True, False], [True, False], [True, False], ["<unk>", None]):
    CASES[f"model BPE {fuse} {fallback} {whole} {unknown}"] = file(model={**MODEL, "unk_token": unknown, "end_of_word_suffix": None, "fuse_unk": fuse, "byte_fallback": fallback, "ignore_merges": whole, "vocab": LETTERS, "merges": MERGES})
CASES["model BPE, merges as texts"] = file(model={**MODEL, "unk_token": "<unk>", "end_of_word_suffix": None, "vocab": LETTERS, "merges": [" ".join(m) for m in MERGES]})
CASES["model BPE, suffix"] = file(pre_tokenizer={"type": "Whitespace"}, model={**MODEL, "unk_token": "<unk>", "byte_fallback": False, "vocab": LETTERS, "merges": MERGES + [["b", "a</w>"]]})
SCORES = [["<unk>", 0.0], ["a", -1.0], ["b", -1.5], ["ab", -2.25], ["\u2581", -1.0], ["\u2581a", -1.25], ["e", -3.0], [" ", -2.0], ["s", -2.5], ["wo", -4.0], ["<s>", -1.0]] 
for fallback, unknown in itertools.product([True, False], [0, 3]):
    CASES[f"model Unigram {fallback} {unknown}"] = file(model={"type": "Unigram", "unk_id": unknown, "vocab": SCORES, "byte_fallback": fallback})
CASES["model Unigram, every byte"] = file(pre_tokenizer={"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True}, model={"type": "Unigram", "unk_id": 0, "vocab": SCORES + [[b, -6.0] for b in BYTES], "byte_fallback": True})
WORDS = {"[UNK]": 0, "a": 1, "##b": 2, "##a": 3, "ab": 4, "word": 5, "##s": 6, "[CLS]": 7, "[SEP]": 8, "hello": 9, ",": 10}
for most in [3, 100]:
    CASES[f"model WordPiece {most}"] = file(normalizer={"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True}, pre_tokenizer={"type": "BertPreTokenizer"}, model={"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": most, "vocab": WORDS})

TEMPLATE = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "two", "type_id": 0}}], "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}], "special_tokens": {"<s>": {"id": "<s>", "ids": [256], "tokens": ["<s>"]}, "two": {"id": "two", "ids": [257, 256], "tokens": ["</s>", "<s>"]}}}
ENDS = [added("<s>", special=True), added("</s>", special=True)]
LEVEL = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True}
BERT = {"type": "BertProcessing", "sep": ["</s>", 257], "cls": ["<s>", 256]}
ROBERTA = {"type": "RobertaProcessing", "sep": ["</s>", 257], "cls": ["<s>", 256], "trim_offsets": True, "add_prefix_space": False}
for name, step in {"TemplateProcessing": TEMPLATE, "ByteLevel": LEVEL, "BertProcessing": BERT, "RobertaProcessing": ROBERTA, "Sequence": {"type": "Sequence", "processors": [LEVEL, TEMPLATE]}}.items():
    CASES[f"post_processor {name}"] = file(post_processor=step, added_tokens=[dict(t) for t in ENDS])

out = {}
for name, case in CASES.items():
    tokenizer = Tokenizer.from_str(json.dumps(case))
    out[name] = {"json": {key: value for key, value in case.items() if value not in (None, [])}, "ids": [tokenizer.encode(text).ids for text in TEXTS]}
    model = out[name]["json"]["model"]
    if model.get("vocab") == BYTES:
        out[name]["json"]["model"] = {**model, "vocab": "every byte"}
    elif model["type"] == "Unigram" and len(model["vocab"]) > 256:
        out[name]["json"]["model"] = {**model, "vocab": model["vocab"][:-256] + ["every byte"]}
with open(sys.argv[1], "w") as target:
    target.write('{"texts": ' + json.dumps(TEXTS) + ', "cases": {\n')
    target.write(",\n".join(f"{json.dumps(name)}: {json.dumps(case, separators=(',', ':'))}" for name, case in out.items()))
    target.write("\n}}\n")
print(len(out), "cases")
