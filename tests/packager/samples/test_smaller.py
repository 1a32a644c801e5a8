"""The smallest request that a model still runs on."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from coldpress.reference import Reference
from coldpress.samples.smaller import smallest_request
from tests.support.models import feeds, fetch


def reference(tmp_path, nodes, inputs, outputs, weights=()):
    values = [[helper.make_tensor_value_info(*value) for value in side] for side in (inputs, outputs)]
    graph = helper.make_graph(nodes, "g", *values, initializer=list(weights))
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(made, tmp_path / "model.onnx")
    return Reference(tmp_path / "model.onnx")


def test_open_axes_are_cut_and_fixed_ones_are_not(tmp_path):
    model = reference(
        tmp_path,
        [helper.make_node("Relu", ["x"], ["y"])],
        [("x", TensorProto.FLOAT, ("n", 7, None))],
        [("y", TensorProto.FLOAT, ("n", 7, None))],
    )
    x = np.arange(9 * 7 * 100, dtype=np.float32).reshape(9, 7, 100)
    small = smallest_request(model, {"x": x})
    np.testing.assert_array_equal(small["x"], x[:4, :, :4])
    assert small["x"].flags.c_contiguous


def test_axes_of_one_name_are_cut_together(tmp_path):
    model = reference(
        tmp_path,
        [helper.make_node("Add", ["a", "b"], ["y"])],
        [("a", TensorProto.FLOAT, ("n",)), ("b", TensorProto.FLOAT, ("n",))],
        [("y", TensorProto.FLOAT, ("n",))],
    )
    small = smallest_request(model, {"a": np.ones(50, np.float32), "b": np.zeros(50, np.float32)})
    assert small["a"].shape == small["b"].shape == (4,)


def test_unnamed_axes_of_one_size_are_cut_together_where_apart_does_not_run(tmp_path):
    model = reference(
        tmp_path,
        [helper.make_node("MatMul", ["a", "b"], ["y"])],
        [("a", TensorProto.FLOAT, (3, None)), ("b", TensorProto.FLOAT, (None, 5))],
        [("y", TensorProto.FLOAT, (3, 5))],
    )
    small = smallest_request(model, {"a": np.ones((3, 64), np.float32), "b": np.ones((64, 5), np.float32)})
    assert (small["a"].shape, small["b"].shape) == ((3, 4), (4, 5))


def test_a_size_that_the_model_refuses_is_passed_over(tmp_path):
    """Reshape to rows of 48 runs on multiples of 48 only."""
    model = reference(
        tmp_path,
        [helper.make_node("Reshape", ["x", "rows"], ["y"])],
        [("x", TensorProto.FLOAT, ("n",))],
        [("y", TensorProto.FLOAT, (None, 48))],
        [helper.make_tensor("rows", TensorProto.INT64, [2], [-1, 48])],
    )
    assert smallest_request(model, {"x": np.ones(480, np.float32)})["x"].shape == (48,)


def test_a_cut_that_leaves_nothing_in_the_answer_is_not_taken(tmp_path):
    """The answer is what comes after the first ten."""
    weights = [helper.make_tensor(n, TensorProto.INT64, [1], [v]) for n, v in (("from", 10), ("to", 1 << 40))]
    model = reference(
        tmp_path,
        [helper.make_node("Slice", ["x", "from", "to"], ["y"])],
        [("x", TensorProto.FLOAT, ("n",))],
        [("y", TensorProto.FLOAT, (None,))],
        weights,
    )
    assert smallest_request(model, {"x": np.ones(100, np.float32)})["x"].shape == (16,)


def test_what_is_no_array_and_scalars_stay(tmp_path):
    model = reference(
        tmp_path,
        [helper.make_node("Mul", ["x", "s"], ["y"])],
        [("x", TensorProto.FLOAT, ("n",)), ("s", TensorProto.FLOAT, ())],
        [("y", TensorProto.FLOAT, ("n",))],
    )
    small = smallest_request(model, {"x": np.ones(9, np.float32), "s": np.array(2, np.float32)})
    assert (small["x"].shape, small["s"].shape) == ((4,), ())


def test_without_time_the_request_stays_as_it_is(tmp_path):
    model = reference(
        tmp_path,
        [helper.make_node("Relu", ["x"], ["y"])],
        [("x", TensorProto.FLOAT, ("n",))],
        [("y", TensorProto.FLOAT, ("n",))],
    )
    x = np.ones(100, np.float32)
    assert smallest_request(model, {"x": x}, budget_s=0)["x"].shape == (100,)


@pytest.mark.models
@pytest.mark.parametrize(
    ("name", "elements"), [("nudenet", 3 * 32 * 32), ("ocr_rec", 3 * 4 * 4), ("silero", 256 + 256 + 1), ("lac", 4 + 1)]
)
def test_real_models_run_on_much_smaller_requests(name, elements):
    model = Reference(fetch(name))
    small = smallest_request(model, feeds(name))
    assert sum(value.size for value in small.values()) == elements
    assert model.run(small)
