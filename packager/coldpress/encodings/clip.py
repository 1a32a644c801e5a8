"""The scale of a group of weights, searched so that rounding to few levels loses the least.

The largest weight decides the scale of plain rounding; with few levels it is better to clip it. Every function works
on ``groups``, float32 [G, n]: G groups of n weights, each with a scale of its own.

For given rounded values v of weights w, the scale that loses least is <w, v> / <v, v>, and the squared error is then
|w|² - <w, v>² / <v, v>. So each candidate range costs one rounding, and gives the best scale for that rounding.
"""

from collections.abc import Iterator

import numpy as np

__all__ = ["best_ranges", "best_scales", "levels_of", "snap", "snap_range", "squared_errors"]

_CHUNK = 1 << 16
"""Elements worked on at once: few enough to stay in the cache."""
_FEW = 32
"""With at most so many levels much of the range is worth clipping."""
_COARSE = tuple(np.linspace(0.6, 1.05, 8))
_FINE = tuple(np.linspace(0.8, 1.0, 5))


def levels_of(bits: int) -> np.ndarray:
    """Return the levels of two's complement integers of that many bits: int8 [2**bits], from -2**(bits-1)."""
    return np.arange(-(1 << bits - 1), 1 << bits - 1).astype(np.int8)


def best_scales(groups: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Return float32 [G]: for each group the scale whose multiples of ``levels`` are nearest in squared error.

    Args:
        groups: Finite float32 [G, n].
        levels: Ascending int8 [L], such as ``levels_of`` gives; a scale is negative where that suits them better.
    """
    table = _nearest(levels)
    top = float(np.abs(levels.astype(np.int64)).max())
    ratios = _COARSE if len(levels) <= _FEW else _FINE
    scales = np.ones(len(groups), np.float32)
    for rows in _chunks(groups):
        part, unit = _normalised(groups[rows])
        best = np.zeros(len(part), np.float32)
        for ratio in ratios:
            for sign in (1, -1):
                values = _snap(part, np.full(len(part), sign * ratio / top, np.float32), table)
                _keep_better(part, values, best, scales[rows])
        scales[rows] *= unit
    return scales


def snap(groups: np.ndarray, scales: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Return int8 [G, n]: for each weight the level that comes nearest when multiplied by the scale of its group."""
    table = _nearest(levels)
    snapped = np.empty(groups.shape, np.int8)
    for rows in _chunks(groups):
        snapped[rows] = _snap(groups[rows], scales[rows], table)
    return snapped


def squared_errors(groups: np.ndarray, scales: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Return float32 [G]: the squared error of each group when ``snap`` has rounded it."""
    table = _nearest(levels)
    errors = np.empty(len(groups), np.float32)
    for rows in _chunks(groups):
        gap = groups[rows] - _snap(groups[rows], scales[rows], table) * scales[rows, None]
        errors[rows] = np.einsum("gn,gn->g", gap, gap)
    return errors


def best_ranges(groups: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Return scales, float32 [G], and zero points, uint8 [G], of the ranges that lose least in squared error.

    A weight is ``scale * (code - zero)`` with codes from 0 to 2**bits - 1; zero itself is always a level.
    """
    top = (1 << bits) - 1
    ratios = _COARSE if top < _FEW else _FINE
    pairs = dict.fromkeys([*((r, r) for r in ratios), *((r, 1.0) for r in ratios), *((1.0, r) for r in ratios)])
    scales = np.ones(len(groups), np.float32)
    zeros = np.zeros(len(groups), np.uint8)
    for rows in _chunks(groups):
        part, unit = _normalised(groups[rows])
        low, high = part.min(axis=1, initial=0), part.max(axis=1, initial=0)
        best = np.zeros(len(part), np.float32)
        for down, up in pairs:
            scale = ((high * up - low * down) / top).astype(np.float32)
            zero = np.clip(np.rint(-low * down / _safe(scale)), 0, top).astype(np.uint8)
            values = snap_range(part, scale, zero, bits).astype(np.float32) - zero[:, None]
            better = _keep_better(part, values, best, scales[rows])
            zeros[rows][better] = zero[better]
        scales[rows] *= unit
    return scales, zeros


def snap_range(groups: np.ndarray, scales: np.ndarray, zeros: np.ndarray, bits: int) -> np.ndarray:
    """Return codes, uint8 [G, n], of the weights with these scales, [G], and zero points, [G]."""
    safe = _safe(scales)
    codes = np.empty(groups.shape, np.uint8)
    for rows in _chunks(groups):
        shifted = np.rint(groups[rows] / safe[rows, None]) + zeros[rows, None]
        codes[rows] = np.clip(shifted, 0, (1 << bits) - 1)
    return codes


def _chunks(groups: np.ndarray) -> Iterator[slice]:
    step = max(1, _CHUNK // max(1, groups.shape[1]))
    return (slice(start, start + step) for start in range(0, len(groups), step))


def _normalised(part: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return ``part`` with 1 as the largest magnitude of each group, so that no square overflows, and what it was."""
    largest = np.abs(part).max(axis=1, initial=0)
    unit: np.ndarray = np.where(largest == 0, np.float32(1), largest)
    return part / unit[:, None], unit


def _safe(scales: np.ndarray) -> np.ndarray:
    """Return the scales with 1 in the place of those too small to divide by; what they multiply rounds to zero."""
    safe: np.ndarray = np.where(np.abs(scales) < np.finfo(np.float32).tiny, np.float32(1), scales)
    return safe


def _nearest(levels: np.ndarray) -> np.ndarray:
    """Return float32 [256]: for each integer from -128 on, the level nearest to it."""
    wide = levels.astype(np.float32)
    middles = (wide[1:] + wide[:-1]) / 2
    nearest: np.ndarray = wide[np.searchsorted(middles, np.arange(-128, 128))]
    return nearest


def _snap(part: np.ndarray, scales: np.ndarray, table: np.ndarray) -> np.ndarray:
    places = np.rint(part / _safe(scales)[:, None])
    np.clip(places, -128, 127, out=places)
    places += 128
    snapped: np.ndarray = table.take(places.astype(np.uint8))
    return snapped


def _keep_better(part: np.ndarray, values: np.ndarray, best: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Take the scales of ``values`` where they lose less than the best so far; return where, bool [G]."""
    products = np.einsum("gn,gn->g", part, values)
    squares = np.einsum("gn,gn->g", values, values)
    scale = products / np.where(squares == 0, np.float32(1), squares)
    gain = products * scale
    better: np.ndarray = gain > best
    best[better] = gain[better]
    scales[better] = scale[better]
    return better
