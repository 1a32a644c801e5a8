"""Matrices multiplied as codes: what is decoded is what the engine answers with, in every place a matrix stands."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, numpy_helper

from coldpress.encodings.encoding import Site
from coldpress.encodings.nbits import NBits
from coldpress.encodings.sites import find_sites
from coldpress.shrink.dedup_weights import dedup_weights
from coldpress.shrink.draft import Draft
from tests.support.graphs import answers, graph, model, node, tensor, value

ALL = [NBits(bits, block) for bits in (8, 4) for block in (32, 64, 128)]
EVERY = pytest.mark.parametrize("encoding", ALL, ids=lambda encoding: encoding.name)
TOLERANCE = 0.02
"""Of the largest answer; measured errors of the rounded left operand are below half of it."""
RNG = np.random.default_rng(0)


def weight(*shape):
    return RNG.normal(0, 0.05, shape).astype(np.float32)


def encoded(whole, encoding, gram=None):
    """Encode every site of a model; return the model after and the decoded weights by name."""
    draft = Draft(whole)
    decoded = {}
    for site in find_sites(draft, least=1):
        assert not encoding.refusal(site)
        made = encoding.encode(array(whole, site.name), site, gram)
        assert made.nbytes == encoding.nbytes(site)
        decoded[site.name] = encoding.decode(made, site)
        encoding.write(draft, site, made)
    after = draft.restore()
    return after, decoded


def array(whole, name):
    bodies = [whole.graph, *(a.g for n in whole.graph.node for a in n.attribute if a.HasField("g"))]
    return next(numpy_helper.to_array(t) for body in bodies for t in body.initializer if t.name == name)


def product(w, *, rank=2, **options):
    shape = [*("abcd"[: rank - 1]), w.shape[0]]
    return model(
        [node("MatMul", ["x", "w"], ["y"])], [value("x", shape)], [value("y", None)], [tensor("w", w)], **options
    )


def near(got, expected):
    assert got.shape == expected.shape
    assert np.abs(got - expected).max(initial=0) <= TOLERANCE * np.abs(expected).max(initial=0)


@EVERY
@pytest.mark.parametrize("optimized", [True, False], ids=["optimised", "as written"])
@pytest.mark.parametrize("summed", [256, 100], ids=["whole blocks", "padded"])
def test_the_engine_answers_as_with_the_decoded_weight(encoding, optimized, summed):
    whole = product(weight(summed, 48))
    x = RNG.normal(size=(5, summed)).astype(np.float32)
    after, decoded = encoded(whole, encoding)
    near(answers(after, {"x": x}, optimized=optimized)[0], x @ decoded["w"])


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(ALL), st.integers(1, 4), st.integers(0, 3), st.integers(1, 150), st.integers(16, 70))
def test_any_rank_and_size_of_the_left_operand(encoding, rank, batch, summed, channels):
    w = weight(summed + 40, channels)
    x = np.random.default_rng(summed).normal(size=[*(batch,) * (rank - 1), len(w)]).astype(np.float32)
    after, decoded = encoded(product(w, rank=rank), encoding)
    near(answers(after, {"x": x})[0], x @ decoded["w"])


@EVERY
def test_the_decoded_weight_is_near_the_weight(encoding):
    w = weight(128, 64)
    _, decoded = encoded(product(w), encoding)
    error = np.linalg.norm(w - decoded["w"]) / np.linalg.norm(w)
    assert error < (0.01 if encoding.family == "nbits8" else 0.12)


@EVERY
@pytest.mark.parametrize("size", [1e-30, 1e-6, 1e6, 1e15])
def test_weights_of_any_size(encoding, size):
    w = weight(128, 64) * np.float32(size)
    _, decoded = encoded(product(w), encoding)
    assert np.linalg.norm(w / size - decoded["w"] / size) < 0.12 * np.linalg.norm(w / size)


@EVERY
def test_rows_and_blocks_of_zeros_stay_zero(encoding):
    w = weight(256, 48)
    w[:, 3] = 0
    w[:128, 7] = 0
    _, decoded = encoded(product(w), encoding)
    assert not decoded["w"][:, 3].any()
    assert not decoded["w"][:128, 7].any()
    assert not encoded(product(np.zeros((128, 48), np.float32)), encoding)[1]["w"].any()


@pytest.mark.parametrize("encoding", [ALL[0], ALL[3]], ids=lambda encoding: encoding.name)
@pytest.mark.parametrize("turned", [{}, {"transB": 1}, {"transA": 1}, {"transA": 1, "transB": 1}], ids=str)
@pytest.mark.parametrize("factors", [{}, {"alpha": 0.5, "beta": 2.0}], ids=str)
@pytest.mark.parametrize("addend", [None, (), (48,), (5, 1), (5, 48)], ids=str)
def test_gemm_with_all_it_does_around_the_product(encoding, turned, factors, addend):
    w, x = weight(128, 48), RNG.normal(size=(5, 128)).astype(np.float32)
    inputs = [value("x", x.T.shape if turned.get("transA") else x.shape)]
    names = ["x", "w"]
    given_ = {"x": np.ascontiguousarray(x.T) if turned.get("transA") else x}
    if addend is not None:
        names.append("c")
        inputs.append(value("c", addend))
        given_["c"] = RNG.normal(size=addend).astype(np.float32)
    stored = tensor("w", w.T if turned.get("transB") else w)
    whole = model([node("Gemm", names, ["y"], **turned, **factors)], inputs, [value("y", None)], [stored])
    after, decoded = encoded(whole, encoding)
    kept = decoded["w"].T if turned.get("transB") else decoded["w"]
    expected = factors.get("alpha", 1) * (x @ kept)
    if addend is not None:
        expected = expected + factors.get("beta", 1) * given_["c"]
    near(answers(after, given_)[0], expected)


def test_a_weight_with_several_readers_is_stored_once():
    w = weight(64, 64)
    whole = model(
        [node("MatMul", ["x", "w"], ["h"]), node("MatMul", ["h", "w"], ["y"])],
        [value("x", ("n", 64))],
        [value("y", None)],
        [tensor("w", w)],
    )
    after, decoded = encoded(whole, ALL[0])
    stored = [t for t in after.graph.initializer if numpy_helper.to_array(t).size == w.size]
    assert len(stored) == 1
    x = RNG.normal(size=(3, 64)).astype(np.float32)
    near(answers(after, {"x": x})[0], x @ decoded["w"] @ decoded["w"])


@pytest.mark.parametrize("optimized", [True, False], ids=["optimised", "as written"])
@pytest.mark.parametrize("inside", [True, False], ids=["weight in the branch", "weight outside"])
@pytest.mark.parametrize("encoding", [ALL[0], ALL[3]], ids=lambda encoding: encoding.name)
def test_inside_a_branch(encoding, inside, optimized):
    w = tensor("w", weight(64, 64))
    inner = graph([node("MatMul", ["x", "w"], ["r"])], [], [value("r", None)], [w] if inside else [])
    other = graph([node("Neg", ["x"], ["n"])], [], [value("n", None)])
    whole = model(
        [node("If", ["c"], ["y"], then_branch=inner, else_branch=other)],
        [value("x", ("n", 64)), value("c", (), TensorProto.BOOL)],
        [value("y", None)],
        [] if inside else [w],
    )
    after, decoded = encoded(whole, encoding)
    x = RNG.normal(size=(3, 64)).astype(np.float32)
    near(answers(after, {"x": x, "c": np.array(True)}, optimized=optimized)[0], x @ decoded["w"])
    assert np.array_equal(answers(after, {"x": x, "c": np.array(False)})[0], -x)


def test_an_old_opset_will_do():
    after, decoded = encoded(product(weight(64, 64), opset=9, ir=4), ALL[0])
    x = RNG.normal(size=(3, 64)).astype(np.float32)
    near(answers(after, {"x": x})[0], x @ decoded["w"])


def test_tables_are_shared_by_weights():
    weights = [tensor(name, weight(64, 64)) for name in ("v", "w")]
    nodes = [node("MatMul", ["x", "v"], ["h"]), node("MatMul", ["h", "w"], ["y"])]
    after, _ = encoded(model(nodes, [value("x", ("n", 64))], [value("y", None)], weights), ALL[0])
    draft = Draft(after)
    assert dedup_weights(draft) == 2  # the table of scales, and the shape of the codes


@pytest.mark.parametrize(
    ("shape", "role", "axis"),
    [((4, 64, 64), "matmul", 2), ((64, 64), "other", 1), ((64, 64), "rows", 0), ((4, 2), "matmul", 1)],
    ids=["a stack of matrices", "another reader", "a table", "a small one"],
)
def test_refused_with_a_reason(shape, role, axis):
    site = Site("w", shape, 4 * int(np.prod(shape)), (), role, axis)
    assert all(encoding.refusal(site) for encoding in ALL)
