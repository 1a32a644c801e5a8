"""The sums of what products were given, over requests."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from coldpress.encodings.gram import input_grams
from coldpress.encodings.sites import find_sites
from coldpress.errors import SamplesError
from coldpress.shrink.draft import Draft
from coldpress.shrink.strip import strip
from tests.support.graphs import graph, model, node, tensor, value
from tests.support.models import feeds, fetch

RNG = np.random.default_rng(0)
V, W = (RNG.normal(size=shape).astype(np.float32) for shape in ((32, 48), (48, 32)))
X = [RNG.normal(size=(2, 3, 32)).astype(np.float32) for _ in range(5)]


def grams(path, nodes, requests, *, inputs=None, outputs=None, weights=(V, W)):
    named = [tensor(name, w) for name, w in zip("vw", weights, strict=False)]
    whole = model(nodes, inputs or [value("x", (None, None, 32))], outputs or [value("y", None)], named)
    onnx.save(whole, path / "model.onnx")
    return input_grams(path / "model.onnx", requests, find_sites(Draft(whole), least=1))


def gram(values):
    rows = np.concatenate([v.reshape(-1, v.shape[-1]) for v in values]).astype(np.float64)
    return rows.T @ rows


def test_inputs_of_the_model_and_within_it(tmp_path):
    nodes = [node("MatMul", ["x", "v"], ["h"]), node("Relu", ["h"], ["r"]), node("MatMul", ["r", "w"], ["y"])]
    found = grams(tmp_path, nodes, [{"x": x} for x in X])
    assert found.keys() == {"v", "w"}
    assert found["v"].dtype == np.float64
    assert found["v"] == pytest.approx(gram(X))
    assert found["w"] == pytest.approx(gram([np.maximum(x @ V, 0) for x in X]), rel=1e-4)


def test_more_inputs_than_are_multiplied_at_once(tmp_path):
    many = [RNG.normal(size=(7, 100, 32)).astype(np.float32) for _ in range(5)]
    found = grams(tmp_path, [node("MatMul", ["x", "v"], ["y"])], [{"x": x} for x in many])
    assert found["v"] == pytest.approx(gram(many))


def test_a_weight_read_twice_has_the_sum_of_both(tmp_path):
    square = (RNG.normal(size=(32, 32)).astype(np.float32),)
    nodes = [node("MatMul", ["x", "v"], ["h"]), node("MatMul", ["h", "v"], ["y"])]
    found = grams(tmp_path, nodes, [{"x": x} for x in X], weights=square)
    assert found["v"] == pytest.approx(gram(X) + gram([x @ square[0] for x in X]), rel=1e-4)


def test_weights_with_the_same_input_share_one_array(tmp_path):
    nodes = [node("MatMul", ["x", "v"], ["y"]), node("MatMul", ["x", "w"], ["z"])]
    outputs = [value("y", None), value("z", None)]
    found = grams(tmp_path, nodes, [{"x": x} for x in X], outputs=outputs, weights=(V, V + 1))
    assert found["v"] is found["w"]


@pytest.mark.parametrize("turned", [{}, {"transA": 1}, {"transB": 1}], ids=str)
def test_gemm(tmp_path, turned):
    x = X[0][0]
    inputs = [value("x", (None, None))]
    stored = (V.T if turned.get("transB") else V,)
    given = x.T if turned.get("transA") else x
    found = grams(tmp_path, [node("Gemm", ["x", "v"], ["y"], **turned)], [{"x": given}], inputs=inputs, weights=stored)
    assert found["v"] == pytest.approx(gram([x]))


def test_inputs_that_are_not_finite_are_left_out(tmp_path):
    odd = X[0].copy()
    odd[0, 0, 0] = np.inf
    odd[1, 2, 3] = np.nan
    found = grams(tmp_path, [node("MatMul", ["x", "v"], ["y"])], [{"x": odd}])
    assert found["v"] == pytest.approx(gram([X[0][0, 1:], X[0][1, :2]]))


def test_products_in_branches_have_none(tmp_path):
    branches = {
        name: graph([node("MatMul", ["x", "v"], [f"{name}_y"])], [], [value(f"{name}_y", None)])
        for name in ("then_branch", "else_branch")
    }
    inputs = [value("x", (None, None, 32)), value("c", (), TensorProto.BOOL)]
    requests = [{"x": X[0], "c": np.array(True)}]
    assert grams(tmp_path, [node("If", ["c"], ["y"], **branches)], requests, inputs=inputs, weights=(V,)) == {}


def test_without_requests_there_are_none(tmp_path):
    assert grams(tmp_path, [node("MatMul", ["x", "v"], ["y"])], []) == {}


def test_a_request_that_the_model_refuses_is_named(tmp_path):
    with pytest.raises(SamplesError, match="does not run"):
        grams(tmp_path, [node("MatMul", ["x", "v"], ["y"])], [{"x": X[0][:, :, :5]}])


@pytest.mark.models
def test_every_product_of_a_real_model(tmp_path):
    whole = strip(onnx.load(fetch("digits_mlp"))).model
    onnx.save(whole, tmp_path / "model.onnx")
    sites = find_sites(Draft(whole), least=64)
    found = input_grams(tmp_path / "model.onnx", [feeds("digits_mlp")], sites)
    products = [site for site in sites if site.role in ("matmul", "gemm")]
    assert products
    assert {name: g.shape[0] for name, g in found.items()} == {
        site.name: site.shape[1 - site.axis] for site in products
    }
