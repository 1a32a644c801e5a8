"""Identity nodes, and joins of a single value: the output is the input, bit for bit."""

from onnx import NodeProto

from coldpress.shrink.bypass import bypass
from coldpress.shrink.draft import Draft
from coldpress.shrink.scopes import Scope, is_standard

__all__ = ["drop_identities"]

_JOINS = ("Concat", "Sum", "Max", "Min", "Mean")


def drop_identities(draft: Draft) -> int:
    """Remove Identity, and Concat, Sum, Max, Min and Mean of one input; return how many."""
    return bypass(draft, _same)


def _same(_: Scope, node: NodeProto) -> str | None:
    if is_standard(node, "Identity") or (is_standard(node, *_JOINS) and len(node.input) == 1):
        return node.input[0]
    return None
