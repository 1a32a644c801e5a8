"""The same optimised model from every save.

ONNX Runtime makes up names of operators from a counter, and lists operators that do not depend on one another in the
order of a randomised hash map. Neither changes an answer; both change the file. Here the names go, and the operators
come in the order in which the outputs, taken from the first to the last, need them.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from coldpress.model.packed import to_bytes

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

__all__ = ["graphs_of", "settle"]


def settle(file: Path) -> "ModelProto":
    """Rewrite an optimised model in settled form, and return it."""
    import onnx

    model = onnx.load(file)
    for graph in graphs_of(model.graph):
        _order(graph)
        for node in graph.node:
            node.ClearField("name")
            node.ClearField("doc_string")
    file.write_bytes(to_bytes(model))
    return model


def graphs_of(graph: "GraphProto") -> "Iterator[GraphProto]":
    """Yield the graphs inside ``graph``'s operators, at any depth, innermost first, then ``graph`` itself."""
    for node in graph.node:
        for inner in _inner(node):
            yield from graphs_of(inner)
    yield graph


def _order(graph: "GraphProto") -> None:
    """Sort the operators by depth-first search from the outputs; those that no output needs come last."""
    maker = {name: index for index, node in enumerate(graph.node) for name in node.output if name}
    needs = [[maker[name] for name in _read(node) if name in maker] for node in graph.node]
    unneeded = sorted(range(len(graph.node)), key=lambda index: graph.node[index].SerializeToString(deterministic=True))
    order: dict[int, None] = {}
    for root in (*(maker[value.name] for value in graph.output if value.name in maker), *unneeded):
        pending = [(root, iter(needs[root]))] if root not in order else []
        while pending:
            index, rest = pending[-1]
            following = next((n for n in rest if n not in order), None)
            if following is None:
                order[index] = None
                pending.pop()
            else:
                pending.append((following, iter(needs[following])))
    nodes = [graph.node[index] for index in order]
    copies = [type(node).FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)


def _read(node: "NodeProto") -> Iterator[str]:
    """Name all that an operator reads, its inner graphs included."""
    yield from node.input
    for inner in _inner(node):
        yield from (value.name for value in inner.output)
        for each in inner.node:
            yield from _read(each)


def _inner(node: "NodeProto") -> "Iterator[GraphProto]":
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs
