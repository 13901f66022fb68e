"""Reference token ids of a GGUF file without special tokens, by transformers reading the same file.

python gguf_tokenizer.py model.gguf out.json    (transformers 5.18.0, gguf 0.19)
"""
import json
import pathlib
import sys

from transformers import AutoTokenizer

PROMPTS = [
    "",
    " ",
    "a",
    "The capital of France is",
    "The war lasted from the year 1732 to the year 17",
    "5 + 4 = 9, 2 + 3 =",
    "1234567890 3.14159 1,000,000 0x1F 1e-5 12 345 6",
    "  two  spaces   three    four\ttab\t\ttabs\n\n\nlines\r\nwindows \n trailing   ",
    "I'll we've they're it's don't I'd I'm 'S 'LL O'Neil's",
    "\u4f60\u597d\uff0c\u4e16\u754c\uff01\u3053\u3093\u306b\u3061\u306f \uc548\ub155\ud558\uc138\uc694",
    "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467 flags \U0001f1eb\U0001f1f7 \u2764\ufe0f",
    "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645 \u05e9\u05dc\u05d5\u05dd \u0939\u093f\u0928\u094d\u0926\u0940 \u0e44\u0e17\u0e22",
    "caf\u00e9 cafe\u0301 na\u00efve \u00fcber stra\u00dfe \u0130stanbul \ufb01 \u2460 \u00b2",
    "def f(x):\n    return {'a': [1, 2, 3], \"b\": x**2}  # comment\n\n\tif x != 0: pass",
    "<|im_start|>user\nHi<|im_end|>\n<|im_start|> <|endoftext|>",
    "<s> </s> <unk> [INST] x [/INST] <0x0A>",
    "https://example.org/a/b?c=d&e=%20f#g user@mail.example",
    "\u00a0nbsp\u2009thin\u3000wide\u200bzero\ufeffbom \u0000nul \u007f",
    "$100 \u20ac50 \u00a320 100% \u2014 dash \u201cquotes\u201d \u2026 ### ===== ------ !!!",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa \u0430\u0431\u0432\u0433\u0434 \u0391\u0392\u0393 \u0531\u0532",
    "The quick brown fox jumps over the lazy dog. " * 8,
]

path = pathlib.Path(sys.argv[1]).resolve()
tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
cases = [{"text": text, "ids": tokenizer(text, add_special_tokens=False)["input_ids"]} for text in PROMPTS]
pathlib.Path(sys.argv[2]).write_text(json.dumps({"file": path.name, "cases": cases}, ensure_ascii=True, indent=0) + "\n")
