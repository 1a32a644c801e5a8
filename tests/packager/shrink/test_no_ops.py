"""Operators that give back what they take go; those that only look like it stay."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from coldpress.shrink.draft import Draft
from coldpress.shrink.no_ops import drop_no_ops
from tests.support.graphs import model, node, tensor, value
from tests.support.passes import ops, run

INT = np.int64
NO_OPS = {
    "cast to the same type": (node("Cast", ["x"], ["a"], to=TensorProto.FLOAT), []),
    "transpose in order": (node("Transpose", ["x"], ["a"], perm=[0, 1]), []),
    "reshape to the same": (node("Reshape", ["x", "s"], ["a"]), [tensor("s", [2, 3], INT)]),
    "reshape to zeros": (node("Reshape", ["x", "s"], ["a"]), [tensor("s", [0, 0], INT)]),
    "reshape with one free": (node("Reshape", ["x", "s"], ["a"]), [tensor("s", [2, -1], INT)]),
    "slice of all": (
        node("Slice", ["x", "b", "e", "n"], ["a"]),
        [tensor("b", [0], INT), tensor("e", [2**63 - 1], INT), tensor("n", [-1], INT)],
    ),
    "slice to the size": (
        node("Slice", ["x", "b", "e"], ["a"]), [tensor("b", [0, 0], INT), tensor("e", [2, 3], INT)]
    ),
    "pad by nothing": (node("Pad", ["x", "p"], ["a"]), [tensor("p", [0, 0, 0, 0], INT)]),
    "expand to ones": (node("Expand", ["x", "s"], ["a"]), [tensor("s", [1], INT)]),
    "expand to the same": (node("Expand", ["x", "s"], ["a"]), [tensor("s", [2, 3], INT)]),
    "tile once": (node("Tile", ["x", "t"], ["a"]), [tensor("t", [1, 1], INT)]),
}  # fmt: skip
OPS = {
    "cast to another type": (node("Cast", ["x"], ["a"], to=TensorProto.DOUBLE), []),
    "transpose": (node("Transpose", ["x"], ["a"], perm=[1, 0]), []),
    "transpose reversing": (node("Transpose", ["x"], ["a"]), []),
    "reshape to another": (node("Reshape", ["x", "s"], ["a"]), [tensor("s", [3, 2], INT)]),
    "reshape to more": (node("Reshape", ["x", "s"], ["a"]), [tensor("s", [1, 2, 3], INT)]),
    "slice from one": (
        node("Slice", ["x", "b", "e"], ["a"]), [tensor("b", [1], INT), tensor("e", [2**31], INT)]
    ),
    "slice to one": (
        node("Slice", ["x", "b", "e"], ["a"]), [tensor("b", [0], INT), tensor("e", [1], INT)]
    ),
    "slice to all but the last": (
        node("Slice", ["x", "b", "e"], ["a"]), [tensor("b", [0], INT), tensor("e", [-1], INT)]
    ),
    "slice backwards": (
        node("Slice", ["x", "b", "e", "n", "t"], ["a"]),
        [tensor("b", [-1], INT), tensor("e", [-9], INT), tensor("n", [1], INT), tensor("t", [-1], INT)],
    ),
    "pad": (node("Pad", ["x", "p"], ["a"]), [tensor("p", [0, 1, 0, 0], INT)]),
    "expand": (node("Expand", ["x", "s"], ["a"]), [tensor("s", [2, 1, 1], INT)]),
    "tile": (node("Tile", ["x", "t"], ["a"]), [tensor("t", [1, 2], INT)]),
}  # fmt: skip


@pytest.mark.parametrize("name", NO_OPS)
def test_what_changes_nothing_goes(name):
    one, weights = NO_OPS[name]
    made = model([one, node("Neg", ["a"], ["y"])], weights=weights)
    count, after = run(drop_no_ops, made)
    assert (count, ops(after)) == (1, ["Neg"])


@pytest.mark.parametrize("name", OPS)
def test_what_changes_something_stays(name):
    one, weights = OPS[name]
    kind = TensorProto.DOUBLE if "type" in name else TensorProto.FLOAT
    made = model(
        [one, node("Neg", ["a"], ["y"])], outputs=[helper.make_tensor_value_info("y", kind, None)], weights=weights
    )
    assert run(drop_no_ops, made)[0] == 0


def test_a_free_dimension_beside_an_unknown_one_stays():
    made = model(
        [node("Reshape", ["x", "s"], ["a"]), node("Neg", ["a"], ["y"])],
        [value("x", ("N", 3))],
        [value("y", (None, None))],
        [tensor("s", [2, -1], INT)],
    )
    assert run(drop_no_ops, made)[0] == 0


def test_a_shape_declared_wrongly_is_not_believed():
    made = model(
        [
            node("Compress", ["x", "k"], ["c"], axis=0),
            node("Reshape", ["c", "s"], ["a"]),
            node("Neg", ["a"], ["y"]),
        ],
        outputs=[value("y", (None, None))],
        weights=[tensor("k", [True, False], bool), tensor("s", [3, 1], INT)],
    )
    made.graph.value_info.add().CopyFrom(value("c", (3, 1)))
    assert drop_no_ops(Draft(made)) == 0


@pytest.mark.parametrize("opset", [7, 9])
def test_attributes_of_old_opsets_are_read(opset):
    made = model([
        node("Slice", ["x"], ["a"], starts=[0], ends=[2**31], axes=[1]),
        node("Pad", ["a"], ["b"], pads=[0, 0, 0, 0]),
        node("Slice", ["b"], ["y"], starts=[0], ends=[1], axes=[0]),
    ], outputs=[value("y", (1, 3))], opset=opset)  # fmt: skip
    count, after = run(drop_no_ops, made)
    assert (count, ops(after)) == (2, ["Slice"])
