"""A model with every construct of src/engine/onnx.ts, encoded by the onnx package (1.23.2): test/reference/sample.onnx.

    python test/reference/make_onnx.py
"""

import pathlib

import numpy as np
import onnx
from onnx import TensorProto, helper

weight = TensorProto(name="w", data_type=TensorProto.BFLOAT16, dims=[3, 4], data_location=TensorProto.EXTERNAL)
for key, value in dict(location="model.safetensors", offset="5000000000", length="24").items():
    weight.external_data.add(key=key, value=value)
initializers = [
    weight,
    helper.make_tensor("shape", TensorProto.INT64, [2], np.array([0, -1], dtype="<i8").tobytes(), raw=True),
    helper.make_tensor("b", TensorProto.FLOAT, [3], np.array([1.5, -2, 1e-5], dtype="<f4").tobytes(), raw=True),
]
nodes = [
    helper.make_node("Cast", ["w"], ["w32"], name="w32", to=1),
    helper.make_node("Gemm", ["x", "w32", "b"], ["y"], name="y", transB=1, alpha=0.125),
    helper.make_node("Transpose", ["y"], ["t"], name="t", perm=[1, 0]),
    helper.make_node("Gelu", ["t"], ["g"], name="g", approximate="tanh"),
    helper.make_node("Softmax", ["g"], ["s"], name="s", axis=-1),
    helper.make_node("MatMulNBits", ["s", "", "b"], ["é"], name="é", domain="com.microsoft", bits=4),
]
graph = helper.make_graph(
    nodes, "sample",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["T", 4])],
    [helper.make_tensor_value_info("é", TensorProto.FLOAT, [3, "T"])],
    initializers,
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)], producer_name="lm-transparency", ir_version=10)
(pathlib.Path(__file__).parent / "sample.onnx").write_bytes(model.SerializeToString())
print(onnx.__version__)
