"""Ranges of activations: what requests make of them, and where no codes are needed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldpress.errors import SamplesError
from coldpress.static.calibrate import calibrate, channel_means
from coldpress.static.quantise import Quantiser
from tests.packager.static.networks import cnn, normal, requests
from tests.support import graphs as g

DOUBLE = g.model([g.node("Add", ["x", "x"], ["y"])], [g.value("x", ["n", 2, "k"])], [g.value("y", ["n", 2, "k"])])


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=2, max_size=12))
def test_ranges_are_the_extremes_over_all_requests(values):
    given_ = [{"x": np.full((1, 2, 3), value, np.float32)} for value in values]
    seen = calibrate(DOUBLE, ["x", "y"], given_)
    assert seen["x"] == (min(values), max(values), 6)
    assert seen["y"][:2] == (2 * min(values), 2 * max(values))


def test_percentile_leaves_a_lone_outlier_outside():
    rng = np.random.default_rng(0)
    given_ = [{"x": rng.normal(size=(1, 2, 50_000)).astype(np.float32)} for _ in range(8)]
    given_[3]["x"][0, 0, 0] = 1000
    assert calibrate(DOUBLE, ["y"], given_)["y"].high == 2000
    assert 4 < calibrate(DOUBLE, ["y"], given_, "percentile")["y"].high < 20


def test_values_that_are_not_float_or_not_finite_have_no_range():
    nodes = [g.node("Shape", ["x"], ["s"]), g.node("Log", ["x"], ["y"])]
    model = g.model(nodes, [g.value("x", ["n"])], [g.value("y", ["n"])])
    assert set(calibrate(model, ["x", "s", "y"], [{"x": np.array([0, 1], np.float32)}])) == {"x"}


def test_no_values_have_no_ranges():
    assert calibrate(DOUBLE, [], [{"x": np.ones((1, 2, 3), np.float32)}]) == {}


@pytest.mark.parametrize("opset", [13, 17, 18])
def test_means_are_taken_a_channel(opset):
    model = g.model([g.node("Neg", ["x"], ["y"])], [g.value("x", None)], [g.value("y", None)], opset=opset)
    model.graph.input[0].CopyFrom(g.value("x", [1, 3, 2, 2]))
    array = np.arange(12, dtype=np.float32).reshape(1, 3, 2, 2)
    means = channel_means(model, ["y"], [{"x": array}, {"x": array + 1}])
    assert means["y"].tolist() == [-2.0, -6.0, -10.0]


def test_a_request_the_model_does_not_run_on_is_named():
    with pytest.raises(SamplesError, match="does not run on a calibration request"):
        Quantiser.of(cnn(), [{"x": np.zeros((1, 4, 8, 8), np.float32)}])


def _into(*tail, extra=()):
    """A convolution with large results, and what reads them."""
    weights = [g.tensor("w", normal(4, 3, 1, 1, scale=60)), g.tensor("three", 3.0), g.tensor("six", 6.0)]
    weights += [g.tensor("zero", 0.0), g.tensor("v", normal(2, 4, 1, 1))]
    nodes = [g.node("Conv", ["x", "w"], ["c"]), *tail, g.node("Conv", ["m", "v"], ["y"])]
    outputs = [g.value(name, None) for name in ("y", *extra)]
    return g.model(nodes, [g.value("x", [1, 3, 4, 4])], outputs, weights)


SILU = (g.node("Sigmoid", ["c"], ["s"]), g.node("Mul", ["c", "s"], ["m"]))
HARD = (
    g.node("Add", ["c", "three"], ["a"]),
    g.node("Clip", ["a", "zero", "six"], ["k"]),
    g.node("Mul", ["c", "k"], ["m"]),
)


@pytest.mark.parametrize(("tail", "low"), [(SILU, -7.0), (HARD, -3.0)])
def test_codes_are_not_spent_on_what_an_activation_function_drops(tail, low):
    made = Quantiser.of(_into(*tail), requests(size=4))
    assert made.ranges["c"].low == low
    assert made.ranges["c"].high > 20


@pytest.mark.parametrize("tail", [SILU, HARD])
def test_a_value_that_is_also_an_answer_keeps_its_whole_range(tail):
    assert Quantiser.of(_into(*tail, extra=("c",)), requests(size=4)).ranges["c"].low < -20
