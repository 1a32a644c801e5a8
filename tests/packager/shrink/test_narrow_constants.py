"""Constants go to a smaller type only where every value comes back bit for bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, numpy_helper

from coldpress.shrink.draft import Draft
from coldpress.shrink.narrow_constants import narrow_constants
from coldpress.shrink.strip import FINISHING, strip
from tests.support import models
from tests.support.graphs import answers, graph, model, node, same_bits, tensor, value

N = 2048
KINDS = {np.float32: TensorProto.FLOAT, np.float64: TensorProto.DOUBLE, np.int64: TensorProto.INT64,
         np.int32: TensorProto.INT32}  # fmt: skip


def adding(values, **more):
    """Add a constant to an input of its type."""
    kind = KINDS[values.dtype.type]
    return model(
        [node("Add", ["x", "w"], ["y"])], [value("x", values.shape, kind)], [value("y", values.shape, kind)],
        [tensor("w", values, values.dtype)], **more,
    )  # fmt: skip


def run(made, feeds):
    draft = Draft(made)
    count = narrow_constants(draft)
    after = draft.restore()
    for optimized in (True, False):
        assert same_bits(answers(made, feeds, optimized=optimized), answers(after, feeds, optimized=optimized))
    return count, after


def narrowed(values, **more):
    """Return the type that the values are stored in afterwards, after comparing answers."""
    made = adding(values, **more)
    with np.errstate(all="ignore"):
        count, after = run(made, {"x": np.zeros_like(values)})
    stored = after.graph.initializer[0].data_type
    assert (count == 1) == (stored != made.graph.initializer[0].data_type)
    return TensorProto.DataType.Name(stored)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (np.arange(N) % 200, "UINT8"),
        (np.arange(N) % 200 - 100, "INT8"),
        (np.arange(N), "UINT16"),
        (np.arange(N) - 9, "INT16"),
        (np.arange(N) * 1000, "INT32"),
        (np.arange(N) * 2**40, "INT64"),
        ((np.arange(N) % 200).astype(np.int32), "UINT8"),
        ((np.arange(N) % 200).astype(np.float32), "UINT8"),
        ((np.arange(N) / 4).astype(np.float32), "FLOAT16"),
        ((np.arange(N) % 100 * 2.0**60).astype(np.float32), "BFLOAT16"),
        ((np.arange(N) / 3).astype(np.float32), "FLOAT"),
        (np.arange(N) / 4, "FLOAT16"),
        ((np.arange(N) / 3).astype(np.float32).astype(np.float64), "FLOAT"),
        (np.arange(N) / 3, "DOUBLE"),
    ],
)
def test_the_smallest_type_that_holds_all_is_used(values, kind):
    assert narrowed(values) == kind


@pytest.mark.parametrize("odd", [-0.0, np.nan, np.inf, -np.inf, 1e-40, 65536.0, 2**-24])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_odd_value_is_kept_bit_for_bit(odd, dtype):
    values = (np.arange(N) % 7).astype(dtype)
    values[N // 2] = odd
    narrowed(values)


@settings(deadline=None, max_examples=30)
@given(st.binary(min_size=1400, max_size=1400))
def test_whatever_was_half_precision_comes_back(data):
    narrowed(np.frombuffer(data, np.float16).astype(np.float32))


def test_little_is_left_alone():
    assert narrowed(np.arange(64)) == "INT64"


@pytest.mark.parametrize(("opset", "kind"), [(8, "FLOAT"), (9, "FLOAT16"), (12, "FLOAT16")])
def test_older_opsets(opset, kind):
    assert narrowed((np.arange(N) / 4).astype(np.float32), opset=opset) == kind


def test_outputs_and_defaults_are_left_alone():
    shown = adding(np.arange(N))
    shown.graph.output.append(value("w", (N,), TensorProto.INT64))
    assert run(shown, {"x": np.arange(N)})[0] == 0
    default = adding(np.arange(N))
    default.graph.input.append(value("w", (N,), TensorProto.INT64))
    assert run(default, {"x": np.arange(N)})[0] == 0


@pytest.mark.parametrize("reader", [
    node("Cast", ["w"], ["c"], to=TensorProto.FLOAT),
    node("QuantizeLinear", ["w", "s"], ["q"]),
])  # fmt: skip
def test_what_is_looked_at_as_a_constant_early_is_left_alone(reader):
    w = (np.arange(N) / 4).astype(np.float32)
    made = adding(w)
    made.graph.initializer.append(tensor("s", 0.1))
    made.graph.node.append(reader)
    assert run(made, {"x": w})[0] == 0


@pytest.mark.parametrize("choice", [True, False])
def test_weights_of_branches_and_of_the_graph_around_them(choice):
    w, v = np.arange(N) % 9, np.arange(N) + 300
    then = graph([node("Add", ["x", "i"], ["a"]), node("Add", ["a", "w"], ["t"])], [],
                 [value("t", (N,), TensorProto.INT64)], [tensor("i", v, np.int64)])  # fmt: skip
    other = graph([node("Sub", ["x", "w"], ["e"])], [], [value("e", (N,), TensorProto.INT64)])
    made = model(
        [node("If", ["c"], ["y"], then_branch=then, else_branch=other)],
        [value("x", (N,), TensorProto.INT64), value("c", (), TensorProto.BOOL)],
        [value("y", (N,), TensorProto.INT64)], [tensor("w", w, np.int64)],
    )  # fmt: skip
    count, _ = run(made, {"x": np.arange(N), "c": np.array(choice)})
    assert count == 2


@pytest.mark.models
@pytest.mark.parametrize("name", ["blazeface_front", "blazeface_back"])
def test_a_model_converted_from_half_precision_becomes_half_as_large(name):
    data, feeds = models.fetch(name).read_bytes(), models.feeds(name)
    made = model([node("Neg", ["x"], ["y"])])
    made.ParseFromString(data)
    result = strip(strip(made).model, FINISHING)
    assert not [step for step in result.steps if step.note]
    assert result.model.ByteSize() < 0.5 * len(data)
    assert same_bits(answers(data, feeds), answers(result.model, feeds))


def test_values_are_cast_back_to_the_type_they_had():
    made = adding(np.arange(N))
    _, after = run(made, {"x": np.arange(N)})
    assert after.graph.node[0].op_type == "Cast"
    assert after.graph.node[0].attribute[0].i == TensorProto.INT64
    assert np.array_equal(numpy_helper.to_array(after.graph.initializer[0]), np.arange(N))
