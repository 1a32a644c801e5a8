"""Which weights may be encoded, and what is said of them."""

import numpy as np
import pytest
from onnx import TensorProto

from coldpress.encodings.sites import find_sites
from coldpress.shrink.draft import Draft
from tests.support.graphs import graph, model, node, tensor, value

RNG = np.random.default_rng(0)


def sites(nodes, shape, more=(), inputs=None, outputs=None, **options):
    made = model(
        nodes,
        inputs or [value("x", None)],
        outputs or [value("y", None)],
        [tensor("w", RNG.random(shape)), *more],
        **options,
    )
    return find_sites(Draft(made))


@pytest.mark.parametrize(
    ("operator", "inputs", "attributes", "shape", "role", "axis"),
    [
        ("MatMul", "xw", {}, (64, 32), "matmul", 1),
        ("MatMul", "xw", {}, (4, 64, 32), "matmul", 2),
        ("MatMul", "wx", {}, (64, 32), "other", 0),
        ("Gemm", "xw", {}, (64, 32), "gemm", 1),
        ("Gemm", "xw", {"transB": 1}, (64, 32), "gemm", 0),
        ("Gemm", "wx", {"transA": 1}, (64, 32), "other", 1),
        ("Conv", "xw", {}, (32, 16, 3, 3), "conv", 0),
        ("Conv", "xw", {"group": 128}, (128, 1, 3, 3), "conv", 0),
        ("ConvTranspose", "xw", {}, (32, 16, 3, 3), "conv", 1),
        ("ConvTranspose", "xw", {"group": 2}, (32, 16, 3, 3), "conv", 0),
        ("Gather", "wx", {}, (64, 32), "rows", 0),
        ("Gather", "wx", {"axis": -2}, (64, 32), "rows", 0),
        ("Gather", "wx", {"axis": 1}, (64, 32), "other", 0),
        ("LSTM", "xw", {}, (2, 64, 32), "recurrent", 1),
        ("GRU", "xxw", {}, (1, 48, 32), "recurrent", 1),
        ("Add", "xw", {}, (1, 64, 32), "other", 1),
        ("PRelu", "xw", {}, (2048, 1, 1), "other", None),
        ("MatMul", "xw", {}, (2048,), "other", None),
    ],
)
def test_the_role_and_the_channel_axis_follow_from_the_reader(operator, inputs, attributes, shape, role, axis):
    (site,) = sites([node(operator, list(inputs), ["y"], **attributes)], shape)
    assert (site.role, site.axis, site.shape) == (role, axis, shape)
    assert site.nbytes == 4 * site.elements
    assert site.readers[0].op_type == operator
    assert site.readers[0].input == inputs.index("w")
    assert 0.9 < site.largest <= 1


def test_a_weight_behind_a_transpose_keeps_the_axis_that_is_its_own():
    nodes = [node("Transpose", ["w"], ["t"], perm=[1, 0]), node("MatMul", ["x", "t"], ["y"])]
    (site,) = sites(nodes, (64, 32))
    assert (site.role, site.axis) == ("other", 0)


def test_readers_that_differ_make_it_other_with_the_axis_they_share():
    nodes = [node("Gather", ["w", "i"], ["x"]), node("Gemm", ["x", "w"], ["y"], transB=1)]
    (site,) = sites(nodes, (64, 32), inputs=[value("i", None, TensorProto.INT64)])
    assert (site.role, site.axis, len(site.readers)) == ("other", 0, 2)


def test_readers_at_odds_over_the_axis():
    nodes = [node("MatMul", ["x", "w"], ["h"]), node("Gemm", ["h", "w"], ["y"], transB=1)]
    (site,) = sites(nodes, (64, 64))
    assert (site.role, site.axis) == ("other", 0)


def test_products_by_a_weight_and_by_it_transposed_make_it_other():
    nodes = [node("Gemm", ["x", "w"], ["h"]), node("Gemm", ["h", "w"], ["y"], transB=1)]
    (site,) = sites(nodes, (64, 64))
    assert site.role == "other"


def test_weights_of_inner_graphs_and_their_readers_at_any_depth():
    deep = graph([node("MatMul", ["x", "w"], ["c"])], [], [value("c", None)])
    own = tensor("v", RNG.random((64, 32)))
    inner = graph([node("If", ["b"], ["a"], then_branch=deep, else_branch=deep)], [], [value("a", None)])
    other = graph([node("MatMul", ["x", "v"], ["e"])], [], [value("e", None)], [own])
    found = sites([node("If", ["b"], ["y"], then_branch=inner, else_branch=other)], (64, 32))
    assert [(site.name, site.role, len(site.readers)) for site in found] == [("w", "matmul", 2), ("v", "matmul", 1)]


def test_a_model_with_training_information_has_none():
    made = model([node("MatMul", ["x", "w"], ["y"])], weights=[tensor("w", RNG.random((64, 32)))])
    assert len(find_sites(Draft(made))) == 1
    made.training_info.add().algorithm.CopyFrom(graph([node("Neg", ["w"], ["g"])], [], [value("g")]))
    assert find_sites(Draft(made)) == ()


def test_what_is_no_site():
    mul = [node("Mul", ["x", "w"], ["y"])]
    assert not sites(mul, (31, 33)), "too small"
    assert len(sites(mul, (32, 32))) == 1
    assert not sites(mul, (32, 32), inputs=[value("x", None), value("w", (32, 32))]), "a caller may override it"
    assert not sites(mul, (32, 32), outputs=[value("y", None), value("w", (32, 32))]), "an output"
    assert not sites([node("Neg", ["x"], ["y"])], (32, 32)), "nothing reads it"
    assert not sites(mul, (32, 32), opset=6), "operators do not broadcast"
    assert not sites([node("DequantizeLinear", ["x", "w"], ["y"])], (2048,)), "the scale of codes"
    masked = tensor("w", np.full((32, 32), -np.inf))
    assert not find_sites(Draft(model(mul, [value("x", None)], [value("y", None)], [masked])))
    half = tensor("w", np.ones((32, 32)), np.float16)
    assert not find_sites(
        Draft(model(mul, [value("x", None, TensorProto.FLOAT16)], [value("y", None, TensorProto.FLOAT16)], [half]))
    )
