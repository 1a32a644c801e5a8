"""How far answers moved, in one number: nothing for equal ones, growing with the error, infinite for broken ones."""

import numpy as np

from coldpress.answer_loss import OutputLoss


def test_what_was_not_finite_in_the_original_is_left_out():
    y = np.array([np.inf, 1, 2, np.nan], np.float32)
    assert OutputLoss([{"y": y}]).of([{"y": np.array([0, 1, 2, 5], np.float32)}]).mean == 0


def test_outputs_that_depend_on_chance_do_not_count():
    before = {"y": np.arange(4, dtype=np.float32), "noise": np.arange(4, dtype=np.float32)}
    after = before | {"noise": np.zeros(4, np.float32)}
    assert OutputLoss([before], {"noise"}).of([after]).mean == 0
    assert OutputLoss([before]).of([after]).mean > 0


def test_a_missing_output_is_infinitely_far():
    assert OutputLoss([{"y": np.arange(4, dtype=np.float32)}]).of([{}]).mean == np.inf


def test_equal_answers_lose_nothing_and_larger_errors_lose_more():
    y = np.linspace(0, 1, 50, dtype=np.float32)
    measure = OutputLoss([{"y": y}])
    losses = [measure.of([{"y": y + np.float32(shift)}]).mean for shift in (0, 0.01, 0.1)]
    assert losses[0] == 0
    assert losses[0] < losses[1] < losses[2]


def test_labels_that_changed_count_by_their_share():
    before, after = {"label": np.array([1, 2, 3, 4])}, {"label": np.array([1, 2, 3, 5])}
    assert OutputLoss([before]).of([after]).mean == 0.25
