"""Weights that are equal are kept once."""

import numpy as np
import pytest
from onnx import TensorProto

from coldpress.shrink.dedup_weights import dedup_weights
from tests.support.graphs import graph, model, node, tensor, value
from tests.support.passes import X, run


def test_equal_weights_are_stored_once():
    made = model(
        [node("Add", ["x", "a"], ["t"]), node("Add", ["t", "b"], ["y"])],
        weights=[tensor("a", X), tensor("b", X)],
    )
    count, after = run(dedup_weights, made)
    assert (count, len(after.graph.initializer)) == (1, 1)


def test_equal_weights_in_two_branches_move_out():
    big = np.arange(300, dtype=np.float32).reshape(100, 3)
    feeds = {"x": big * 2}

    def branch(out):
        return graph([node("Add", ["x", "w"], [out])], [], [value(out, (100, 3))], [tensor("w", big)])

    made = model(
        [node("If", ["c"], ["y"], then_branch=branch("t"), else_branch=branch("e"))],
        [value("x", (100, 3)), value("c", (), TensorProto.BOOL)],
        [value("y", (100, 3))],
    )
    count, after = run(dedup_weights, made, {**feeds, "c": np.array(True)})
    assert (count, len(after.graph.initializer)) == (1, 1)
    assert not any(a.g.initializer for a in after.graph.node[0].attribute)


@pytest.mark.parametrize(
    "other",
    [
        tensor("b", X + 1),
        tensor("b", X.reshape(3, 2)),
        tensor("b", X.view(np.int32), np.int32),
        tensor("b", -X * 0),
    ],
    ids=["values", "shape", "type", "negative zero"],
)
def test_almost_equal_weights_stay_apart(other):
    zero = tensor("a", X * 0) if other.raw_data == tensor("b", -X * 0).raw_data else tensor("a", X)
    made = model([
        node("Shape", ["a"], ["s"]), node("Shape", ["b"], ["t"]), node("Relu", ["x"], ["y"])
    ], weights=[zero, other])  # fmt: skip
    assert run(dedup_weights, made)[0] == 0


def test_a_default_that_a_caller_may_override_stays():
    made = model(
        [node("Add", ["x", "a"], ["t"]), node("Add", ["t", "b"], ["y"])],
        [value("x"), value("a")],
        weights=[tensor("a", X), tensor("b", X)],
    )
    assert run(dedup_weights, made)[0] == 0
