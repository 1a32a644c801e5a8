"""Nodes whose results nobody reads, initialisers and functions that nobody uses."""

from collections import Counter

from onnx import GraphProto

from coldpress.shrink.draft import Draft
from coldpress.shrink.scopes import STANDARD, Body, bodies, delete_at, roots, scopes_in, subgraphs, use_counts

__all__ = ["PURE_DOMAINS", "drop_dead_nodes", "drop_unused_functions", "drop_unused_initializers"]

PURE_DOMAINS = (*STANDARD, "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc")
"""Operators of these domains have no effect but their outputs; one of another domain might."""


def drop_dead_nodes(draft: Draft) -> int:
    """Remove nodes whose outputs nobody reads, from the last to the first, in inner graphs too; return how many."""
    functions = {(function.domain, function.name) for function in draft.proto.functions}
    removed = 0
    for root in roots(draft.proto):
        uses = use_counts(root.body)
        for scope in reversed(list(scopes_in(root))):
            removed += _drop_dead(scope.body, uses, functions)
    return removed


def _drop_dead(body: Body, uses: Counter[str], functions: set[tuple[str, str]]) -> int:
    dead: list[int] = []
    for place in range(len(body.node) - 1, -1, -1):
        node = body.node[place]
        pure = node.domain in PURE_DOMAINS or (node.domain, node.op_type) in functions
        if not pure or any(uses[name] for name in node.output if name):
            continue
        dead.append(place)
        uses.subtract(filter(None, node.input))
        for graph in subgraphs(node):
            for inner in bodies(graph):
                for inside in inner.node:
                    uses.subtract(filter(None, inside.input))
    delete_at(body.node, reversed(dead))
    return len(dead)


def drop_unused_initializers(draft: Draft) -> int:
    """Remove initialisers, dense and sparse, that nothing reads; return how many.

    One that is also an input of its graph stays: a caller may name it.
    """
    removed = 0
    for root in roots(draft.proto):
        uses = use_counts(root.body)
        for body in bodies(root.body):
            if not isinstance(body, GraphProto):
                continue
            inputs = {value.name for value in body.input}
            idle = [
                place
                for place, tensor in enumerate(body.initializer)
                if not uses[tensor.name] and tensor.name not in inputs
            ]
            delete_at(body.initializer, idle)
            sparse = [
                place
                for place, tensor in enumerate(body.sparse_initializer)
                if not uses[tensor.values.name] and tensor.values.name not in inputs
            ]
            delete_at(body.sparse_initializer, sparse)
            removed += len(idle) + len(sparse)
    return removed


def drop_unused_functions(draft: Draft) -> int:
    """Remove local functions that the graph does not call, directly or through other functions; return how many."""
    model = draft.proto
    if not model.functions:
        return 0
    called = _calls(model.graph)
    reached: set[tuple[str, str]] = set()
    while called:
        key = called.pop()
        if key in reached:
            continue
        reached.add(key)
        for function in model.functions:  # overloads share a name; a call may mean any of them
            if (function.domain, function.name) == key:
                called |= _calls(function)
    idle = [place for place, function in enumerate(model.functions) if (function.domain, function.name) not in reached]
    delete_at(model.functions, idle)
    return len(idle)


def _calls(body: Body) -> set[tuple[str, str]]:
    return {(node.domain, node.op_type) for inner in bodies(body) for node in inner.node}
