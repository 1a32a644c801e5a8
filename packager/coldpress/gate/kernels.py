"""What a model's kernels will make of its weights: told from the graph, where running it would not show it."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from onnx import GraphProto, NodeProto, TensorProto, load, numpy_helper

from coldpress.gate.values import Array
from coldpress.model.files import read_model
from coldpress.shrink.constants import constant_value
from coldpress.shrink.scopes import Body, is_standard, subgraphs

__all__ = ["saturating_weights", "unfolded_weights"]

_PAIR = 128
"""Two signed bytes times 255 each stay within 16 bits up to this sum: 255 * 128 = 32,640."""
_KERNEL_WEIGHTS = {
    "MatMulInteger": (1,),
    "ConvInteger": (1,),
    "QLinearMatMul": (3,),
    "QLinearConv": (3,),
    "QGemm": (3,),
    "MatMulIntegerToFloat": (1,),
    "DynamicQuantizeMatMul": (1,),
    "DynamicQuantizeLSTM": (1, 2),
    "QAttention": (1,),
}
"""Operators that multiply bytes, by the inputs that hold weights; those of com.microsoft take weights as [K, N] too."""
_FUSED = {"Conv": 1, "MatMul": 1, "Gemm": 1}
"""Operators that ONNX Runtime makes such of where both operands come out of a DequantizeLinear."""


def unfolded_weights(optimized: Path) -> int:
    """Return how many weights a model dequantises at every run, given the graph as ONNX Runtime optimised it."""
    model = load(optimized, load_external_data=False)
    return sum(
        node.op_type == "DequantizeLinear" and node.input[0] in known for known, node, _ in _nodes(model.graph, {}, {})
    )


def saturating_weights(path: Path) -> tuple[str, ...]:
    """Return the names of weights whose products depend on the CPU.

    x86 CPUs without VNNI multiply unsigned by signed bytes and add neighbours in 16 bits that saturate at 32,767
    (``vpmaddubsw``); those with it, and ARM's, add in 32 bits. ONNX Runtime uses both
    (https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html, "when and why to try U8U8").
    A weight can saturate where two neighbours along the summed dimension, of the same sign, together exceed 128.
    """
    found: list[str] = []
    for known, node, makers in _nodes(read_model(path).graph, {}, {}):
        found += [
            name
            for name, weight in _byte_weights(node, known, makers)
            if weight.data_type == TensorProto.INT8
            and _can_saturate(numpy_helper.to_array(weight, str(path.parent)), node)
        ]
    return tuple(dict.fromkeys(found))


Known = Mapping[str, TensorProto]
Makers = Mapping[str, NodeProto]


def _nodes(body: Body, known: Known, makers: Makers) -> Iterator[tuple[Known, NodeProto, Makers]]:
    """Yield every node, inner graphs' too, with the constants and the makers of values that it can see."""
    known = dict(known)
    if isinstance(body, GraphProto):
        known |= {tensor.name: tensor for tensor in body.initializer}
    for node in body.node:
        if is_standard(node, "Constant") and (value := constant_value(node)) is not None:
            known[node.output[0]] = value
    makers = {**makers, **{name: node for node in body.node for name in node.output}}
    for node in body.node:
        yield known, node, makers
        for graph in subgraphs(node):
            yield from _nodes(graph, known, makers)


def _byte_weights(node: NodeProto, known: Known, makers: Makers) -> Iterator[tuple[str, TensorProto]]:
    for place in _KERNEL_WEIGHTS.get(node.op_type, ()):
        if place < len(node.input) and node.input[place] in known:
            yield node.input[place], known[node.input[place]]
    if is_standard(node, *_FUSED):
        operands = [makers.get(name) for name in node.input[:2]]
        if all(maker is not None and is_standard(maker, "DequantizeLinear") for maker in operands):
            names = [maker.input[0] for maker in operands if maker]
            yield from ((name, known[name]) for name in names if name in known)


def _can_saturate(weight: Array, node: NodeProto) -> bool:
    return any(_exceeds(layout) for layout in _layouts(weight.astype(np.int16), node))


def _layouts(weight: Array, node: NodeProto) -> Iterator[Array]:
    """Yield the weight with the summed dimension last, in every order that a kernel may lay it out in."""
    if "Conv" in node.op_type:
        yield weight.reshape(len(weight), -1)
        yield np.moveaxis(weight, 1, -1).reshape(len(weight), -1)  # channels last
        return
    transposed = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
    yield weight if transposed or weight.ndim < 2 else np.swapaxes(weight, -1, -2)


def _exceeds(weight: Array) -> bool:
    for sign in (1, -1):
        part = np.maximum(sign * weight, 0)
        if part.shape[-1] > 1 and int((part[..., 1:] + part[..., :-1]).max(initial=0)) > _PAIR:
            return True
    return False
