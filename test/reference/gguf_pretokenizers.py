"""Token ids under every named pre-tokenizer, by transformers' GGUF reader (and by the tokenizers library for names that the
reader does not know): python gguf_pretokenizers.py out.json    (transformers 5.18.0, tokenizers 0.22)

The vocabulary is learned without any splitting, so that its merges cross every boundary that a pre-tokenizer draws: wherever
text is split differently the ids differ.
"""
import json
import sys

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers.integrations.gguf.gguf_tokenizer_mapping import convert_gguf_tokenizer

TEXTS = [
    "The war lasted from the year 1732 to the year 17, 2024-11-22 or 3.14159 and 1,000,000.",
    "  two  spaces   three    four\ttab\t\ttabs\n\n\nlines\r\nwindows \n trailing   ",
    "I'll we've they're it's don't I'd I'm 'S 'LL O'Neil's CamelCaseWord HTTPServer iPhone",
    "caf\u00e9 na\u00efve \u00fcber stra\u00dfe \u4f60\u597d\uff0c\u4e16\u754c\uff01 \u0645\u0631\u062d\u0628\u0627 \u05e9\u05dc\u05d5\u05dd \u0939\u093f\u0928\u094d\u0926\u0940 \u0661\u0662\u0663 \u00b2\u2460",
    "cafe\u0301 A\u030a \u1100\u1161",
    "def f(x):\n    return {'a': [1, 2, 3], \"b\": x**2}  # comment\n\n\tif x != 0: pass // end;;",
    "<|im_start|>user\nHi!!! $100 \u20ac50 100% \u2014 \u201cquotes\u201d \u2026 ### ===== ~~ `code` a_b c/d e\\f \U0001f600\U0001f468\u200d\U0001f469",
    "\ufeffbom zero\ufeff x \x85nel\x85\x85 a\u2028b \u00a0 nbsp\u3000 wide",
    "",
    " ",
    "\n",
    "a",
]
trained = Tokenizer(models.BPE())
trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
trainer = trainers.BpeTrainer(vocab_size=1200, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=["<|im_start|>"], show_progress=False, min_frequency=1)
trained.train_from_iterator(TEXTS + [t.replace(" ", "") for t in TEXTS], trainer)
model = json.loads(trained.to_str())["model"]
tokens = sorted(model["vocab"], key=model["vocab"].get)
merges = [" ".join(pair) for pair in model["merges"]]
types = [3] + [1] * (len(tokens) - 1)

GPT2 = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
RAW = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
# As in the tokenizer.json of the models on the hub that llama.cpp has these names for.
OWN = {
    "smollm": pre_tokenizers.Sequence([pre_tokenizers.Split(Regex("[0-9]"), "isolated"), GPT2]),
    "starcoder": pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), GPT2]),
    "falcon": pre_tokenizers.Sequence([pre_tokenizers.Punctuation(behavior="contiguous"), GPT2, pre_tokenizers.Digits(individual_digits=False), pre_tokenizers.Split(Regex("[0-9][0-9][0-9]"), "isolated")]),
    "bloom": pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(" ?[^(\\s|[.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c])]+"), "isolated"), RAW]),
}
out = {}
for name in ["gpt-2", "default", "llama-bpe", "tekken", "gpt-4o", "qwen2", "olmo", *OWN]:
    if name in OWN:
        backend = Tokenizer(models.BPE(vocab=model["vocab"], merges=[tuple(m) for m in model["merges"]]))
        backend.pre_tokenizer = OWN[name]
        backend.decoder = decoders.ByteLevel()
        backend.add_special_tokens(["<|im_start|>"])
    else:
        backend, _ = convert_gguf_tokenizer("llama", dict(tokenizer_type="gpt2", pre_tokenizer_type=name, tokens=tokens, merges=merges, token_type=types))
    out[name] = [backend.encode(text, add_special_tokens=False).ids for text in TEXTS]
with open(sys.argv[1], "w") as file:
    json.dump(dict(tokens=tokens, merges=merges, types=types, texts=TEXTS, ids=out), file)
    file.write("\n")
