"""Values of every GGUF block type, by the gguf package: python gguf_values.py out.json    (gguf 0.19)

Blocks are random bytes with sane float16 scales, so that every bit of every field counts.
"""
import base64
import json
import sys

import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf.quants import dequantize

# Type: bytes of a block, byte offsets of its float16 numbers.
TYPES = {
    "F16": (2, [0]), "BF16": (2, []), "Q4_0": (18, [0]), "Q4_1": (20, [0, 2]), "Q5_0": (22, [0]), "Q5_1": (24, [0, 2]), "Q8_0": (34, [0]),
    "Q2_K": (84, [80, 82]), "Q3_K": (110, [108]), "Q4_K": (144, [0, 2]), "Q5_K": (176, [0, 2]), "Q6_K": (210, [208]),
    "IQ1_S": (50, [0]), "IQ1_M": (56, []), "IQ2_XXS": (66, [0]), "IQ2_XS": (74, [0]), "IQ2_S": (82, [0]), "IQ3_XXS": (98, [0]), "IQ3_S": (110, [0]),
    "IQ4_NL": (18, [0]), "IQ4_XS": (136, [0]), "MXFP4": (17, []), "TQ1_0": (54, [52]), "TQ2_0": (66, [64]),
}
random = np.random.default_rng(7)
out = {}
for name, (size, scales) in TYPES.items():
    blocks = 64 if size < 10 else 4
    data = random.integers(0, 256, (blocks, size), dtype=np.uint8)
    if name == "BF16":
        data[:, 1] &= 0xBF  # no NaN
    if name == "IQ1_M":
        data[:, 55] &= 0xBF  # the highest bits of the scale, which is spread over four places: no NaN
    if name == "MXFP4":
        data[:2, 0], data[2:, 0] = [0, 1], [120, 127]  # exponents, also those of subnormal numbers
    for offset in scales:
        data[:, offset : offset + 2] = random.normal(0, 0.1, (blocks, 1)).astype(np.float16).view(np.uint8)
    values = dequantize(data.reshape(-1), Type[name]).astype(np.float32).reshape(-1)
    encode = lambda array: base64.b64encode(array.tobytes()).decode()  # noqa: E731
    out[name] = {"bytes": encode(data), "values": encode(values)}
with open(sys.argv[1], "w") as file:
    json.dump(out, file, indent=0)
    file.write("\n")
