"""Multiplications are counted from shapes: by hand where a formula says it, by operator on real models."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from coldpress.errors import ModelError
from coldpress.inspect import inspect_model
from coldpress.inspecting.costs import op_costs
from coldpress.inspecting.sizing import size_up
from tests.support import models
from tests.support.graphs import constant, graph, model, node, tensor, value


def zeros(name, *shape):
    return tensor(name, np.zeros(shape))


def macs(made, tmp_path, **sizes):
    (sized,) = size_up(made, tmp_path / "m.onnx", sizes)
    found = {cost.op: cost for cost in op_costs(sized)}
    assert not any(cost.unknown for cost in found.values())
    return {op: cost.macs for op, cost in found.items() if cost.macs}


ONE = {
    "Conv": (node("Conv", ["x", "w"], ["y"]), (1, 3, 8, 8), [zeros("w", 5, 3, 3, 3)], 5 * 6 * 6 * 3 * 9),
    "Conv of groups": (
        node("Conv", ["x", "w"], ["y"], group=4, strides=[2, 2]), (1, 4, 9, 9), [zeros("w", 4, 1, 3, 3)], 4 * 4 * 4 * 9
    ),
    "ConvTranspose": (
        node("ConvTranspose", ["x", "w"], ["y"]), (2, 3, 4, 4), [zeros("w", 3, 5, 2, 2)], 2 * 3 * 16 * 5 * 4
    ),
    "MatMul": (node("MatMul", ["x", "w"], ["y"]), (2, 7, 3), [zeros("w", 3, 4)], 2 * 7 * 3 * 4),
    "MatMul of a vector": (node("MatMul", ["x", "w"], ["y"]), (3,), [zeros("w", 3, 4)], 12),
    "MatMul of batches": (node("MatMul", ["x", "w"], ["y"]), (2, 5, 7, 3), [zeros("w", 5, 3, 4)], 2 * 5 * 7 * 3 * 4),
    "Gemm": (node("Gemm", ["x", "w"], ["y"]), (6, 3), [zeros("w", 3, 4)], 72),
    "Gemm of a transpose": (node("Gemm", ["x", "w"], ["y"], transB=1), (6, 3), [zeros("w", 4, 3)], 72),
    "LSTM": (
        node("LSTM", ["x", "w", "r"], ["y"], hidden_size=5), (9, 2, 3), [zeros("w", 1, 20, 3), zeros("r", 1, 20, 5)],
        9 * 2 * 20 * (3 + 5),
    ),
    "Einsum": (node("Einsum", ["x", "w"], ["y"], equation="bij,jk->bik"), (2, 3, 4), [zeros("w", 4, 5)], 2 * 3 * 4 * 5),
}  # fmt: skip


@pytest.mark.parametrize("name", ONE)
def test_one_node_by_hand(name, tmp_path):
    one, shape, weights, expected = ONE[name]
    made = model([one], [value("x", shape)], [value("y", None)], weights)
    assert macs(made, tmp_path) == {one.op_type: expected}


def test_four_bit_products_count_like_float_ones_and_shapes_go_on_behind_them(tmp_path):
    weights = [zeros("q", 8, 2, 16), zeros("s", 16), zeros("w", 8, 3)]
    made = model(
        [node("MatMulNBits", ["x", "q", "s"], ["h"], domain="com.microsoft", K=64, N=8, bits=4, block_size=32),
         node("MatMul", ["h", "w"], ["y"])],
        [value("x", (5, 64))], [value("y", None)], weights, domains=(("com.microsoft", 1),),
    )  # fmt: skip
    assert macs(made, tmp_path) == {"MatMulNBits": 5 * 64 * 8, "MatMul": 5 * 8 * 3}


def test_shapes_go_on_behind_a_scaler(tmp_path):
    made = model(
        [node("Scaler", ["x"], ["h"], domain="ai.onnx.ml", offset=[0.0], scale=[1.0]),
         node("MatMul", ["h", "w"], ["y"])],
        [value("x", ("N", 3))], [value("y", None)], [zeros("w", 3, 4)], domains=(("ai.onnx.ml", 3),),
    )  # fmt: skip
    assert macs(made, tmp_path, N=10) == {"MatMul": 120}


def test_branches_count_both_and_see_the_constants_around_them(tmp_path):
    def branch(name):
        return graph([node("Unsqueeze", ["x", "axes"], ["u" + name]), node("MatMul", ["u" + name, "w"], [name])], [],
                     [value(name, None)])  # fmt: skip

    made = model(
        [node("If", ["c"], ["y"], then_branch=branch("t"), else_branch=branch("e"))],
        [value("x", (2, 3)), value("c", (), TensorProto.BOOL)], [value("y", None)],
        [zeros("w", 3, 4), tensor("axes", [0], np.int64)],
    )  # fmt: skip
    assert macs(made, tmp_path) == {"MatMul": 2 * 24}


def test_shapes_computed_from_shapes_are_followed(tmp_path):
    made = model(
        [node("Shape", ["x"], ["s"]), constant("k", [0], np.int64), node("Gather", ["s", "k"], ["n"]),
         constant("m", [-1], np.int64), node("Concat", ["n", "m"], ["t"], axis=0),
         node("Reshape", ["x", "t"], ["r"]), node("MatMul", ["r", "w"], ["y"])],
        [value("x", ("N", 2, 3))], [value("y", None)], [zeros("w", 6, 4)],
    )  # fmt: skip
    assert macs(made, tmp_path, N=5) == {"MatMul": 5 * 6 * 4}


def test_a_shape_that_depends_on_values_is_counted_as_unknown(tmp_path):
    made = model(
        [node("NonZero", ["x"], ["n"]), node("Cast", ["n"], ["f"], to=1), node("MatMul", ["f", "w"], ["y"])],
        outputs=[value("y", None)], weights=[zeros("w", 6, 4)],
    )  # fmt: skip
    (sized,) = size_up(made, tmp_path / "m.onnx")
    (cost,) = [cost for cost in op_costs(sized) if cost.op == "MatMul"]
    assert (cost.macs, cost.unknown, cost.parameters, cost.bytes) == (0, 1, 24, 96)


def test_what_was_assumed_is_said_and_can_be_changed(tmp_path):
    import onnx

    made = model([node("MatMul", ["x", "w"], ["y"])], [value("x", ("batch", None, 3))], [value("y", None)],
                 [zeros("w", 3, 4)])  # fmt: skip
    onnx.save(made, tmp_path / "m.onnx")
    found = inspect_model(tmp_path / "m.onnx").compute
    assert found.assumed == {"batch": 1, "x[1]": 16}
    assert found.macs == 16 * 12
    assert inspect_model(tmp_path / "m.onnx", sizes={"batch": 2, "x[1]": 5}).compute.macs == 2 * 5 * 12
    with pytest.raises(ModelError, match=r"no open dimension 'bach'; those it has are: batch, x\[1\]"):
        inspect_model(tmp_path / "m.onnx", sizes={"bach": 2})


def test_the_model_is_left_as_it_is(tmp_path):
    made = model([helper.make_node("MatMul", ["x", "w"], ["y"], name="n")], [value("x", ("N", 3))], [value("y", None)],
                 [zeros("w", 3, 4)])  # fmt: skip
    before = made.SerializeToString()
    list(size_up(made, tmp_path / "m.onnx", most=3))
    assert made.SerializeToString() == before


MILLIONS = {
    "opennsfw": (1068.6, {}),
    "nudenet": (1012.6, {"height": 320, "width": 320}),  # YOLOv8n's own figure is 8.7 GFLOP at 640: 4.35 billion
    "minilm_int8": (171.0, {}),
    "silero_ifless": (1.316, {"sequence": 576}),
    "ocr_rec": (702.5, {}),
}


@pytest.mark.models
@pytest.mark.parametrize("name", MILLIONS)
def test_real_models(name):
    millions, sizes = MILLIONS[name]
    found = inspect_model(models.fetch(name), estimate=False, sizes=sizes).compute
    assert found.unknown == 0
    assert found.macs / 1e6 == pytest.approx(millions, rel=2e-3)
