"""Rounding by calibration moves answers less than rounding to the nearest."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldpress.encodings.encoding import Reader, Site
from coldpress.encodings.gptq import answer_error, round_for_inputs
from coldpress.encodings.nbits import NBits

RNG = np.random.default_rng(0)


def inputs(count, summed, rank):
    """Inputs that lie near a plane, as those inside a network do."""
    mixed = RNG.normal(size=(count, rank)) @ RNG.normal(size=(rank, summed))
    return mixed + 0.1 * RNG.normal(size=(count, summed))


def site_of(w):
    return Site("w", w.shape, w.nbytes, (Reader("MatMul", "", 1),), "matmul", 1)


@pytest.mark.parametrize("encoding", [NBits(4, 32), NBits(4, 128), NBits(8, 32)], ids=lambda encoding: encoding.name)
@pytest.mark.parametrize("summed", [128, 100], ids=["whole blocks", "padded"])
def test_answers_move_less_and_bytes_are_the_same(encoding, summed):
    w = RNG.normal(0, 0.05, (summed, 64)).astype(np.float32)
    x = inputs(400, summed, 24)
    site, gram = site_of(w), x.T @ x
    nearest, by_inputs = encoding.encode(w, site), encoding.encode(w, site, gram)
    errors = [answer_error(w.T, encoding.decode(made, site).T, gram) for made in (nearest, by_inputs)]
    assert errors[1] < 0.5 * errors[0]
    assert nearest.nbytes == by_inputs.nbytes == encoding.nbytes(site)


def test_the_error_of_answers_is_what_a_product_shows():
    w, v = RNG.normal(size=(2, 16, 40))
    x = inputs(50, 40, 8)
    expected = np.sum((x @ (w - v).T) ** 2) / np.sum((x @ w.T) ** 2)
    assert answer_error(w, v, x.T @ x) == pytest.approx(expected)


def test_inputs_that_say_nothing_leave_the_nearest_codes():
    w = RNG.normal(0, 0.05, (64, 48)).astype(np.float32)
    encoding, site = NBits(4, 32), site_of(w)
    nearest = encoding.encode(w, site)
    for gram in (np.eye(64), np.zeros((64, 64))):
        made = encoding.encode(w, site, gram)
        assert all(np.array_equal(made.parts[name], part) for name, part in nearest.parts.items())


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 3), st.integers(0, 40), st.integers(1, 200), st.integers(0, 9))
def test_only_values_that_were_allowed_come_out_whatever_the_inputs(rows, seen, summed, seed):
    rng = np.random.default_rng(seed)
    w = rng.normal(size=(rows, summed)).astype(np.float32)
    x = rng.normal(size=(seen, summed)) * 10.0 ** rng.integers(-6, 6, summed)
    rounded = round_for_inputs(w, x.T @ x, lambda channel, wanted: np.sign(wanted) * np.float32(channel + 1))
    assert rounded.shape == w.shape
    assert np.array_equal(np.abs(rounded), np.broadcast_to(np.arange(1, summed + 1), w.shape))
