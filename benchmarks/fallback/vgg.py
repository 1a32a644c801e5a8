"""VGG-19 with weights drawn at random: 143,667,240 of them, 575 MB, as large as a model is that no function holds."""

from pathlib import Path
from typing import BinaryIO

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

__all__ = ["write_vgg"]

_BLOCKS = ((2, 64), (2, 128), (4, 256), (4, 512), (4, 512))
_DENSE = (4096, 4096, 1000)


def write_vgg(path: Path) -> Path:
    """Write the model: ``image`` float32 [N, 3, 224, 224] to ``probabilities`` float32 [N, 1000]; the same each time.

    Simonyan and Zisserman, arXiv:1409.1556, configuration E. Weights are scaled as He et al. do (arXiv:1502.01852), so
    that numbers neither vanish nor explode on their way, and answers of two processors can be compared. They lie beside
    the model, in ``path`` with the suffix ``.data``, and are never in memory together.
    """
    data = path.with_suffix(".data")
    with data.open("wb") as file:
        graph = _graph(file)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def _graph(data: BinaryIO) -> onnx.GraphProto:
    chance = np.random.default_rng(19)
    nodes, weights = [], []

    def weight(name: str, *shape: int) -> str:
        scale = np.float32((2 / int(np.prod(shape[1:]))) ** 0.5)
        tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=shape)
        tensor.data_location = TensorProto.EXTERNAL
        begin = data.tell()
        data.write(chance.standard_normal(shape, np.float32) * scale)
        where = {"location": Path(data.name).name, "offset": begin, "length": data.tell() - begin}
        for key, value in where.items():
            tensor.external_data.add(key=key, value=str(value))
        weights.append(tensor)
        return name

    def bias(name: str, count: int) -> str:
        weights.append(numpy_helper.from_array(np.zeros(count, np.float32), name))
        return name

    at, channels = "image", 3
    for block, (count, width) in enumerate(_BLOCKS):
        for layer in range(count):
            name = f"conv{block + 1}_{layer + 1}"
            inputs = [at, weight(f"{name}.weight", width, channels, 3, 3), bias(f"{name}.bias", width)]
            nodes.append(helper.make_node("Conv", inputs, [name], kernel_shape=[3, 3], pads=[1, 1, 1, 1]))
            nodes.append(helper.make_node("Relu", [name], [f"{name}.relu"]))
            at, channels = f"{name}.relu", width
        nodes.append(helper.make_node("MaxPool", [at], [f"pool{block + 1}"], kernel_shape=[2, 2], strides=[2, 2]))
        at = f"pool{block + 1}"
    nodes.append(helper.make_node("Flatten", [at], ["flat"]))
    at, width = "flat", 512 * 7 * 7
    for layer, count in enumerate(_DENSE):
        name = f"fc{layer + 6}"
        inputs = [at, weight(f"{name}.weight", count, width), bias(f"{name}.bias", count)]
        nodes.append(helper.make_node("Gemm", inputs, [name], transB=1))
        at, width = name, count
        if layer < len(_DENSE) - 1:
            nodes.append(helper.make_node("Relu", [name], [f"{name}.relu"]))
            at = f"{name}.relu"
    nodes.append(helper.make_node("Softmax", [at], ["probabilities"], axis=-1))
    return helper.make_graph(
        nodes,
        "vgg19",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, 224, 224])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 1000])],
        weights,
    )
