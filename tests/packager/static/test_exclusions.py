"""The search for what must stay in float finds what ruins the answers, and leaves it."""

import numpy as np
import pytest

from coldpress.answer_loss import OutputLoss
from coldpress.errors import SamplesError
from coldpress.static.exclusions import search_exclusions
from coldpress.static.quantise import quantise
from tests.packager.static.networks import cnn, normal, requests
from tests.support import graphs as g


def _with_a_wide_layer():
    """Six layers; the third has one channel ten thousand times as wide as those the rest of the network lives on."""
    nodes, weights = [], []
    for index in range(6):
        weight = normal(8, 3 if index == 0 else 8, 3, 3, seed=index)
        if index == 2:
            weight[0] *= 1e4
        if index == 3:
            weight[:, 0] *= 1e-4
        weights.append(g.tensor(f"w{index}", weight))
        source = "x" if index == 0 else f"r{index - 1}"
        nodes.append(g.node("Conv", [source, f"w{index}"], [f"c{index}"], pads=[1, 1, 1, 1]))
        nodes.append(g.node("Relu", [f"c{index}"], [f"r{index}"]))
    nodes.append(g.node("GlobalAveragePool", ["r5"], ["y"]))
    return g.model(nodes, [g.value("x", [1, 3, 12, 12])], [g.value("y", [1, 8, 1, 1])], weights)


def test_the_layer_that_ruins_the_answers_is_left_in_float():
    model, given = _with_a_wide_layer(), requests(24)
    found = search_exclusions(model, given, target=0.02)
    assert found[0].exclude == frozenset()
    assert found[0].loss.mean > 10 * found[-1].loss.mean
    assert found[-1].loss.mean <= 0.02
    assert {"c2", "c3"} & found[-1].exclude
    assert not {"c0", "c1"} & found[-1].exclude
    assert [len(each.exclude) for each in found] == sorted(len(each.exclude) for each in found)


def test_what_the_search_finds_is_what_quantise_takes():
    model, given = _with_a_wide_layer(), requests(24)
    best = search_exclusions(model, given, target=0.02)[-1]
    made = quantise(model, given, exclude=best.exclude, products=best.products, method=best.method)
    kept = {tensor.name for tensor in made.graph.initializer}
    assert "w2" in kept or "w3" in kept
    assert "w0" not in kept


def test_a_model_that_quantises_well_needs_one_trial():
    (only,) = search_exclusions(cnn(), requests(16), target=0.5)
    assert (only.exclude, only.cost) == (frozenset(), 1.0)


def test_without_time_there_is_still_an_answer():
    found = search_exclusions(_with_a_wide_layer(), requests(8), target=0.0, seconds=0.0)
    assert found[0].exclude == frozenset()


def test_progress_is_told_in_order():
    told = []
    search_exclusions(
        _with_a_wide_layer(), requests(8), target=0.0, progress=lambda what, done: told.append((done, what))
    )
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert all(0 <= done <= 1 and what for done, what in told)


def test_nothing_to_quantise_gives_no_candidate():
    model = g.model([g.node("Relu", ["x"], ["y"])])
    assert search_exclusions(model, [{"x": np.ones((2, 3), np.float32)}]) == ()


def test_no_samples_are_refused():
    with pytest.raises(SamplesError, match="give 32 or more"):
        search_exclusions(cnn(), [])


def test_scores_beside_boxes_count_as_much_as_boxes():
    rng = np.random.default_rng(0)
    boxes, scores = 320 * rng.random((4, 50)), rng.random((18, 50))
    expected = [{"y": np.vstack([boxes, scores])[None].astype(np.float32)}]
    shuffled = [{"y": np.vstack([boxes, scores[:, ::-1]])[None].astype(np.float32)}]
    cosine = 1 - float(np.vdot(expected[0]["y"], shuffled[0]["y"]) / np.linalg.norm(expected[0]["y"]) ** 2)
    assert cosine < 1e-4
    assert OutputLoss(expected).of(shuffled).mean > 0.5


def test_outputs_that_hardly_vary_are_ignored():
    expected = [{"y": np.array([[0.0, 1.0]], np.float32), "z": np.full((1, 2), 5.0, np.float32)}]
    other = [{"y": expected[0]["y"], "z": np.full((1, 2), 5.1, np.float32)}]
    assert OutputLoss(expected).of(other).mean == 0


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_an_answer_that_is_not_finite_loses_everything(broken):
    expected = [{"y": np.array([[0.0, 1.0]], np.float32)}]
    assert OutputLoss(expected).of([{"y": np.array([[0.0, broken]], np.float32)}]).mean == np.inf


def test_labels_lose_by_the_share_that_differs():
    expected = [{"label": np.array([1, 2, 3, 4])}]
    assert OutputLoss(expected).of([{"label": np.array([1, 2, 3, 5])}]).mean == 0.25


def test_maps_of_scores_are_measured_too():
    expected = [{"scores": [{0: 0.1, 1: 0.9}]}, {"scores": [{0: 0.7, 1: 0.3}]}]
    measure = OutputLoss(expected)
    assert measure.of(expected).mean == 0
    assert measure.of(expected[::-1]).mean > 0.5
