"""What depends on constants alone is computed once, where that makes the file smaller."""

import numpy as np
import pytest
from onnx import TensorProto

from coldpress.shrink.draft import Draft
from coldpress.shrink.fold_constants import fold_constants
from tests.support.graphs import model, node, tensor, value
from tests.support.passes import X, ops, run


def test_shape_arithmetic_is_done_once():
    made = model([
        node("Shape", ["x"], ["s"]), node("Gather", ["s", "one"], ["n"]), node("Mul", ["n", "two"], ["m"]),
        node("Unsqueeze", ["m", "zero"], ["u"]), node("Reshape", ["x", "u"], ["y"]),
    ], outputs=[value("y", (6,))], weights=[
        tensor("one", 1, np.int64), tensor("two", 2, np.int64), tensor("zero", [0], np.int64)
    ])  # fmt: skip
    count, after = run(fold_constants, made)
    assert (count, ops(after)) == (4, ["Reshape"])


def test_the_shape_of_a_dynamic_input_stays():
    made = model(
        [node("Shape", ["x"], ["s"]), node("ConstantOfShape", ["s"], ["z"]), node("Add", ["x", "z"], ["y"])],
        [value("x", ("N", 3))],
        [value("y", ("N", 3))],
    )
    assert run(fold_constants, made)[0] == 0


def test_a_few_bytes_of_shape_never_become_a_large_weight():
    made = model(
        [
            node("ConstantOfShape", ["s"], ["z"]),
            node("ReduceSum", ["z"], ["t"], keepdims=0),
            node("Add", ["x", "t"], ["y"]),
        ],
        weights=[tensor("s", [1000, 1000], np.int64)],
    )
    assert run(fold_constants, made)[0] == 0


def test_an_absurd_shape_is_not_even_tried():
    made = model(
        [node("ConstantOfShape", ["s"], ["z"]), node("Add", ["x", "z"], ["y"])],
        weights=[tensor("s", [10**6, 10**6, 10**6], np.int64)],
    )
    assert fold_constants(Draft(made)) == 0


@pytest.mark.parametrize(("low", "to"), [(np.int8, TensorProto.FLOAT), (np.float16, TensorProto.FLOAT)])
def test_weights_stored_small_are_not_unpacked(low, to):
    w = (np.arange(300).reshape(3, 100) % 7).astype(low)
    made = model(
        [node("Cast", ["w"], ["f"], to=to), node("MatMul", ["x", "f"], ["y"])],
        outputs=[value("y", (2, 100))],
        weights=[tensor("w", w, low)],
    )
    assert run(fold_constants, made)[0] == 0


def test_a_weight_that_is_quantised_at_run_time_is_stored_quantised():
    rng = np.random.default_rng(0)
    w = rng.normal(size=(3, 400)).astype(np.float32)
    made = model(
        [
            node("QuantizeLinear", ["w", "s", "z"], ["q"]),
            node("DequantizeLinear", ["q", "s", "z"], ["f"]),
            node("MatMul", ["x", "f"], ["y"]),
        ],
        outputs=[value("y", (2, 400))],
        weights=[tensor("w", w), tensor("s", 0.02), tensor("z", 0, np.int8)],
    )
    count, after = run(fold_constants, made)
    assert count == 1
    assert after.ByteSize() < made.ByteSize() / 3


def test_a_weight_read_elsewhere_is_not_stored_twice():
    w = np.arange(900, dtype=np.float32).reshape(300, 3)
    made = model(
        [
            node("Transpose", ["w"], ["t"]), node("MatMul", ["x", "t"], ["a"]), node("MatMul", ["a", "w"], ["y"]),
        ],
        weights=[tensor("w", w)],
    )  # fmt: skip
    assert run(fold_constants, made)[0] == 0


def test_a_transposed_weight_is_stored_transposed():
    w = np.arange(900, dtype=np.float32).reshape(300, 3)
    made = model(
        [node("Transpose", ["w"], ["t"]), node("MatMul", ["x", "t"], ["y"])],
        outputs=[value("y", (2, 300))],
        weights=[tensor("w", w)],
    )
    assert run(fold_constants, made)[0] == 1


def test_random_numbers_are_not_drawn_here():
    made = model([node("RandomNormal", [], ["r"], shape=[2, 3]), node("Add", ["x", "r"], ["y"])])
    assert fold_constants(Draft(made)) == 0


def test_sums_of_floats_are_left_to_the_cpu_that_runs_them():
    made = model(
        [node("Exp", ["w"], ["e"]), node("Add", ["x", "e"], ["y"])], weights=[tensor("w", X)]
    )  # fmt: skip
    assert run(fold_constants, made)[0] == 0


def test_what_a_caller_may_override_is_not_folded():
    made = model(
        [node("Neg", ["w"], ["a"]), node("Add", ["x", "a"], ["y"])],
        [value("x"), value("w")],
        weights=[tensor("w", X)],
    )
    assert run(fold_constants, made)[0] == 0


def test_an_arithmetic_error_is_left_to_the_runtime():
    made = model(
        [node("Gather", ["w", "i"], ["a"]), node("Add", ["x", "a"], ["y"])],
        weights=[tensor("w", X), tensor("i", 99, np.int64)],
    )
    assert fold_constants(Draft(made)) == 0
