"""What kernels make of weights: products that overflow on some CPUs, and weights dequantised at every run."""

import numpy as np
import pytest
from onnx import TensorProto, save

from coldpress.forms.trial import Opening, try_model
from coldpress.gate.kernels import saturating_weights, unfolded_weights
from coldpress_runtime.library import find_library
from tests.support.graphs import constant, graph, model, node, tensor, value

WIDE = [100, 29, 0, 0]  # neighbours of one sign: 129 together
MIXED = [100, -100, 100, -100]
NARROW = [64, 64, -64, -64]


def _dynamic(weight, weights=None, nodes=()):
    """y = x · weight in bytes, as dynamic quantisation writes it."""
    stored = [tensor("w", weight, np.int8)] if weights is None else weights
    return model(
        [
            *nodes,
            node("DynamicQuantizeLinear", ["x"], ["q", "scale", "zero"]),
            node("MatMulInteger", ["q", "w", "zero"], ["sum"]),
            node("Cast", ["sum"], ["float"], to=TensorProto.FLOAT),
            node("Mul", ["float", "scale"], ["y"]),
        ],
        [value("x", (1, 4))],
        [value("y", (1, None))],
        stored,
    )


def _static(op, weight, shape, *, quantised_input=True):
    """One float operator between quantised operands, as static quantisation writes it."""
    to_bytes = [node("QuantizeLinear", ["x", "s", "z"], ["xq"]), node("DequantizeLinear", ["xq", "s", "z"], ["xd"])]
    weights = [tensor("w", weight, np.int8), tensor("s", 0.1), tensor("z", 0, np.uint8), tensor("zw", 0, np.int8)]
    return model(
        [
            *(to_bytes if quantised_input else []),
            node("DequantizeLinear", ["w", "s", "zw"], ["wd"]),
            node(op, ["xd" if quantised_input else "x", "wd"], ["y"]),
        ],
        [value("x", shape)],
        [value("y", None)],
        weights,
    )


def _column(values):
    return np.array(values)[:, None]


@pytest.mark.parametrize(
    ("made", "found"),
    [
        (_dynamic(_column(WIDE)), ("w",)),
        (_dynamic(-_column(WIDE)), ("w",)),
        (_dynamic(_column(MIXED)), ()),
        (_dynamic(_column(NARROW)), ()),
        (_dynamic(np.array([WIDE] * 4).T @ np.eye(4, dtype=int)), ("w",)),
        (_dynamic(np.diag([127] * 4)), ()),  # neighbours in a row are no neighbours in the sum
        (_dynamic(None, [], [constant("w", _column(WIDE), np.int8)]), ("w",)),
        (_static("MatMul", _column(WIDE), (1, 4)), ("w",)),
        (_static("MatMul", _column(NARROW), (1, 4)), ()),
        (_static("MatMul", _column(WIDE), (1, 4), quantised_input=False), ()),
        (_static("Conv", np.reshape(WIDE, (1, 4, 1, 1)), (1, 4, 2, 2)), ("w",)),
        (_static("Conv", np.reshape([100, 0, 29, 0], (1, 2, 1, 2)), (1, 2, 2, 2)), ("w",)),  # with channels last
        (_static("Conv", np.reshape(NARROW, (1, 4, 1, 1)), (1, 4, 2, 2)), ()),
    ],
)
def test_weights_that_may_overflow_in_16_bits_are_found(made, found, tmp_path):
    save(made, tmp_path / "m.onnx")
    assert saturating_weights(tmp_path / "m.onnx") == found


def test_weights_of_a_gemm_are_read_the_way_round_that_it_takes_them(tmp_path):
    for transposed, found in ((0, ()), (1, ("w",))):
        made = _static("Gemm", [WIDE, [0] * 4, [0] * 4, [0] * 4], (1, 4))
        made.graph.node[-1].attribute.add(name="transB", type=2, i=transposed)
        save(made, tmp_path / "m.onnx")
        assert saturating_weights(tmp_path / "m.onnx") == found


def test_weights_inside_branches_are_found(tmp_path):
    inner = _dynamic(_column(WIDE)).graph
    branch = graph(list(inner.node), [], [value("y", (1, 1))], list(inner.initializer))
    made = model(
        [node("If", ["c"], ["out"], then_branch=branch, else_branch=branch)],
        [value("x", (1, 4)), value("c", (), TensorProto.BOOL)],
        [value("out", (1, 1))],
    )
    save(made, tmp_path / "m.onnx")
    assert saturating_weights(tmp_path / "m.onnx") == ("w",)


@pytest.mark.parametrize(
    ("nodes", "count"),
    [
        ([node("DequantizeLinear", ["w", "s"], ["wd"])], 1),
        ([node("Cast", ["w"], ["f"], to=TensorProto.FLOAT), node("Mul", ["f", "s"], ["wd"])], 0),
    ],
)
def test_weights_that_onnx_runtime_dequantises_at_every_run_are_counted(nodes, count, tmp_path):
    made = model(
        [*nodes, node("Add", ["x", "wd"], ["y"])],
        [value("x", (1, 4))],
        [value("y", (4, 4))],
        [tensor("w", np.eye(4), np.int8), tensor("s", 0.1)],
    )
    save(made, tmp_path / "m.onnx")
    optimized = tmp_path / "o.onnx"
    try_model(tmp_path / "m.onnx", Opening(optimized_path=str(optimized)), library=find_library())
    assert unfolded_weights(optimized) == count
