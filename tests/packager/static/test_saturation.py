"""Weights of seven bits cannot saturate the 16-bit sums of x86 CPUs without VNNI; weights of eight bits can."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper

from coldpress.static.quantise import Quantiser
from tests.packager.static.networks import cnn, requests

INT16 = np.iinfo(np.int16)


def vpmaddubsw(activations, weights):
    """Multiply unsigned by signed bytes and add neighbouring products in 16 bits that saturate, as the CPU does."""
    pairs = (activations.astype(np.int32) * weights.astype(np.int32)).reshape(*activations.shape[:-1], -1, 2).sum(-1)
    return np.clip(pairs, INT16.min, INT16.max)


def saturating_dot(activations, weights):
    """Sum products as a CPU without VNNI does: pairs in 16 bits, pairs of pairs in 32 (vpmaddwd with ones)."""
    return vpmaddubsw(activations, weights).sum(-1)


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(-64, 64)), min_size=2, max_size=64))
def test_seven_bits_sum_exactly(terms):
    terms += [(0, 0)] * (len(terms) % 2)
    activations, weights = np.array(terms).T
    assert saturating_dot(activations, weights) == int(activations @ weights)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_sums_of_seven_bits_fit_and_those_of_eight_do_not(sign):
    activations = np.array([255, 255])
    seven, eight = np.full(2, 64 * sign), np.full(2, 127 * sign)
    assert saturating_dot(activations, seven) == int(activations @ seven)
    assert saturating_dot(activations, eight) != int(activations @ eight)


@pytest.mark.parametrize(("form", "safe"), [("s7", True), ("s8", False)])
def test_weights_as_written_saturate_only_with_eight_bits(form, safe):
    made = Quantiser.of(cnn(), requests())
    written = made.write(made.graph.choose(), form=form)
    weights = [numpy_helper.to_array(t) for t in written.graph.initializer if t.data_type == 3 and len(t.dims) == 4]
    worst = max(np.abs(weight).max() for weight in weights)
    bright = np.full(2, 255)
    pair = np.full(2, worst, np.int32)
    assert len(weights) == 2
    assert (saturating_dot(bright, pair) == int(bright @ pair)) == safe


def test_unsigned_weights_are_centred_on_128_so_their_kernel_need_not_saturate():
    made = Quantiser.of(cnn(), requests())
    written = made.write(made.graph.choose(), form="u8")
    weights = [numpy_helper.to_array(t) for t in written.graph.initializer if t.data_type == 2 and len(t.dims) == 4]
    assert {weight.min() for weight in weights} | {weight.max() for weight in weights} <= set(range(1, 256))
    assert not [t for t in written.graph.initializer if t.data_type == 3]
