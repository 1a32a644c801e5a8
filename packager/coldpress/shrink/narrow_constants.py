"""Constants whose every value fits a smaller type exactly are stored in that type and cast back.

Indices and positions are kept as int64 although they are below 32,768; some models were trained or converted in half
precision and then exported as float32, so that half of each number is zeros. ONNX Runtime computes a ``Cast`` of a
constant once, while it opens the model: the file becomes smaller and memory stays what it was.
"""

import numpy as np
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper

from coldpress.shrink.draft import Draft
from coldpress.shrink.scopes import STANDARD, defined_names, fresh_name, pinned_names, roots, scopes_in

__all__ = ["narrow_constants"]

_LEAST_SAVED = 512
"""Bytes; a Cast takes some thirty in the file, and a few microseconds each time the model is opened."""
_FIRST = 1024
"""Values to look at first: most weights are found to need their type by then."""
_OPSET = 9
"""Casts from 8 and 16-bit types are tried from here on, of bfloat16 from 13 (ONNX operator changelog, Cast)."""
_BFLOAT16_OPSET = 13
_INTEGERS = (np.uint8, np.int8, np.uint16, np.int16, np.int32)
_NARROWER: dict[int, tuple[type[np.generic], ...]] = {
    TensorProto.INT64: _INTEGERS,
    TensorProto.INT32: _INTEGERS[:-1],
    TensorProto.FLOAT: (np.uint8, np.int8, np.float16),
    TensorProto.DOUBLE: (np.uint8, np.int8, np.float16, np.float32),
}
"""By element type, the types to try in turn."""


def narrow_constants(draft: Draft) -> int:
    """Store each large enough constant in the smallest type that holds all of it exactly; return how many.

    Guarantee: the value that readers get is the same bit for bit, negative zeros, infinities and NaNs included, because
    each constant is cast there and back here first; from optimisation level "basic" on kernels pack it as before.

    Left alone: what a caller may override, outputs, external and set-aside strings; what a Cast reads (ONNX Runtime
    drops the first of two Casts); what an operator outside the standard set or a quantised one reads, because those
    look for constants before ONNX Runtime folds any; models before opset 9.
    """
    root = next(roots(draft.proto))
    if draft.proto.ir_version < 4 or root.opset < _OPSET:
        return 0
    pinned = pinned_names(root.body)
    taken = {name for scope in scopes_in(root) for name in defined_names(scope.body)}
    particular = {
        name for scope in scopes_in(root) for node in scope.body.node if _is_particular(node) for name in node.input
    }
    narrowed = 0
    for scope in scopes_in(root):
        graph = scope.body
        if not isinstance(graph, GraphProto):
            continue
        kept = pinned | particular | {value.name for value in graph.input}
        casts = []
        for tensor in graph.initializer:
            if tensor.name in kept or (small := _narrowest(draft, tensor, root.opset)) is None:
                continue
            name, kind = tensor.name, tensor.data_type
            tensor.CopyFrom(small)
            tensor.name = fresh_name(taken, f"{name}_n")
            draft.set_aside([tensor])
            casts.append(helper.make_node("Cast", [tensor.name], [name], to=kind))
        if casts:
            nodes = [NodeProto.FromString(node.SerializeToString()) for node in graph.node]
            del graph.node[:]
            graph.node.extend([*casts, *nodes])
        narrowed += len(casts)
    return narrowed


def _is_particular(node: NodeProto) -> bool:
    quantised = "Linear" in node.op_type or "Integer" in node.op_type  # QuantizeLinear, QLinearConv, ConvInteger, ...
    return node.op_type == "Cast" or node.domain not in STANDARD or quantised


def _narrowest(draft: Draft, tensor: TensorProto, opset: int) -> TensorProto | None:
    """Return the tensor in a smaller type, without a name; None where none holds it exactly or little is saved."""
    kinds = _NARROWER.get(tensor.data_type, ())
    if not kinds or tensor.data_location == TensorProto.EXTERNAL or draft.nbytes(tensor) < _LEAST_SAVED:
        return None
    array = draft.array(tensor)
    for kind in kinds:
        if array.nbytes - array.size * np.dtype(kind).itemsize < _LEAST_SAVED:
            continue
        if _is_exact(array.reshape(-1)[:_FIRST], kind) and _is_exact(array, kind):
            return numpy_helper.from_array(array.astype(kind))
    if tensor.data_type == TensorProto.FLOAT and opset >= _BFLOAT16_OPSET and array.nbytes >= 2 * _LEAST_SAVED:
        halves = np.ascontiguousarray(array).reshape(-1).view("<u2").reshape(-1, 2)  # bfloat16 is the upper half
        if not halves[:, 0].any() and not np.isnan(array).any():
            return TensorProto(dims=array.shape, data_type=TensorProto.BFLOAT16, raw_data=halves[:, 1].tobytes())
    return None


def _is_exact(array: np.ndarray, kind: type[np.generic]) -> bool:
    with np.errstate(all="ignore"):
        return np.array_equal(_bits(array.astype(kind).astype(array.dtype)), _bits(array))


def _bits(array: np.ndarray) -> np.ndarray:
    return array.view(f"u{array.dtype.itemsize}")
