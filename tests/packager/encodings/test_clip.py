"""Scales and ranges are searched: never worse than plain rounding, and right for odd groups."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from coldpress.encodings.clip import best_ranges, best_scales, levels_of, snap, snap_range, squared_errors
from coldpress.encodings.codebooks import levels

RNG = np.random.default_rng(0)
GROUPS = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=24),
    elements=st.floats(-(2.0**99), 2.0**99, width=32),
)


def error(groups, values):
    return np.square(groups.astype(np.float64) - values).sum(axis=1)


def plain(groups, bits):
    """Round to multiples of the largest weight's share, as most tools do."""
    top = (1 << bits - 1) - 1
    scales = np.maximum(np.abs(groups).max(axis=1, keepdims=True) / np.float32(top), np.float32(1e-38))
    return np.rint(groups / scales) * scales


@pytest.mark.parametrize("bits", [4, 6, 8])
def test_clipping_never_loses_more_than_plain_rounding(bits):
    for drawn in (RNG.standard_normal((200, 32)), RNG.standard_t(3, (200, 64)), RNG.random((200, 16))):
        groups = drawn.astype(np.float32)
        scales = best_scales(groups, levels_of(bits))
        found = error(groups, snap(groups, scales, levels_of(bits)) * scales[:, None])
        assert found.sum() <= error(groups, plain(groups, bits)).sum()


def test_four_bits_gain_much_from_clipping_and_from_unequal_levels():
    groups = RNG.standard_normal((2000, 32)).astype(np.float32)
    errors = [error(groups, plain(groups, 4)).sum()]
    for chosen in (levels_of(4), levels(4)):
        scales = best_scales(groups, chosen)
        errors.append(error(groups, snap(groups, scales, chosen) * scales[:, None]).sum())
    assert errors[0] > 1.3 * errors[1] > 1.3 * errors[2]


def test_a_range_off_zero_is_used_whole():
    groups = RNG.random((100, 32)).astype(np.float32)
    scales, zeros = best_ranges(groups, 4)
    codes = snap_range(groups, scales, zeros, 4)
    assert codes.max() == 15
    values = (codes.astype(np.float32) - zeros[:, None]) * scales[:, None]
    symmetric = best_scales(groups, levels_of(4))
    assert (
        error(groups, values).sum()
        < 0.5 * error(groups, snap(groups, symmetric, levels_of(4)) * symmetric[:, None]).sum()
    )


@pytest.mark.parametrize("bits", [4, 8])
def test_groups_that_levels_can_hold_are_held(bits):
    codes = RNG.integers(-(1 << bits - 1), 1 << bits - 1, (50, 40))
    codes[:, 0] = -(1 << bits - 1)
    groups = (codes * RNG.random((50, 1))).astype(np.float32)
    scales = best_scales(groups, levels_of(bits))
    np.testing.assert_allclose(snap(groups, scales, levels_of(bits)) * scales[:, None], groups, rtol=1e-5)


@given(GROUPS)
def test_any_finite_group_gives_finite_values_no_worse_than_zeros(groups):
    scales = best_scales(groups, levels_of(4))
    values = snap(groups, scales, levels_of(4)) * scales[:, None]
    assert np.isfinite(values).all()
    assert (error(groups, values) <= error(groups, 0 * values) * (1 + 1e-6)).all()
    scales, zeros = best_ranges(groups, 4)
    codes = snap_range(groups, scales, zeros, 4)
    assert np.isfinite((codes.astype(np.float32) - zeros[:, None]) * scales[:, None]).all()
    assert codes.max(initial=0) <= 15


def test_zeros_stay_zero_and_nothing_is_fine():
    for groups in (np.zeros((3, 5), np.float32), np.zeros((0, 5), np.float32)):
        scales = best_scales(groups, levels(4))
        assert not snap(groups, scales, levels(4)).any()
        assert np.isfinite(scales).all()


def test_errors_are_those_of_the_rounding():
    groups = RNG.standard_normal((70, 33)).astype(np.float32)
    scales = best_scales(groups, levels(6))
    expected = error(groups, snap(groups, scales, levels(6)) * scales[:, None])
    np.testing.assert_allclose(squared_errors(groups, scales, levels(6)), expected, rtol=1e-4)
