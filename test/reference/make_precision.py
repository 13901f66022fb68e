"""Rounding and quantisation by numpy, torch and the gguf package: test/reference/precision.json.

    python test/reference/make_precision.py

Bit patterns are hexadecimal; blocks are GGUF's own bytes with the values that they stand for.
"""

import importlib.metadata
import json
import pathlib

import gguf
import numpy as np
import torch

random = np.random.default_rng(7)
values = np.concatenate([
    random.normal(size=300) * 10.0 ** random.uniform(-9, 5.2, 300),
    [0, -0.0, 65504, 65519.99, 65520, -65520, 1e-8, 2.0**-24, 2.0**-25, 2.0**-25 * 1.0001, 3 * 2.0**-25, 6.1e-5, 2.0**-14, 2.0**-14 - 2.0**-25,
     1 + 2.0**-11, 1 + 3 * 2.0**-11, 1 + 2.0**-8, 1 + 3 * 2.0**-8, 3.4e38, np.inf, -np.inf],
]).astype(np.float32)
with np.errstate(over="ignore"):
    half = values.astype(np.float16)
brain = torch.from_numpy(values).bfloat16().view(torch.int16).numpy()
matrix = random.normal(size=(5, 64)).astype(np.float32)
matrix[1, :32] = 0
blocks = {}
for name in ("Q4_0", "Q4_1", "Q8_0"):
    kind = gguf.GGMLQuantizationType[name]
    raw = gguf.quants.quantize(matrix, kind)
    blocks[name] = {"bytes": raw.tobytes().hex(), "values": gguf.quants.dequantize(raw, kind).astype(float).ravel().tolist()}
# The package reads K-quants but does not write them: random bytes, with scales that are numbers.
for name, halves in (("Q4_K", (0, 2)), ("Q5_K", (0, 2)), ("Q6_K", (208,))):
    kind = gguf.GGMLQuantizationType[name]
    size = gguf.GGML_QUANT_SIZES[kind][1]
    raw = random.integers(0, 256, (3, size), dtype=np.uint8)
    for at in halves:
        raw[:, at : at + 2] = random.uniform(0.001, 0.01, (3, 1)).astype(np.float16).view(np.uint8)
    blocks[name] = {"bytes": raw.tobytes().hex(), "values": gguf.quants.dequantize(raw, kind).astype(float).ravel().tolist()}
result = {
    "float32": values.tobytes().hex(), "float16": half.tobytes().hex(), "bfloat16": brain.tobytes().hex(),
    "matrix": matrix.astype(float).ravel().tolist(), "blocks": blocks,
    "made with": {"numpy": np.__version__, "torch": torch.__version__, "gguf": importlib.metadata.version("gguf")},
}
(pathlib.Path(__file__).parent / "precision.json").write_text(json.dumps(result) + "\n")
