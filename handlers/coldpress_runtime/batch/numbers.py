"""Many decimal numbers at once: text to numpy at the speed of memory, equal to ``float(text)`` bit for bit.

``decimals.py`` gives an integer and a number of decimal places for each; their quotient is exact to the last bit as
long as both are floats themselves (Clinger's fast path). Longer ones are divided with the remainder, and taken where
what is left then cannot change the rounding (Ziv's test). What is written in any other way, and what is no number, is
left to ``float()``, one by one.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from math import inf, isfinite
from typing import TYPE_CHECKING

import numpy as np

from coldpress_runtime.batch.decimals import Text, pick

if TYPE_CHECKING:
    from typing import Any

    Array = np.ndarray[Any, Any]

__all__ = ["read_number", "read_numbers"]

_BLOCK = 1 << 14  # fields; fewer, and calls of numpy show; more, and a dozen arrays of words leave the caches
_MOST = 1 << 53  # integers up to it are floats
_POWERS = 10.0 ** np.arange(23)  # all of them exact
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
    text = Text(data)
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


def _store_floats(out: Array, mantissa: Array, places: Array, minus: Array | None, odd: Array) -> Array:
    """Write floats of any size to ``out``; returns where that cannot be done exactly."""
    numbers = mantissa.astype(np.float64)
    if places.max() >= len(_POWERS):
        odd |= places >= len(_POWERS)
    powers = _POWERS.take(places, mode="clip")
    long = pick(mantissa > _MOST)
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
