"""Attributes that say what would hold without them: converters write out every stride of 1 and every group of 1."""

from functools import cache

import onnx
from onnx import AttributeProto, NodeProto

from coldpress.shrink.draft import Draft
from coldpress.shrink.scopes import STANDARD, scopes

__all__ = ["drop_default_attributes"]

_WINDOWED = frozenset({"AveragePool", "Conv", "ConvTranspose", "LpPool", "MaxPool"})
_NEUTRAL = {"dilations": 1, "pads": 0, "strides": 1}
"""Lists whose default depends on the rank, so that no schema holds it: all ones or zeros (operator reference, Conv)."""
_DOMAINS = (*STANDARD, "ai.onnx.ml")


def drop_default_attributes(draft: Draft) -> int:
    """Remove attributes equal to their operator's default at the opset in force; return how many.

    Guarantee: ONNX Runtime fills schema defaults in while it opens a model, and its kernels those of windows; the
    answers stay as they are bit for bit.

    Left alone: operators outside the standard sets; ``kernel_shape``, which fusions look for; references to
    attributes of a function.
    """
    versions = {entry.domain: entry.version for entry in draft.proto.opset_import}
    dropped = 0
    for scope in scopes(draft.proto):
        if scope.root:
            continue
        for node in scope.body.node:
            if node.domain not in _DOMAINS or not node.attribute:
                continue
            version = versions.get(node.domain, 1) if node.domain not in STANDARD else scope.opset
            kept = [attribute for attribute in node.attribute if not _is_default(node, attribute, version)]
            if len(kept) < len(node.attribute):
                dropped += len(node.attribute) - len(kept)
                copies = [AttributeProto.FromString(attribute.SerializeToString()) for attribute in kept]
                del node.attribute[:]
                node.attribute.extend(copies)
    return dropped


def _is_default(node: NodeProto, attribute: AttributeProto, version: int) -> bool:
    if attribute.ref_attr_name:
        return False
    if node.op_type in _WINDOWED and node.domain in STANDARD and attribute.name in _NEUTRAL:
        return bool(attribute.ints) and set(attribute.ints) == {_NEUTRAL[attribute.name]}
    default = _defaults(node.op_type, "" if node.domain in STANDARD else node.domain, version).get(attribute.name)
    return default is not None and default == _value(attribute)


@cache
def _defaults(op_type: str, domain: str, version: int) -> dict[str, bytes]:
    """Return the defaults in an operator's schema, serialised, by name; none for an operator that onnx lacks."""
    if not onnx.defs.has(op_type, max_inclusive_version=version, domain=domain):
        return {}
    attributes = onnx.defs.get_schema(op_type, max_inclusive_version=version, domain=domain).attributes
    return {
        name: _value(attribute.default_value)
        for name, attribute in attributes.items()
        if attribute.default_value.type != AttributeProto.UNDEFINED
    }


def _value(attribute: AttributeProto) -> bytes:
    bare = AttributeProto()
    bare.CopyFrom(attribute)
    bare.ClearField("name")
    bare.ClearField("doc_string")
    return bare.SerializeToString(deterministic=True)
