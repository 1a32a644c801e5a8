"""A model's weights as a report shows them: each under the operator it is for, however it is stored."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from coldpress.model.weights import iter_weights

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

__all__ = ["weight_rows"]


def weight_rows(model: "ModelProto") -> list[dict[str, Any]]:
    """Return ``name``, ``bytes``, ``dtype`` and ``op`` of each weight, largest first.

    A weight that is stored small passes through nodes that only compute it, all of whose inputs are constant; ``op`` is
    the operator that reads what they make.
    """
    found = [weight for weight, _ in iter_weights(model)]
    purpose = _purposes(model.graph, {weight.name for weight in found})
    rows = [
        {"name": w.name, "bytes": w.bytes, "dtype": w.dtype, "op": purpose.get(w.name, w.used_by) or w.used_by}
        for w in found
    ]
    return sorted(rows, key=lambda row: (-row["bytes"], row["name"]))


def _purposes(graph: "GraphProto", constants: set[str]) -> dict[str, str]:
    """Return, by name of a constant, the first operator behind it that also reads something else."""
    nodes = list(_nodes(graph))
    known = set(constants)
    for node in nodes:
        if node.input and all(name in known for name in node.input if name) and node.op_type != "Constant":
            known.update(node.output)
    purpose: dict[str, str] = {}
    for node in reversed(nodes):
        through = next((purpose[name] for name in node.output if name in purpose), node.op_type)
        op = through if set(node.output) <= known else node.op_type
        for name in node.input:
            if name in known:
                purpose[name] = op
    return purpose


def _nodes(graph: "GraphProto") -> "Iterator[NodeProto]":
    """Yield the nodes of a graph and, before each, those of the graphs inside it."""
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from _nodes(inner)
        yield node
