"""Codes and scales of few bits come out of their bytes as they went in."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldpress.encodings.codebooks import FILL_BYTES, levels, pack, scale_codes, scale_table, unpack


@pytest.mark.parametrize("bits", FILL_BYTES)
def test_levels_ascend_from_end_to_end_through_zero(bits):
    found = levels(bits).astype(int)
    assert len(found) == 1 << bits
    assert (np.diff(found) > 0).all()
    assert 0 in found
    assert found[-1] == 127
    assert found[0] in {-127, -128}


def test_four_bit_levels_are_those_of_normal_float():
    published = [-1, -0.6962, -0.5251, -0.3949, -0.2844, -0.1848, -0.0911, 0]
    published += [0.0796, 0.1609, 0.2461, 0.3379, 0.4407, 0.5626, 0.7230, 1]
    np.testing.assert_allclose(levels(4) / 127, published, atol=0.5 / 127 + 1e-4)


@given(st.sampled_from(list(FILL_BYTES)), st.integers(1, 50), st.integers(0, 2**32 - 1))
def test_packed_values_unpack(bits, quads, seed):
    values = np.random.default_rng(seed).choice(levels(bits), 4 * quads)
    planes = pack(values, bits)
    assert 8 * sum(plane.nbytes for plane in planes) == bits * len(values)
    assert unpack(planes, bits).tobytes() == values.tobytes()


def test_scales_of_either_sign_and_a_thousandfold_apart():
    rng = np.random.default_rng(0)
    sizes = 10.0 ** rng.uniform(-3, 0, 300)
    groups = (rng.standard_normal((300, 32)) * sizes[:, None]).astype(np.float32)
    codes, unit = scale_codes(groups, levels(4))
    scales = scale_table()[codes] * unit
    assert (scales > 0).any()
    assert (scales < 0).any()
    assert (np.abs(scales) * 127 > 0.5 * np.abs(groups).max(axis=1)).all()
    assert (np.abs(scales) * 127 < 1.2 * np.abs(groups).max(axis=1)).all()


def test_a_group_of_zeros_has_a_scale():
    codes, unit = scale_codes(np.zeros((4, 8), np.float32), levels(4))
    assert np.isfinite(scale_table()[codes] * unit).all()
