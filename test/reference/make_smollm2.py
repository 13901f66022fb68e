"""Reference values for SmolLM2-135M-Instruct, made by Hugging Face transformers from the same GGUF file.

    python test/reference/make_smollm2.py path/to/SmolLM2-135M-Instruct.Q4_1.gguf

writes test/model-real/smollm2.json: for three prompts (5, 20 and 100 tokens) the token ids, and of the logits at every
position the sum, the sum of squares, the maximum, its token and a fixed sample of the vocabulary; of the last position also
the fifty best tokens. transformers dequantises a GGUF file to float32, so nothing but the order of additions differs from what
the product computes. Needs torch, transformers, gguf (versions used are written into the file).
"""

import hashlib
import json
import pathlib
import sys

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

PROMPTS = {
    5: "The capital of France is",
    20: "When Mary and John went to the store, John gave a drink to Mary because she was very thirsty after the walk",
    100: (
        "Once upon a time there was a small village at the foot of a mountain. The people who lived there worked hard in the "
        "fields, and in the evening they met at the old well to tell each other stories. One day a stranger came along the road. "
        "He carried a heavy bag, 3 maps and a lamp, and he asked everyone he met the same question: \"Where does the river begin?\" "
        "Nobody knew the answer, but a girl of twelve said she would go with him to find out, and so they left before the sun"
    ),
}
SAMPLE = 64  # sampled ids at each position

torch.manual_seed(0)
path = pathlib.Path(sys.argv[1]).resolve()
tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
model = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32, attn_implementation="eager").eval()
vocabulary = model.config.vocab_size
sample = [int(i) for i in torch.randperm(vocabulary, generator=torch.Generator().manual_seed(1))[:SAMPLE].sort().values]

out = {
    "model": path.name,
    "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    "made_by": {"transformers": transformers.__version__, "torch": torch.__version__},
    "vocabulary": vocabulary,
    "sampled_ids": sample,
    "prompts": [],
}


def rounded(values):
    return [float(f"{v:.7g}") for v in values]


for length, text in PROMPTS.items():
    ids = tokenizer(text)["input_ids"]
    if len(ids) < length:
        sys.exit(f"prompt for {length} tokens has only {len(ids)}: make it longer")
    if len(ids) > length:
        # Cut after `length` tokens; the text is what those tokens stand for, and must give the same ids back.
        ids = ids[:length]
        text = tokenizer.decode(ids)
        assert tokenizer(text)["input_ids"] == ids, text
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0]
    top = logits[-1].topk(50)
    out["prompts"].append(
        {
            "text": text,
            "token_ids": ids,
            # Of each position over the whole vocabulary, in float64.
            "sum": rounded(logits.double().sum(1).tolist()),
            "sum_of_squares": rounded((logits.double() ** 2).sum(1).tolist()),
            "max": rounded(logits.max(1).values.tolist()),
            "argmax": logits.argmax(1).tolist(),
            "sampled": [rounded(row) for row in logits[:, sample].tolist()],
            "last_top50": {"ids": top.indices.tolist(), "logits": rounded(top.values.tolist()), "first_text": tokenizer.decode([int(top.indices[0])])},
        }
    )
    print(length, len(ids), repr(tokenizer.decode([int(top.indices[0])])), repr(text))

target = pathlib.Path(__file__).resolve().parent.parent / "model-real" / "smollm2.json"
target.parent.mkdir(exist_ok=True)
target.write_text(json.dumps(out, separators=(",", ":")).replace('],[', '],\n[').replace('},{', '},\n{') + "\n")
print(target, target.stat().st_size, "bytes")
