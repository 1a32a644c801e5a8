"""Element types that Python has no word for: bfloat16, 8-bit floats, 4-bit integers, complex numbers.

Formats after the ONNX specification (docs/docsource/technical: "Float stored in 8 bits" and "4 bit integer types"):
8-bit floats are sign, exponent, mantissa; FN has no infinities; FNUZ has neither infinities nor a negative zero, its
bias is one more, and 0x80 is its only NaN. Two 4-bit integers share a byte, the first in its low half.
"""

from __future__ import annotations

import array
import math
import struct
from bisect import bisect_left

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = ["decode", "encode"]

# name: bits of exponent, bias, largest finite value
_FLOAT8 = {
    "FLOAT8E4M3FN": (4, 7),
    "FLOAT8E4M3FNUZ": (4, 8),
    "FLOAT8E5M2": (5, 15),
    "FLOAT8E5M2FNUZ": (5, 16),
}
_tables: dict[str, list[float]] = {}


def decode(name: str, data: memoryview, size: int) -> list[Any]:
    """Return ``size`` elements of datatype ``name`` as Python numbers."""
    if name == "BF16":
        wide = bytearray(2 * len(data))  # bfloat16 is the upper half of a float32
        wide[2::4] = data[0::2]
        wide[3::4] = data[1::2]
        return memoryview(wide).cast("f").tolist()
    if name in _FLOAT8:
        return list(map(_table(name).__getitem__, data))
    if name in {"INT4", "UINT4"}:
        halves = [half for byte in data for half in (byte & 15, byte >> 4)][:size]
        return [half - 16 if half > 7 else half for half in halves] if name == "INT4" else halves
    parts = struct.unpack(f"<{2 * size}{'f' if name == 'COMPLEX64' else 'd'}", data)
    return [complex(real, imaginary) for real, imaginary in zip(parts[0::2], parts[1::2], strict=True)]


def encode(name: str, values: Sequence[Any]) -> bytes:
    """Return the bytes of ``values`` as datatype ``name``; fractions round to nearest, ties to even.

    Raises:
        OverflowError: a finite number is beyond the largest that the type holds.
        TypeError: a value is not a number.
    """
    if name == "BF16":
        return _encode_bf16(values)
    if name in _FLOAT8:
        table = _table(name)
        ordered = sorted((value, code) for code, value in enumerate(table[:128]) if math.isfinite(value))
        return bytes(_nearest(float(value), ordered, table, name) for value in values)
    if name in {"INT4", "UINT4"}:
        low, high = (-8, 7) if name == "INT4" else (0, 15)
        halves = array.array("q", values)
        if any(not low <= half <= high for half in halves):
            raise OverflowError
        if len(halves) % 2:
            halves.append(0)
        return bytes((a & 15) | (b & 15) << 4 for a, b in zip(halves[0::2], halves[1::2], strict=True))
    numbers = [complex(value) for value in values]
    parts = [part for number in numbers for part in (number.real, number.imag)]
    return struct.pack(f"<{len(parts)}{'f' if name == 'COMPLEX64' else 'd'}", *parts)


def _encode_bf16(values: Sequence[Any]) -> bytes:
    halves = array.array("H")
    for (bits,) in struct.iter_unpack("<I", struct.pack(f"<{len(values)}f", *values)):
        if bits & 0x7FFFFFFF > 0x7F800000:  # NaN: keep it one
            halves.append(bits >> 16 | 0x40)
            continue
        rounded = bits + 0x7FFF + (bits >> 16 & 1) >> 16
        if rounded & 0x7FFF == 0x7F80 and bits & 0x7FFFFFFF != 0x7F800000:
            raise OverflowError
        halves.append(rounded)
    return halves.tobytes()


def _table(name: str) -> list[float]:
    """Return what each of the 256 codes of an 8-bit float is worth."""
    if name not in _tables:
        exponent_bits, bias = _FLOAT8[name]
        mantissa_bits = 7 - exponent_bits
        values = []
        for code in range(128):
            exponent, mantissa = code >> mantissa_bits, code & (1 << mantissa_bits) - 1
            if exponent:
                value = math.ldexp((1 << mantissa_bits) + mantissa, exponent - bias - mantissa_bits)
            else:
                value = math.ldexp(mantissa, 1 - bias - mantissa_bits)
            values.append(value)
        if name == "FLOAT8E4M3FN":
            values[0x7F] = math.nan
        elif name == "FLOAT8E5M2":
            values[0x7C:] = [math.inf, math.nan, math.nan, math.nan]
        negative = [-value for value in values]
        if name.endswith("UZ"):
            negative[0] = math.nan
        _tables[name] = values + negative
    return _tables[name]


def _nearest(value: float, ordered: list[tuple[float, int]], table: list[float], name: str) -> int:
    """Return the code of the nearest number; ``ordered`` has the finite, non-negative ones."""
    sign = 128 if math.copysign(1.0, value) < 0 else 0
    if math.isnan(value):
        return 128 if name.endswith("UZ") else 127 + sign
    size = abs(value)
    if math.isinf(size):
        if size in table:
            return table.index(size) + sign
        raise OverflowError
    at = bisect_left(ordered, (size, 0))
    if at == len(ordered):
        # Half a step past the largest still rounds down to it.
        step = ordered[-1][0] - ordered[-2][0]
        if size - ordered[-1][0] >= step / 2:
            raise OverflowError
        code = ordered[-1][1]
    elif at == 0 or ordered[at][0] == size:
        code = ordered[at][1]
    else:
        (below, low), (above, high) = ordered[at - 1], ordered[at]
        low_gap, high_gap = size - below, above - size
        code = low if low_gap < high_gap or (low_gap == high_gap and low % 2 == 0) else high
    return 0 if code == 0 and name.endswith("UZ") else code + sign
