"""Hiding shapes from the memory planner changes no answer, and leaves no shape to plan with."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, shape_inference

from coldpress.forms.unplanned import hide_shapes
from tests.support.models import feeds, fetch


def model(nodes, inputs, outputs, *, opset=17, weights=()):
    """Make a model whose inputs and outputs are (name, element type, shape)."""
    values = [[helper.make_tensor_value_info(*value) for value in side] for side in (inputs, outputs)]
    graph = helper.make_graph(nodes, "g", *values, initializer=list(weights))
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(made)
    return made


def answers(made, inputs):
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    return ort.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"]).run(None, inputs)


def chain(element=TensorProto.FLOAT, shape=("n", 3), opset=17):
    nodes = [helper.make_node("Identity", ["x"], ["a"]), helper.make_node("Identity", ["a"], ["y"])]
    return model(nodes, [("x", element, shape)], [("y", element, shape)], opset=opset)


def signature(made):
    return [value.SerializeToString() for side in (made.graph.input, made.graph.output) for value in side]


@pytest.mark.parametrize("shape", [(0, 3), (1, 3), (5, 3)])
@pytest.mark.parametrize(
    ("element", "dtype"),
    [
        (TensorProto.FLOAT, "float32"),
        (TensorProto.FLOAT16, "float16"),
        (TensorProto.INT64, "int64"),
        (TensorProto.BOOL, "bool"),
        (TensorProto.STRING, "object"),
    ],
)
def test_every_element_type_and_empty_tensors_pass_through(element, dtype, shape):
    made = chain(element)
    before = signature(made)
    x = (np.arange(np.prod(shape)).reshape(shape) % 2).astype(dtype)
    if dtype == "object":
        x = x.astype(str).astype(object)
    expected = answers(made, {"x": x})
    assert hide_shapes(made)
    onnx.checker.check_model(made)
    assert signature(made) == before
    (got,) = answers(made, {"x": x})
    assert got.dtype == expected[0].dtype
    np.testing.assert_array_equal(got, expected[0])


def test_no_shape_is_left_to_plan_with():
    made = chain()
    inferred = shape_inference.infer_shapes(made, data_prop=True)
    assert inferred.graph.value_info[0].type.tensor_type.HasField("shape")
    assert hide_shapes(made)
    inferred = shape_inference.infer_shapes(made, data_prop=True)
    (a,) = (value for value in inferred.graph.value_info if value.name == "a")
    assert not a.type.tensor_type.HasField("shape")


def test_scalars_and_weights_among_the_inputs_are_left_alone():
    weight = helper.make_tensor("w", TensorProto.FLOAT, [2], [1.0, 2.0])
    nodes = [helper.make_node("Add", ["x", "s"], ["a"]), helper.make_node("Mul", ["a", "w"], ["y"])]
    made = model(
        nodes,
        [("x", TensorProto.FLOAT, ("n", 2)), ("s", TensorProto.FLOAT, ()), ("w", TensorProto.FLOAT, (2,))],
        [("y", TensorProto.FLOAT, ("n", 2))],
        weights=[weight],
    )
    inputs = {"x": np.ones((4, 2), np.float32), "s": np.array(2, np.float32)}
    expected = answers(made, inputs)
    assert hide_shapes(made)
    assert [node.op_type for node in made.graph.node] == ["Shape", "Compress", "Reshape", "Add", "Mul"]
    np.testing.assert_array_equal(answers(made, inputs)[0], expected[0])


def test_an_inner_graph_reads_the_hidden_value_unless_it_has_its_own_of_that_name():
    branch = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["r"])], "then", [], [helper.make_tensor_value_info("r", 1, ("n", "m"))]
    )
    other = helper.make_graph(
        [helper.make_node("Neg", ["x"], ["r2"])], "else", [], [helper.make_tensor_value_info("r2", 1, ("n", "m"))]
    )
    nodes = [helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=other)]
    made = model(
        nodes,
        [("c", TensorProto.BOOL, ()), ("x", TensorProto.FLOAT, ("n", "m"))],
        [("y", TensorProto.FLOAT, ("n", "m"))],
    )
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    expected = [answers(made, {"c": np.array(c), "x": x})[0] for c in (True, False)]
    assert hide_shapes(made)
    inner = made.graph.node[-1].attribute[0].g
    assert "x" not in inner.node[0].input
    for c, value in zip((True, False), expected, strict=True):
        np.testing.assert_array_equal(answers(made, {"c": np.array(c), "x": x})[0], value)


def test_names_that_are_taken_are_not_used_again():
    nodes = [helper.make_node("Identity", ["u0a"], ["u_0d"]), helper.make_node("Identity", ["u_0d"], ["u"])]
    made = model(nodes, [("u0a", TensorProto.FLOAT, ("n",))], [("u", TensorProto.FLOAT, ("n",))])
    assert hide_shapes(made)
    onnx.checker.check_model(made)
    np.testing.assert_array_equal(answers(made, {"u0a": np.ones(3, np.float32)})[0], np.ones(3))


def test_an_input_that_is_also_an_output_stays_one():
    made = model([], [("x", TensorProto.FLOAT, ("n",))], [("x", TensorProto.FLOAT, ("n",))])
    assert hide_shapes(made)
    np.testing.assert_array_equal(answers(made, {"x": np.ones(3, np.float32)})[0], np.ones(3))


@pytest.mark.parametrize(
    "made",
    [
        chain(opset=8),
        chain(shape=()),
        model(
            [helper.make_node("Identity", ["s"], ["t"])],
            [],
            [("t", TensorProto.FLOAT, (1,))],
            weights=[helper.make_tensor("s", TensorProto.FLOAT, [1], [1.0])],
        ),
    ],
    ids=["old opset", "only scalars", "no inputs"],
)
def test_where_nothing_can_be_hidden_the_model_stays_as_it_is(made):
    before = made.SerializeToString()
    assert not hide_shapes(made)
    assert made.SerializeToString() == before


@pytest.mark.models
@pytest.mark.parametrize("name", ["magika", "ocr_rec", "nudenet", "minilm_int8", "silero", "lac", "basic_pitch"])
def test_real_models_answer_bit_for_bit_as_before(name):
    made = onnx.load(fetch(name))
    expected = answers(made, feeds(name))
    assert hide_shapes(made)
    for got, want in zip(answers(made, feeds(name)), expected, strict=True):
        np.testing.assert_array_equal(got, want)
