"""tokenizer.json files as the families have them on the hub, with small vocabularies, and the ids that the tokenizers library gives:

    python tokenizer_variants.py out.json    (tokenizers 0.23)
"""
import json
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

TEXTS = [
    "The war lasted from the year 1732 to the year 17, 2024-11-22 or 3.14159 and 1,000,000.",
    "  two  spaces   three    four\ttab\t\ttabs\n\n\nlines\r\nwindows \n trailing   ",
    "I'll we've they're it's don't I'd I'm 'S 'LL O'Neil's CamelCaseWord HTTPServer",
    "caf\u00e9 na\u00efve \u00fcber stra\u00dfe \u4f60\u597d\uff0c\u4e16\u754c\uff01 \u0645\u0631\u062d\u0628\u0627 \u05e9\u05dc\u05d5\u05dd \u0939\u093f\u0928\u094d\u0926\u0940 \u0661\u0662\u0663 \u00b2\u2460",
    "cafe\u0301 A\u030a \u1100\u1161 \ufb01 \u2126",
    "def f(x):\n    return {'a': [1, 2, 3], \"b\": x**2}  # comment\n\n\tif x != 0: pass",
    "<s>begin</s> middle <|user|>\n hi <|end|>  after<|end|>",
    "\x85 \x1f\u200b joined\u200cword\u200d \ufeff",
    "\U0001f600\U0001f468\u200d\U0001f469 \ufeffbom a\u2028b \u00a0 nbsp\u3000wide",
    "",
    " ",
    "  ",
    "\n",
    "a",
    " a",
    "<s>",
    "</s> a",
]
LLAMA3 = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
QWEN2 = LLAMA3.replace("{1,3}", "")
BYTES = [f"<0x{i:02X}>" for i in range(256)]
SPECIAL = ["<unk>", "<s>", "</s>"]
BOS = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)])


def pre(*steps):
    return pre_tokenizers.Sequence(list(steps))


def split(regex):
    return pre_tokenizers.Split(Regex(regex), "isolated")


def byte_level(use_regex, prefix=False):
    return pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=use_regex)


def sentencepiece(normalizer, pre_tokenizer, prepend, added=()):
    """Merges learned on text with \u2581, across everything that is not split."""
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="always" if prepend else "never", split=False)
    trainer = trainers.BpeTrainer(vocab_size=700, special_tokens=[*SPECIAL, *BYTES], show_progress=False, min_frequency=1, limit_alphabet=60)
    learner.train_from_iterator(TEXTS, trainer)
    model = json.loads(learner.to_str())["model"]
    tokenizer = Tokenizer(models.BPE(vocab=model["vocab"], merges=[tuple(m) for m in model["merges"]], byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    if normalizer:
        tokenizer.normalizer = normalizer
    if pre_tokenizer:
        tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens([AddedToken(t, normalized=False, special=True) for t in SPECIAL] + list(added))
    tokenizer.post_processor = BOS
    return tokenizer


def byte_bpe(pre_tokenizer, normalizer=None, ignore_merges=False, added=()):
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = byte_level(False)
    trainer = trainers.BpeTrainer(vocab_size=900, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=SPECIAL, show_progress=False, min_frequency=1)
    learner.train_from_iterator(TEXTS, trainer)
    model = json.loads(learner.to_str())["model"]
    tokenizer = Tokenizer(models.BPE(vocab=model["vocab"], merges=[tuple(m) for m in model["merges"]], ignore_merges=ignore_merges))
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, normalized=False, special=True) for t in SPECIAL] + list(added))
    return tokenizer


STRIPPED = [AddedToken("<|user|>", normalized=False, rstrip=True, special=True), AddedToken("<|end|>", normalized=False, rstrip=True, special=True)]
NEXT = lambda scheme, split=False: pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme=scheme, split=split)  # noqa: E731
LEGACY = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
VARIANTS = {
    "llama-2": sentencepiece(LEGACY, None, True),
    "llama-2, new": sentencepiece(None, NEXT("first"), True),
    "mistral": sentencepiece(None, NEXT("always"), True),
    "words": sentencepiece(None, NEXT("always", True), True),
    "phi-3": sentencepiece(LEGACY, None, True, STRIPPED),
    "gemma": sentencepiece(normalizers.Replace(" ", "\u2581"), pre_tokenizers.Split(" ", "merged_with_previous"), False),
    "gpt2": byte_bpe(byte_level(True)),
    "gpt2 with a blank first": byte_bpe(byte_level(True, True)),
    "llama-3": byte_bpe(pre(split(LLAMA3), byte_level(False)), ignore_merges=True),
    "qwen2": byte_bpe(pre(split(QWEN2), byte_level(False)), normalizers.NFC()),
    "gpt-neox": byte_bpe(byte_level(True), normalizers.NFC(), added=[AddedToken("  ", normalized=True, special=False), AddedToken("    ", normalized=True, special=False)]),
    "smollm2": byte_bpe(pre(pre_tokenizers.Digits(individual_digits=True), byte_level(True))),
    "falcon": byte_bpe(pre(pre_tokenizers.Punctuation("contiguous"), byte_level(True), pre_tokenizers.Digits(individual_digits=False), split("[0-9][0-9][0-9]"))),
    "deepseek": byte_bpe(pre(split("[\r\n]"), split("\\s?\\p{L}+"), split("\\s?\\p{P}+"), split("[\u4e00-\u9fa5]+"), pre_tokenizers.Digits(individual_digits=True), byte_level(False))),
    "roberta": byte_bpe(byte_level(True, True), normalizers.Sequence([normalizers.NFD(), normalizers.Strip()])),
    "words and marks": byte_bpe(pre(pre_tokenizers.Whitespace(), byte_level(False))),
    "blanks": byte_bpe(pre(pre_tokenizers.WhitespaceSplit(), byte_level(False)), normalizers.Strip(left=False, right=True)),
    "merged with next and previous, runs": byte_bpe(pre(
        pre_tokenizers.Split("t", "merged_with_next"), pre_tokenizers.Split(" ", "merged_with_previous"),
        pre_tokenizers.Split(Regex("[0-9.]"), "contiguous"), pre_tokenizers.Split(Regex("[A-Z]+"), "isolated", invert=True),
        pre_tokenizers.Split(Regex("[a-e]"), "merged_with_previous", invert=True), byte_level(False))),
}
out = {name: {"json": json.loads(tokenizer.to_str()), "ids": [tokenizer.encode(text).ids for text in TEXTS]} for name, tokenizer in VARIANTS.items()}
with open(sys.argv[1], "w") as file:
    json.dump({"texts": TEXTS, "variants": out}, file)
    file.write("\n")
