"""Tiny models built on the spot, and bundles around them: real parts for tests of the runtime."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper

from coldpress_runtime.library import find_library
from coldpress_runtime.service import Service

__all__ = ["MODELS", "manifest", "open_service", "write_bundle"]

_OPSETS = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]


def _model(nodes, inputs, outputs, initializers=()) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, list(initializers))
    model = helper.make_model(graph, opset_imports=_OPSETS, ir_version=8)
    onnx.checker.check_model(model)
    return model


def _value(name, element, shape):
    return helper.make_tensor_value_info(name, element, shape)


def _constant(name, array):
    return onnx.numpy_helper.from_array(np.asarray(array), name)


def mlp() -> onnx.ModelProto:
    """Sixty-four pixels to ten scores and a label, like a digit classifier."""
    rng = np.random.default_rng(0)
    weights = [rng.standard_normal(shape).astype(np.float32) * 0.1 for shape in ((64, 32), (32, 10))]
    nodes = [
        helper.make_node("MatMul", ["x", "w0"], ["h0"]),
        helper.make_node("Relu", ["h0"], ["h1"]),
        helper.make_node("MatMul", ["h1", "w1"], ["h2"]),
        helper.make_node("Softmax", ["h2"], ["probabilities"]),
        helper.make_node("ArgMax", ["probabilities"], ["label"], axis=1, keepdims=0),
    ]
    return _model(
        nodes,
        [_value("x", T.FLOAT, ["batch", 64])],
        [_value("label", T.INT64, ["batch"]), _value("probabilities", T.FLOAT, ["batch", 10])],
        [_constant(f"w{i}", w) for i, w in enumerate(weights)],
    )


def identity(element: int, shape: Sequence[int | str | None] = ("n", 2)) -> onnx.ModelProto:
    """``y = x`` for one element type."""
    node = helper.make_node("Identity", ["x"], ["y"])
    return _model([node], [_value("x", element, shape)], [_value("y", element, shape)])


def two_inputs() -> onnx.ModelProto:
    """``sum/of:both = left + right``, for names with punctuation and inputs whose sizes can be at odds."""
    node = helper.make_node("Add", ["in/left:0", "right"], ["sum/of:both"])
    return _model(
        [node],
        [_value("in/left:0", T.FLOAT, ["n", "m"]), _value("right", T.FLOAT, ["n", "m"])],
        [_value("sum/of:both", T.FLOAT, ["n", "m"])],
    )


def every_type() -> onnx.ModelProto:
    """Five inputs of five types, each handed through."""
    kinds = {"f": T.FLOAT, "i": T.INT64, "s": T.STRING, "h": T.FLOAT16, "b": T.BOOL}
    nodes = [helper.make_node("Identity", [name], [name.upper()]) for name in kinds]
    return _model(
        nodes,
        [_value(name, kind, ["n"]) for name, kind in kinds.items()],
        [_value(name.upper(), kind, ["n"]) for name, kind in kinds.items()],
    )


def zipmap() -> onnx.ModelProto:
    """Scores to a sequence of maps, as scikit-learn classifiers return them, and the scores beside it."""
    nodes = [
        helper.make_node("Identity", ["scores"], ["raw"]),
        helper.make_node("ZipMap", ["scores"], ["by_class"], domain="ai.onnx.ml", classlabels_int64s=[3, 5]),
    ]
    entry = helper.make_map_type_proto(T.INT64, helper.make_tensor_type_proto(T.FLOAT, None))
    by_class = helper.make_value_info("by_class", helper.make_sequence_type_proto(entry))
    return _model(nodes, [_value("scores", T.FLOAT, ["n", 2])], [_value("raw", T.FLOAT, ["n", 2]), by_class])


def divide() -> onnx.ModelProto:
    """``y = x / 0``: infinities and NaN."""
    return _model(
        [helper.make_node("Div", ["x", "zero"], ["y"])],
        [_value("x", T.FLOAT, ["n"])],
        [_value("y", T.FLOAT, ["n"])],
        [_constant("zero", np.zeros(1, np.float32))],
    )


def lookup() -> onnx.ModelProto:
    """Row ``index`` of a table: an index out of range fails inside the engine."""
    return _model(
        [helper.make_node("Gather", ["table", "index"], ["row"], axis=0)],
        [_value("index", T.INT64, ["n"])],
        [_value("row", T.FLOAT, ["n", 4])],
        [_constant("table", np.arange(12, dtype=np.float32).reshape(3, 4))],
    )


def expand() -> onnx.ModelProto:
    """A thousand copies of each element: small requests with large answers."""
    return _model(
        [helper.make_node("Expand", ["x", "shape"], ["y"])],
        [_value("x", T.FLOAT, ["n", 1])],
        [_value("y", T.FLOAT, ["n", 1000])],
        [_constant("shape", np.array([1, 1000], np.int64))],
    )


def zeros() -> onnx.ModelProto:
    """Zeros of the shape that the caller names."""
    shape = helper.make_tensor_value_info("shape", T.INT64, [2])
    return _model([helper.make_node("ConstantOfShape", ["shape"], ["y"])], [shape], [_value("y", T.FLOAT, ["n", "m"])])


def counts() -> onnx.ModelProto:
    """A map of words to numbers as a vector, as scikit-learn's DictVectorizer takes it."""
    words = helper.make_map_type_proto(T.STRING, helper.make_tensor_type_proto(T.FLOAT, []))
    node = helper.make_node("DictVectorizer", ["counts"], ["y"], domain="ai.onnx.ml", string_vocabulary=["a", "b"])
    return _model([node], [helper.make_value_info("counts", words)], [_value("y", T.FLOAT, [1, 2])])


def scalar() -> onnx.ModelProto:
    """A scalar input and output."""
    return identity(T.INT64, ())


def sequences() -> onnx.ModelProto:
    """A sequence of tensors joined into one, and handed back as it came."""
    sequence = helper.make_sequence_type_proto(helper.make_tensor_type_proto(T.FLOAT, ["n"]))
    nodes = [
        helper.make_node("ConcatFromSequence", ["parts"], ["joined"], axis=0),
        helper.make_node("Identity", ["parts"], ["same"]),
    ]
    return _model(
        nodes,
        [helper.make_value_info("parts", sequence)],
        [_value("joined", T.FLOAT, ["n"]), helper.make_value_info("same", sequence)],
    )


MODELS: dict[str, Callable[[], onnx.ModelProto]] = {
    "mlp": mlp,
    "two_inputs": two_inputs,
    "every_type": every_type,
    "zipmap": zipmap,
    "divide": divide,
    "lookup": lookup,
    "expand": expand,
    "zeros": zeros,
    "counts": counts,
    "scalar": scalar,
    "sequences": sequences,
    "bool": lambda: identity(T.BOOL),
    "bytes": lambda: identity(T.STRING),
    "fp16": lambda: identity(T.FLOAT16),
    "fp32": lambda: identity(T.FLOAT),
    "fp64": lambda: identity(T.DOUBLE),
    "bf16": lambda: identity(T.BFLOAT16),
    "int8": lambda: identity(T.INT8),
    "int64": lambda: identity(T.INT64),
    "uint8": lambda: identity(T.UINT8),
}


def manifest(data: bytes = b"", /, **changes: Any) -> dict[str, Any]:
    """A manifest for a model at ``model/model.onnx``; ``changes`` replace its top-level keys."""
    document = {
        "format": 1,
        "name": "tiny",
        "version": "1",
        "engine": {"library": "lib/libonnxruntime.so", "version": "1.31.1", "sha256": "0" * 64},
        "model": {
            "path": "model/model.onnx",
            "sha256": hashlib.sha256(data).hexdigest(),
            "optimization": "all",
            "mapped": False,
            "prepacking": True,
            "cpu": [],
        },
        "portable": None,
        "threads": 1,
        "warmup": {"inputs": [], "data": None},
        "hooks": None,
        "limits": {"request_bytes": 6291456, "response_bytes": 6291456},
        "function": {"memory_mb": 1024, "timeout_s": 30},
        "batch": None,
        "fallback": None,
        "weights": None,
    }
    return document | changes


def write_bundle(root: Path, model: str | onnx.ModelProto, hooks: str | None = None, /, **changes: Any) -> Path:
    """Lay out a bundle in ``root``: manifest, model, hooks, and a link to the installed engine."""
    data = (MODELS[model]() if isinstance(model, str) else model).SerializeToString()
    (root / "model").mkdir(parents=True)
    (root / "lib").mkdir()
    (root / "model" / "model.onnx").write_bytes(data)
    (root / "lib" / "libonnxruntime.so").symlink_to(find_library())
    if hooks is not None:
        (root / "hooks.py").write_text(hooks)
        changes["hooks"] = "hooks.py"
    (root / "coldpress.json").write_text(json.dumps(manifest(data, **changes)))
    return root


def open_service(root: Path, model: str | onnx.ModelProto, hooks: str | None = None, /, **changes: Any) -> Service:
    """Write a bundle and open it."""
    return Service.open(str(write_bundle(root, model, hooks, **changes)))
