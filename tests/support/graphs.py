"""Small ONNX models for tests, built in one line, and their answers from the plain onnxruntime binding."""

from typing import Any

import numpy as np
import onnxruntime
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

__all__ = ["alike", "answers", "constant", "graph", "model", "node", "same_bits", "tensor", "value"]

node = helper.make_node


def value(name: str, shape: Any = (2, 3), dtype: int = TensorProto.FLOAT) -> ValueInfoProto:
    """A declared tensor."""
    return helper.make_tensor_value_info(name, dtype, shape)


def tensor(name: str, values: Any, dtype: Any = np.float32) -> TensorProto:
    """An initialiser."""
    return numpy_helper.from_array(np.asarray(values, dtype), name)


def constant(name: str, values: Any, dtype: Any = np.float32) -> NodeProto:
    """A Constant node."""
    return node("Constant", [], [name], value=tensor("", values, dtype))


def graph(
    nodes: list[NodeProto],
    inputs: list[ValueInfoProto] | None = None,
    outputs: list[ValueInfoProto] | None = None,
    weights: list[TensorProto] | None = None,
) -> GraphProto:
    """A graph from x to y unless told otherwise."""
    return helper.make_graph(
        nodes,
        "g",
        [value("x")] if inputs is None else inputs,
        [value("y")] if outputs is None else outputs,
        weights or [],
    )


def model(
    nodes: list[NodeProto],
    inputs: list[ValueInfoProto] | None = None,
    outputs: list[ValueInfoProto] | None = None,
    weights: list[TensorProto] | None = None,
    *,
    opset: int = 17,
    ir: int = 8,
    domains: tuple[tuple[str, int], ...] = (),
    functions: Any = (),
) -> ModelProto:
    """A model of one graph."""
    made = helper.make_model(
        graph(nodes, inputs, outputs, weights),
        opset_imports=[helper.make_opsetid("", opset), *(helper.make_opsetid(*domain) for domain in domains)],
        functions=list(functions),
    )
    made.ir_version = ir
    return made


def answers(model: ModelProto | bytes, feeds: dict[str, Any], *, optimized: bool = True) -> list[Any]:
    """Run a model on one thread with the engine's own optimisations, or none."""
    levels = onnxruntime.GraphOptimizationLevel
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimized else levels.ORT_DISABLE_ALL
    data = model if isinstance(model, bytes) else model.SerializeToString()
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return session.run(None, feeds)


def alike(one: Any, other: Any, part: float = 1e-5) -> bool:
    """Whether two arrays are the same but for rounding: no two values differ by more than ``part`` of the largest.

    How sums are rounded depends on the kernel, and the kernel on the CPU: a value near zero may lose all its digits.
    """
    one, other = np.asarray(one), np.asarray(other)
    largest = float(np.abs(other).max(initial=0.0))
    return one.shape == other.shape and bool((np.abs(one - other) <= part * largest).all())


def same_bits(one: Any, other: Any) -> bool:
    """Whether two answers are equal in structure, type, shape and every bit."""
    if isinstance(one, list | tuple):
        return isinstance(other, type(one)) and len(one) == len(other) and all(map(same_bits, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same_bits(one[key], other[key]) for key in one)
    if one is None or other is None:
        return one is other
    one, other = np.asarray(one), np.asarray(other)
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    return one.tolist() == other.tolist() if one.dtype == object else one.tobytes() == other.tobytes()
