"""Tiny random models of every family, made and evaluated by transformers: reference for test/engine/families.test.ts.

    python test/reference/make_families.py [NAME ...]

writes test/reference/families/NAME/{config.json, model.safetensors} and NAME/reference.json: token ids, the logits of all
positions [T, V] and, for a spot check of the inside, the hidden state after the first layer [T, d]. Versions used:
torch 2.13.0, transformers 5.18.0. Every parameter is random (norms around 1), and large enough that each term matters.
"""

import json
import pathlib
import sys
import zlib

import torch
import transformers
from transformers import AutoModelForCausalLM

V, D, L, H, F = 61, 16, 2, 4, 24
HERE = pathlib.Path(__file__).parent / "families"

common = dict(vocab_size=V, hidden_size=D, num_hidden_layers=L, num_attention_heads=H, intermediate_size=F, max_position_embeddings=64,
              bos_token_id=0, eos_token_id=1, pad_token_id=None, tie_word_embeddings=False)
llama = dict(model_type="llama", **common, num_key_value_heads=2)


def rope(kind, **values):
    return dict(rope_parameters=dict(rope_type=kind, rope_theta=10000.0, **values))


FAMILIES = {
    "gpt2": dict(model_type="gpt2", vocab_size=V, n_embd=D, n_layer=L, n_head=H, n_inner=F, n_positions=64, bos_token_id=0, eos_token_id=1),
    "gpt2-inverse-layer": dict(model_type="gpt2", vocab_size=V, n_embd=D, n_layer=3, n_head=2, n_positions=64, bos_token_id=0, eos_token_id=1,
                               scale_attn_by_inverse_layer_idx=True, activation_function="gelu"),
    "gpt2-unscaled": dict(model_type="gpt2", vocab_size=V, n_embd=D, n_layer=L, n_head=H, n_positions=64, bos_token_id=0, eos_token_id=1, scale_attn_weights=False),
    "opt": dict(model_type="opt", vocab_size=V, hidden_size=D, word_embed_proj_dim=D, num_hidden_layers=L, num_attention_heads=H, ffn_dim=F,
                max_position_embeddings=64, bos_token_id=0, eos_token_id=1, pad_token_id=2),
    "opt-plain": dict(model_type="opt", vocab_size=V, hidden_size=D, word_embed_proj_dim=D, num_hidden_layers=L, num_attention_heads=H, ffn_dim=F,
                      max_position_embeddings=64, bos_token_id=0, eos_token_id=1, pad_token_id=2, enable_bias=False, activation_function="gelu",
                      layer_norm_elementwise_affine=False, tie_word_embeddings=False),
    "llama": dict(**llama, **rope("default")),
    "llama-biased": dict(**llama, **rope("default"), attention_bias=True, mlp_bias=True, head_dim=6, hidden_act="gelu"),
    "llama-linear": dict(**llama, **rope("linear", factor=4.0)),
    "llama-dynamic": {**llama, **rope("dynamic", factor=4.0), "max_position_embeddings": 12},
    "llama-llama3": dict(**llama, **rope("llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16)),
    "llama-yarn": dict(**llama, **rope("yarn", factor=4.0, original_max_position_embeddings=16)),
    "llama-yarn-factors": dict(**llama, **rope("yarn", factor=4.0, original_max_position_embeddings=16, beta_fast=16, beta_slow=2, attention_factor=0.9, truncate=False)),
    "llama-yarn-mscale": dict(**llama, **rope("yarn", factor=4.0, original_max_position_embeddings=16, mscale=0.7, mscale_all_dim=0.5)),
    "mistral": dict(model_type="mistral", **common, num_key_value_heads=2, sliding_window=5, head_dim=8),
    "qwen2": dict(model_type="qwen2", **common, num_key_value_heads=2),
    "qwen2-window": dict(model_type="qwen2", **{**common, "num_hidden_layers": 3}, num_key_value_heads=1, use_sliding_window=True, sliding_window=5, max_window_layers=1),
    "qwen3": dict(model_type="qwen3", **common, num_key_value_heads=2, head_dim=6),
    "gemma": dict(model_type="gemma", **{**common, "tie_word_embeddings": True, "pad_token_id": 0}, num_key_value_heads=1, head_dim=6, hidden_act="gelu_pytorch_tanh"),
    "gemma2": dict(model_type="gemma2", **{**common, "tie_word_embeddings": True, "pad_token_id": 0, "num_hidden_layers": 3}, num_key_value_heads=2, head_dim=6,
                   sliding_window=5, query_pre_attn_scalar=9, attn_logit_softcapping=3.0, final_logit_softcapping=5.0),
    "gemma3": dict(model_type="gemma3_text", **{**common, "tie_word_embeddings": True, "pad_token_id": 0, "num_hidden_layers": 4}, num_key_value_heads=2, head_dim=6,
                   sliding_window=5, query_pre_attn_scalar=9, layer_types=["sliding_attention", "full_attention", "sliding_attention", "full_attention"]),
    # The cap of attention that its config class has is not used.
    "gemma3-capped": dict(model_type="gemma3_text", **{**common, "tie_word_embeddings": True, "pad_token_id": 0}, num_key_value_heads=2, head_dim=6, sliding_window=5,
                          query_pre_attn_scalar=9, attn_logit_softcapping=2.0, final_logit_softcapping=3.0, layer_types=["sliding_attention", "full_attention"]),
    "gemma3-scaled": dict(model_type="gemma3_text", **{**common, "tie_word_embeddings": True, "pad_token_id": 0, "num_hidden_layers": 3}, num_key_value_heads=1, head_dim=6,
                          sliding_window=5, query_pre_attn_scalar=9, layer_types=["sliding_attention", "sliding_attention", "full_attention"],
                          rope_parameters=dict(full_attention=dict(rope_type="linear", factor=8.0, rope_theta=1e6), sliding_attention=dict(rope_type="default", rope_theta=1e4))),
    "phi": dict(model_type="phi", **common, partial_rotary_factor=0.5, hidden_act="gelu_new"),
    "phi-gqa-norm": dict(model_type="phi", **{**common, "hidden_size": 32}, num_key_value_heads=2, partial_rotary_factor=0.5, qk_layernorm=True),
    "gpt-neox": dict(model_type="gpt_neox", **{**common, "hidden_size": 32}, rotary_pct=0.25),
    "gpt-neox-sequential": dict(model_type="gpt_neox", **{**common, "hidden_size": 32}, rotary_pct=1.0, use_parallel_residual=False, attention_bias=False, hidden_act="gelu_new"),
    "gptj": dict(model_type="gptj", vocab_size=V, n_embd=32, n_layer=L, n_head=H, n_inner=F, n_positions=64, rotary_dim=4, bos_token_id=0, eos_token_id=1, tie_word_embeddings=False),
    "gpt-neo": dict(model_type="gpt_neo", vocab_size=V, hidden_size=D, num_layers=2, num_heads=H, intermediate_size=F, max_position_embeddings=64, window_size=5,
                    attention_types=[[["global", "local"], 1]], bos_token_id=0, eos_token_id=1),
    "phi3": dict(model_type="phi3", **common, num_key_value_heads=2),
    "phi3-longrope": dict(model_type="phi3", **{**common, "hidden_size": 32}, num_key_value_heads=2, original_max_position_embeddings=16,
                          rope_parameters=dict(rope_type="longrope", rope_theta=10000.0, short_factor=[1.0, 1.5, 2.0, 2.5], long_factor=[2.0, 3.0, 4.0, 6.0], original_max_position_embeddings=16)),
    "phi3-partial": dict(model_type="phi3", **{**common, "hidden_size": 32}, num_key_value_heads=2, partial_rotary_factor=0.5, sliding_window=5),
    "stablelm": dict(model_type="stablelm", **{**common, "hidden_size": 32}, num_key_value_heads=2, use_qkv_bias=True, partial_rotary_factor=0.25),
    "stablelm-norms": dict(model_type="stablelm", **{**common, "hidden_size": 32}, num_key_value_heads=2, qk_layernorm=True, use_parallel_residual=True, partial_rotary_factor=0.5),
    "falcon-7b": dict(model_type="falcon", vocab_size=V, hidden_size=D, num_hidden_layers=L, num_attention_heads=H, multi_query=True, parallel_attn=True, bias=False,
                      new_decoder_architecture=False, ffn_hidden_size=F, bos_token_id=0, eos_token_id=1),
    "falcon-40b": dict(model_type="falcon", vocab_size=V, hidden_size=32, num_hidden_layers=L, num_attention_heads=H, num_kv_heads=2, new_decoder_architecture=True,
                       parallel_attn=True, bias=False, ffn_hidden_size=F, bos_token_id=0, eos_token_id=1),
    "falcon-11b": dict(model_type="falcon", vocab_size=V, hidden_size=32, num_hidden_layers=L, num_attention_heads=H, num_kv_heads=2, new_decoder_architecture=True,
                       parallel_attn=True, num_ln_in_parallel_attn=1, bias=True, ffn_hidden_size=F, bos_token_id=0, eos_token_id=1),
    "falcon-rw": dict(model_type="falcon", vocab_size=V, hidden_size=D, num_hidden_layers=L, num_attention_heads=H, multi_query=False, parallel_attn=False, bias=True,
                      new_decoder_architecture=False, alibi=True, ffn_hidden_size=F, bos_token_id=0, eos_token_id=1),
    # Slopes that are no powers of two: the reference rounds them and their products with positions to bfloat16.
    "falcon-rw-6-heads": dict(model_type="falcon", vocab_size=V, hidden_size=24, num_hidden_layers=L, num_attention_heads=6, multi_query=False, parallel_attn=True, bias=False,
                              new_decoder_architecture=False, alibi=True, ffn_hidden_size=F, bos_token_id=0, eos_token_id=1),
    "bloom": dict(model_type="bloom", vocab_size=V, hidden_size=D, n_layer=L, n_head=H, bos_token_id=0, eos_token_id=1),
    "bloom-6-heads": dict(model_type="bloom", vocab_size=V, hidden_size=24, n_layer=L, n_head=6, bos_token_id=0, eos_token_id=1),
    "olmo": dict(model_type="olmo", **common, num_key_value_heads=2, clip_qkv=None),
    "olmo2": dict(model_type="olmo2", **common, num_key_value_heads=2),
    "smollm3": dict(model_type="smollm3", **{**common, "tie_word_embeddings": True, "num_hidden_layers": 3}, num_key_value_heads=2, no_rope_layer_interval=2),
    "starcoder2": dict(model_type="starcoder2", **{**common, "tie_word_embeddings": True}, num_key_value_heads=2, sliding_window=5),
    "cohere": dict(model_type="cohere", **{**common, "tie_word_embeddings": True}, num_key_value_heads=2, logit_scale=0.25, use_qk_norm=False),
    "cohere-norms": dict(model_type="cohere", **{**common, "tie_word_embeddings": True}, num_key_value_heads=2, use_qk_norm=True),
}

windowed = ["sliding_attention", "sliding_attention", "full_attention"]
FAMILIES |= {
    "olmo3": dict(model_type="olmo3", **{**common, "num_hidden_layers": 4}, num_key_value_heads=2, sliding_window=5),
    "olmo3-yarn": dict(model_type="olmo3", **{**common, "num_hidden_layers": 3}, num_key_value_heads=1, sliding_window=6, attention_bias=True, layer_types=windowed,
                       rope_parameters=dict(full_attention=dict(rope_type="yarn", rope_theta=3e4, factor=4.0, original_max_position_embeddings=16, truncate=False),
                                            sliding_attention=dict(rope_type="default", rope_theta=5e4))),
    "cohere2": dict(model_type="cohere2", **{**common, "tie_word_embeddings": True, "num_hidden_layers": 4}, num_key_value_heads=2, sliding_window=5),
    "cohere2-biased": dict(model_type="cohere2", **{**common, "num_hidden_layers": 3}, num_key_value_heads=1, sliding_window=6, attention_bias=True, logit_scale=0.5,
                           layer_types=["full_attention", "sliding_attention", "sliding_attention"], hidden_act="gelu_new"),
    "exaone4": dict(model_type="exaone4", **{**common, "num_hidden_layers": 3}, num_key_value_heads=2, sliding_window=5, layer_types=windowed),
    "exaone4-full": dict(model_type="exaone4", **common, num_key_value_heads=1, head_dim=6, sliding_window=None, layer_types=["full_attention"] * 2),
    "seed-oss": dict(model_type="seed_oss", **common, num_key_value_heads=2, head_dim=6),
    "seed-oss-biased": dict(model_type="seed_oss", **common, num_key_value_heads=1, head_dim=None, attention_bias=False, attention_out_bias=True, mlp_bias=True, hidden_act="gelu"),
    "arcee": dict(model_type="arcee", **common, num_key_value_heads=2),
    "arcee-biased": dict(model_type="arcee", **common, attention_bias=True, mlp_bias=True, head_dim=6, hidden_act="silu",
                         **rope("yarn", factor=4.0, original_max_position_embeddings=16)),
    "glm": dict(model_type="glm", **{**common, "pad_token_id": 0}, num_key_value_heads=2, head_dim=8, attention_bias=True),
    "glm4": dict(model_type="glm4", **{**common, "pad_token_id": 0}, num_key_value_heads=2, head_dim=8),
    "glm4-plain": dict(model_type="glm4", **{**common, "pad_token_id": 0}, num_key_value_heads=1, head_dim=6, attention_bias=False, partial_rotary_factor=1.0, hidden_act="gelu"),
    "nemotron": dict(model_type="nemotron", **common, num_key_value_heads=2),
    "nemotron-biased": dict(model_type="nemotron", **common, num_key_value_heads=4, head_dim=8, attention_bias=True, mlp_bias=True, partial_rotary_factor=0.25, hidden_act="gelu"),
    "gpt-bigcode": dict(model_type="gpt_bigcode", vocab_size=V, n_embd=D, n_layer=L, n_head=H, n_inner=F, n_positions=64, bos_token_id=0, eos_token_id=1),
    "gpt-bigcode-heads": dict(model_type="gpt_bigcode", vocab_size=V, n_embd=D, n_layer=L, n_head=H, n_positions=64, bos_token_id=0, eos_token_id=1, multi_query=False,
                              activation_function="gelu", scale_attn_weights=False),
    "mpt": dict(model_type="mpt", vocab_size=V, d_model=D, n_layers=L, n_heads=H, max_seq_len=64, bos_token_id=0, eos_token_id=1),
    "mpt-6-heads": dict(model_type="mpt", vocab_size=V, d_model=24, n_layers=L, n_heads=6, max_seq_len=64, attn_config=dict(softmax_scale=0.7), bos_token_id=0, eos_token_id=1),
    "granite": dict(model_type="granite", **{**common, "tie_word_embeddings": True}, num_key_value_heads=2, embedding_multiplier=3.0, logits_scaling=2.5, residual_multiplier=0.4,
                    attention_multiplier=0.3),
    "granite-biased": dict(model_type="granite", **common, num_key_value_heads=4, attention_bias=True, mlp_bias=True, residual_multiplier=1.5, attention_multiplier=0.6),
}

# Falcon's and BLOOM's configurations have no length of their own.
N_TOKENS = 24


def make(name):
    settings = dict(FAMILIES[name])
    config = transformers.CONFIG_MAPPING[settings.pop("model_type")](**settings)
    # Falcon's "eager" attention adds ALiBi twice.
    config._attn_implementation = "sdpa" if name.startswith("falcon") else "eager"
    seed = zlib.crc32(name.encode())
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config).float().eval()
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if parameter.dim() >= 2:
                parameter.normal_(0, 1.2 / parameter.shape[-1] ** 0.5)
            elif key.endswith("bias"):
                parameter.normal_(0, 0.3)
            else:
                # Norms' scales, around 1 whether or not the family stores them less 1.
                parameter.normal_(0.0 if "gemma" in name or "nemotron" in name else 1.0, 0.3)
    ids = torch.randint(3, V, (1, N_TOKENS))
    with torch.no_grad():
        result = model(ids, use_cache=False, output_hidden_states=True)
    folder = HERE / name
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    for extra in folder.glob("generation_config.json"):
        extra.unlink()
    digits = lambda tensor: [[float(f"{value:.7g}") for value in row] for row in tensor.tolist()]
    reference = {"seed": seed, "torch": torch.__version__, "transformers": transformers.__version__, "token_ids": ids[0].tolist(),
                 "logits": digits(result.logits[0]), "after_first_layer": digits(result.hidden_states[1][0])}
    (folder / "reference.json").write_text(json.dumps(reference) + "\n")
    print(name, f"max |logit| {result.logits.abs().max().item():.2f}", f"{(folder / 'model.safetensors').stat().st_size} bytes")


for name in sys.argv[1:] or FAMILIES:
    make(name)
