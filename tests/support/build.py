"""ONNX models of a few nodes, written in one line, and both engines to run them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime
from onnx import ModelProto, helper

from coldpress_runtime.ort import Session, SessionOptions
from coldpress_runtime.tensor import Tensor

__all__ = ["alike", "binding", "build", "lean", "same", "tensor", "to_numpy", "to_tensors"]


def tensor(element: int, shape: Sequence[int | str | None] | None = ("n",)) -> Any:
    """A TypeProto of a tensor."""
    return helper.make_tensor_type_proto(element, shape)


def build(
    nodes: Sequence[Any],
    inputs: Mapping[str, Any],
    outputs: Mapping[str, Any],
    initializers: Sequence[Any] = (),
    opset: int = 18,
    ir_version: int = 9,
    metadata: Mapping[str, str] | None = None,
) -> ModelProto:
    """A model of `nodes`; `inputs` and `outputs` are TypeProtos by name."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_value_info(name, kind) for name, kind in inputs.items()],
        [helper.make_value_info(name, kind) for name, kind in outputs.items()],
        initializers,
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=ir_version)
    helper.set_model_props(model, dict(metadata or {}))
    return model


def _content(model: Any) -> Any:
    return model.SerializeToString() if isinstance(model, ModelProto) else str(model)


def binding(
    model: Any,
    feeds: Mapping[str, Any],
    outputs: Sequence[str] | None = None,
    *,
    optimization: str = "all",
    prepacking: bool = True,
) -> dict[str, Any]:
    """Run a model (or the path of one) with the ordinary onnxruntime binding."""
    options = onnxruntime.SessionOptions()
    level = "DISABLE_ALL" if optimization == "disabled" else f"ENABLE_{optimization.upper()}"
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, f"ORT_{level}")
    options.add_session_config_entry("session.disable_prepacking", "0" if prepacking else "1")
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(_content(model), options, providers=["CPUExecutionProvider"])
    names = list(outputs or [info.name for info in session.get_outputs()])
    return dict(zip(names, session.run(names, dict(feeds)), strict=True))


def lean(model: Any, feeds: Mapping[str, Any], outputs: Sequence[str] | None = None, **options: Any) -> dict[str, Any]:
    """Run a model (or the path of one) with the lean engine; numpy in and out, as with `binding`."""
    with Session(_content(model), SessionOptions(**options)) as session:
        return to_numpy(session.run(to_tensors(feeds), outputs))


def to_tensors(value: Any) -> Any:
    """Numpy arrays, wherever they are in `value`, as tensors; maps of scalars stay."""
    if isinstance(value, dict):
        return {name: to_tensors(item) for name, item in value.items()}
    if isinstance(value, list):
        return [to_tensors(item) for item in value]
    return Tensor.from_numpy(value) if isinstance(value, np.ndarray) else value


def to_numpy(value: Any) -> Any:
    """The other way round."""
    if isinstance(value, dict):
        return {name: to_numpy(item) for name, item in value.items()}
    if isinstance(value, list):
        return [to_numpy(item) for item in value]
    return value.numpy() if isinstance(value, Tensor) else value


def same(left: Mapping[str, Any], right: Mapping[str, Any]) -> None:
    """Demand the same bits under the same names."""
    assert left.keys() == right.keys()
    for name, value in left.items():
        alike(value, right[name])


def alike(left: Any, right: Any) -> None:
    """Demand the same bits."""
    if isinstance(left, list):
        assert len(left) == len(right)
        for one, other in zip(left, right, strict=True):
            alike(one, other)
    elif isinstance(left, np.ndarray):
        assert (left.dtype, left.shape) == (right.dtype, right.shape)
        assert left.tolist() == right.tolist() if left.dtype == object else left.tobytes() == right.tobytes()
    else:
        assert left == right
