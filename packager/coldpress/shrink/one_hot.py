"""A row that is picked out of a table by a product with a one-hot vector is looked up instead.

JAX and TensorFlow write an embedding as ``MatMul(Cast(Equal(i, [0, 1, ... n - 1])), W)``: for each ``i`` a vector of
``n`` numbers, all of them 0 but one, and ``n`` rows of the table read to return one. ``Gather`` reads that row. A sum
of zeros and one finite number is that number, so the answer is the same, bit for bit; an ``i`` below 0 or from ``n`` on
gives zeros, and here it looks up a last row that is all zeros.
"""

from collections import Counter
from typing import NamedTuple

import numpy as np
from onnx import FunctionProto, GraphProto, NodeProto, TensorProto, helper, numpy_helper

from coldpress.shrink.constants import Constants
from coldpress.shrink.draft import Draft
from coldpress.shrink.scopes import (
    Scope,
    defined_names,
    delete_at,
    fresh_name,
    is_standard,
    roots,
    scopes_in,
    use_counts,
)

__all__ = ["look_up_rows"]

_LEAST_OPSET = 12
"""From here on ``Clip`` takes integers."""
_FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE)
_INTEGERS = (TensorProto.INT32, TensorProto.INT64)


class _Product(NamedTuple):
    """What stands for a look-up: the nodes before ``MatMul``, what is looked up, and the constants."""

    cast: NodeProto
    equal: NodeProto
    ids: str
    classes: TensorProto
    table: TensorProto


def look_up_rows(draft: Draft) -> int:
    """Replace each product of one-hot vectors and a constant table by a look-up; return how many.

    Only where nothing else reads the vectors or the table, and where it is certain that they are one-hot: the classes
    are a constant 0 to n - 1 along the last axis, and the last axis of what they are compared with has the length 1.
    """
    found = 0
    constants = Constants(draft)
    for root in roots(draft.proto):
        if root.opset < _LEAST_OPSET:
            continue
        uses = use_counts(root.body)
        taken = {name for scope in scopes_in(root) for name in defined_names(scope.body)}
        for scope in scopes_in(root):
            if isinstance(scope.body, GraphProto):
                found += _look_up_in(draft, scope, scope.body, constants, uses, taken)
    return found


def _look_up_in(
    draft: Draft, scope: Scope, graph: GraphProto, constants: Constants, uses: Counter[str], taken: set[str]
) -> int:
    producers = {name: node for node in graph.node for name in node.output}
    own = {tensor.name: place for place, tensor in enumerate(graph.initializer)}
    nodes: list[NodeProto] = []
    gone: set[int] = set()
    classes: set[str] = set()
    found = 0
    for node in graph.node:
        product = _product(draft, scope, node, producers, constants, uses)
        if product is None or product.table.name not in own:
            nodes.append(node)
            continue
        gone |= {id(product.cast), id(product.equal)}
        classes |= {name for name in product.equal.input if name != product.ids and uses[name] == 1}
        nodes += _look_up(graph, product, node.output[0], scope.opset, taken)
        _add_zeros(draft, graph.initializer[own[product.table.name]])
        found += 1
    if found:
        kept = [NodeProto.FromString(node.SerializeToString()) for node in nodes if id(node) not in gone]
        del graph.node[:]
        graph.node.extend(kept)
        delete_at(graph.initializer, sorted(own[name] for name in classes if name in own))
    return found


def _product(
    draft: Draft,
    scope: Scope,
    node: NodeProto,
    producers: dict[str, NodeProto],
    constants: Constants,
    uses: Counter[str],
) -> _Product | None:
    """Return what ``node`` multiplies when it is such a product."""
    if not is_standard(node, "MatMul") or uses[node.input[1]] != 1:
        return None
    table = constants.tensor(scope, node.input[1])
    if table is None or len(table.dims) != 2 or table.data_type not in _FLOATS or not _is_here(table):
        return None
    cast = _only(producers, uses, node.input[0], "Cast")
    equal = cast and _only(producers, uses, cast.input[0], "Equal")
    if not cast or not equal or any(a.name == "to" and a.i != table.data_type for a in cast.attribute):
        return None
    for index, name in (equal.input, reversed(equal.input)):
        tensor = constants.tensor(scope, name)
        if tensor is None or tensor.data_type not in _INTEGERS or not _is_here(tensor):
            continue
        rank = _rank_of_column(scope, index, producers, constants)
        if rank < len(tensor.dims) or not _counts(draft.array(tensor), table.dims[0]):
            continue
        if np.isfinite(draft.array(table)).all():
            return _Product(cast, equal, index, tensor, table)
    return None


def _only(producers: dict[str, NodeProto], uses: Counter[str], name: str, kind: str) -> NodeProto | None:
    """Return the node of that kind that makes ``name``, if a single other one reads it."""
    node = producers.get(name)
    return node if node is not None and is_standard(node, kind) and uses[name] == 1 else None


def _is_here(tensor: TensorProto) -> bool:
    return tensor.data_location != TensorProto.EXTERNAL


def _counts(classes: np.ndarray, rows: int) -> bool:
    """Whether an array is 0, 1, ... ``rows`` - 1 along its last axis, and has no other."""
    return classes.shape[-1:] == (rows,) == (classes.size,) and bool((classes.reshape(-1) == np.arange(rows)).all())


def _rank_of_column(scope: Scope, name: str, producers: dict[str, NodeProto], constants: Constants) -> int:
    """Return how many axes ``name`` has at least if its last one is known to be 1 long; else 0."""
    node = producers.get(name)
    if node is None:
        return _rank_of_input(scope, name)
    if is_standard(node, "Cast", "Identity"):
        return _rank_of_column(scope, node.input[0], producers, constants)
    if is_standard(node, "Reshape"):
        shape = constants.integers(scope, node.input[1]) or []
        return len(shape) if shape[-1:] == [1] else 0
    if is_standard(node, "Unsqueeze"):
        axes = [axis for a in node.attribute if a.name == "axes" for axis in a.ints]
        axes = axes or (constants.integers(scope, node.input[1]) if len(node.input) > 1 else None) or []
        return len(axes) if -1 in axes else 0
    if is_standard(node, "Expand") and _ends_in_one(scope, node.input[1], producers, constants):
        return _rank_of_column(scope, node.input[0], producers, constants)
    return 0


def _rank_of_input(scope: Scope, name: str) -> int:
    if isinstance(scope.body, FunctionProto):
        return 0
    for value in scope.body.input:
        dims = value.type.tensor_type.shape.dim
        if value.name == name and dims and dims[-1].dim_value == 1:
            return len(dims)
    return 0


def _ends_in_one(scope: Scope, name: str, producers: dict[str, NodeProto], constants: Constants) -> bool:
    """Whether a shape is known to end in 1, though what comes before may be computed."""
    if (shape := constants.integers(scope, name)) is not None:
        return shape[-1:] == [1]
    node = producers.get(name)
    return (
        node is not None
        and is_standard(node, "Cast", "Concat")
        and _ends_in_one(scope, node.input[-1], producers, constants)
    )


def _look_up(graph: GraphProto, product: _Product, output: str, opset: int, taken: set[str]) -> list[NodeProto]:
    """Return the nodes of the look-up, and add their constants to the graph."""
    rows = product.table.dims[0]
    kind = helper.tensor_dtype_to_np_dtype(product.classes.data_type)

    def constant(values: np.ndarray) -> str:
        name = fresh_name(taken, "h")
        graph.initializer.append(numpy_helper.from_array(values, name))
        return name

    within, flat = fresh_name(taken, "h"), fresh_name(taken, "h")
    bounds = [constant(np.array(bound, kind)) for bound in (-1, rows)]  # -1 is the last row, as ``rows`` is
    nodes = [helper.make_node("Clip", [product.ids, *bounds], [within])]
    if opset < 13:
        nodes.append(helper.make_node("Squeeze", [within], [flat], axes=[-1]))
    else:
        nodes.append(helper.make_node("Squeeze", [within, constant(np.array([-1], np.int64))], [flat]))
    return [*nodes, helper.make_node("Gather", [product.table.name, flat], [output])]


def _add_zeros(draft: Draft, table: TensorProto) -> None:
    """Give a table a last row of zeros, and no zero below zero: a sum that begins with 0 has none."""
    array = draft.array(table) + 0
    table.CopyFrom(numpy_helper.from_array(np.vstack([array, np.zeros_like(array[:1])]), table.name))
    draft.set_aside([table])
