"""Every tensor of a model, wherever it lives, and what its declaration says it weighs, without reading its data."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from coldpress.errors import ModelError

if TYPE_CHECKING:
    from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto

__all__ = ["ELEMENT_BITS", "declared_bytes", "iter_graph_tensors", "iter_tensors", "stored_bytes", "type_name"]

# Bits an element by TensorProto.DataType (onnx.proto of onnx 1.23: the raw_data field). STRING has no fixed size.
ELEMENT_BITS = {
    1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64, 14: 64, 15: 128, 16: 16,
    17: 8, 18: 8, 19: 8, 20: 8, 21: 4, 22: 4, 23: 4, 24: 8, 25: 2, 26: 2,
}  # fmt: skip
_STRING = 8
_MAX_BYTES = 2**40
"""A single tensor above one TiB is not a model that any function could hold, but a damaged or hostile file."""


def type_name(data_type: int) -> str:
    """Return the ONNX name of an element type, such as ``float16``; ``type 99`` for one this onnx does not know."""
    from onnx import TensorProto

    try:
        return TensorProto.DataType.Name(data_type).lower()
    except ValueError:
        return f"type {data_type}"


def declared_bytes(tensor: "TensorProto", where: str) -> int | None:
    """Return the bytes ``tensor``'s shape and type call for, or None for strings; ``ModelError`` when impossible."""
    count = 1
    for dim in tensor.dims:
        if dim < 0:
            raise ModelError(f"{where} has the negative dimension {dim}; the file is damaged: export it again.")
        count *= dim
    if tensor.data_type == _STRING:
        return None
    bits = ELEMENT_BITS.get(tensor.data_type)
    if bits is None:
        raise ModelError(
            f"{where} has element type {tensor.data_type}, which ONNX does not define; export the model again."
        )
    size = (count * bits + 7) // 8
    if size > _MAX_BYTES:
        raise ModelError(
            f"{where} declares shape {list(tensor.dims)}, which is {size / 2**40:.0f} TiB; the file is damaged: "
            "export it again."
        )
    return size


def stored_bytes(tensor: "TensorProto") -> int:
    """Return the bytes of data held inside the message itself, 0 when they are external."""
    if tensor.HasField("raw_data"):
        return len(tensor.raw_data)
    return (
        4 * len(tensor.float_data)
        + 4 * len(tensor.int32_data)
        + 8 * (len(tensor.int64_data) + len(tensor.double_data) + len(tensor.uint64_data))
        + sum(map(len, tensor.string_data))
    )


def iter_tensors(model: "ModelProto") -> Iterator["TensorProto"]:
    """Yield every TensorProto: initialisers, sparse ones, and attributes, in subgraphs, functions and training info."""
    yield from iter_graph_tensors(model.graph)
    for function in model.functions:
        yield from _of_nodes(function)
        for attribute in function.attribute_proto:
            yield from _of_attribute(attribute)
    for training in model.training_info:
        yield from iter_graph_tensors(training.initialization)
        yield from iter_graph_tensors(training.algorithm)


def iter_graph_tensors(graph: "GraphProto") -> Iterator["TensorProto"]:
    """Yield every TensorProto of a graph and of the graphs inside it."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield sparse.values
        yield sparse.indices
    yield from _of_nodes(graph)


def _of_nodes(body: "GraphProto | FunctionProto") -> Iterator["TensorProto"]:
    node: NodeProto
    for node in body.node:
        for attribute in node.attribute:
            yield from _of_attribute(attribute)


def _of_attribute(attribute: "AttributeProto") -> Iterator["TensorProto"]:
    if attribute.HasField("t"):
        yield attribute.t
    yield from attribute.tensors
    for sparse in (
        *([attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else []),
        *attribute.sparse_tensors,
    ):
        yield sparse.values
        yield sparse.indices
    if attribute.HasField("g"):
        yield from iter_graph_tensors(attribute.g)
    for graph in attribute.graphs:
        yield from iter_graph_tensors(graph)
