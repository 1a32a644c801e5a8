"""Taking a node out of the graph when its output is its input: shared by every pass that finds such nodes."""

from collections.abc import Callable
from typing import NamedTuple

from onnx import GraphProto, NodeProto

from coldpress.shrink.draft import Draft
from coldpress.shrink.scopes import (
    Body,
    Scope,
    bodies,
    captured_names,
    delete_at,
    is_standard,
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

    A node also stays between a Cast and a graph inside another node, for the reason in ``guard.lost_casts``.
    """
    removed = 0
    for root in roots(draft.proto):
        pinned = pinned_names(root.body)
        captured = captured_names(root.body)
        mapping: dict[str, str] = {}
        for scope in scopes_in(root):
            removed += _bypass_in(scope, same, _Names(pinned, captured, mapping))
        substitute(root.body, mapping)
        _drop_types(root.body, set(mapping))
    return removed


class _Names(NamedTuple):
    """Under one root: names that must stay, names that inner graphs read from outside, and what replaces what."""

    pinned: set[str]
    captured: set[str]
    mapping: dict[str, str]


def _bypass_in(scope: Scope, same: Callable[[Scope, NodeProto], str | None], names: _Names) -> int:
    pinned, captured, mapping = names
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
        if target in captured and source in producers and is_standard(producers[source][0], "Cast"):
            continue
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
