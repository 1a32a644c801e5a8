"""Static int8 where it is offered: bases to judge, fewer codes each, and quietly none where nothing can be computed."""

import numpy as np
import pytest

from coldpress.search.static_bases import FAMILY, static_bases
from tests.support.graphs import model, node, tensor, value

IMAGE, ANSWER = [value("x", [1, 16, 8, 8])], [value("y", None)]
REQUESTS = [{"x": np.random.default_rng(seed).normal(size=(1, 16, 8, 8)).astype(np.float32)} for seed in range(8)]


def network(operator):
    kernel = tensor("K", np.random.default_rng(0).normal(size=(16, 16, 3, 3)) / 12)
    return model([node(operator, ["x", "K"], ["h"], name="c"), node("Relu", ["h"], ["y"])], IMAGE, ANSWER, [kernel])


def bases(proto, requests=REQUESTS):
    return list(static_bases(proto, requests, ("strip",), {}, 5, lambda _: None))


def test_convolutions_become_integer_ones_under_a_recipe_that_says_so():
    found = bases(network("Conv"))
    assert {base.recipe for base in found} == {("strip", FAMILY)}
    assert "QuantizeLinear" in {node.op_type for node in found[0].bench.model.graph.node}


@pytest.mark.parametrize("proto", [network("ConvTranspose"), model([node("Relu", ["x"], ["y"])], IMAGE, ANSWER)])
def test_where_nothing_can_be_computed_with_integers_there_is_nothing_to_judge(proto):
    assert bases(proto) == []


def test_a_model_that_fails_on_a_request_offers_nothing_and_stops_nothing():
    assert bases(network("Conv"), [{"x": np.zeros((1, 4, 8, 8), np.float32)}] * 4) == []
