"""The loss that steers a search: nothing for equal answers, growing with the error, infinite for broken ones."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from coldpress.search.loss import answer_loss

answers = arrays(np.float32, st.integers(1, 20), elements=st.floats(-100, 100, width=32))


@given(answers)
def test_equal_answers_lose_nothing(y):
    assert answer_loss([{"y": y}], [{"y": y.copy()}]) == 0


@given(st.floats(0.001, 0.5))
def test_the_loss_is_the_squared_error_relative_to_the_answer(share):
    y = np.ones(10, np.float32)
    assert abs(answer_loss([{"y": y}], [{"y": y * np.float32(1 + share)}]) - share**2) < 1e-4


def test_it_is_the_worst_outputs_and_requests_count_by_their_size():
    before = [{"a": np.ones(4, np.float32), "b": np.full(4, 10, np.float32)}]
    after = [{"a": np.ones(4, np.float32), "b": np.full(4, 11, np.float32)}]
    assert abs(answer_loss(before, after) - 0.01) < 1e-9
    nearly_nothing = [{"y": np.full(4, 1e-7, np.float32)}, {"y": np.ones(4, np.float32)}]
    doubled = [{"y": np.full(4, 2e-7, np.float32)}, {"y": np.ones(4, np.float32)}]
    assert answer_loss(nearly_nothing, doubled) < 1e-12


def test_a_broken_answer_is_infinitely_far():
    y = {"y": np.ones(4, np.float32)}
    assert answer_loss([y], [{"y": np.ones(5, np.float32)}]) == np.inf
    assert answer_loss([y], [{"y": np.full(4, np.nan, np.float32)}]) == np.inf
    assert answer_loss([y], [{}]) == np.inf


def test_labels_and_outputs_drawn_by_chance_do_not_steer():
    before = {"label": np.array([1]), "noise": np.ones(3, np.float32), "map": [{"a": 1.0}]}
    after = {"label": np.array([2]), "noise": np.zeros(3, np.float32), "map": [{"a": 2.0}]}
    assert answer_loss([before], [after], {"noise"}) == 0


def test_infinities_of_the_original_are_left_out():
    y = np.array([np.inf, 1, 2], np.float32)
    assert answer_loss([{"y": y}], [{"y": y}]) == 0
