"""Rows out and back: each doubtful row is the larger model's, bit by bit, and every other stays as it was."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldpress_runtime.errors import DoorAnswerError
from coldpress_runtime.fallback.doubt import (
    can_be_split,
    confidences,
    count_rows,
    doubtful,
    pick,
    probabilities_in,
    put_back,
)
from coldpress_runtime.signature import ValueInfo
from coldpress_runtime.tensor import DTYPES, Tensor

NAMES = sorted(DTYPES)


def info(name, dtype, *shape):
    return ValueInfo(name, "tensor", DTYPES[dtype], shape)


def table(rows, dtype="FP32"):
    array = np.array(rows, np.float32)
    return Tensor.from_flat(dtype, array.shape, array.ravel().tolist())


def row_of(value, row):
    """A row's elements as Python values; NaN as text, which equals itself."""
    if isinstance(value, list):
        return value[row]
    width = value.size // value.shape[0]
    return [repr(item) for item in value.flat()[row * width : (row + 1) * width]]


@st.composite
def values(draw, dtype, shape):
    size = int(np.prod(shape))
    kind = DTYPES[dtype]
    if dtype == "BYTES":
        return Tensor(dtype, shape, draw(st.lists(st.binary(max_size=3), min_size=size, max_size=size)))
    data = draw(st.binary(min_size=kind.nbytes(size), max_size=kind.nbytes(size)))
    if dtype == "BOOL":
        data = bytes(byte & 1 for byte in data)
    if kind.bits == 4 and size % 2:
        data = data[:-1] + bytes([data[-1] & 15])  # half of it is nobody's
    return Tensor(dtype, shape, data)


@st.composite
def exchanges(draw):
    """Two models' outputs for the same rows, and which of them go out."""
    count = draw(st.integers(1, 6))
    inner = tuple(draw(st.lists(st.integers(1, 3), max_size=2)))
    dtype = draw(st.sampled_from(NAMES))
    small, large = (draw(values(dtype, (count, *inner))) for _ in range(2))
    rows = sorted(draw(st.sets(st.integers(0, count - 1), min_size=1)))
    return small, large, rows


@given(exchanges())
def test_rows_out_and_back_are_the_larger_models_and_the_rest_the_small_ones(exchange):
    small, large, rows = exchange
    infos = {"x": ValueInfo("x", "tensor", small.dtype, ("n", *small.shape[1:]))}
    asked = pick({"x": large}, infos, rows)
    assert asked["x"].shape == (len(rows), *large.shape[1:])
    mixed = put_back({"x": small}, rows, asked)["x"]
    assert mixed.shape == small.shape
    assert mixed.dtype is small.dtype
    for row in range(small.shape[0]):
        assert row_of(mixed, row) == row_of(large if row in rows else small, row)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=6), st.data())
def test_a_map_for_each_row_goes_back_into_its_place(numbers, data):
    small = [{"a": number} for number in numbers]
    rows = sorted(data.draw(st.sets(st.integers(0, len(small) - 1), min_size=1)))
    theirs = [{"a": -1 - row} for row in rows]
    mixed = put_back({"m": small}, rows, {"m": theirs})["m"]
    assert mixed == [{"a": -1 - row} if row in rows else small[row] for row in range(len(small))]
    assert small == [{"a": number} for number in numbers], "the small model's answer is as it was"


@given(exchanges())
def test_the_small_models_answer_is_as_it_was(exchange):
    small, large, rows = exchange
    kept = list(small.data) if isinstance(small.data, list) else bytes(small.data)
    infos = {"x": ValueInfo("x", "tensor", small.dtype, ("n", *small.shape[1:]))}
    put_back({"x": small}, rows, pick({"x": large}, infos, rows))
    assert (list(small.data) if isinstance(small.data, list) else bytes(small.data)) == kept


def test_inputs_without_rows_go_as_they_are():
    infos = {"x": info("x", "INT64", "n"), "scale": info("scale", "FP32", 2)}
    scale = table([0.5, 2])
    asked = pick({"x": Tensor.from_flat("INT64", (3,), [7, 8, 9]), "scale": scale}, infos, [2, 0])
    assert asked["x"].flat() == [9, 7]
    assert asked["scale"] is scale


@pytest.mark.parametrize(
    ("theirs", "expected"),
    [
        (table([[1, 2]]), "FP32, \\[1, 2\\]"),
        (table([[1, 2, 3]] * 2), "shape \\[2, 2\\]"),
        (table([[1, 2], [3, 4]], "FP64"), "expected FP32"),
        ([{}, {}], "expected FP32"),
    ],
    ids=["rows", "classes", "type", "maps"],
)
def test_an_answer_of_other_rows_is_refused(theirs, expected):
    with pytest.raises(DoorAnswerError, match=expected):
        put_back({"y": table([[0, 0]] * 4)}, [1, 3], {"y": theirs})


def test_maps_of_other_rows_are_refused():
    for theirs in ([{}], table([[1, 2]])):
        with pytest.raises(DoorAnswerError, match="other rows"):
            put_back({"m": [{}, {}, {}]}, [0, 1], {"m": theirs})


@pytest.mark.parametrize("dtype", ["FP16", "BF16", "FP32", "FP64"])
@pytest.mark.parametrize(
    ("below", "rows"), [(0.25, []), (0.5, [0]), (0.5000001, [0, 1]), (0.75, [0, 1]), (1.0, [0, 1, 2])]
)
def test_a_row_is_doubtful_below_the_bound_and_not_at_it(dtype, below, rows):
    assert doubtful(table([[0.25, 0.25], [0.5, 0.5], [0.75, 0.25]], dtype), below) == rows


def test_one_column_is_the_probability_of_yes():
    assert confidences(table([[0.25], [0.5], [1.0], [0.0]])) == [0.75, 0.5, 1.0, 1.0]


@pytest.mark.parametrize("row", [[float("nan"), 0.9], [0.9, float("nan")], [float("nan")] * 2])
def test_what_is_not_a_number_is_not_sure(row):
    assert doubtful(table([[0.9, 0.1], row]), 0.001) == [1]
    assert confidences(table([[number] for number in row])) == [
        0.0 if np.isnan(number) else pytest.approx(0.9) for number in row
    ]


@pytest.mark.parametrize("infinite", [float("inf"), float("-inf")])
def test_what_is_infinite_is_no_probability(infinite):
    """What a small float becomes that overflows."""
    assert confidences(table([[0.5, 0.5], [infinite, 0.5], [0.5, infinite], [infinite] * 2])) == [0.5, 0.0, 0.0, 0.0]
    assert confidences(table([[infinite], [0.75]])) == [0.0, 0.75]


@pytest.mark.parametrize("shape", [(0, 3), (0, 1), (2, 0)])
def test_tables_without_numbers(shape):
    assert confidences(Tensor("FP32", shape, b"")) == [0.0] * shape[0]


@pytest.mark.parametrize(
    ("infos", "shapes", "rows"),
    [
        ([info("x", "FP32", "n", 2)], [(3, 2)], 3),
        ([info("x", "FP32", None, 2), info("y", "FP32", None)], [(3, 2), (3,)], 3),
        ([info("x", "FP32", "n"), info("y", "FP32", 5)], [(3,), (5,)], 3),
        ([info("x", "FP32", "n"), info("y", "FP32", "n")], [(3,), (1,)], None),
        ([info("x", "FP32", "n"), info("y", "FP32", "m")], [(3,), (3,)], None),
        ([info("x", "FP32", 3)], [(3,)], None),
        ([info("x", "FP32")], [(3,)], None),
    ],
    ids=["one", "unnamed", "constant", "broadcast", "other-axis", "fixed", "unknown"],
)
def test_rows_are_what_all_inputs_share(infos, shapes, rows):
    inputs = {one.name: Tensor("FP32", shape, bytes(4 * int(np.prod(shape))))
              for one, shape in zip(infos, shapes, strict=True)}  # fmt: skip
    assert count_rows(inputs, {one.name: one for one in infos}) == rows


def test_an_input_that_is_no_tensor_has_no_rows():
    assert count_rows({"m": {}}, {"m": ValueInfo("m", "map")}) is None


def test_outputs_are_split_where_each_has_the_rows():
    maps = ValueInfo("maps", "sequence", item=ValueInfo("", "map"))
    infos = {one.name: one for one in (info("y", "FP32", "n", 2), info("whole", "FP32", 4), maps)}
    y, whole = table([[0, 0]] * 4), table([0] * 4)
    assert can_be_split({"y": y, "maps": [{}] * 4}, infos, 4)
    assert not can_be_split({"y": y, "whole": whole}, infos, 4), "its first axis is no row's, though as long"
    assert not can_be_split({"y": y}, infos, 3)
    assert not can_be_split({"maps": [{}] * 3}, infos, 4)


def test_outputs_that_can_hold_probabilities():
    outputs = [info("label", "INT64", "n"), info("p", "FP32", "n", 10), info("q", "FP16", None, None),
               info("z", "FP32", "n"), ValueInfo("maps", "sequence")]  # fmt: skip
    assert probabilities_in(outputs) == ["p", "q"]
