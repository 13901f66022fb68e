"""Tiny GGUF files of every architecture, with the logits of the transformers models that they were made from.

    LLAMA_CPP=/path/to/llama.cpp python make_gguf.py [name ...]

writes test/model/data/gguf/NAME.gguf and NAME.json. The files are written by llama.cpp's own converter
(conversion/ and gguf-py/ of llama.cpp, here those inside llama-cpp-python 0.3.36), so that its permutations, transpositions and
shifted norms are the real ones. Needs torch 2.13, transformers 5.18, sentencepiece. Weights are random (seeded) and
rounded to float16, in which the matrices are stored.
"""
import io
import json
import os
import pathlib
import shutil
import sys
import tempfile

import sentencepiece
import torch
from transformers import CONFIG_MAPPING, AutoModelForCausalLM

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = ROOT / "test/model/data/gguf"
LLAMA_CPP = os.environ["LLAMA_CPP"]
sys.path[:0] = [LLAMA_CPP + "/gguf-py", LLAMA_CPP]

import conversion.base as base  # noqa: E402
import convert_hf_to_gguf as converter  # noqa: E402

# The converter knows vocabularies by their hash, and takes configs through transformers' newest names.
base.TextModel.get_vocab_base_pre = lambda self, tokenizer: "gpt-2"
base.ModelBase.load_hparams = staticmethod(lambda folder, *_, **__: json.loads((pathlib.Path(folder) / "config.json").read_text()))

VOCAB = 420
TEXT = (ROOT / "LICENSE").read_text() + "\n".join(["The capital of France is Paris.", "caf\u00e9 na\u00efve \u4f60\u597d\u4e16\u754c", "in the year 1732"] * 20)

B = dict(vocab_size=VOCAB, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, intermediate_size=48, max_position_embeddings=64)
MHA = {k: v for k, v in B.items() if k != "num_key_value_heads"}
LLAMA3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16, rope_theta=10000.0)
GEMMA3 = dict(full_attention=dict(rope_type="linear", factor=8.0, rope_theta=1e6), sliding_attention=dict(rope_type="default", rope_theta=1e4))
LONG = dict(rope_type="longrope", rope_theta=10000.0, short_factor=[1.0, 1.1, 1.2, 1.3], long_factor=[1.5, 2.0, 3.0, 4.0])

# name: model type, tokenizer, config, keys that the converter wants under their old names
MODELS = {
    "llama": ("llama", "llama", B, {}),
    "llama-bias": ("llama", "bytes", dict(B, attention_bias=True, head_dim=16, tie_word_embeddings=True), {}),
    "llama3": ("llama", "bytes", dict(B, head_dim=16, rope_parameters=LLAMA3), {}),
    "qwen2": ("qwen2", "bytes", B, {}),
    "qwen3": ("qwen3", "bytes", dict(B, head_dim=16), {}),
    "gpt2": ("gpt2", "bytes", dict(vocab_size=VOCAB, n_embd=32, n_layer=2, n_head=4, n_positions=64), dict(n_ctx=64)),
    "gemma": ("gemma", "gemma", dict(B, head_dim=16), {}),
    "gemma2": ("gemma2", "gemma", dict(B, head_dim=16, query_pre_attn_scalar=16, sliding_window=6), {}),
    "gemma3": ("gemma3_text", "gemma", dict(B, num_hidden_layers=6, head_dim=16, query_pre_attn_scalar=16, sliding_window=6, rope_parameters=GEMMA3), dict(rope_theta=1e6, rope_scaling=dict(rope_type="linear", factor=8.0))),
    "phi2": ("phi", "bytes", MHA, {}),
    "phi3": ("phi3", "llama", dict(B, pad_token_id=0, original_max_position_embeddings=16, rope_parameters=LONG), dict(rope_scaling=dict(type="longrope", short_factor=LONG["short_factor"], long_factor=LONG["long_factor"]))),
    "gptneox": ("gpt_neox", "bytes", MHA, dict(rotary_pct=0.25)),
    "stablelm": ("stablelm", "bytes", dict(B, use_qkv_bias=True), {}),
    "falcon-7b": ("falcon", "bytes", dict(vocab_size=VOCAB, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=64), dict(num_kv_heads=None)),
    "falcon-40b": ("falcon", "bytes", dict(vocab_size=VOCAB, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=64, new_decoder_architecture=True, num_kv_heads=2), {}),
    "bloom": ("bloom", "bytes", dict(vocab_size=VOCAB, hidden_size=32, n_layer=2, n_head=4), {}),
    "olmo2": ("olmo2", "bytes", B, {}),
    "smollm3": ("smollm3", "bytes", dict(B, num_hidden_layers=4, pad_token_id=0, rope_parameters=dict(rope_type="default", rope_theta=5e6)), dict(rope_theta=5e6)),
    "starcoder2": ("starcoder2", "bytes", B, {}),
    "granite": ("granite", "bytes", dict(B, embedding_multiplier=3.0, logits_scaling=2.5, residual_multiplier=0.4, attention_multiplier=0.3, tie_word_embeddings=True), {}),
    "cohere2": ("cohere2", "bytes", dict(B, num_hidden_layers=4, sliding_window=6), dict(rope_theta=10000.0, rotary_pct=1.0)),
    "seed-oss": ("seed_oss", "bytes", dict(B, head_dim=16), {}),
    "arcee": ("arcee", "bytes", dict(B, head_dim=8), {}),
    "olmo3": ("olmo3", "bytes", dict(B, num_hidden_layers=4, sliding_window=6), dict(rope_theta=500000.0)),
    "command-r": ("cohere", "bytes", dict(B, use_qk_norm=True), {}),
}


def sentencepiece_model(kind: str) -> bytes:
    model = io.BytesIO()
    special = dict(unk_id=0, bos_id=1, eos_id=2, pad_id=-1) if kind == "llama" else dict(pad_id=0, eos_id=1, bos_id=2, unk_id=3, add_dummy_prefix=False, user_defined_symbols=["<start_of_turn>", "<end_of_turn>"])
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXT.splitlines()), model_writer=model, vocab_size=VOCAB, model_type="bpe", byte_fallback=True,
        split_digits=True, normalization_rule_name="identity", remove_extra_whitespaces=False, allow_whitespace_only_pieces=True,
        minloglevel=2, **special,
    )
    return model.getvalue()


def byte_level_tokenizer(folder: pathlib.Path) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=VOCAB, special_tokens=["<|endoftext|>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(TEXT.splitlines(), trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(dict(tokenizer_class="GPT2Tokenizer", bos_token="<|endoftext|>", eos_token="<|endoftext|>", unk_token="<|endoftext|>", add_bos_token=False)))


def make(name: str) -> None:
    model_type, tokenizer, config, old_names = MODELS[name]
    torch.manual_seed(sum(map(ord, name)))
    # Falcon's eager attention adds ALiBi twice; all others are compared with eager attention.
    model = AutoModelForCausalLM.from_config(CONFIG_MAPPING[model_type](**config), attn_implementation="eager").eval().float()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 0.25)
            else:
                parameter.add_(torch.randn_like(parameter) * 0.2)
            parameter.copy_(parameter.half().float())
        model.tie_weights()
        ids = torch.randint(0, VOCAB, (20,)).tolist()
        logits = model(torch.tensor([ids])).logits[0, -1].tolist()
    OUT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary) / name
        model.save_pretrained(folder)
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | old_names))
        if tokenizer == "bytes":
            byte_level_tokenizer(folder)
        else:
            (folder / "tokenizer.model").write_bytes(sentencepiece_model(tokenizer))
            (folder / "tokenizer_config.json").write_text(json.dumps(dict(tokenizer_class="LlamaTokenizer", add_bos_token=True)))
        sys.argv = ["convert", str(folder), "--outfile", str(OUT / f"{name}.gguf"), "--outtype", "f16"]
        converter.main()
    (OUT / f"{name}.json").write_text(json.dumps(dict(ids=ids, logits=[float(f"{x:.7g}") for x in logits])) + "\n")


for name in sys.argv[1:] or list(MODELS):
    make(name)
