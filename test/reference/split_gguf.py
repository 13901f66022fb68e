"""A GGUF file cut into parts by the gguf package: python split_gguf.py    (gguf 0.19)

Cuts test/model/data/gguf/qwen2.gguf; writes test/model/data/gguf-split/qwen2-0000N-of-00003.gguf.
"""
import pathlib

import gguf

DATA = pathlib.Path(__file__).parents[1] / "model/data"
reader = gguf.GGUFReader(DATA / "gguf/qwen2.gguf")
(DATA / "gguf-split").mkdir(exist_ok=True)
architecture = reader.fields["general.architecture"].contents()
most = -(-len(reader.tensors) // 3)
writer = gguf.GGUFWriter(DATA / "gguf-split/qwen2.gguf", architecture, split_max_tensors=most)
for key, field in reader.fields.items():
    if key.startswith("GGUF.") or key == "general.architecture":
        continue
    kind = field.types[0]
    writer.add_key_value(key, field.contents(), kind, field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None)
for tensor in reader.tensors:
    writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
