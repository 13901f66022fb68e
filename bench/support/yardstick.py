"""The yardstick of the speed tables: plain Hugging Face forwards, of the weights that our side uses too.

    python yardstick.py make FOLDER SHAPE   writes a random model: gpt2 (GPT-2 small), gpt2-layers-N (the same with N layers),
                                            gpt2-peaked (GPT-2 small whose heads look at few tokens, so that routes branch; tokens have names)
    python yardstick.py serve FOLDER        reads lines "T repeats", answers with the milliseconds of each forward, as JSON
"""
import json
import pathlib
import resource
import sys
import time


def make(folder, shape):
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    layers = int(shape.split("-")[-1]) if "layers" in shape else 12
    model = GPT2LMHeadModel(GPT2Config(n_layer=layers))
    vocabulary = {chr(33 + i): i for i in range(94)}
    if shape == "gpt2-peaked":
        with torch.no_grad():
            for block in model.transformer.h:
                width = block.attn.c_proj.weight.shape[0]
                block.attn.c_attn.weight[:, : 2 * width] *= 9
                block.attn.c_attn.weight[:, 2 * width :] *= 3
                block.attn.c_proj.weight *= 4
                block.mlp.c_fc.weight *= 4
                block.mlp.c_proj.weight *= 4
        vocabulary.update({f"\u0120w{i}": i for i in range(94, 50257)})
    model.save_pretrained(folder)
    # Any tokenizer will do: prompts are token ids.
    tokenizer = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None, "post_processor": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "", "end_of_word_suffix": "", "fuse_unk": False, "vocab": vocabulary, "merges": []},
    }
    pathlib.Path(folder, "tokenizer.json").write_text(json.dumps(tokenizer))
    pathlib.Path(folder, "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "GPT2TokenizerFast"}))


def serve(folder):
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    print(json.dumps({"torch": torch.__version__, "threads": torch.get_num_threads()}), flush=True)
    for line in sys.stdin:
        tokens, repeats = map(int, line.split())
        ids = (torch.arange(tokens) * 7919 % 50000)[None]
        times = []
        with torch.no_grad():
            for _ in range(repeats + 2):
                start = time.perf_counter()
                model(ids, use_cache=False)
                times.append((time.perf_counter() - start) * 1000)
        print(json.dumps({"ms": times[2:], "peak_kb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}), flush=True)


{"make": make, "serve": serve}[sys.argv[1]](*sys.argv[2:])
