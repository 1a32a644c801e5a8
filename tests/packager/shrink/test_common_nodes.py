"""Nodes that compute the same are kept once."""

from coldpress.shrink.common_nodes import merge_common_nodes
from coldpress.shrink.draft import Draft
from tests.support.graphs import model, node, value
from tests.support.passes import ops, run


def test_equal_nodes_are_computed_once():
    made = model([
        node("Exp", ["x"], ["a"]), node("Exp", ["x"], ["b"]), node("Neg", ["a"], ["c"]),
        node("Neg", ["b"], ["d"]), node("Add", ["c", "d"], ["y"]),
    ])  # fmt: skip
    count, after = run(merge_common_nodes, made)
    assert (count, ops(after)) == (2, ["Exp", "Neg", "Add"])


def test_different_attributes_stay_apart():
    made = model([
        node("LeakyRelu", ["x"], ["a"], alpha=0.1), node("LeakyRelu", ["x"], ["b"], alpha=0.2),
        node("Add", ["a", "b"], ["y"]),
    ])  # fmt: skip
    assert run(merge_common_nodes, made)[0] == 0


def test_random_nodes_stay_apart():
    made = model([
        node("RandomNormalLike", ["x"], ["a"]), node("RandomNormalLike", ["x"], ["b"]),
        node("Sub", ["a", "b"], ["y"]),
    ])  # fmt: skip
    assert merge_common_nodes(Draft(made)) == 0


def test_two_outputs_stay_two():
    made = model(
        [node("Exp", ["x"], ["y"]), node("Exp", ["x"], ["z"])], outputs=[value("y"), value("z")]
    )  # fmt: skip
    assert run(merge_common_nodes, made)[0] == 0
