"""Which models are batched: those whose rows do not touch each other."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto as T
from onnx import helper

from coldpress_endpoint.engine import Engine
from coldpress_endpoint.warmup import warm_up
from tests.support.tiny import MODELS

_value = helper.make_tensor_value_info


def _opened(tmp_path, model):
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return Engine(str(path))


def _model(nodes, outputs=(("y", ["n", 4]),), inputs=(("x", ["n", 4]),), **constants):
    graph = helper.make_graph(
        nodes,
        "g",
        [_value(name, T.FLOAT, shape) for name, shape in inputs],
        [_value(name, T.FLOAT, shape) for name, shape in outputs],
        [onnx.numpy_helper.from_array(np.asarray(each), name) for name, each in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _node(kind, *names, **attributes):
    *inputs, output = names
    return helper.make_node(kind, inputs, [output], **attributes)


_WEIGHTS = np.random.default_rng(1).standard_normal((4, 4)).astype(np.float32)
TOGETHER = {
    "a product": _model([_node("MatMul", "x", "w", "y")], w=_WEIGHTS),
    "an open second axis": _model([_node("Relu", "x", "y")], (("y", ["n", "m"]),), (("x", ["n", "m"]),)),
    "texts": MODELS["bytes"](),
    "bfloat16": MODELS["bf16"](),
    "an index": MODELS["lookup"](),
    "two inputs": MODELS["two_inputs"](),
    "not a number": MODELS["divide"](),
}
ALONE = {
    "scales by the largest of all rows": _model(
        [
            helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "scale", "zero"]),
            helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"]),
        ]
    ),
    "subtracts the mean of all rows": _model([_node("ReduceMean", "x", "m", axes=[0]), _node("Sub", "x", "m", "y")]),
    "sums rows up": _model([_node("ReduceSum", "x", "axes", "y")], (("y", ["k", 4]),), axes=np.array([0])),
    "is random": _model([_node("RandomNormalLike", "x", "r"), _node("Add", "x", "r", "y")]),
    "a batch of one": _model([_node("Relu", "x", "y")], (("y", [1, 4]),), (("x", [1, 4]),)),
    "an output for all": _model(
        [_node("Relu", "x", "y"), _node("ReduceMax", "x", "top", keepdims=0)], (("y", ["n", 4]), ("top", []))
    ),
    "one input for all": _model(
        [_node("Mul", "x", "factor", "y")], (("y", ["n", 4]),), (("x", ["n", 4]), ("factor", [1]))
    ),
    "reversed rows": _model([_node("Gather", "x", "back", "y")], back=np.arange(-1, -9, -1)),
    "maps": MODELS["zipmap"](),
    "sequences": MODELS["sequences"](),
    "a scalar": MODELS["scalar"](),
}


@pytest.mark.parametrize("name", TOGETHER)
def test_rows_that_do_not_touch_each_other_are_batched(tmp_path, name, capfd):
    found = warm_up(_opened(tmp_path, TOGETHER[name]), 16)
    assert found.max_batch == 16
    assert 0 < found.seconds < 60
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", ALONE)
def test_rows_that_touch_each_other_are_not(tmp_path, name):
    assert warm_up(_opened(tmp_path, ALONE[name]), 16).max_batch == 1


def test_the_settings_may_forbid_it(tmp_path):
    assert warm_up(_opened(tmp_path, TOGETHER["a product"]), 1).max_batch == 1


def test_a_length_that_the_model_runs_on_is_found(tmp_path, capfd):
    model = _model(
        [_node("Reshape", "x", "shape", "y")], (("y", ["n", 2, 16]),), (("x", ["n", "m"]),), shape=np.array([-1, 2, 16])
    )
    assert warm_up(_opened(tmp_path, model), 16).max_batch == 16
    assert capfd.readouterr().err == ""


def test_a_model_that_runs_on_nothing_made_up_is_served_all_the_same(tmp_path, capfd):
    model = _model(
        [_node("Reshape", "x", "shape", "y")], (("y", ["n", 11, 1]),), (("x", ["n", "m"]),), shape=np.array([-1, 11, 1])
    )
    engine = _opened(tmp_path, model)
    assert warm_up(engine, 16) == (1, float("inf"))
    assert "the warm-up run failed" in capfd.readouterr().err
    assert engine.run({"x": np.ones((1, 11), np.float32)})["y"].shape == (1, 11, 1)


def test_unless_told_it_is_measured_whether_that_pays(tmp_path):
    wide = np.zeros((4, 200_000), np.float32)  # a row costs as much as the next one
    model = _model(
        [_node("MatMul", "x", "w", "h"), _node("Sin", "h", "s"), _node("ReduceSum", "s", "axes", "y", keepdims=0)],
        (("y", ["n"]),), w=wide, axes=np.array([1]),
    )  # fmt: skip
    assert warm_up(_opened(tmp_path, model), 16).max_batch == 16
    assert warm_up(_opened(tmp_path, model), None).max_batch in {1, 32}
