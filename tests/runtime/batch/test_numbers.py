import struct
from decimal import Context, Decimal
from random import Random

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from coldpress_runtime.batch.decimals import Text
from coldpress_runtime.batch.numbers import read_number, read_numbers

_DTYPES = ["float64", "float32", "float16", "int64", "uint64", "int32", "uint8", "bool"]


def _read(texts, dtype, delimiter=b","):
    """Read texts side by side; returns the numbers, None for those that are none."""
    ends = np.cumsum([len(text) + 1 for text in texts]) - 1
    starts = ends - [len(text) for text in texts]
    values, bad = read_numbers(delimiter.join(texts) + delimiter, starts, ends, np.dtype(dtype))
    assert values.dtype == dtype
    assert not values[bad].any()
    none = set(bad.tolist())
    assert bad.tolist() == sorted(none)
    return [None if place in none else value for place, value in enumerate(values)]


def _one(text, dtype):
    try:
        return np.dtype(dtype).type(read_number(text, np.dtype(dtype)))
    except ValueError:
        return None


def _float(text):
    """What ``float`` says; None for what is no number, what no float holds, and for Python's underscores."""
    try:
        number = np.float64(float(text))
    except ValueError:
        return None
    return None if b"_" in text or (np.isinf(number) and b"in" not in text.lower()) else number


def _bits(numbers):
    return [None if number is None else number.tobytes() for number in numbers]


_DIGITS = st.text("0123456789", max_size=26)
_SIGN = st.sampled_from(["", "", "", "-", "+"])
_PLAIN = st.builds("{}{}{}{}".format, _SIGN, _DIGITS, st.sampled_from(["", ".", "."]), _DIGITS)
_EXPONENT = st.builds("{}{}{}{}".format, st.sampled_from("eE"), _SIGN, st.integers(0, 400), st.just(""))
_ANY_FLOAT = st.integers(0, 2**64 - 1).map(lambda bits: repr(struct.unpack("d", struct.pack("Q", bits))[0]))
_HALFWAY = st.integers(2**52, 2**53 - 1).map(lambda bits: str(2 * bits + 1))  # between two floats
_NINETEEN = Context(prec=19)
_HALFWAY_32 = st.builds(  # between two float32, or next to it
    lambda bits, size, near: format(_NINETEEN.divide(2 * bits + 1, 2**size) * (1 + near * Decimal("1e-18")), "f"),
    st.integers(2**23, 2**24 - 1), st.integers(1, 40), st.integers(-3, 3),
)  # fmt: skip
_ODD = st.sampled_from([
    "", "-", ".", "-.", "+.5", "5.", "nan", "-inf", "1_0", " 1", " -1 ", "\t2", "1e5", "1E-5", "e5", "1e", "1e+",
    "-e", "٣", "\x00", "--1", "1..2", "1.2.3", "123456789.1.", "0x10", "/", "::", ":1", "9:", "true", "False",
    "1,", "1e1e1", "18446744073709551615", "18446744073709551616", "9223372036854775807", "-9223372036854775808",
    "123456789012345678901234", "1234567890123456.5", "12345678.25", "0.30000000000000004",
    "179769313486231580793728971405301e276", "65519.99", "65520", "3.4028235677973366e38",
    "340282356779733642999999999999999999999", "1e999", "-0", "-0.0", "0e9", "1.0", "1.5", "2e0",
])  # fmt: skip
_TEXTS = st.one_of(
    _PLAIN, _PLAIN, st.builds("{}{}".format, _PLAIN, _EXPONENT), st.floats().map(repr), _ANY_FLOAT,
    st.floats(width=32).map(lambda number: str(np.float32(number))), st.integers(-(2**64), 2**64).map(str),
    _HALFWAY, _HALFWAY_32, _ODD, st.text(max_size=10), st.floats().map("{:.18e}".format),
).map(str.encode)  # fmt: skip


# So many that they are read in more than one block; enough that rare ones are not read one by one; and few.
_MANY = st.sampled_from([1] * 4 + [80] * 8 + [700])


@given(texts=st.lists(_TEXTS, min_size=1, max_size=60), many=_MANY)
@example(texts=[b"9007199254740993", b"9007199254740992.5", b"0.1", b"-0.034892183"], many=1)
@example(texts=[b"18446744073709551615"], many=700)
@example(texts=[b"0" * 30 + b"1", b"0." + b"0" * 30 + b"1", b"1"], many=1)
def test_floats_are_those_of_python_bit_for_bit(texts, many):
    assert _bits(_read(texts * many, "float64")) == _bits(map(_float, texts)) * many


@pytest.mark.parametrize("dtype", _DTYPES)
@given(texts=st.lists(_TEXTS, min_size=1, max_size=60), many=_MANY)
def test_many_numbers_are_what_each_is_by_itself(dtype, texts, many):
    assert _bits(_read(texts * many, dtype)) == _bits(_one(text, dtype) for text in texts) * many


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@given(texts=st.lists(_TEXTS, min_size=1, max_size=60), many=_MANY)
def test_short_floats_are_rounded_once_more_and_no_number_becomes_infinite(dtype, texts, many):
    for text, found in zip(texts, _read(texts * many, dtype), strict=False):
        number = _float(text)
        with np.errstate(over="ignore"):
            expected = None if number is None else number.astype(dtype)
        if number is None or (np.isfinite(number) and np.isinf(expected)):
            assert found is None
        else:
            assert found.tobytes() == expected.tobytes()


@given(numbers=st.lists(st.integers(-(2**63), 2**64 - 1), min_size=1, max_size=50))
@example(numbers=[2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63), 2**63, 2**64 - 1])
def test_integers_are_exact_beyond_what_floats_are(numbers):
    texts = [b"%d" % number for number in numbers]
    for dtype in ("int64", "uint64", "int8"):
        limits = np.iinfo(dtype)
        expected = [number if limits.min <= number <= limits.max else None for number in numbers]
        assert [None if value is None else int(value) for value in _read(texts, dtype)] == expected


@pytest.mark.parametrize(
    ("text", "whole"),
    [(b"3.0", 3), (b"3.", 3), (b".0", 0), (b"-7.000", -7), (b"1e3", 1000), (b"1.5e1", 15), (b" 4 ", 4), (b"1.5", None),
     (b"1e-1", None), (b"nan", None), (b"inf", None), (b"1_0", None), (b"", None), (b".", None), (b"9" * 5000, None),
     (b"1e99999999", None), (b"0.00000000000000000000001", None)],
)  # fmt: skip
def test_whole_numbers_may_be_written_as_others(text, whole):
    assert [None if value is None else int(value) for value in _read([text, b"7"], "int64")] == [whole, 7]


def test_truth_is_true_false_one_or_zero():
    texts = [b"true", b"False", b"1", b"0", b"1.0", b"TRUE ", b"2", b"yes", b"-1", b""]
    expected = [True, False, True, False, True, True, None, None, None, None]
    assert _read(texts, "bool") == expected


@pytest.mark.parametrize(
    ("text", "dtype", "reason"),
    [
        (b"abc", "float32", "expected a number"),
        (b"", "float64", "expected a number"),
        (b"1e39", "float32", "expected a number that float32 holds"),
        (b"-1e999", "float64", "expected a number that float64 holds"),
        (b"1.5", "int8", "expected a whole number"),
        (b"300", "uint8", "expected a number that uint8 holds"),
        (b"2", "bool", "expected true or false"),
        (b"maybe", "bool", "expected true or false"),
    ],
)
def test_what_was_expected_is_said(text, dtype, reason):
    with pytest.raises(ValueError, match=f"^{reason}$"):
        read_number(text, np.dtype(dtype))


@given(texts=st.lists(_TEXTS, min_size=1, max_size=20), gap=st.binary(max_size=20), before=st.binary(max_size=20))
@example(texts=[b"1e", b"1e", b""] * 50, gap=b"-5", before=b"")
def test_what_stands_around_a_field_changes_nothing(texts, gap, before):
    data, starts, ends = before, [], []
    for text in texts:
        starts.append(len(data))
        data += text
        ends.append(len(data))
        data += gap
    values, bad = read_numbers(data, np.array(starts), np.array(ends), np.dtype("float64"))
    found = [None if place in bad else value for place, value in enumerate(values)]
    assert _bits(found) == _bits(map(_float, texts))


def test_no_fields_are_no_numbers():
    values, bad = read_numbers(b"abc", np.array([], np.int64), np.array([], np.int64), np.dtype("float32"))
    assert len(values) == len(bad) == 0


def test_numbers_next_to_the_middle_of_two_float32_are_rounded_as_those_of_python():
    chance = Random(20)
    texts = []
    for _ in range(20_000):
        middle = _NINETEEN.divide(2 * chance.randrange(2**23, 2**24) + 1, 2 ** chance.randrange(25, 40))
        texts.append(format(middle * (1 + chance.randrange(-999, 1000) * Decimal("1e-18")), ".18f").encode())
    expected = np.array([float(text) for text in texts]).astype(np.float32)
    assert np.array(_read(texts, "float32")).tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    "text",
    [b"5", b"0.3125", b"-0.034892183", b" +7.", b"0.30471707975443135", b"12345678.25", b"1.25e-07", b"-3E+2", b"1e5",
     b"-1.039984106241014922e+00", b"123456789012345678"],
    ids=str,
)  # fmt: skip
def test_numbers_of_all_common_kinds_are_read_many_at_once(text):
    ends = np.arange(1, 1001) * (len(text) + 1) - 1
    *_, odd = Text((text + b",") * 1000).decimals(ends - len(text), ends)
    assert not odd.any()
