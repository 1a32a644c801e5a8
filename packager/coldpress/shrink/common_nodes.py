"""Nodes that compute the same thing from the same values are computed once."""

from onnx import NodeProto

from coldpress.model.random_ops import RANDOM
from coldpress.shrink.draft import Draft
from coldpress.shrink.scopes import STANDARD, Body, delete_at, pinned_names, roots, scopes_in, subgraphs, substitute

__all__ = ["merge_common_nodes"]

_DETERMINISTIC_DOMAINS = (*STANDARD, "ai.onnx.ml")


def merge_common_nodes(draft: Draft) -> int:
    """Merge equal nodes of one graph: same operator, attributes and inputs; return how many were removed.

    Never random operators, nodes with graphs inside, calls of local functions, or operators outside the standard
    sets; nor where a duplicate's output is an output of its graph.
    """
    functions = {(function.domain, function.name) for function in draft.proto.functions}
    removed = 0
    for root in roots(draft.proto):
        pinned = pinned_names(root.body)
        for scope in scopes_in(root):
            while found := _merge(scope.body, pinned, functions):
                removed += len(found)
                substitute(root.body, found)
    return removed


def _merge(body: Body, pinned: set[str], functions: set[tuple[str, str]]) -> dict[str, str]:
    seen: dict[bytes, NodeProto] = {}
    mapping: dict[str, str] = {}
    gone: list[int] = []
    for place, node in enumerate(body.node):
        if (
            node.domain not in _DETERMINISTIC_DOMAINS
            or node.op_type in RANDOM
            or (node.domain, node.op_type) in functions
            or any(True for _ in subgraphs(node))
        ):
            continue
        for index, name in enumerate(node.input):  # what was merged above is merged in what reads it, too
            if name in mapping:
                node.input[index] = mapping[name]
        first = seen.setdefault(_key(node), node)
        if first is node or any(name in pinned for name in node.output):
            continue
        mapping.update(
            {name: kept for name, kept in zip(node.output, first.output, strict=True) if name and name != kept}
        )
        gone.append(place)
    delete_at(body.node, gone)
    return mapping


def _key(node: NodeProto) -> bytes:
    bare = NodeProto(op_type=node.op_type, domain="" if node.domain in STANDARD else node.domain)
    bare.input.extend(node.input)
    bare.output.extend("o" if name else "" for name in node.output)
    for attribute in sorted(node.attribute, key=lambda attribute: attribute.name):
        bare.attribute.add().CopyFrom(attribute)
        bare.attribute[-1].ClearField("doc_string")
    return bare.SerializeToString(deterministic=True)
