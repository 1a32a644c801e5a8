"""Computing one node's outputs from known inputs, with ONNX Runtime: the very kernels that would run it anyway."""

from math import prod

import numpy as np
from onnx import NodeProto, ValueInfoProto, helper

from coldpress.binding import onnxruntime

__all__ = ["EXACT", "EXACT_ON_INTEGERS", "evaluate", "most_elements"]

EXACT = frozenset(
    {"Abs", "Add", "And", "Cast", "Ceil", "Clip", "Compress", "Concat", "ConstantOfShape", "Div", "Equal", "Expand"}
    | {"Flatten", "Floor", "Gather", "GatherElements", "Greater", "GreaterOrEqual", "Identity", "Less", "LessOrEqual"}
    | {"Max", "Min", "Mul", "Neg", "NonZero", "Not", "Or", "QuantizeLinear", "Range", "Reshape", "Shape", "Sign"}
    | {"Size", "Slice", "Split", "Sqrt", "Squeeze", "Sub", "Tile", "Transpose", "Trilu", "Unsqueeze", "Where", "Xor"}
)
"""Operators that only move data or round once, as IEEE 754 says, so that every CPU gives the same bits.

Left out on purpose: DequantizeLinear, which would undo quantised storage; and sums, products of matrices and
transcendental functions, whose last bits differ between a packing machine and the function's CPU.
"""
EXACT_ON_INTEGERS = frozenset({"Mod", "Pow", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceSum", "CumSum"})
"""Operators that are exact where every input is of integers or booleans."""
_BROADCAST = frozenset(
    {"Add", "And", "Div", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Min", "Mod", "Mul", "Or"}
    | {"Pow", "Sub", "Where", "Xor"}
)


def most_elements(node: NodeProto, arrays: list[np.ndarray | None]) -> int:
    """Return an upper bound of the elements of the node's outputs together; ``ValueError`` when its inputs are at odds.

    Asked before running a node, so that a few bytes of shape cannot ask for gigabytes of zeros.
    """
    given = [array for array in arrays if array is not None]
    total = sum(array.size for array in given)
    match node.op_type:
        case "ConstantOfShape":
            return prod(max(0, int(size)) for size in given[0].reshape(-1))
        case "Expand":
            return prod(np.broadcast_shapes(given[0].shape, tuple(max(0, int(n)) for n in given[1].reshape(-1))))
        case "Tile":
            return given[0].size * prod(max(0, int(times)) for times in given[1].reshape(-1))
        case "Range":
            start, limit, step = (float(array.reshape(-1)[0]) for array in given)
            return max(0, int((limit - start) / step) + 1) if step else 0
        case "Gather":
            axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0)
            along = given[0].shape[axis] if given[0].ndim else 1
            return given[1].size * (given[0].size // max(1, along))
        case "NonZero":
            return given[0].size * max(1, given[0].ndim)
        case kind if kind in _BROADCAST:
            return prod(np.broadcast_shapes(*(array.shape for array in given)))
    return max(total, 64)


def evaluate(node: NodeProto, arrays: list[np.ndarray | None], opset: int) -> list[np.ndarray]:
    """Return the outputs of ``node``; its empty inputs are given as None. Whatever the engine raises is passed on."""
    feeds = {f"i{place}": array for place, array in enumerate(arrays) if array is not None}
    alone = NodeProto()
    alone.CopyFrom(node)
    del alone.input[:], alone.output[:]
    alone.input.extend(f"i{place}" if array is not None else "" for place, array in enumerate(arrays))
    alone.output.extend(f"o{place}" if name else "" for place, name in enumerate(node.output))
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in feeds.items()
    ]
    outputs = [ValueInfoProto(name=name) for name in alone.output if name]
    graph = helper.make_graph([alone], "one", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    ort = onnxruntime()
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    results: list[np.ndarray] = session.run(None, feeds)
    return results
