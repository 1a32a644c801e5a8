"""Weights that no sample can speak for: those behind outputs that depend on chance, and behind no other output."""

from collections.abc import Collection, Iterator

from onnx import ModelProto, NodeProto

from coldpress.encodings.sites import find_sites
from coldpress.shrink.draft import Draft
from coldpress.shrink.scopes import subgraphs

__all__ = ["unproven_weights"]


def unproven_weights(model: ModelProto, drawn: Collection[str]) -> tuple[str, ...]:
    """Return the names of the weights that could be encoded and that no output depends on but those in ``drawn``."""
    if not drawn:
        return ()
    needed = {output.name for output in model.graph.output} - set(drawn)
    for node in reversed(model.graph.node):  # ONNX keeps nodes in an order in which values come before their readers
        if not needed.isdisjoint(node.output):
            needed.update(_reads(node))
    return tuple(site.name for site in find_sites(Draft(model)) if site.name not in needed)


def _reads(node: NodeProto) -> Iterator[str]:
    yield from filter(None, node.input)
    for graph in subgraphs(node):
        yield from (tensor.name for tensor in graph.initializer)
        yield from (output.name for output in graph.output)  # which may be a value from outside
        for inner in graph.node:
            yield from _reads(inner)
