"""A weight that is another one's transpose is stored once.

Models whose input and output share a table (tied embeddings) are exported with both: the one the table that ``Gather``
reads, the other its transpose for ``MatMul``. ONNX Runtime computes the transpose again while it opens the model, so
the file becomes smaller and memory stays what it was.
"""

from collections.abc import Iterator

import numpy as np
from onnx import GraphProto, TensorProto, helper

from coldpress.model.tensors import declared_bytes
from coldpress.shrink.draft import Draft
from coldpress.shrink.scopes import delete_at, pinned_names, roots, scopes_in

__all__ = ["tie_transposed"]

_LEAST_BYTES = 1024
"""A smaller weight saves less than the node costs when the model is opened."""


def tie_transposed(draft: Draft) -> int:
    """Replace each matrix that is the transpose of another, bit for bit, by a Transpose of it; return how many.

    Both must be constants of the same graph: not external, and neither a default that a caller may override, an output
    nor named in an annotation. The one that ``Gather`` looks rows up in is kept, else the one that comes first.

    Guarantee: every reader gets the same bits, at optimisation level "basic" and above packed as before.
    """
    tied = 0
    for root in roots(draft.proto):
        pinned = pinned_names(root.body)
        for scope in scopes_in(root):
            if isinstance(scope.body, GraphProto):
                tied += _tie_in(draft, scope.body, pinned)
    return tied


def _tie_in(draft: Draft, graph: GraphProto, pinned: set[str]) -> int:
    overridable = {value.name for value in graph.input}
    tables = {node.input[0] for node in graph.node if node.op_type == "Gather"}
    groups: dict[tuple[object, ...], list[int]] = {}
    for place, tensor in enumerate(graph.initializer):
        if tensor.name in pinned or tensor.name in overridable or not _is_matrix(tensor):
            continue
        array = draft.array(tensor)
        corners = np.ascontiguousarray(array[[0, -1], [0, -1]]).tobytes()  # transposing leaves these two in place
        groups.setdefault((tensor.data_type, *sorted(tensor.dims), corners), []).append(place)
    gone: list[int] = []
    nodes = []
    for places in groups.values():
        places.sort(key=lambda place: (graph.initializer[place].name not in tables, place))
        for kept, other in _pairs(draft, graph, places):
            names = graph.initializer[kept].name, graph.initializer[other].name
            nodes.append(helper.make_node("Transpose", [names[0]], [names[1]], perm=[1, 0]))
            gone.append(other)
    delete_at(graph.initializer, sorted(gone))
    if nodes:
        nodes += graph.node
        copies = [type(node).FromString(node.SerializeToString()) for node in nodes]
        del graph.node[:]
        graph.node.extend(copies)
    return len(gone)


def _is_matrix(tensor: TensorProto) -> bool:
    if len(tensor.dims) != 2 or min(tensor.dims) < 2 or tensor.data_location == TensorProto.EXTERNAL:
        return False
    return (declared_bytes(tensor, tensor.name) or 0) >= _LEAST_BYTES


def _pairs(draft: Draft, graph: GraphProto, places: list[int]) -> Iterator[tuple[int, int]]:
    """Yield places of a matrix that stays and of one that is its transpose, which is then given up."""
    if len(places) < 2:
        return
    stays: dict[bytes, int] = {}
    for place in places:
        array = draft.array(graph.initializer[place])
        turned = np.ascontiguousarray(array.T)
        if (kept := stays.get(_key(turned))) is not None:
            yield kept, place
        else:
            stays.setdefault(_key(array), place)


def _key(array: np.ndarray) -> bytes:
    return repr(array.shape).encode() + array.tobytes()
