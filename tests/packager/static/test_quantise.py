"""Static int8: what is written runs on integers, keeps the signature, and answers nearly alike."""

import numpy as np
import pytest
from onnx import TensorProto

from coldpress.errors import ModelError, SamplesError
from coldpress.shrink.guard import signature
from coldpress.static.quantise import Quantiser, quantise
from tests.packager.static.networks import cnn, normal, requests
from tests.support import graphs as g


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


def _worst(model, made, given):
    pairs = [(g.answers(model, request), g.answers(made, request)) for request in given]
    span = max(np.abs(before).max() for pair in pairs for before in pair[0])
    return max(np.abs(a - b).max() for before, after in pairs for a, b in zip(before, after, strict=True)) / span


@pytest.mark.parametrize("reduce_range", [True, False])
@pytest.mark.parametrize("per_channel", [True, False])
def test_a_small_network_answers_nearly_alike(per_channel, reduce_range):
    model, given = cnn(), requests()
    made = quantise(model, given[:4], per_channel=per_channel, reduce_range=reduce_range)
    assert _worst(model, made, given[4:]) < 0.05
    assert signature(made) == signature(model)


def test_every_layer_runs_on_integers(tmp_path):
    kernels = _kernels(quantise(cnn(), requests()), tmp_path)
    assert kernels.count("QLinearConv") == 2
    assert {"QLinearAdd", "QLinearMul", "QLinearSigmoid", "QLinearGlobalAveragePool", "QGemm"} <= set(kernels)
    assert not {"Conv", "Gemm", "Add", "Mul", "Sigmoid", "Relu"} & set(kernels)


def test_products_alone_leave_the_rest_in_float(tmp_path):
    kernels = _kernels(quantise(cnn(), requests(), products=True), tmp_path)
    assert kernels.count("QLinearConv") == 2
    assert {"Sigmoid", "Mul", "Add"} <= set(kernels)


def test_what_is_excluded_stays_float_and_keeps_its_weight():
    made = quantise(cnn(), requests(), exclude={"c1"})
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
    weights = [g.tensor("w", normal(4, 3, 1, 1)), g.tensor("k", [300.0])]
    model = g.model(nodes, [g.value("x", [1, 3, 4, 4])], [g.value("y", [1, 8, 4, 4])], weights)
    graph = Quantiser.of(model, requests(2, size=4)).graph
    assert graph.choose() == {"c"}


@pytest.mark.parametrize("opset", [9, 11, 12])
def test_an_old_operator_set_is_converted_first(opset):
    model, given = cnn(opset), requests()
    made = quantise(model, given)
    assert made.opset_import[0].version >= 13
    assert _worst(model, made, given) < 0.05


def test_names_with_colons_and_metadata_survive():
    model = cnn(x="input:0")
    entry = model.metadata_props.add()
    entry.key, entry.value = "licence", "MIT"
    made = quantise(model, requests(x="input:0"))
    assert signature(made) == signature(model)
    assert [(each.key, each.value) for each in made.metadata_props] == [("licence", "MIT")]


def test_a_value_that_is_an_answer_and_read_further_is_answered_as_before():
    nodes = [g.node("Conv", ["x", "w"], ["y"]), g.node("Conv", ["y", "v"], ["z"]), g.node("Exp", ["y"], ["e"])]
    weights = [g.tensor("w", normal(4, 3, 1, 1)), g.tensor("v", normal(2, 4, 1, 1))]
    outputs = [g.value(name, None) for name in ("y", "z", "e")]
    model = g.model(nodes, [g.value("x", [1, 3, 4, 4])], outputs, weights)
    given = requests(size=4)
    made = quantise(model, given)
    assert _worst(model, made, given) < 0.05


def test_numbers_that_are_no_float_activations_are_left_alone():
    nodes = [
        g.node("Shape", ["x"], ["s"]),
        g.node("Mul", ["s", "two"], ["t"]),
        g.node("Conv", ["x", "w"], ["c"]),
        g.node("Reshape", ["c", "flat"], ["r"]),
    ]
    weights = [
        g.tensor("w", normal(4, 3, 1, 1)),
        g.tensor("two", [2], np.int64),
        g.tensor("flat", [-1], np.int64),
    ]
    outputs = [g.value("t", [4], TensorProto.INT64), g.value("r", ["k"])]
    model = g.model(nodes, [g.value("x", ["n", 3, 4, 4])], outputs, weights)
    made = quantise(model, requests(size=4))
    assert g.same_bits(g.answers(made, requests(1, size=4)[0])[0], np.array([2, 6, 8, 8], np.int64))


def test_a_channel_of_zeros_with_a_bias_keeps_its_bias():
    weight = normal(4, 3, 1, 1)
    weight[1] = 0
    nodes = [g.node("Conv", ["x", "w", "b"], ["y"])]
    weights = [g.tensor("w", weight), g.tensor("b", [0.0, 3.0, 0.1, -0.2])]
    model = g.model(nodes, [g.value("x", [1, 3, 4, 4])], [g.value("y", [1, 4, 4, 4])], weights)
    given = requests(size=4)
    assert _worst(model, quantise(model, given), given) < 0.02


def test_biases_are_shifted_by_what_rounded_weights_add_in_the_mean():
    weights = [g.tensor("w", normal(16, 3, 3, 3))]
    model = g.model([g.node("Conv", ["x", "w"], ["y"])], [g.value("x", [1, 3, 12, 12])], [g.value("y", None)], weights)
    bright = [{"x": request["x"] + 1} for request in requests()]
    made = Quantiser.of(model, bright)

    def off_in_the_mean(correct):
        written = made.write(made.graph.choose(), correct=correct)
        gaps = [g.answers(written, each)[0] - g.answers(model, each)[0] for each in bright]
        return np.abs(np.mean(gaps, axis=(0, 1, 3, 4))).mean()

    assert off_in_the_mean(correct=True) < off_in_the_mean(correct=False) / 3


def test_without_samples_it_says_what_to_give():
    with pytest.raises(SamplesError, match="give 32 or more"):
        quantise(cnn(), [])


def test_a_model_without_products_is_refused():
    model = g.model([g.node("Relu", ["x"], ["y"])])
    with pytest.raises(ModelError, match="no Conv, MatMul or Gemm"):
        quantise(model, [{"x": np.ones((2, 3), np.float32)}])
