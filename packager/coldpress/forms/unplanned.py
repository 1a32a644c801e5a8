"""Hide a model's shapes from ONNX Runtime's memory planner, whose work grows with the square of the values.

While a session opens, the planner looks for every value's buffer among all buffers that are free again, and compares
their element types by parsing type names (core/framework/allocation_planner.cc, ``FindReusableTensor``). When shapes
depend on the request the search rarely finds anything: in a text recogniser of 400 nodes it takes 40 of the 50 ms that
opening takes. A value of unknown shape is not searched for. So each input passes through a ``Reshape`` to its own
shape, which shares the buffer; the shape comes through a ``Compress`` that keeps every element, because how many it
keeps is something that shape inference cannot know. From there on no shape is known, nothing is planned, the arena
hands out buffers as they are needed, and every kernel computes what it computed before.

Only worth doing to a file that is not optimised any further when it is opened.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

__all__ = ["hide_shapes"]

_COMPRESS_OPSET = 9  # the first with Compress
# Element types (TensorProto) that Reshape takes in every opset since 5: the ones known to ONNX 1.0, and bfloat16.
_TYPES = frozenset(range(1, 14)) | {16}


def hide_shapes(model: "ModelProto") -> bool:
    """Put the three nodes in front of every input, in place; False when there is nothing to hide or no way to.

    Args:
        model: Fully optimised. Its inputs, outputs and answers stay what they are.
    """
    from onnx import TensorProto, helper

    opset = next((entry.version for entry in model.opset_import if entry.domain in {"", "ai.onnx"}), 0)
    graph = model.graph
    weights = {tensor.name for tensor in graph.initializer} | {
        tensor.values.name for tensor in graph.sparse_initializer
    }
    ranks = {
        value.name: len(value.type.tensor_type.shape.dim)
        for value in graph.input
        if value.name not in weights and value.type.tensor_type.elem_type in _TYPES
    }
    ranks = {name: rank for name, rank in ranks.items() if rank}  # a scalar's shape is no shape to plan with
    if opset < _COMPRESS_OPSET or not ranks:
        return False
    prefix = _unused(graph)
    nodes = []
    for number, (name, rank) in enumerate(ranks.items()):
        keep, shape, same, out = (f"{prefix}{number}{letter}" for letter in "abcd")
        graph.initializer.append(helper.make_tensor(keep, TensorProto.BOOL, [rank], [True] * rank))
        nodes += [
            helper.make_node("Shape", [name], [shape]),
            helper.make_node("Compress", [shape, keep], [same], axis=0),
            helper.make_node("Reshape", [name, same], [out]),
        ]
        _replace(graph, name, out)
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *rest])
    del graph.value_info[:]
    return True


def _replace(graph: "GraphProto", old: str, new: str) -> None:
    """Make every node read ``new`` instead of ``old``, also in inner graphs that do not define ``old`` themselves."""
    for node in graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        for inner in _inner(node):
            if old not in set(_defined(inner)):
                _replace(inner, old, new)


def _unused(graph: "GraphProto") -> str:
    """Return the beginning of names that nothing in the model has."""
    taken = set(_names(graph))
    prefix = "u"
    while any(name.startswith(prefix) for name in taken):
        prefix += "_"
    return prefix


def _names(graph: "GraphProto") -> Iterator[str]:
    yield from _defined(graph)
    for node in graph.node:
        yield from node.input
        for inner in _inner(node):
            yield from _names(inner)


def _defined(graph: "GraphProto") -> Iterator[str]:
    """Yield what ``graph`` itself gives a name to."""
    for values in (graph.input, graph.output, graph.initializer):
        for value in values:
            yield value.name
    for sparse in graph.sparse_initializer:
        yield sparse.values.name
    for node in graph.node:
        yield from node.output


def _inner(node: "NodeProto") -> "Iterator[GraphProto]":
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs
