"""Taking a node out of the graph when its output is its input: shared by every pass that finds such nodes."""

from collections.abc import Callable

from onnx import GraphProto, NodeProto

from coldpress.shrink.draft import Draft
from coldpress.shrink.scopes import (
    Body,
    Scope,
    bodies,
    delete_at,
    output_names,
    pinned_names,
    roots,
    scopes_in,
    substitute,
)

__all__ = ["bypass"]


def bypass(draft: Draft, same: Callable[[Scope, NodeProto], str | None]) -> int:
    """Remove each node for which ``same`` names the input that its first output always equals.

    Where that output is an output of its graph, the producer of the input takes over the name, if it is in the same
    graph; a graph may not return its own input or a name from outside, so there the node stays.
    """
    removed = 0
    for root in roots(draft.proto):
        pinned = pinned_names(root.body)
        mapping: dict[str, str] = {}
        for scope in scopes_in(root):
            removed += _bypass_in(scope, same, pinned, mapping)
        substitute(root.body, mapping)
        _drop_types(root.body, set(mapping))
    return removed


def _bypass_in(
    scope: Scope, same: Callable[[Scope, NodeProto], str | None], pinned: set[str], mapping: dict[str, str]
) -> int:
    body = scope.body
    producers = {name: (node, index) for node in body.node for index, name in enumerate(node.output) if name}
    outputs = set(output_names(body))
    gone: list[int] = []
    for place, node in enumerate(body.node):
        source = same(scope, node)
        if not source:
            continue
        while source in mapping:
            source = mapping[source]
        target = node.output[0]
        if target not in pinned:
            mapping[target] = source
        elif target in outputs and source in producers and source not in pinned:
            producer, index = producers.pop(source)
            producer.output[index] = target
            producers[target] = (producer, index)
            mapping[source] = target
        else:
            continue
        gone.append(place)
    delete_at(body.node, gone)
    return len(gone)


def _drop_types(root: Body, names: set[str]) -> None:
    """Forget the declared types of names that no longer exist."""
    for body in bodies(root):
        if isinstance(body, GraphProto):
            delete_at(body.value_info, [place for place, value in enumerate(body.value_info) if value.name in names])
