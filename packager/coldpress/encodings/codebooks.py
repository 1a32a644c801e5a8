"""Levels for few bits, and how codes and scales of few bits lie in bytes.

Weights crowd around zero, so levels that crowd there too lose less than equal steps: at 4 bits 13 % of the error on
real models, at 6 bits 17 %. The 4-bit levels are NormalFloat's (Dettmers et al., QLoRA, 2023), the 6-bit ones are made
the same way; both are rounded to int8, so that a table of bytes decodes them.

A scale is one byte: a sign, and one of 127 sizes that lie a twelfth of an octave apart below the largest scale of the
tensor. With blocks of 32 that loses less than float16 scales with blocks of 64, which take the same bytes.
"""

from functools import cache
from statistics import NormalDist

import numpy as np

from coldpress.encodings.clip import best_scales, squared_errors

__all__ = ["PLANES", "levels", "pack", "plane_table", "scale_codes", "scale_table", "unpack"]

PLANES = {8: (8,), 6: (4, 2), 4: (4,)}
"""Codes of so many bits are kept as planes of so many, the highest bits first: planes fill bytes, 6 bits do not."""
_OUTERMOST = {4: 0.9677083, 6: 0.98}
"""The quantile of a normal distribution that the outermost level stands for; QLoRA's for 4 bits, measured for 6."""
_STEPS = 12
"""Scales an octave."""
_SIZES = 127


@cache
def levels(bits: int) -> np.ndarray:
    """Return the levels of codes of ``bits`` bits: int8 [2**bits], ascending, zero among them; equal steps for 8."""
    if bits == 8:
        return np.arange(-128, 128).astype(np.int8)
    half = 1 << bits - 1
    quantile = NormalDist().inv_cdf
    above = [quantile(p) for p in np.linspace(0.5, _OUTERMOST[bits], half + 1)[1:]]
    below = [-quantile(p) for p in np.linspace(0.5, _OUTERMOST[bits], half)[:0:-1]]
    ascending = np.array([*(v / -below[0] for v in below), 0.0, *(v / above[-1] for v in above)])
    rounded: np.ndarray = np.rint(127 * ascending).astype(np.int8)
    return rounded


def pack(values: np.ndarray, bits: int) -> list[np.ndarray]:
    """Return the planes that keep ``values``, int8 [n], all of them ``levels``.

    For 8 bits that is ``values``; else the codes' high 4 bits, uint8 [n/2], and, of 6 bits, the low 2, uint8 [n/4].
    Neighbours share a byte, the first in the lowest bits.
    """
    if bits == 8:
        return [values]
    numbers = np.zeros(256, np.uint8)
    numbers[levels(bits).view(np.uint8)] = np.arange(1 << bits)
    codes = numbers[values.view(np.uint8)]
    planes = []
    left = bits
    for width in PLANES[bits]:
        left -= width
        apart = (codes >> left & (1 << width) - 1).reshape(-1, 8 // width)
        shifted = apart << np.arange(0, 8, width, dtype=np.uint8)
        planes.append(np.bitwise_or.reduce(shifted, axis=1).astype(np.uint8))
    return planes


def unpack(planes: list[np.ndarray], bits: int) -> np.ndarray:
    """Return the values, int8 [n], that ``pack`` made ``planes`` of."""
    if bits == 8:
        return planes[0]
    parts = [plane_table(bits, number)[plane].reshape(-1) for number, plane in enumerate(planes)]
    values: np.ndarray = levels(bits)[np.bitwise_or.reduce(parts)]
    return values


@cache
def plane_table(bits: int, number: int) -> np.ndarray:
    """Return what each byte of a plane adds to the codes it holds a part of: uint8 [256, codes in a byte]."""
    widths = PLANES[bits]
    width, left = widths[number], sum(widths[number + 1 :])
    shifts = np.arange(0, 8, width)
    return ((np.arange(256)[:, None] >> shifts & (1 << width) - 1) << left).astype(np.uint8)


@cache
def scale_table() -> np.ndarray:
    """Return what each scale byte stands for, in units of the largest scale: float32 [256], zero for 0 and 128."""
    sizes = 2.0 ** (-np.arange(_SIZES) / _STEPS)
    return np.concatenate([[0], sizes, [0], -sizes]).astype(np.float32)


def scale_codes(groups: np.ndarray, levels: np.ndarray) -> tuple[np.ndarray, np.float32]:
    """Return the scale of each group of float32 [G, n] as a byte, uint8 [G], and the unit of the scales.

    Of the sizes next to the best scale that one is taken which loses least. Scales below the smallest size, 1/1,448 of
    the largest, become that size.
    """
    scales = best_scales(groups, levels)
    unit = np.float32(np.abs(scales).max(initial=0))
    octaves = np.log2(np.maximum(np.abs(scales) / unit, np.float32(2.0**-20)))
    nearest = np.rint(-_STEPS * octaves).astype(np.int64)
    codes = np.zeros(len(groups), np.uint8)
    least = np.full(len(groups), np.inf)
    for places in (nearest, nearest - 1, nearest + 1):
        tried = np.clip(places, 0, _SIZES - 1) + np.where(scales < 0, 129, 1)
        sizes = scale_table()[tried] * unit
        errors = squared_errors(groups, sizes, levels)
        better = errors < least
        codes[better], least[better] = tried[better], errors[better]
    return codes, unit
