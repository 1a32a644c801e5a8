"""What weights matter: measured for one encoding each, scaled to the others, guessed where nothing was measured."""

import numpy as np
import pytest

from coldpress.search.sensitivity import measure_options
from coldpress.search.workbench import KEEP, Workbench
from tests.support.graphs import answers, model, node, tensor, value

DRAW = np.random.default_rng(0)
ROWS = DRAW.normal(size=(20, 64)).astype(np.float32)
MENU = ("int8-storage", "int4-storage")


def two_paths(loud=10.0):
    """Two weights of one kind; the answer holds ten times as much of what the first one makes."""
    weights = [tensor(name, DRAW.normal(size=(64, 64))) for name in ("loud", "quiet")] + [tensor("times", loud)]
    nodes = [
        node("MatMul", ["x", "loud"], ["a"]),
        node("Mul", ["a", "times"], ["b"]),
        node("MatMul", ["x", "quiet"], ["c"]),
        node("Add", ["b", "c"], ["y"]),
    ]
    return model(nodes, [value("x", ["N", 64])], [value("y", ["N", 64])], weights)


def measured(proto, track=lambda sites, _: sites):
    before = answers(proto, {"x": ROWS})[0]
    bench = Workbench(proto)
    calls = []

    def loss(changed):
        calls.append(changed)
        return float(np.square(answers(changed, {"x": ROWS})[0] - before).sum() / np.square(before).sum())

    return bench, measure_options(bench, dict.fromkeys(bench.sites, MENU), loss, track), len(calls)


def losses(options, site):
    return {option.encoding: option.loss for option in options[site]}


def test_each_weight_is_tried_once_and_every_option_has_a_loss():
    _, options, calls = measured(two_paths())
    assert calls == 2
    for site in ("loud", "quiet"):
        found = losses(options, site)
        assert found[KEEP] == 0 < found["int8-storage"] < found["int4-storage"]


def test_what_answers_hold_more_of_matters_more():
    _, options, _ = measured(two_paths())
    assert losses(options, "loud")["int4-storage"] > 20 * losses(options, "quiet")["int4-storage"]


def test_losses_of_other_encodings_are_foretold_by_the_error_of_the_weight():
    proto = two_paths()
    bench, options, _ = measured(proto)
    before = answers(proto, {"x": ROWS})[0]
    after = answers(bench.with_weight("loud", "int8-storage"), {"x": ROWS})[0]
    true = float(np.square(after - before).sum() / np.square(before).sum())
    assert losses(options, "loud")["int8-storage"] == pytest.approx(true, rel=0.5)


def test_where_time_ends_the_rest_is_taken_to_be_as_usual():
    bench, options, calls = measured(two_paths(), lambda sites, _: list(sites)[:1])
    assert calls == 1
    factors = [losses(options, site)["int4-storage"] / bench.error(site, "int4-storage") for site in ("loud", "quiet")]
    assert factors[0] == pytest.approx(factors[1])


def test_a_weight_without_a_menu_can_only_stay():
    bench = Workbench(two_paths())
    options = measure_options(bench, {"loud": (), "quiet": MENU}, lambda _: 0.5, lambda sites, _: sites)
    assert [option.encoding for option in options["loud"]] == [KEEP]
