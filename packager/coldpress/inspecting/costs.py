"""What each operator type costs: weights it reads and multiplications it makes, told from shapes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from onnx import NodeProto, helper

from coldpress.inspecting.sizing import Sized
from coldpress.model.weights import iter_weights
from coldpress.shrink.scopes import Scope, scopes

__all__ = ["OpCost", "op_costs"]

Shape = list[int]


@dataclass(frozen=True)
class OpCost:
    """All nodes of one operator type.

    Attributes:
        op: The type, ``domain.Op`` off the standard set.
        nodes: How many there are, once the model's shape arithmetic on constants is done.
        bytes: Of the weights they read; a weight that two types read counts for the first.
        parameters: Numbers in those weights.
        macs: Multiply-accumulate operations of one run; 0 for operators that multiply no matrices.
        unknown: Nodes among them whose multiplications could not be told, because a shape depends on values.
    """

    op: str
    nodes: int
    bytes: int
    parameters: int
    macs: int
    unknown: int

    def to_json(self) -> dict[str, Any]:
        """Return the record as a JSON object."""
        return dict(vars(self))


def op_costs(sized: Sized) -> tuple[OpCost, ...]:
    """Return the cost of each operator type, the one with most multiplications first, then by bytes.

    Of an If both branches count, of a Loop or Scan the body once.
    """
    rows: dict[str, list[int]] = {}
    for weight, _ in iter_weights(sized.draft.proto):
        row = rows.setdefault(weight.used_by or "(nothing)", [0] * 5)
        row[1] += weight.bytes
        row[2] += weight.elements
    for scope in scopes(sized.draft.proto):
        for node in scope.body.node:
            if node.op_type == "Constant":
                continue
            row = rows.setdefault(node.op_type, [0] * 5)
            row[0] += 1
            count = _COUNTS.get(node.op_type)
            if count is None:
                continue
            try:
                row[3] += count(_Seen(sized, scope, node))
            except _UnknownShapeError:
                row[4] += 1
    costs = (OpCost(op, *row) for op, row in rows.items())
    return tuple(sorted(costs, key=lambda cost: (-cost.macs, -cost.bytes, -cost.nodes, cost.op)))


class _UnknownShapeError(Exception):
    """A dimension that the count needs is not known."""


class _Seen:
    """A node as a count looks at it: shapes by position, and attributes."""

    def __init__(self, sized: Sized, scope: Scope, node: NodeProto) -> None:
        self._sized, self._scope, self._node = sized, scope, node

    def shape(self, place: int, *, output: bool = False) -> Shape:
        """Return the shape of an input or output."""
        names = self._node.output if output else self._node.input
        if place >= len(names) or not names[place]:
            raise _UnknownShapeError
        found = self._sized.types.shape(self._scope, names[place])
        if found is None:
            raise _UnknownShapeError
        known = [size for size in found if size is not None]
        if len(known) < len(found):
            raise _UnknownShapeError
        return known

    def attribute(self, name: str, otherwise: Any = None) -> Any:
        """Return an attribute's value."""
        for attribute in self._node.attribute:
            if attribute.name == name:
                return helper.get_attribute_value(attribute)
        return otherwise


def _conv(place: int) -> Callable[[_Seen], int]:
    """Each element of the output is a sum over one kernel: weight [C_out, C_in / groups, ...]."""
    return lambda seen: prod(seen.shape(0, output=True)) * prod(seen.shape(place)[1:])


def _conv_transpose(seen: _Seen) -> int:
    """Each element of the input is spread by one kernel: weight [C_in, C_out / groups, ...]."""
    return prod(seen.shape(0)) * prod(seen.shape(1)[1:])


def _matmul(left: int, right: int) -> Callable[[_Seen], int]:
    """Broadcast [..., M, K] by [..., K, N]; told from the operands, whose shapes are known more often."""

    def count(seen: _Seen) -> int:
        a, b = seen.shape(left), seen.shape(right)
        if not a or not b:
            raise _UnknownShapeError
        rows = a[-2] if len(a) > 1 else 1
        columns = b[-1] if len(b) > 1 else 1
        batch = max(prod(a[:-2]), prod(b[:-2])) if min(len(a), len(b)) > 2 else prod(a[:-2]) * prod(b[:-2])
        return batch * rows * a[-1] * columns

    return count


def _gemm(seen: _Seen) -> int:
    a, b = seen.shape(0), seen.shape(1)
    return prod(a) * (b[0] if seen.attribute("transB", 0) else b[-1])


def _nbits(seen: _Seen) -> int:
    return prod(seen.shape(0)) * int(seen.attribute("N"))


def _recurrent(seen: _Seen) -> int:
    """For each step: weights [directions, gates * hidden, input] and [directions, gates * hidden, hidden]."""
    steps, batch, _ = seen.shape(0)
    return steps * batch * (prod(seen.shape(1)) + prod(seen.shape(2)))


def _einsum(seen: _Seen) -> int:
    """One product for each combination of all indices."""
    equation = seen.attribute("equation", b"").decode().replace(" ", "")
    if "..." in equation:
        raise _UnknownShapeError
    sizes: dict[str, int] = {}
    terms = equation.split("->")[0].split(",")
    for place, term in enumerate(terms):
        sizes.update(zip(term, seen.shape(place), strict=True))
    return prod(sizes.values()) if len(terms) > 1 else 0


_COUNTS: Mapping[str, Callable[[_Seen], int]] = {
    "Conv": _conv(1), "ConvInteger": _conv(1), "FusedConv": _conv(1), "QLinearConv": _conv(3),
    "ConvTranspose": _conv_transpose,
    "MatMul": _matmul(0, 1), "MatMulInteger": _matmul(0, 1), "QLinearMatMul": _matmul(0, 3),
    "Gemm": _gemm, "MatMulNBits": _nbits,
    "LSTM": _recurrent, "GRU": _recurrent, "RNN": _recurrent,
    "Einsum": _einsum,
}  # fmt: skip
