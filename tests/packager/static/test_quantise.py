"""Static int8: what is written runs on integers, keeps the signature, and answers nearly alike."""

import numpy as np
import pytest
from onnx import TensorProto

from coldpress.errors import ModelError, SamplesError
from coldpress.shrink.guard import signature
from coldpress.static.quantise import Quantiser, quantise
from tests.support import graphs as g

RNG = np.random.default_rng(0)


def _normal(*shape, scale=0.2):
    return RNG.normal(scale=scale, size=shape).astype(np.float32)


def _cnn(opset=17, x="x", channels=8):
    """Two convolutions with SiLU between, a pool, a residual sum and a dense layer."""
    nodes = [
        g.node("Conv", [x, "w1", "b1"], ["c1"], pads=[1, 1, 1, 1]),
        g.node("Sigmoid", ["c1"], ["s1"]),
        g.node("Mul", ["c1", "s1"], ["m1"]),
        g.node("Conv", ["m1", "w2"], ["c2"], pads=[1, 1, 1, 1]),
        g.node("Relu", ["c2"], ["r2"]),
        g.node("Add", ["m1", "r2"], ["a"]),
        g.node("GlobalAveragePool", ["a"], ["p"]),
        g.node("Flatten", ["p"], ["f"]),
        g.node("Gemm", ["f", "w3", "b3"], ["y"], transB=1),
    ]
    weights = [
        g.tensor("w1", _normal(channels, 3, 3, 3)),
        g.tensor("b1", _normal(channels)),
        g.tensor("w2", _normal(channels, channels, 3, 3)),
        g.tensor("w3", _normal(5, channels)),
        g.tensor("b3", _normal(5)),
    ]
    return g.model(nodes, [g.value(x, ["n", 3, "h", "w"])], [g.value("y", ["n", 5])], weights, opset=opset)


def _requests(count=8, x="x", size=12):
    return [{x: RNG.random((1, 3, size, size), dtype=np.float32) - np.float32(0.5)} for _ in range(count)]


def _ops(model):
    return [node.op_type for node in model.graph.node]


def _kernels(model, tmp_path):
    """The operators that ONNX Runtime runs after its own rewriting."""
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return _ops(onnx.load(tmp_path / "optimised.onnx"))


def _worst(model, made, requests):
    pairs = [(g.answers(model, request), g.answers(made, request)) for request in requests]
    span = max(np.abs(before).max() for pair in pairs for before in pair[0])
    return max(np.abs(a - b).max() for before, after in pairs for a, b in zip(before, after, strict=True)) / span


@pytest.mark.parametrize("reduce_range", [True, False])
@pytest.mark.parametrize("per_channel", [True, False])
def test_a_small_network_answers_nearly_alike(per_channel, reduce_range):
    model, requests = _cnn(), _requests()
    made = quantise(model, requests[:4], per_channel=per_channel, reduce_range=reduce_range)
    assert _worst(model, made, requests[4:]) < 0.05
    assert signature(made) == signature(model)


def test_every_layer_runs_on_integers(tmp_path):
    kernels = _kernels(quantise(_cnn(), _requests()), tmp_path)
    assert kernels.count("QLinearConv") == 2
    assert {"QLinearAdd", "QLinearMul", "QLinearSigmoid", "QLinearGlobalAveragePool", "QGemm"} <= set(kernels)
    assert not {"Conv", "Gemm", "Add", "Mul", "Sigmoid", "Relu"} & set(kernels)


def test_products_alone_leave_the_rest_in_float(tmp_path):
    kernels = _kernels(quantise(_cnn(), _requests(), products=True), tmp_path)
    assert kernels.count("QLinearConv") == 2
    assert {"Sigmoid", "Mul", "Add"} <= set(kernels)


def test_what_is_excluded_stays_float_and_keeps_its_weight():
    made = quantise(_cnn(), _requests(), exclude={"c1"})
    kept = {tensor.name for tensor in made.graph.initializer if tensor.data_type == TensorProto.FLOAT and tensor.dims}
    assert "w1" in kept
    assert "w2" not in kept


def test_arithmetic_after_the_last_product_stays_float():
    nodes = [
        g.node("Conv", ["x", "w"], ["c"]),
        g.node("Sigmoid", ["c"], ["s"]),
        g.node("Mul", ["s", "k"], ["m"]),
        g.node("Concat", ["m", "c"], ["y"], axis=1),
    ]
    weights = [g.tensor("w", _normal(4, 3, 1, 1)), g.tensor("k", [300.0])]
    model = g.model(nodes, [g.value("x", [1, 3, 4, 4])], [g.value("y", [1, 8, 4, 4])], weights)
    graph = Quantiser.of(model, _requests(2, size=4)).graph
    assert graph.choose() == {"c"}


@pytest.mark.parametrize("opset", [9, 11, 12])
def test_an_old_operator_set_is_converted_first(opset):
    model, requests = _cnn(opset), _requests()
    made = quantise(model, requests)
    assert made.opset_import[0].version >= 13
    assert _worst(model, made, requests) < 0.05


def test_names_with_colons_and_metadata_survive():
    model = _cnn(x="input:0")
    entry = model.metadata_props.add()
    entry.key, entry.value = "licence", "MIT"
    made = quantise(model, _requests(x="input:0"))
    assert signature(made) == signature(model)
    assert [(each.key, each.value) for each in made.metadata_props] == [("licence", "MIT")]


def test_a_value_that_is_an_answer_and_read_further_is_answered_as_before():
    nodes = [g.node("Conv", ["x", "w"], ["y"]), g.node("Conv", ["y", "v"], ["z"]), g.node("Exp", ["y"], ["e"])]
    weights = [g.tensor("w", _normal(4, 3, 1, 1)), g.tensor("v", _normal(2, 4, 1, 1))]
    outputs = [g.value(name, None) for name in ("y", "z", "e")]
    model = g.model(nodes, [g.value("x", [1, 3, 4, 4])], outputs, weights)
    requests = _requests(size=4)
    made = quantise(model, requests)
    assert _worst(model, made, requests) < 0.05


def test_numbers_that_are_no_float_activations_are_left_alone():
    nodes = [
        g.node("Shape", ["x"], ["s"]),
        g.node("Mul", ["s", "two"], ["t"]),
        g.node("Conv", ["x", "w"], ["c"]),
        g.node("Reshape", ["c", "flat"], ["r"]),
    ]
    weights = [
        g.tensor("w", _normal(4, 3, 1, 1)),
        g.tensor("two", [2], np.int64),
        g.tensor("flat", [-1], np.int64),
    ]
    outputs = [g.value("t", [4], TensorProto.INT64), g.value("r", ["k"])]
    model = g.model(nodes, [g.value("x", ["n", 3, 4, 4])], outputs, weights)
    made = quantise(model, _requests(size=4))
    assert g.same_bits(g.answers(made, _requests(1, size=4)[0])[0], np.array([2, 6, 8, 8], np.int64))


def test_a_channel_of_zeros_with_a_bias_keeps_its_bias():
    weight = _normal(4, 3, 1, 1)
    weight[1] = 0
    nodes = [g.node("Conv", ["x", "w", "b"], ["y"])]
    weights = [g.tensor("w", weight), g.tensor("b", [0.0, 3.0, 0.1, -0.2])]
    model = g.model(nodes, [g.value("x", [1, 3, 4, 4])], [g.value("y", [1, 4, 4, 4])], weights)
    requests = _requests(size=4)
    assert _worst(model, quantise(model, requests), requests) < 0.02


def test_without_samples_it_says_what_to_give():
    with pytest.raises(SamplesError, match="give 32 or more"):
        quantise(_cnn(), [])


def test_a_model_without_products_is_refused():
    model = g.model([g.node("Relu", ["x"], ["y"])])
    with pytest.raises(ModelError, match="no Conv, MatMul or Gemm"):
        quantise(model, [{"x": np.ones((2, 3), np.float32)}])
