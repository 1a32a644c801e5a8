"""Many decimal numbers at once: text to numpy at the speed of memory, equal to ``float(text)`` bit for bit.

A field is looked at as little-endian words of 8 characters (SWAR, SIMD within a register). A few operations on whole
arrays of words find the dot, close the gap, check that all else are digits, and add the digits up in three
multiplications. That gives an integer and a number of decimal places; their quotient is exact to the last bit as long
as both are floats themselves (Clinger's fast path). Longer ones are divided with the remainder, and taken where what is
left then cannot change the rounding (Ziv's test). What is written in any other way, and what is no number, is left to
``float()``, one by one.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from math import inf, isfinite
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from typing import Any

    Array = np.ndarray[Any, Any]

__all__ = ["read_number", "read_numbers"]

_BLOCK = 1 << 15  # fields; fewer, and calls of numpy show; more, and a dozen arrays of words leave the caches
_FEW = 64  # fields, which are faster read one by one than by some fifty calls of numpy
_WORDS = 3  # that a field may have, its sign and exponent apart
_MOST = 1 << 53  # integers up to it are floats
_SPACE, _PLUS, _MINUS = b" +-"

_U1 = np.uint64(1)
_U3 = np.uint64(3)
_BITS = np.uint64(64)
_ONES = np.uint64(0x0101010101010101)
_HIGH = np.uint64(0x8080808080808080)
_DOTS = np.uint64(0x2E2E2E2E2E2E2E2E)
_LOWER = np.uint64(0x2020202020202020)
_LETTERS = np.uint64(0x6565656565656565)
_DIGITS = np.uint64(0x3030303030303030)
_OVER_NINE = np.uint64(0x7676767676767676)  # added to a byte above 9, sets its high bit
_BEHIND = np.uint64(0xE0C0A08060402000)  # times 1 << 8k, has 7 - k in its three highest bits
_POWERS = 10.0 ** np.arange(23)  # all of them exact
_SCALES = np.array([10**power for power in range(9)], np.uint64)
_ROOM = np.array([18 * 10**18 // 10**power - 1 for power in range(9)], np.uint64)  # what may grow by a scale

_TOO_LARGE = {2: 65520.0, 4: (2 - 2**-24) * 2.0**127, 8: inf}  # by bytes: from here on a float rounds to infinity
_LONGEST_INTEGER = 20  # digits, from which on no dtype holds it
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
    text = _Text(data)
    store = _store_floats if dtype.kind == "f" else _store_integers
    bad = []
    for first in range(0, len(starts), _BLOCK):
        block = slice(first, first + _BLOCK)
        for place in store(values[block], *text.decimals(starts[block], ends[block])).tolist():
            at = first + place
            try:
                values[at] = read_number(data[starts[at] : ends[at]], dtype)
            except ValueError:
                values[at] = 0
                bad.append(at)
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
        # A number beyond every float reads as infinity, too, but only infinity itself is written without a digit.
        if abs(number) >= _TOO_LARGE[dtype.itemsize] and (
            isfinite(number) or any(map(text.__contains__, b"123456789"))
        ):
            raise ValueError(f"expected a number that {dtype} holds")
        return number
    whole = _integer(text, dtype)
    least, most = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    if not least <= whole <= most:
        raise ValueError("expected true or false" if dtype.kind == "b" else f"expected a number that {dtype} holds")
    return whole


def _integer(text: bytes, dtype: np.dtype[Any]) -> int:
    try:
        number = Decimal(text.decode("ascii"))
        if b"_" not in text and number.is_finite() and number.adjusted() <= _LONGEST_INTEGER and number == int(number):
            return int(number)
    except (InvalidOperation, UnicodeDecodeError):
        pass
    if dtype.kind == "b":
        try:
            return _BOOLEANS[text.strip().lower()]
        except KeyError:
            raise ValueError("expected true or false") from None
    raise ValueError("expected a whole number")


class _Text:
    """A text as words."""

    def __init__(self, data: bytes) -> None:
        padded = data + bytes(8 * (_WORDS + 1) - len(data) % 8)
        self._bytes = np.frombuffer(padded, np.uint8)
        self._words = np.frombuffer(padded, "<u8")
        self._words_anywhere = np.ndarray(len(data) + 8, "<u8", padded, strides=(1,))
        self._has_dots = b"." in data
        self._has_signs = b"-" in data or b"+" in data
        self._has_spaces = b" " in data
        self._has_exponents = b"e" in data or b"E" in data

    def decimals(self, starts: Array, ends: Array) -> tuple[Array, Array, Array | None, Array]:
        """Read fields as decimal fractions.

        Returns:
            Their digits as one integer, uint64; how many of them follow the dot, int64, negative where zeros are to
            be added; which are negative, None where none is; and which are anything else or too long, for which the
            rest says nothing.
        """
        if self._has_spaces:
            starts = starts + (self._bytes.take(starts) == _SPACE)
        minus = None
        if self._has_signs:
            minus, signed = self._signs(starts)
            starts = starts + signed
        mantissa, places, odd = self._fractions(starts, ends)
        others = np.count_nonzero(odd)
        if others > _FEW:
            for is_there, read in ((self._has_exponents, self._exponentials), (self._has_dots, self._late_dots)):
                some = np.flatnonzero(odd) if is_there else ()
                if len(some):
                    mantissa[some], places[some], odd[some] = read(starts[some], ends[some])
        if others:
            mantissa[odd] = 0
        return mantissa, places, minus, odd

    def _signs(self, places: Array) -> tuple[Array, Array]:
        """Where there is a minus, and where there is any sign."""
        first = self._bytes.take(places)
        minus = first == _MINUS
        signed = first == _PLUS
        signed |= minus
        return minus, signed

    def _fractions(self, starts: Array, ends: Array, dotted: int = 0) -> tuple[Array, Array, Array]:
        """Read fields without signs; a dot may be in that one of their words."""
        lengths = ends - starts
        longest = lengths.max()
        index: Array | slice = slice(None)  # of fields that have a word of that number
        at = starts >> 3
        shift = ((starts & 7) << 3).view(np.uint64)
        back = _BITS - shift
        here = self._words.take(at)
        bits = lengths << 3
        for number in range(_WORDS):
            if number:
                more = _some(bits > 64 * number)
                if more is None:
                    break
                if not isinstance(more, slice):
                    at, shift, back, here, bits = at[more], shift[more], back[more], here[more], bits[more]
                    index = more if isinstance(index, slice) else index[more]
            at = at + 1
            word, here = here >> shift, self._words.take(at)
            word |= here << back  # by 64 leaves nothing, as numpy has it
            room = 64 * (number + 1)
            blank = (room - np.minimum(bits, room)).view(np.uint64)
            word <<= blank
            if number == dotted and self._has_dots:
                dots, gap = _close_gap(word)
                blank += gap
            part, strange = _add_digits(word, blank)
            if not number:
                mantissa, odd, places = part, strange, np.zeros(len(starts), np.int64)
                odd |= blank >= _BITS
            else:
                before, digits = mantissa[index], 8 - (blank >> _U3).view(np.int64)
                if number == _WORDS - 1:
                    strange |= before > _ROOM.take(digits, mode="clip")
                part += before * _SCALES.take(digits, mode="clip")
                mantissa[index] = part
                odd[index] |= strange
            if number == dotted and self._has_dots:
                behind = _bytes_behind(dots)
                if longest > room >> 3:
                    behind += np.maximum((bits - room) >> 3, 0) * np.minimum(dots, _U1).view(np.int64)
                places[index] = behind
        if longest > 8 * _WORDS:
            odd |= lengths > 8 * _WORDS
        return mantissa, places, odd

    def _late_dots(self, starts: Array, ends: Array) -> tuple[Array, Array, Array]:
        return self._fractions(starts, ends, 1)

    def _exponentials(self, starts: Array, ends: Array) -> tuple[Array, Array, Array]:
        """Read fields such as ``1.25e-07``."""
        begins = np.maximum(ends - 8, starts)
        word = self._words_anywhere[begins]
        word <<= ((8 - (ends - begins)) << 3).view(np.uint64)
        size = _bytes_behind(_lowest_zero((word | _LOWER) ^ _LETTERS))
        minus, signed = self._signs(ends - size)
        blank = ((8 - size + signed) << 3).view(np.uint64)
        word >>= blank
        word <<= blank
        power, strange = _add_digits(word, blank)
        mantissa, places, odd = self._fractions(starts, ends - size - 1)
        odd |= strange | (size <= signed)
        return mantissa, places - np.where(minus, -1, 1) * power.view(np.int64), odd


def _some(which: Array) -> Array | slice | None:
    """What picks those elements: all of them where they are many, None for none."""
    count = np.count_nonzero(which)
    if count > len(which) // 2:
        return slice(None)
    return np.flatnonzero(which) if count else None


def _lowest_zero(word: Array) -> Array:
    """``1 << 8k`` where byte k is the first one that is zero, else 0; uses the words up."""
    # Mycroft's test: its hits above the lowest may be wrong.
    zeros = word - _ONES
    np.invert(word, out=word)
    zeros &= word
    zeros &= _HIGH
    np.negative(zeros, out=word)
    zeros &= word
    zeros >>= np.uint64(7)
    return zeros


def _bytes_behind(mark: Array) -> Array:
    """How many bytes of a word follow byte k, given as ``1 << 8k``; 0 for 0."""
    behind: Array = (mark * _BEHIND >> np.uint64(61)).view(np.int64)
    return behind


def _close_gap(word: Array) -> tuple[Array, Array]:
    """Take dots out of words, in place: what stands before moves over them.

    Returns:
        ``1 << 8k`` where character k was a dot, else 0; and how many bits that freed.
    """
    dots = _lowest_zero(word ^ _DOTS)
    gap = np.minimum(dots, _U1)
    gap <<= _U3
    before = dots - _U1  # without a dot: all ones, so that all of the word stands before it
    before &= word
    word ^= before
    before <<= gap
    word ^= dots * np.uint64(ord("."))
    word |= before
    return dots, gap


def _add_digits(word: Array, blank: Array) -> tuple[Array, Array]:
    """The integer that the characters of words make, and which have any that is no digit."""
    one = np.left_shift(_DIGITS, blank)
    word ^= one  # digits are now 0 to 9
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
    return word, odd


def _store_floats(out: Array, mantissa: Array, places: Array, minus: Array | None, odd: Array) -> Array:
    """Write floats of any size to ``out``; returns where that cannot be done exactly."""
    numbers = mantissa.astype(np.float64)
    if places.max() >= len(_POWERS):
        odd |= places >= len(_POWERS)
    powers = _POWERS.take(places, mode="clip")
    long = _some(mantissa > _MOST)
    if long is not None and out.dtype != np.float32:
        high = numbers[long]
        low = (mantissa[long] - high.astype(np.uint64)).view(np.int64).astype(np.float64)
        numbers /= powers
        numbers[long], unsure = _add_rest(high, low, numbers[long], powers[long])
        odd[long] |= unsure
    else:
        numbers /= powers
        if long is not None:
            odd[long] |= _may_round_otherwise(numbers[long])
    if places.min() < 0:
        up = np.flatnonzero(places < 0)
        odd[up] |= (mantissa[up] > _MOST) | (places[up] <= -len(_POWERS))
        numbers[up] *= _POWERS.take(-places[up], mode="clip")
    if minus is not None:
        sign = minus.astype(np.uint64)
        sign <<= np.uint64(63)
        bits = numbers.view(np.uint64)
        bits |= sign
    with np.errstate(over="ignore"):
        out[:] = numbers
    if out.dtype.itemsize < 4:  # all that is read here fits float32
        odd |= np.isinf(out)
    return np.flatnonzero(odd)


def _may_round_otherwise(numbers: Array) -> Array:
    """Which floats, wrong by up to 3 units of their last place, are too near the middle of two float32 to tell."""
    middle, near = 1 << 28, 4  # of 52 bits, float32 drops 29
    bits = numbers.view(np.int64) - (middle - near)
    bits &= (1 << 29) - 1
    may: Array = bits <= 2 * near
    return may


def _add_rest(high: Array, low: Array, quotient: Array, power: Array) -> tuple[Array, Array]:
    """Divide ``high + low`` by ``power``, given ``high / power``: the nearest float, and whether it may not be."""
    rest = _remainder(high, quotient, power)
    rest += low
    rest /= power
    # ``rest`` itself is rounded, by a 2**-51st of itself: where a little more or less rounds alike, so does the truth.
    number = rest * (1 + 2**-48)
    number += quotient
    rest *= 1 - 2**-48
    rest += quotient
    return number, number != rest


def _remainder(whole: Array, quotient: Array, divisor: Array) -> Array:
    """``whole - quotient * divisor`` without rounding: Dekker's product of two floats as a sum of two."""
    product = quotient * divisor
    first, second = _halves(quotient), _halves(divisor)
    error = first[0] * second[0]
    error -= product
    error += first[0] * second[1]
    error += first[1] * second[0]
    error += first[1] * second[1]
    remainder: Array = np.subtract(whole, product, out=product)
    remainder -= error
    return remainder


def _halves(number: Array) -> tuple[Array, Array]:
    """Veltkamp's split of floats into two of 26 bits each."""
    far = number * (2**27 + 1)
    high = far - number
    np.subtract(far, high, out=high)
    return high, np.subtract(number, high, out=far)


def _store_integers(out: Array, mantissa: Array, places: Array, minus: Array | None, odd: Array) -> Array:
    """Write integers to ``out``; returns where there is none, or one that it cannot hold."""
    odd |= mantissa > np.uint64(2**63 - 1)
    if places.any():
        power = np.uint64(10) ** np.clip(places, 0, 19).view(np.uint64)
        mantissa, fraction = np.divmod(mantissa, power)
        odd |= (fraction != 0) | (places > 19) | (places < 0)
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
    return np.flatnonzero(odd)
