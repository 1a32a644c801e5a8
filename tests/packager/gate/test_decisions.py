"""Which outputs decide, and how many decisions stay."""

import numpy as np
import pytest

from coldpress.gate.decisions import decision_rules, unchanged


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        (np.array([3, 4]), "equal"),
        (np.array(["a"], object), "equal"),
        (np.array([True]), "equal"),
        (np.array([[0.2, 0.8], [1.0, 0.0]], np.float32), "argmax"),
        (np.array([[0.2, 0.8003]], np.float16), "argmax"),
        (np.array([0.25, 0.75]), "argmax"),
        ([{"a": 0.2, "b": 0.8}], "argmax"),
        (np.array([[0.2], [0.9]], np.float32), "threshold"),
        (np.array([[0.2, 0.9]], np.float32), "threshold"),
        (np.array([[-0.2, 1.2]], np.float32), None),
        (np.array([[1.5]], np.float32), None),
        (np.array([[np.nan, 0.5]]), None),
    ],
)
def test_the_rule_is_told_from_the_values(value, rule):
    assert decision_rules([{"y": value}]) == ({} if rule is None else {"y": rule})


def test_a_rule_must_hold_for_every_answer():
    even, odd, wild = (np.array([row]) for row in ([0.5, 0.5], [0.2, 0.9], [4.0, 1.0]))
    assert decision_rules([{"y": even}, {"y": odd}]) == decision_rules([{"y": odd}, {"y": even}]) == {"y": "threshold"}
    assert decision_rules([{"y": even}, {"y": wild}]) == decision_rules([{"y": wild}, {"y": even}]) == {}


def test_an_output_that_is_empty_now_and_then_is_judged_by_the_rest():
    assert decision_rules([{"y": np.zeros((0, 2))}, {"y": np.array([[0.5, 0.5]])}]) == {"y": "argmax"}


def test_each_row_counts_by_itself():
    before = {"y": np.array([[0.2, 0.8], [0.6, 0.4], [0.9, 0.1]])}
    after = {"y": np.array([[0.4, 0.6], [0.4, 0.6], [0.8, 0.2]])}
    assert unchanged(before, after, {"y": "argmax"}).tolist() == [1, 0, 1]


def test_what_a_row_holds_counts_by_its_share():
    before, after = {"mask": np.array([[[0.9, 0.1], [0.2, 0.3]]])}, {"mask": np.array([[[0.9, 0.6], [0.2, 0.3]]])}
    assert unchanged(before, after, {"mask": "threshold"}).tolist() == [0.75]


def test_of_several_outputs_the_one_that_changed_counts():
    before = {"a": np.array([1, 2]), "b": np.array(["x", "y"], object)}
    after = {"a": np.array([1, 3]), "b": np.array(["x", "y"], object)}
    assert unchanged(before, after, {"a": "equal", "b": "equal"}).tolist() == [1, 0]


def test_outputs_with_different_numbers_of_rows_make_one_row_of_a_request():
    before = {"label": np.array([1]), "boxes": np.array([1, 2, 3, 4])}
    after = {"label": np.array([1]), "boxes": np.array([1, 2, 3, 5])}
    assert unchanged(before, after, {"label": "equal", "boxes": "equal"}).tolist() == [0.75]


def test_another_shape_is_another_decision():
    before, after = {"y": np.array([1, 2])}, {"y": np.array([1, 2, 3])}
    assert unchanged(before, after, {"y": "equal"}).tolist() == [0, 0]
