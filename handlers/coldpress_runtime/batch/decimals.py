"""Decimal fractions in text, many at once: the digits of each as one integer, and how many of them follow the dot.

A field is looked at as little-endian words of 8 characters (SWAR, SIMD within a register). A few operations on whole
arrays of words find the dot, close the gap, check that all else are digits, and add the digits up in three
multiplications.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from typing import Any

    Array = np.ndarray[Any, Any]

__all__ = ["Text", "pick"]

_FEW = 64  # fields, which are faster read one by one than by some fifty calls of numpy
_WORDS = 3  # that a field may have, its sign and exponent apart
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
_SCALES = np.array([10**power for power in range(9)], np.uint64)
_ROOM = np.array([18 * 10**18 // 10**power - 1 for power in range(9)], np.uint64)  # what may grow by a scale


class Text:
    """A text whose fields are to be read.

    Args:
        data: its bytes.
    """

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

        Args:
            starts: where they begin, ``(n,)`` int64.
            ends: where they end.

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
                more = pick(bits > 64 * number)
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


def pick(which: Array) -> Array | slice | None:
    """Return what picks those elements: all of them where they are many, None for none."""
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
