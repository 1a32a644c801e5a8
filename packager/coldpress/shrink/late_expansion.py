"""An embedding that is stored small is looked up first and expanded after: only the rows that a request asks for.

Weights stored as int8 or float16 begin with ``Cast`` (and ``Mul`` by a scale a row). ONNX Runtime computes such a
chain once while it opens the model, for every row: a table of 30,000 words becomes 47 MB in memory, and half the time
to open a small sentence encoder goes there. ``Gather`` commutes with what works on each element by itself, so it can
come first: ``Gather(Mul(Cast(w), s), i)`` is ``Mul(Cast(Gather(w, i)), Gather(s, i))``, bit for bit.
"""

from collections import Counter
from math import prod
from typing import NamedTuple

from onnx import GraphProto, NodeProto, TensorProto, helper

from coldpress.shrink.constants import Constants
from coldpress.shrink.draft import Draft
from coldpress.shrink.scopes import Scope, defined_names, fresh_name, is_standard, roots, scopes_in, use_counts

__all__ = ["expand_late"]

_LEAST_ELEMENTS = 1 << 14
"""Smaller tables are not worth a further node at every request."""
_PAIRS = ("Mul", "Div", "Add", "Sub")


class _Link(NamedTuple):
    """One node of a chain: which input the chain comes in by, and whether the other one has a row for each row."""

    node: NodeProto
    side: int
    rows: bool


def expand_late(draft: Draft) -> int:
    """Move each Gather along axis 0 before the chain of Cast, Mul, Div, Add and Sub on its table; return how many.

    Only where the table is constant and nothing else reads what the chain makes of it.
    """
    moved = 0
    constants = Constants(draft)
    for root in roots(draft.proto):
        uses = use_counts(root.body)
        taken = {name for scope in scopes_in(root) for name in defined_names(scope.body)}
        for scope in scopes_in(root):
            if isinstance(scope.body, GraphProto):
                moved += _move_in(scope, constants, uses, taken)
    return moved


def _move_in(scope: Scope, constants: Constants, uses: Counter[str], taken: set[str]) -> int:
    graph = scope.body
    producers = {name: node for node in graph.node for name in node.output}
    nodes: list[NodeProto] = []
    gone: set[int] = set()
    moved = 0
    for node in graph.node:
        chain = _chain(scope, node, producers, constants, uses)
        if not chain:
            nodes.append(node)
            continue
        gone.update(id(link.node) for link in chain)
        nodes += _after(node, chain, taken)
        moved += 1
    if moved:
        kept = [_copy(node) for node in nodes if id(node) not in gone]
        del graph.node[:]
        graph.node.extend(kept)
    return moved


def _chain(
    scope: Scope, gather: NodeProto, producers: dict[str, NodeProto], constants: Constants, uses: Counter[str]
) -> list[_Link]:
    """Return what lies between a constant table and ``gather``, the node next to the table first; else nothing."""
    if not is_standard(gather, "Gather") or any(a.name == "axis" and a.i for a in gather.attribute):
        return []
    links: list[_Link] = []
    name = gather.input[0]
    while (table := constants.tensor(scope, name)) is None:
        node = producers.get(name)
        side = None if node is None or uses[name] != 1 else _side(scope, node, constants)
        if node is None or side is None:
            return []
        links.append(_Link(node, side, rows=False))
        name = node.input[side]
    if not links or prod(table.dims) < _LEAST_ELEMENTS:
        return []
    links = [link._replace(rows=_has_rows(scope, link, table, constants)) for link in reversed(links)]
    return links if all(_fits(scope, link, table, constants) for link in links) else []


def _side(scope: Scope, node: NodeProto, constants: Constants) -> int | None:
    """Return the input of ``node`` by which the table may come; None when the node mixes elements, or unknowns."""
    if is_standard(node, "Cast"):
        return 0
    if not is_standard(node, *_PAIRS) or scope.opset < 7:  # before 7 broadcasting was an attribute
        return None
    known = [constants.tensor(scope, name) is not None for name in node.input]
    if not any(known):
        return None
    if not all(known):
        return known.index(False)
    sizes = [prod(tensor.dims) for name in node.input if (tensor := constants.tensor(scope, name)) is not None]
    return sizes.index(max(sizes))


def _other(scope: Scope, link: _Link, constants: Constants) -> TensorProto | None:
    return constants.tensor(scope, link.node.input[1 - link.side]) if len(link.node.input) == 2 else None


def _has_rows(scope: Scope, link: _Link, table: TensorProto, constants: Constants) -> bool:
    """Whether the other operand has one entry, or row, for each row of the table."""
    other = _other(scope, link, constants)
    return other is not None and len(other.dims) == len(table.dims) and other.dims[0] == table.dims[0]


def _fits(scope: Scope, link: _Link, table: TensorProto, constants: Constants) -> bool:
    """Whether the other operand goes with some rows as it went with all, and does not make the table larger."""
    other = _other(scope, link, constants)
    if other is None:
        return True
    if not link.rows and len(other.dims) >= len(table.dims):
        return False
    pairs = zip(reversed(other.dims), reversed(table.dims), strict=False)
    return all(one in (1, whole) for one, whole in pairs)


def _after(gather: NodeProto, chain: list[_Link], taken: set[str]) -> list[NodeProto]:
    """Return the nodes that take the place of ``gather``: look up, then expand."""
    table, indices = chain[0].node.input[chain[0].side], gather.input[1]

    def look_up(name: str) -> NodeProto:
        return helper.make_node("Gather", [name, indices], [fresh_name(taken, "r")])

    nodes = [look_up(table)]
    for link in chain:
        node = _copy(link.node)
        node.input[link.side] = nodes[-1].output[0]
        if link.rows:
            rows = look_up(node.input[1 - link.side])
            nodes.append(rows)
            node.input[1 - link.side] = rows.output[0]
        node.output[0] = fresh_name(taken, "r")
        nodes.append(node)
    nodes[-1].output[0] = gather.output[0]
    return nodes


def _copy(node: NodeProto) -> NodeProto:
    copy = NodeProto()
    copy.CopyFrom(node)
    return copy
