import array
import math
import mmap
import struct

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from coldpress_runtime.tensor import BY_ONNX, DTYPES, Tensor

PLAIN = [dtype for dtype in DTYPES.values() if dtype.code]
INTEGERS = [dtype for dtype in PLAIN if "INT" in dtype.name]
FLOAT8 = {
    "FLOAT8E4M3FN": ml_dtypes.float8_e4m3fn,
    "FLOAT8E4M3FNUZ": ml_dtypes.float8_e4m3fnuz,
    "FLOAT8E5M2": ml_dtypes.float8_e5m2,
    "FLOAT8E5M2FNUZ": ml_dtypes.float8_e5m2fnuz,
}
SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)


@st.composite
def arrays(draw):
    name = draw(st.sampled_from([dtype.numpy for dtype in PLAIN]))
    return draw(hnp.arrays(np.dtype(name), SHAPES))


def test_every_element_type_is_found_by_name_and_by_number():
    assert len(DTYPES) == len(BY_ONNX) == 22
    assert all(DTYPES[dtype.name] is dtype is BY_ONNX[dtype.onnx] for dtype in DTYPES.values())


@given(arrays())
def test_a_numpy_array_becomes_a_tensor_over_the_same_memory_and_comes_back(values):
    tensor = Tensor.from_numpy(values)
    back = tensor.numpy()
    assert tensor.shape == back.shape == values.shape
    assert back.dtype == values.dtype
    assert back.tobytes() == values.tobytes()
    assert tensor.nbytes == values.nbytes
    assert tensor.size == values.size
    if values.size and values.flags.c_contiguous:
        assert np.shares_memory(back, values)


@given(arrays())
def test_lists_are_those_of_numpy(values):
    tensor = Tensor.from_numpy(values)
    assert repr(tensor.tolist()) == repr(values.tolist())
    assert repr(tensor.flat()) == repr(values.ravel().tolist())


@given(arrays())
def test_a_tensor_from_a_flat_list_has_the_bytes_of_numpy(values):
    name = next(dtype.name for dtype in PLAIN if dtype.numpy == values.dtype.name)
    quiet = np.where(np.isnan(values), np.zeros_like(values), values)  # a NaN's payload may change on its way
    assert Tensor.from_flat(name, values.shape, quiet.ravel().tolist()) == Tensor.from_numpy(quiet)


@pytest.mark.parametrize("values", [np.arange(12.0).reshape(3, 4).T, np.arange(8)[::2], np.ones(3, ">f4")])
def test_arrays_with_gaps_or_of_the_other_endianness_are_copied_into_order(values):
    assert Tensor.from_numpy(values).tolist() == values.tolist()


@pytest.mark.parametrize("dtype", INTEGERS, ids=lambda dtype: dtype.name)
def test_integers_are_checked_against_the_range_of_their_type(dtype):
    info = np.iinfo(dtype.numpy)
    assert Tensor.from_flat(dtype, (2,), [int(info.min), int(info.max)]).flat() == [info.min, info.max]
    for beyond in (int(info.min) - 1, int(info.max) + 1):
        with pytest.raises(OverflowError, match=f"outside the range of {dtype.name}"):
            Tensor.from_flat(dtype, (1,), [beyond])


@pytest.mark.parametrize(("name", "beyond"), [("FP16", 65520.0), ("FP32", 1e39), ("FP32", -1e39), ("BF16", 3.4e38)])
def test_a_finite_number_never_becomes_infinite(name, beyond):
    with pytest.raises(OverflowError, match=name):
        Tensor.from_flat(name, (1,), [beyond])


@pytest.mark.parametrize("name", ["FP16", "FP32", "FP64", "BF16"])
def test_infinities_and_nan_stay_what_they_are(name):
    found = Tensor.from_flat(name, (3,), [math.inf, -math.inf, math.nan]).flat()
    assert found[:2] == [math.inf, -math.inf]
    assert math.isnan(found[2])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("INT64", 1.5),
        ("FP32", "1"),
        ("FP32", None),
        ("BOOL", 2),
        ("BOOL", "x"),
        ("BYTES", 3),
        ("FP16", "a"),
        ("INT4", "a"),
    ],
)
def test_a_value_of_another_kind_is_refused(name, value):
    with pytest.raises(ValueError, match=name):
        Tensor.from_flat(name, (1,), [value])


@pytest.mark.parametrize("count", [3, 5])
@pytest.mark.parametrize("name", ["FP32", "BOOL", "BYTES", "INT4", "BF16", "FP16"])
def test_too_few_or_too_many_values_are_refused(name, count):
    values = ["a" if name == "BYTES" else 0] * count
    with pytest.raises(ValueError, match=r"expected \d+ for"):
        Tensor.from_flat(name, (2, 2), values)


def test_an_unknown_datatype_and_a_negative_axis_are_refused():
    with pytest.raises(ValueError, match="found datatype 'FP33'"):
        Tensor("FP33", (1,), b"\0\0\0\0")
    with pytest.raises(ValueError, match="no negative axis"):
        Tensor("FP32", (-1, -1), b"\0\0\0\0")
    with pytest.raises(ValueError, match="gaps"):
        Tensor("UINT8", (2,), memoryview(b"abcd")[::2])


@pytest.mark.parametrize(
    "buffer",
    [
        struct.pack("<2f", 1, 2),
        bytearray(struct.pack("<2f", 1, 2)),
        array.array("f", [1, 2]),
        memoryview(struct.pack("<3f", 0, 1, 2))[4:],
        np.array([[1.0], [2.0]], np.float32),
        memoryview(struct.pack("<2f", 1, 2)).cast("f", (2, 1)),
    ],
    ids=["bytes", "bytearray", "array", "slice", "ndarray", "memoryview"],
)
def test_any_contiguous_buffer_is_used_where_it_is(buffer):
    tensor = Tensor("FP32", (2,), buffer)
    assert tensor.tolist() == [1.0, 2.0]
    assert np.shares_memory(tensor.numpy(), np.frombuffer(buffer, np.float32))


def test_a_mapped_file_is_used_where_it_is():
    with mmap.mmap(-1, 8) as pages:
        pages[:] = struct.pack("<q", 7)
        tensor = Tensor("INT64", (), pages)
        assert tensor.tolist() == 7
        pages[0] = 8
        assert tensor.tolist() == 8
        tensor.data.release()


@pytest.mark.parametrize("name", ["float16", "complex64"])
def test_buffers_of_formats_that_memoryview_does_not_know_are_taken_too(name):
    values = np.array([1, 2], name)
    dtype = next(dtype for dtype in DTYPES.values() if dtype.numpy == name)
    assert Tensor(dtype, (2,), values).flat() == [1, 2]


def test_strings_are_utf8_and_other_bytes_survive():
    tensor = Tensor("BYTES", (2, 2), ["é", b"\xff", "", "a\0b"])
    assert tensor.data == ["é".encode(), b"\xff", b"", b"a\0b"]
    assert tensor.tolist() == [["é", "\udcff"], ["", "a\0b"]]
    assert Tensor.from_flat("BYTES", (2, 2), tensor.flat()) == tensor
    assert Tensor.from_numpy(tensor.numpy()) == tensor
    assert tensor.nbytes == 6


@given(st.lists(st.floats(width=32, allow_nan=False).filter(lambda x: abs(x) < 3e38 or math.isinf(x)), max_size=20))
def test_bfloat16_rounds_as_everybody_does(values):
    tensor = Tensor.from_flat("BF16", (len(values),), values)
    expected = np.array(values, np.float32).astype(ml_dtypes.bfloat16)
    assert tensor.data == expected.tobytes()
    assert tensor.flat() == expected.astype(np.float32).tolist()
    assert Tensor.from_numpy(expected) == tensor
    assert tensor.numpy().dtype == np.float32


@pytest.mark.parametrize("name", FLOAT8)
def test_every_code_of_an_8_bit_float_is_worth_what_everybody_says(name):
    codes = bytes(range(256))
    expected = np.frombuffer(codes, FLOAT8[name]).astype(np.float32)
    tensor = Tensor(name, (256,), codes)
    assert np.array_equal(tensor.numpy(), expected, equal_nan=True)
    finite = np.isfinite(expected)
    encoded = Tensor.from_flat(name, (int(finite.sum()),), expected[finite].tolist())
    assert encoded.flat() == expected[finite].tolist()


@pytest.mark.parametrize("name", FLOAT8)
@given(data=st.data())
def test_8_bit_floats_round_as_everybody_does_and_refuse_what_they_cannot_hold(name, data):
    largest = float(ml_dtypes.finfo(FLOAT8[name]).max)
    value = data.draw(st.floats(-largest, largest, width=32))
    expected = np.array([value], np.float32).astype(FLOAT8[name])
    assert Tensor.from_flat(name, (1,), [value]).data == expected.tobytes()
    with pytest.raises(OverflowError, match=name):
        Tensor.from_flat(name, (1,), [largest * 1.2])


@pytest.mark.parametrize(("name", "low", "high"), [("INT4", -8, 7), ("UINT4", 0, 15)])
def test_4_bit_integers_share_bytes(name, low, high):
    values = list(range(low, high + 1))[:15]
    tensor = Tensor.from_flat(name, (3, 5), values)
    assert tensor.nbytes == 8
    assert tensor.flat() == values
    assert tensor.numpy().tolist() == np.array(values).reshape(3, 5).tolist()
    assert Tensor.from_numpy(tensor.numpy(), name) == tensor
    for beyond in (low - 1, high + 1):
        with pytest.raises(OverflowError, match=name):
            Tensor.from_flat(name, (1,), [beyond])


@pytest.mark.parametrize("name", ["COMPLEX64", "COMPLEX128"])
def test_complex_numbers_are_pairs(name):
    tensor = Tensor.from_flat(name, (2,), [1 + 2j, 3])
    assert tensor.flat() == [1 + 2j, 3 + 0j]
    assert tensor.numpy().tolist() == [1 + 2j, 3 + 0j]


def test_numpy_types_without_a_datatype_are_refused():
    with pytest.raises(ValueError, match="datetime64"):
        Tensor.from_numpy(np.array(["2020-01-01"], "datetime64[D]"))


def test_equal_tensors_have_the_same_type_shape_and_bytes():
    one = Tensor.from_flat("INT32", (2,), [1, 2])
    assert one == Tensor("INT32", (2,), array.array("i", [1, 2]))
    assert one != Tensor.from_flat("UINT32", (2,), [1, 2])
    assert one != Tensor.from_flat("INT32", (2, 1), [1, 2])
    assert one != [1, 2]
    assert repr(one) == "Tensor(INT32, [2])"
