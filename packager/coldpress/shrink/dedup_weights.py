"""Weights stored twice are stored once."""

from onnx import GraphProto, TensorProto

from coldpress.shrink.draft import Draft
from coldpress.shrink.scopes import Scope, delete_at, pinned_names, roots, subgraphs, substitute

__all__ = ["dedup_weights"]

Path = tuple[int, ...]
"""Where a graph sits: the numbers of the graphs to enter, from the main graph inwards."""


def dedup_weights(draft: Draft) -> int:
    """Keep one of each set of initialisers equal in type, shape and bytes; return how many were removed.

    Copies in different inner graphs become one in the innermost graph around them all: a model with weights in both
    branches of an If then holds them once. Sparse initialisers are left alone, as are those a caller may override.
    """
    removed = 0
    for root in roots(draft.proto):
        if isinstance(root.body, GraphProto):
            removed += _dedup(root)
    return removed


def _dedup(root: Scope) -> int:
    if not isinstance(root.body, GraphProto):
        raise TypeError(root.body)
    pinned = pinned_names(root.body)
    graphs: dict[Path, GraphProto] = {}
    _collect(root.body, (), graphs)
    groups: dict[bytes, list[tuple[Path, int]]] = {}
    for path, graph in graphs.items():
        overridable = {value.name for value in graph.input}
        for place, tensor in enumerate(graph.initializer):
            if tensor.name not in pinned and tensor.name not in overridable:
                groups.setdefault(_content(tensor), []).append((path, place))
    gone: dict[Path, list[int]] = {path: [] for path in graphs}
    mapping: dict[str, str] = {}
    for members in groups.values():
        if len(members) < 2:
            continue
        home = _common([path for path, _ in members])
        path, place = next((member for member in members if member[0] == home), members[0])
        kept = graphs[path].initializer[place]
        for other_path, other_place in members:
            if (other_path, other_place) != (path, place):
                mapping[graphs[other_path].initializer[other_place].name] = kept.name
                gone[other_path].append(other_place)
        if path != home:
            graphs[home].initializer.add().CopyFrom(kept)
            gone[path].append(place)
    for path, places in gone.items():
        delete_at(graphs[path].initializer, sorted(places))
    substitute(root.body, mapping)
    return len(mapping)


def _collect(graph: GraphProto, path: Path, graphs: dict[Path, GraphProto]) -> None:
    graphs[path] = graph
    inner = [sub for node in graph.node for sub in subgraphs(node)]
    for number, sub in enumerate(inner):
        _collect(sub, (*path, number), graphs)


def _content(tensor: TensorProto) -> bytes:
    bare = TensorProto()
    bare.CopyFrom(tensor)
    bare.ClearField("name")
    bare.ClearField("doc_string")
    del bare.metadata_props[:]
    return bare.SerializeToString(deterministic=True)


def _common(paths: list[Path]) -> Path:
    common = paths[0]
    for path in paths[1:]:
        depth = 0
        while depth < min(len(common), len(path)) and common[depth] == path[depth]:
            depth += 1
        common = common[:depth]
    return common
