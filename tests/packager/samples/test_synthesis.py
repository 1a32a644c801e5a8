import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from coldpress.errors import SamplesError
from coldpress.reference import Reference, compare_outputs
from coldpress.samples.synthesis import synthesize
from tests.support.models import fetch, names


@pytest.fixture
def reference(tmp_path):
    """Open a model of these nodes; inputs as `name=(element, shape)`."""

    def build(nodes, initializers=(), outputs=("y",), **inputs):
        graph = helper.make_graph(
            nodes,
            "g",
            [helper.make_tensor_value_info(name, *port) for name, port in inputs.items()],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
            [numpy_helper.from_array(value, name) for name, value in initializers],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.save(model, tmp_path / "m.onnx")
        return Reference(tmp_path / "m.onnx")

    return build


@pytest.mark.models
@pytest.mark.parametrize("name", names())
def test_every_public_model_runs_on_a_request_of_our_own_making(name):
    reference = Reference(fetch(name))
    got = synthesize(reference)
    outputs = reference.run(got.requests[0])
    arrays = [v for v in outputs.values() if isinstance(v, np.ndarray) and v.dtype.kind == "f"]
    assert all(array.size and np.isfinite(array).all() for array in arrays)
    assert len(got.assumed) == len(reference.signature.inputs)
    again = synthesize(reference)
    assert [compare_outputs(a, b).equal for a, b in zip(got.requests, again.requests, strict=True)]
    for request in got.requests[1:]:
        assert not compare_outputs(got.requests[0], request).equal
        reference.run(request)


def test_more_requests_have_other_values_a_larger_batch_and_other_sizes(reference):
    got = reference([helper.make_node("Relu", ["x"], ["y"])], x=(TensorProto.FLOAT, ["N", "S"]))
    assert [r["x"].shape for r in synthesize(got).requests] == [(1, 16), (1, 16), (2, 16), (1, 8)]
    got = reference([helper.make_node("Relu", ["x"], ["y"])], x=(TensorProto.FLOAT, [1, 3]))
    first, second = synthesize(got).requests
    assert not compare_outputs(first, second).equal


def test_requests_of_other_sizes_that_the_model_refuses_are_left_out(reference):
    shape = np.array([2, 8])
    nodes = [helper.make_node("Reshape", ["x", "s"], ["y"])]
    got = reference(nodes, [("s", shape)], x=(TensorProto.FLOAT, ["N", "S"]))
    assert [r["x"].shape for r in synthesize(got).requests] == [(1, 16), (1, 16)]


def test_a_width_that_only_the_weights_know_is_found(reference):
    weights = np.random.default_rng(0).random((77, 3), np.float32)
    got = reference(
        [helper.make_node("MatMul", ["x", "w"], ["y"])], [("w", weights)], x=(TensorProto.FLOAT, ["N", None])
    )
    assert synthesize(got).requests[0]["x"].shape == (1, 77)


def test_one_symbol_has_one_size_and_expressions_follow_it(reference):
    nodes = [helper.make_node("Concat", ["past", "now"], ["all"], axis=1), helper.make_node("Add", ["all", "m"], ["y"])]
    got = reference(
        nodes,
        past=(TensorProto.FLOAT, ["batch", "past", 4]),
        now=(TensorProto.FLOAT, ["batch", "seq", 4]),
        m=(TensorProto.FLOAT, ["batch", "past + seq", 4]),
    )
    request = synthesize(got).requests[0]
    assert request["m"].shape[1] == request["past"].shape[1] + request["now"].shape[1]


def test_indices_stay_in_range_and_strings_are_made(reference):
    table = np.random.default_rng(0).random((2, 5), np.float32)
    got = reference([helper.make_node("Gather", ["w", "i"], ["y"])], [("w", table)], i=(TensorProto.INT64, ["N", "S"]))
    assert synthesize(got).requests[0]["i"].max() <= 1


@pytest.mark.parametrize(
    ("element", "name"),
    [(TensorProto.STRING, "object"), (TensorProto.BFLOAT16, "bfloat16"), (TensorProto.BOOL, "bool")],
)
def test_strings_booleans_and_bfloat16_are_made(reference, element, name):
    nodes = [helper.make_node("Shape", ["x"], ["s"]), helper.make_node("Cast", ["s"], ["y"], to=1)]
    got = reference(nodes, x=(element, ["N", 3]))
    assert synthesize(got).requests[0]["x"].dtype.name == name


def test_an_unknown_rank_is_tried(reference):
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    got = reference(nodes, [("w", np.ones((6, 2), np.float32))], x=(TensorProto.FLOAT, None))
    request = synthesize(got).requests[0]
    assert request["x"].shape[-1] == 6


def test_a_model_that_refuses_everything_says_how_to_give_samples(reference):
    # Reshape of N elements into 7 x 11 x 13 x 17: no size tried here is 17017.
    shape = np.array([7, 11, 13, 17])
    got = reference([helper.make_node("Reshape", ["x", "s"], ["y"])], [("s", shape)], x=(TensorProto.FLOAT, ["N"]))
    with pytest.raises(SamplesError, match=r"ran on none of \d+ .*--samples"):
        synthesize(got, budget_s=5)


def test_inputs_that_are_too_large_to_try_say_so(reference):
    sum_all = helper.make_node("ReduceSum", ["x"], ["y"], keepdims=0)
    with pytest.raises(SamplesError, match=r"more than 16,777,216 elements, too large to try.*--samples"):
        synthesize(reference([sum_all], x=(TensorProto.FLOAT, [2**31, 2**31])))
