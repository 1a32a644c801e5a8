"""Nodes that provably change nothing: a Cast to the same type, a Transpose in the same order, a Pad by nothing, ..."""

from collections.abc import Callable
from typing import NamedTuple

from onnx import NodeProto, helper

from coldpress.shrink.bypass import bypass
from coldpress.shrink.constants import Constants
from coldpress.shrink.draft import Draft
from coldpress.shrink.scopes import STANDARD, Scope
from coldpress.shrink.types import Types

__all__ = ["drop_no_ops"]

_TO_THE_END = 2**31 - 1
"""An end of a Slice from here on means "to the end" by custom; exporters write this, or 2**63 - 1."""


class _Known(NamedTuple):
    types: Types
    constants: Constants


def drop_no_ops(draft: Draft) -> int:
    """Remove Cast, Transpose, Reshape, Slice, Pad, Expand and Tile nodes that return their input; return how many."""
    known = _Known(Types(draft), Constants(draft))

    def same(scope: Scope, node: NodeProto) -> str | None:
        test = _TESTS.get(node.op_type)
        if test is None or node.domain not in STANDARD or any(a.ref_attr_name for a in node.attribute):
            return None
        return node.input[0] if test(scope, node, known) else None

    return bypass(draft, same)


def _attributes(node: NodeProto) -> dict[str, object]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _integers(scope: Scope, node: NodeProto, place: int, known: _Known) -> list[int] | None:
    """Return the constant integers of an optional input: None when absent or unknown."""
    if len(node.input) <= place or not node.input[place]:
        return None
    return known.constants.integers(scope, node.input[place])


def _absent(node: NodeProto, place: int) -> bool:
    return len(node.input) <= place or not node.input[place]


def _cast(scope: Scope, node: NodeProto, known: _Known) -> bool:
    element = known.types.element(scope, node.input[0])
    return bool(element) and element == _attributes(node).get("to")


def _transpose(scope: Scope, node: NodeProto, known: _Known) -> bool:
    order = _attributes(node).get("perm")
    if isinstance(order, list | tuple):
        return list(order) == list(range(len(order)))
    shape = known.types.shape(scope, node.input[0])  # without perm the order is reversed
    return shape is not None and len(shape) < 2


def _reshape(scope: Scope, node: NodeProto, known: _Known) -> bool:
    shape = known.types.shape(scope, node.input[0])
    target = _integers(scope, node, 1, known)
    if scope.opset < 5 or shape is None or target is None or len(shape) != len(target):
        return False
    copies = not _attributes(node).get("allowzero", 0)
    free = [place for place, size in enumerate(target) if size == -1]
    if len(free) > 1:
        return False
    for place, (now, then) in enumerate(zip(shape, target, strict=True)):
        # With one -1 the others must be known and not zero: the runtime then has only one size to give it.
        settled = now == then and (not free or then != 0)
        if not (settled or (then == 0 and copies and not free) or place in free):
            return False
    return True


def _slice(scope: Scope, node: NodeProto, known: _Known) -> bool:
    given = _attributes(node)
    if scope.opset < 10:
        starts, ends, axes = given.get("starts"), given.get("ends"), given.get("axes")
        if not isinstance(starts, list) or not isinstance(ends, list):
            return False
        axes = axes if isinstance(axes, list) else list(range(len(starts)))
    else:
        starts, ends = _integers(scope, node, 1, known), _integers(scope, node, 2, known)
        if starts is None or ends is None:
            return False
        axes = list(range(len(starts))) if _absent(node, 3) else _integers(scope, node, 3, known)
        steps = [1] * len(starts) if _absent(node, 4) else _integers(scope, node, 4, known)
        if axes is None or steps is None or any(step != 1 for step in steps):
            return False
    shape = known.types.shape(scope, node.input[0])
    for start, end, axis in zip(starts, ends, axes, strict=True):
        size = shape[axis] if shape is not None and -len(shape) <= axis < len(shape) else None
        if start != 0 or not (end >= _TO_THE_END or (size is not None and end >= size)):
            return False
    return True


def _pad(scope: Scope, node: NodeProto, known: _Known) -> bool:
    given = _attributes(node)
    pads = given.get("pads") if scope.opset < 11 else _integers(scope, node, 1, known)
    return isinstance(pads, list) and bool(pads) and not any(pads)


def _expand(scope: Scope, node: NodeProto, known: _Known) -> bool:
    shape, target = known.types.shape(scope, node.input[0]), _integers(scope, node, 1, known)
    if shape is None or target is None or len(target) > len(shape):
        return False
    tail = shape[len(shape) - len(target) :]
    return all(then == 1 or (now == then and then != 0) for now, then in zip(tail, target, strict=True))


def _tile(scope: Scope, node: NodeProto, known: _Known) -> bool:
    repeats = _integers(scope, node, 1, known) if scope.opset >= 6 else None
    return repeats is not None and all(repeat == 1 for repeat in repeats)


_TESTS: dict[str, Callable[[Scope, NodeProto, _Known], bool]] = {
    "Cast": _cast,
    "Transpose": _transpose,
    "Reshape": _reshape,
    "Slice": _slice,
    "Pad": _pad,
    "Expand": _expand,
    "Tile": _tile,
}
