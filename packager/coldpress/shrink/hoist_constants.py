"""Weights kept as Constant nodes become initialisers, where every later pass and tool looks for weights."""

from onnx import GraphProto

from coldpress.shrink.constants import constant_value
from coldpress.shrink.draft import Draft
from coldpress.shrink.scopes import delete_at, is_standard, output_names, scopes

__all__ = ["hoist_constants"]


def hoist_constants(draft: Draft) -> int:
    """Turn the Constant nodes of every graph into initialisers of that graph; return how many.

    Left alone: functions, which cannot hold initialisers; sparse constants; a constant that is itself an output of
    its graph, because a runtime may refuse a graph that computes nothing for an output; and models of IR version 3,
    where an initialiser must be an input as well (``modernize_inputs`` raises those first).
    """
    if draft.proto.ir_version < 4:
        return 0
    hoisted = 0
    for scope in scopes(draft.proto):
        graph = scope.body
        if not isinstance(graph, GraphProto):
            continue
        outputs = set(output_names(graph))
        gone: list[int] = []
        for place, node in enumerate(graph.node):
            if not is_standard(node, "Constant") or node.output[0] in outputs:
                continue
            value = constant_value(node)
            if value is None:
                continue
            initializer = graph.initializer.add()
            initializer.CopyFrom(value)
            initializer.name = node.output[0]
            gone.append(place)
        delete_at(graph.node, gone)
        hoisted += len(gone)
    return hoisted
