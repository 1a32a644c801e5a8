"""Many decimal numbers at once: text to numpy at the speed of memory, equal to ``float(text)`` bit for bit.

A field is looked at as little-endian words of 8 characters that end where it ends (SWAR, SIMD within a register).
A few operations on whole arrays of words find the dot, close the gap, check that all else are digits, and add the
digits up in three multiplications. That gives an integer and a number of decimal places; their quotient is exact
to the last bit as long as both are floats themselves (Clinger's fast path). Longer ones are divided with the
remainder, and taken if the rest that is left cannot change the rounding (Ziv's test). What is written in any other
way, and what is no number, is left to ``float()``, one by one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from typing import Any

    Array = np.ndarray[Any, Any]

__all__ = ["read_number", "read_numbers"]

_BLOCK = 1 << 14  # fields; a dozen arrays of so many words stay in a core's second-level cache
_PAD = 24  # bytes before the text, so that the words of its first field can be loaded
_SPACE, _PLUS, _MINUS = b" +-"
_LONGEST = 24  # characters of a field, its sign apart: three words
_MOST = 1 << 53  # integers up to it are floats
_HEAD = 1800  # of the third word: with 16 more digits the whole still fits 64 bits

_U8 = np.uint64(8)
_WORD_BITS = np.uint64(64)
_ONES = np.uint64(0x0101010101010101)
_HIGH = np.uint64(0x8080808080808080)
_DOTS = np.uint64(0x2E2E2E2E2E2E2E2E)
_DIGITS = np.uint64(0x3030303030303030)
_OVER_NINE = np.uint64(0x7676767676767676)  # added to a byte above 9, sets its high bit
_PLACES = np.uint64(0xE0C0A08060402000)  # times 1 << 8k, has 7 - k in its three highest bits
_SCALES = {done: np.array([10**done, 10 ** (done - 1)], np.uint64) for done in (8, 16)}  # the dot is no digit
_POWERS = 10.0 ** np.arange(23)  # all of them exact

_WHOLE = re.compile(rb"\s*(?=[+-]?\.?[0-9])([+-]?[0-9]*)(?:\.0*)?\s*")
_BOOLEANS = {b"true": 1, b"false": 0}


def read_numbers(data: bytes, starts: Array, ends: Array, dtype: np.dtype[Any]) -> tuple[Array, Array]:
    """Read the fields of a text.

    Args:
        data: the text.
        starts: where fields begin, ``(n,)`` int64.
        ends: where they end.
        dtype: a float, integer or boolean dtype.

    Returns:
        The numbers ``(n,)`` of that dtype, and the indices of the fields that are none or that it cannot hold; there
        the number is 0.
    """
    values = np.zeros(len(starts), dtype)
    words = np.frombuffer(bytes(_PAD) + data + bytes(8 - len(data) % 8 + 8), "<u8")
    text = np.frombuffer(data, np.uint8)
    has_signs, has_spaces = b"-" in data or b"+" in data, b" " in data
    store = _store_floats if dtype.kind == "f" else _store_integers
    bad = []
    for first in range(0, len(starts), _BLOCK):
        block = slice(first, first + _BLOCK)
        begin, end, out = starts[block], ends[block], values[block]
        minus = None
        if has_spaces:
            begin = begin + (text.take(begin, mode="clip") == _SPACE)
        if has_signs:
            begin, minus = _after_sign(text, begin)
        mantissa, places, odd = _decimals(words, begin, end)
        odd |= store(out, mantissa, places, minus)
        for place in np.flatnonzero(odd).tolist():
            try:
                out[place] = read_number(data[starts[first + place] : ends[first + place]], dtype)
            except ValueError:
                out[place] = 0
                bad.append(first + place)
    return values, np.array(bad, np.int64)


def read_number(text: bytes, dtype: np.dtype[Any]) -> Any:
    """Read one number, exactly as ``read_numbers`` does; raises ValueError with what was expected."""
    if dtype.kind == "f":
        if b"_" in text:  # digits grouped as in Python's source
            raise ValueError("expected a number")
        try:
            number = float(text)
        except ValueError:
            raise ValueError("expected a number") from None
        with np.errstate(over="ignore"):
            if number - number == 0 and np.isinf(dtype.type(number)):
                raise ValueError(f"expected a number that {dtype} holds")
        return number
    whole = _integer(text, dtype)
    least, most = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    if not least <= whole <= most:
        raise ValueError("expected true or false" if dtype.kind == "b" else f"expected a number that {dtype} holds")
    return whole


def _integer(text: bytes, dtype: np.dtype[Any]) -> int:
    match = _WHOLE.fullmatch(text)
    try:
        if match:
            return int(match[1] + b"0") // 10  # ".0" has no digit before its dot
        if b"e" in text.lower() and b"_" not in text:
            number = float(text)
            if number.is_integer() and abs(number) <= _MOST:
                return int(number)
    except ValueError:  # no number, or one of thousands of digits
        pass
    if dtype.kind == "b":
        try:
            return _BOOLEANS[text.strip().lower()]
        except KeyError:
            raise ValueError("expected true or false") from None
    raise ValueError("expected a whole number")


def _after_sign(text: Array, starts: Array) -> tuple[Array, Array]:
    """Where numbers begin behind their signs, and which are negative."""
    first = text.take(starts, mode="clip")
    minus = first == _MINUS
    first = first == _PLUS
    first |= minus
    return starts + first, minus


def _decimals(words: Array, starts: Array, ends: Array) -> tuple[Array, Array, Array]:
    """Digits as one integer, how many of them follow the dot, and whether the field is anything but digits and a dot.

    Args:
        words: the text as uint64, ``_PAD`` bytes later.
        starts: where fields begin, their signs apart.
        ends: where they end.
    """
    lengths = ends - starts
    mantissa, dots, odd, digits = _word(words, ends, lengths)
    odd |= digits == 0
    places = _places(dots)
    longest = lengths.max(initial=0)
    if longest > 8:
        dotted = dots != 0
        for done in (8, 16):
            more = _some(lengths > done)
            if more is None:
                break
            part, dots, strange, _ = _word(words, ends[more] - done, lengths[more] - done)
            if done == 16:
                strange |= part > _HEAD
            had, has = dotted[more], dots != 0
            part *= _SCALES[done].take(had.view(np.int8))
            mantissa[more] += part
            places[more] += (_places(dots) + done) * has
            odd[more] |= strange | (had & has)
            dotted[more] |= has
        if longest > _LONGEST:
            odd |= lengths > _LONGEST
    return mantissa, places, odd


def _some(which: Array) -> Array | slice | None:
    """What picks those elements: all of them where they are many, None for none."""
    count = np.count_nonzero(which)
    if count > len(which) // 2:
        return slice(None)
    return np.flatnonzero(which) if count else None


def _places(dots: Array) -> Array:
    """How many characters of a word follow its dot; 0 without one."""
    found: Array = (dots * _PLACES >> np.uint64(61)).view(np.int64)
    return found


def _word(words: Array, ends: Array, lengths: Array) -> tuple[Array, Array, Array, Array]:
    """Read the last 8 characters of fields, or all of those that are shorter.

    Returns:
        The integer that the digits make; ``1 << 8k`` where character k of the word is a dot, else 0; whether there is
        anything but digits and one dot; and how many digits there are.
    """
    at = ends + (_PAD - 8)
    shift = ((at & 7) << 3).view(np.uint64)
    at >>= 3
    word = words.take(at)
    word >>= shift
    np.subtract(_WORD_BITS, shift, out=shift)
    rest = words[1:].take(at)
    rest <<= shift  # by 64 leaves nothing, as numpy has it
    word |= rest
    np.clip(lengths, 0, 8, out=at)
    at <<= 3
    blank = np.subtract(64, at, out=at).view(np.uint64)  # bits before the field
    word >>= blank
    word <<= blank

    # The lowest byte that is a dot: Mycroft's test for a zero byte, whose lowest hit is always right.
    one, other = rest, shift
    np.bitwise_xor(word, _DOTS, out=one)
    dots = one - _ONES
    np.invert(one, out=one)
    dots &= one
    dots &= _HIGH
    np.negative(dots, out=one)
    dots &= one
    gap = np.minimum(dots, _U8)  # bits that closing it frees
    dots >>= np.uint64(7)

    # What stands before the dot moves over it.
    np.subtract(dots, np.uint64(1), out=one)  # without a dot: all ones, so that all of the word stands before it
    one &= word
    word ^= one
    one <<= gap
    np.multiply(dots, np.uint64(ord(".")), out=other)
    word ^= other
    word |= one
    blank += gap

    # Nothing but digits: what differs from "0" by more than 9 is none.
    np.left_shift(_DIGITS, blank, out=other)
    word ^= other
    np.add(word, _OVER_NINE, out=one)
    one |= word
    one &= _HIGH
    odd = one != 0

    # Neighbours are added up: 8 digits to 4 pairs, to 2 fours, to one number.
    word *= np.uint64(10 << 8 | 1)
    word >>= np.uint64(8)
    word &= np.uint64(0x00FF00FF00FF00FF)
    word *= np.uint64(100 << 16 | 1)
    word >>= np.uint64(16)
    word &= np.uint64(0x0000FFFF0000FFFF)
    word *= np.uint64(10000 << 32 | 1)
    word >>= np.uint64(32)
    np.subtract(_WORD_BITS, blank, out=blank)
    return word, dots, odd, blank


def _store_floats(out: Array, mantissa: Array, places: Array, minus: Array | None) -> Array:
    """Write floats of any size to ``out``; returns where that cannot be done exactly."""
    values = mantissa.astype(np.float64)
    powers = _POWERS.take(places, mode="clip")
    odd = places > len(_POWERS) - 1
    long = np.flatnonzero(mantissa > _MOST)
    numbers = values / powers
    if len(long):
        high, power = values[long], powers[long]
        low = (mantissa[long] - high.astype(np.uint64)).view(np.int64).astype(np.float64)
        numbers[long], unsure = _divide(high, low, power)
        odd[long] |= unsure
    if minus is not None:
        np.negative(numbers, out=numbers, where=minus)
    if out.dtype.itemsize < 4:
        with np.errstate(over="ignore"):
            out[:] = numbers
        odd |= np.isinf(out)
    else:
        out[:] = numbers
    return odd


def _divide(high: Array, low: Array, power: Array) -> tuple[Array, Array]:
    """Divide ``high + low`` by ``power``: the nearest float, and whether it is unsure that it is the nearest."""
    quotient = high / power
    rest = (_remainder(high, quotient, power) + low) / power
    # ``rest`` itself is rounded, by a 2**-52nd of itself: where a little more or less rounds alike, so does the truth.
    number = quotient + rest * (1 + 2**-48)
    return number, number != quotient + rest * (1 - 2**-48)


def _remainder(whole: Array, quotient: Array, divisor: Array) -> Array:
    """``whole - quotient * divisor`` without rounding: Dekker's product of two floats as a sum of two."""
    product = quotient * divisor
    first, second = _halves(quotient), _halves(divisor)
    error = ((first[0] * second[0] - product) + first[0] * second[1] + first[1] * second[0]) + first[1] * second[1]
    remainder: Array = (whole - product) - error
    return remainder


def _halves(number: Array) -> tuple[Array, Array]:
    """Veltkamp's split of floats into two of 26 bits each."""
    far = number * (2**27 + 1)
    high = far - (far - number)
    return high, number - high


def _store_integers(out: Array, mantissa: Array, places: Array, minus: Array | None) -> Array:
    """Write integers to ``out``; returns where there is none, or one that it cannot hold."""
    odd = mantissa > np.uint64(2**63 - 1)
    if places.any():
        power = np.uint64(10) ** np.minimum(places, 19).view(np.uint64)
        mantissa, fraction = np.divmod(mantissa, power)
        odd |= (fraction != 0) | (places > 19)
    numbers = mantissa.view(np.int64)
    if minus is not None:
        numbers = np.where(minus, -numbers, numbers)
    if out.dtype.kind == "b":
        odd |= (numbers < 0) | (numbers > 1)
    elif out.dtype != np.int64:
        limits = np.iinfo(out.dtype)
        odd |= numbers < limits.min
        if limits.max < 2**63:
            odd |= numbers > limits.max
    out[:] = numbers
    return odd
