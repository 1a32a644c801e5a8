"""Doc strings and exporters' notes: stack traces and module paths that no runtime reads."""

from typing import Any

from onnx import GraphProto, ModelProto

from coldpress.model.tensors import iter_tensors
from coldpress.shrink.draft import Draft
from coldpress.shrink.scopes import scopes

__all__ = ["drop_documentation"]


def drop_documentation(draft: Draft) -> int:
    """Clear the doc strings and per-node notes below the model itself; return how many were cleared.

    The model's own doc string, producer and metadata stay: licences, class names and character sets live there.
    """
    model: ModelProto = draft.proto
    holders: list[Any] = list(model.functions)
    for scope in scopes(model):
        body = scope.body
        holders.extend(body.node)
        holders.extend(attribute for node in body.node for attribute in node.attribute)
        holders.extend(body.value_info)
        if isinstance(body, GraphProto):
            holders.extend((body, *body.input, *body.output))
    holders.extend(iter_tensors(model))
    cleared = 0
    for holder in holders:
        found = False
        if holder.doc_string:
            holder.ClearField("doc_string")
            found = True
        if not isinstance(holder, GraphProto) and getattr(holder, "metadata_props", None):
            holder.ClearField("metadata_props")
            found = True
        cleared += found
    return cleared
