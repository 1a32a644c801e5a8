"""Constants become weights that later passes see."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from coldpress.shrink.hoist_constants import hoist_constants
from tests.support.graphs import constant, graph, model, node, tensor, value
from tests.support.passes import FEEDS, X, run


def test_constants_in_every_graph_become_initialisers():
    branch = graph([constant("w", X), node("Add", ["x", "w"], ["t"])], [], [value("t")])
    other = graph([constant("w", X * 2), node("Add", ["x", "w"], ["e"])], [], [value("e")])
    made = model(
        [node("If", ["c"], ["y"], then_branch=branch, else_branch=other)],
        [value("x"), value("c", (), TensorProto.BOOL)],
    )
    for choice in (True, False):
        count, after = run(hoist_constants, made, {**FEEDS, "c": np.array(choice)})
    assert count == 2
    assert [len(a.g.initializer) for a in after.graph.node[0].attribute] == [1, 1]


@pytest.mark.parametrize(
    "given",
    [
        {"value_int": 2}, {"value_ints": [1, 2, 3]}, {"value_float": 0.5}, {"value_floats": [0.5, 1.5, 2.5]}
    ],
)  # fmt: skip
def test_every_way_of_writing_a_number(given):
    made = model([
        node("Constant", [], ["c"], **given), node("Cast", ["c"], ["f"], to=1), node("Add", ["x", "f"], ["y"])
    ])  # fmt: skip
    assert run(hoist_constants, made)[0] == 1


@pytest.mark.parametrize("given", [{"value_string": "a"}, {"value_strings": ["a", "bé"]}])
def test_strings(given):
    made = model(
        [node("Constant", [], ["c"], **given), node("Identity", ["c"], ["y"])],
        outputs=[helper.make_tensor_value_info("y", TensorProto.STRING, None)],
    )
    assert run(hoist_constants, made)[0] == 1


def test_an_output_stays_a_node():
    made = model([constant("y", X)])
    assert run(hoist_constants, made)[0] == 0


def test_a_sparse_constant_stays():
    sparse = helper.make_sparse_tensor(tensor("v", [1.0]), tensor("i", [[0, 1]], np.int64), [2, 3])
    made = model([node("Constant", [], ["c"], sparse_value=sparse), node("Add", ["x", "c"], ["y"])])
    assert run(hoist_constants, made)[0] == 0
