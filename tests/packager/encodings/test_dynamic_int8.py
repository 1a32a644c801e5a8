"""Products in int8 that no CPU's sums can saturate."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, numpy_helper

from coldpress.encodings.dynamic_int8 import DynamicInt8
from coldpress.encodings.encoding import Reader, Site
from coldpress.encodings.gptq import answer_error
from coldpress.encodings.sites import find_sites
from coldpress.shrink.draft import Draft
from tests.support.graphs import alike, answers, graph, model, node, tensor, value

INT8 = DynamicInt8()
RNG = np.random.default_rng(0)


def weight(*shape):
    return RNG.normal(0, 0.05, shape).astype(np.float32)


def site_of(w, axis=1):
    return Site("w", w.shape, w.nbytes, (Reader("MatMul", "", 1),), "matmul", axis)


def encoded(whole):
    """Encode the one site of a model; return the model after and the decoded weight."""
    draft = Draft(whole)
    (site,) = find_sites(draft, least=1)
    inner = [a.g for n in whole.graph.node for a in n.attribute if a.HasField("g")]
    stored = next(t for g in (whole.graph, *inner) for t in g.initializer if t.name == site.name)
    made = INT8.encode(numpy_helper.to_array(stored), site)
    assert made.nbytes == INT8.nbytes(site)
    INT8.write(draft, site, made)
    return draft.restore(), INT8.decode(made, site)


def rounded(x):
    """What DynamicQuantizeLinear makes of ``x``, as float32."""
    low, high = min(x.min(), 0), max(x.max(), 0)
    scale = np.float32((high - low) / 255)
    zero = np.clip(np.rint(-low / scale), 0, 255)
    return ((np.clip(np.rint(x / scale) + zero, 0, 255) - zero) * scale).astype(np.float32)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 4), st.integers(1, 3), st.integers(20, 300), st.integers(20, 70), st.booleans())
def test_the_engine_answers_as_with_the_decoded_weight_and_rounded_input(rank, batch, summed, channels, optimized):
    w = weight(summed, channels)
    x = np.random.default_rng(summed).normal(size=[*(batch,) * (rank - 1), summed]).astype(np.float32)
    whole = model([node("MatMul", ["x", "w"], ["y"])], [value("x", x.shape)], [value("y", None)], [tensor("w", w)])
    after, decoded = encoded(whole)
    (got,) = answers(after, {"x": x}, optimized=optimized)
    assert alike(got, rounded(x) @ decoded)


def test_no_rows_give_no_answers():
    whole = model(
        [node("MatMul", ["x", "w"], ["y"])], [value("x", ("n", 64))], [value("y", None)], [tensor("w", weight(64, 32))]
    )
    assert answers(encoded(whole)[0], {"x": np.zeros((0, 64), np.float32)})[0].shape == (0, 32)


def test_pairs_of_products_fit_int16_whatever_the_weights_are():
    """On a CPU that adds pairs in int16 these weights and inputs gave half the answer in int8 with all its values."""
    w = np.tile(RNG.choice([-1, 1], (256, 1)), 64).astype(np.float32) * np.geomspace(1e-9, 1e9, 64, dtype=np.float32)
    for gram in (None, np.ones((256, 256))):
        codes = INT8.encode(w, site_of(w), gram).parts["codes"].astype(int)
        assert 255 * 2 * np.abs(codes).max() <= np.iinfo(np.int16).max


@pytest.mark.parametrize("turned", [{}, {"transB": 1}, {"transA": 1}], ids=str)
def test_gemm_with_all_it_does_around_the_product(turned):
    w, x, c = weight(128, 48), RNG.normal(size=(5, 128)).astype(np.float32), weight(48)
    given_ = np.ascontiguousarray(x.T) if turned.get("transA") else x
    whole = model(
        [node("Gemm", ["x", "w", "c"], ["y"], alpha=0.5, beta=2.0, **turned)],
        [value("x", given_.shape), value("c", (48,))],
        [value("y", None)],
        [tensor("w", w.T if turned.get("transB") else w)],
    )
    after, decoded = encoded(whole)
    decoded = decoded.T if turned.get("transB") else decoded
    (got,) = answers(after, {"x": given_, "c": c})
    assert alike(got, 0.5 * rounded(x) @ decoded + 2 * c)


def test_inside_a_branch_and_in_an_old_opset():
    inner = graph([node("MatMul", ["x", "w"], ["r"])], [], [value("r", None)])
    other = graph([node("Neg", ["x"], ["n"])], [], [value("n", None)])
    whole = model(
        [node("If", ["c"], ["y"], then_branch=inner, else_branch=other)],
        [value("x", ("n", 64)), value("c", (), TensorProto.BOOL)],
        [value("y", None)],
        [tensor("w", weight(64, 64))],
        opset=9,
        ir=4,
    )
    after, decoded = encoded(whole)
    x = RNG.normal(size=(3, 64)).astype(np.float32)
    assert alike(answers(after, {"x": x, "c": np.array(True)})[0], rounded(x) @ decoded)
    assert np.array_equal(answers(after, {"x": x, "c": np.array(False)})[0], -x)


def test_channels_of_zeros_stay_zero():
    w = weight(64, 48)
    w[:, 3] = 0
    for gram in (None, np.eye(64)):
        assert not INT8.decode(INT8.encode(w, site_of(w), gram), site_of(w))[:, 3].any()


def test_calibration_moves_answers_less():
    w, x = weight(128, 64), RNG.normal(size=(400, 24)) @ RNG.normal(size=(24, 128))
    gram = x.T @ x
    errors = [answer_error(w.T, INT8.decode(INT8.encode(w, site_of(w), g), site_of(w)).T, gram) for g in (None, gram)]
    assert errors[1] < 0.5 * errors[0]


@pytest.mark.parametrize(
    ("shape", "role", "axis"),
    [((64, 64, 3, 3), "conv", 0), ((4, 64, 64), "matmul", 2), ((64, 64), "rows", 0), ((1, 2), "matmul", 1)],
    ids=["a convolution", "a stack of matrices", "a table", "a small one"],
)
def test_refused_with_a_reason(shape, role, axis):
    assert INT8.refusal(Site("w", shape, 4 * int(np.prod(shape)), (), role, axis))
