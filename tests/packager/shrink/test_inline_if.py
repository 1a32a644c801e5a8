"""An If whose condition is a constant gives way to its branch."""

import numpy as np
import pytest
from onnx import TensorProto

from coldpress.shrink.inline_if import inline_constant_ifs
from tests.support.graphs import constant, graph, model, node, tensor, value
from tests.support.passes import FEEDS, X, ops, run


def make(condition):
    branch = graph(
        [node("Add", ["x", "w"], ["t"]), node("Neg", ["t"], ["u"])], [], [value("u")], [tensor("w", X)]
    )  # fmt: skip
    other = graph([node("Mul", ["x", "w"], ["t"])], [], [value("t")], [tensor("w", X * 3)])
    return model(
        [
            constant("c", condition, bool),
            node("If", ["c"], ["i"], then_branch=branch, else_branch=other),
            node("Abs", ["i"], ["y"]),
        ],
        weights=[],
    )


@pytest.mark.parametrize("condition", [True, False])
def test_the_branch_takes_its_place(condition):
    count, after = run(inline_constant_ifs, make(condition))
    assert count == 1
    assert "If" not in ops(after)


def test_a_branch_that_returns_its_own_weight():
    branch = graph([], [], [value("w")], [tensor("w", X)])
    other = graph([node("Neg", ["x"], ["t"])], [], [value("t")])
    made = model([
        constant("c", [True], bool), node("If", ["c"], ["i"], then_branch=branch, else_branch=other),
        node("Add", ["x", "i"], ["y"]),
    ])  # fmt: skip
    assert run(inline_constant_ifs, made)[0] == 1


def test_a_condition_from_the_caller_stays():
    made = make(True)
    made.graph.input.add().CopyFrom(value("c", (), TensorProto.BOOL))
    del made.graph.node[0]
    for choice in (True, False):
        assert run(inline_constant_ifs, made, {**FEEDS, "c": np.array(choice)})[0] == 0
