"""Weights behind nothing but chance are named, wherever they are; those that any compared answer shows are not."""

import numpy as np

from coldpress.search.unproven import unproven_weights
from tests.support.graphs import graph, model, node, tensor, value

ROWS = [value("x", ["N", 64])]


def weight(name):
    return tensor(name, np.random.default_rng(0).normal(size=(64, 64)))


def decoder(*shared):
    """A model with an answer ``y`` by weight A, and one drawn by chance, ``n``, by weight B."""
    nodes = [
        node("MatMul", ["x", "A"], ["y"]),
        node("RandomNormalLike", ["x"], ["r"]),
        node("MatMul", ["r", "A" if shared else "B"], ["n"]),
    ]
    outputs = [value("y", ["N", 64]), value("n", ["N", 64])]
    return model(nodes, ROWS, outputs, [weight("A"), *([] if shared else [weight("B")])])


def test_a_weight_that_shows_in_drawn_answers_alone_is_unproven():
    assert unproven_weights(decoder(), {"n"}) == ("B",)
    assert unproven_weights(decoder(), {"n", "y"}) == ("A", "B")


def test_a_weight_that_shows_in_another_answer_too_is_not():
    assert unproven_weights(decoder("A"), {"n"}) == ()


def test_where_nothing_is_drawn_nothing_is_unproven():
    assert unproven_weights(decoder(), ()) == ()


def test_weights_inside_a_branch_belong_to_what_the_branch_answers():
    branches = {
        name: graph([node("MatMul", ["x", f"W_{name}"], [name])], [], [value(name, ["N", 64])], [weight(f"W_{name}")])
        for name in ("then_branch", "else_branch")
    }
    sign = [node("ReduceSum", ["x"], ["s"], keepdims=0), node("Greater", ["s", "zero"], ["c"])]
    nodes = [*sign, node("If", ["c"], ["y"], **branches), node("Identity", ["y"], ["n"])]
    proto = model(nodes, ROWS, [value("y", ["N", 64]), value("n", ["N", 64])], [tensor("zero", 0.0)])
    assert unproven_weights(proto, {"n"}) == ()
    assert set(unproven_weights(proto, {"n", "y"})) == {"W_then_branch", "W_else_branch"}
