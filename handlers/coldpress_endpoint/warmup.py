"""The runs before the first request: they warm the engine up, and find out whether and how far to batch.

The inputs are made up from the signature: random numbers, small whole numbers, empty texts; open axes are tried at a
few usual lengths until the model runs. A model is batched only if a row's answer is the same whatever runs beside it,
and that of the row alone but for what other kernels round: one that scales by the largest value of its whole input, or
draws random numbers, or whose outputs have no row for each of the input's, is not. Unless the settings say how far, it
is batched only if that is also quicker a row.
"""

from __future__ import annotations

import sys
from time import perf_counter, thread_time
from typing import Any, NamedTuple

import numpy as np

from coldpress_endpoint.batching import join, split
from coldpress_endpoint.engine import Engine
from coldpress_endpoint.signature import Signature
from coldpress_runtime.errors import RunError

__all__ = ["Warmth", "warm_up"]

_LENGTHS = (8, 1, 16, 32, 64, 224)  # of open axes behind the first
_MOST = 1 << 24  # elements of one made-up input: no warm-up shall fill the memory
_ROWS = 8
_WIDE = 120  # whole numbers below this are tried: within most vocabularies, and within a byte
_DEFAULT = 32
_ROUNDING = 1e-5  # of an output's largest value: what one kernel makes of the same row twice
_KERNELS = (
    2e-2  # likewise: what kernels for one row and for many make of it, TensorFloat-32 and half precision included
)
_GAIN = 1.15  # how much quicker a row must be in a batch to be worth the wait


class Warmth(NamedTuple):
    """What the warm-up found: rows that may run together, and what a run of one row takes in seconds."""

    max_batch: int
    seconds: float


def warm_up(engine: Engine, wanted: int | None) -> Warmth:
    """Run the model on made-up inputs; ``wanted`` is how far to batch at most, None where it is to be measured.

    A model that cannot run on made-up inputs can still answer real ones, so that failure is only logged.
    """
    try:
        maker = _Maker(engine)
        single = maker.row()
        engine.run(single)
    except RunError as error:
        _say(f"the warm-up run failed: {error}")
        return Warmth(1, float("inf"))
    if wanted == 1 or not _has_batch_axis(engine):
        return Warmth(1, min(_time(engine, single) for _ in range(3)))
    rows = [maker.row() for _ in range(_ROWS)]
    whole = join(rows)
    try:
        parts = split(engine.run(whole), [1] * _ROWS)
        others = [maker.row(times=4) for _ in range(_ROWS - 1)]
        beside = split(engine.run(join([rows[0], *others])), [1] * _ROWS)[0]
        same = _alike(parts[0], beside, _ROUNDING) and all(
            _alike(engine.run(row), part, _KERNELS) for row, part in zip(rows, parts, strict=True)
        )
        reason = "" if same else "a row's answer depends on the others."
    except (RunError, ValueError, TypeError) as error:
        reason = f"rows do not run together: {error}"
    times = [(_time(engine, single), _time(engine, whole) if not reason else 0.0) for _ in range(5)]
    alone, together = map(min, zip(*times, strict=True))
    if reason:
        _say(reason)
        return Warmth(1, alone)
    if wanted is None:
        wanted = _DEFAULT if _ROWS * alone >= _GAIN * together else 1
    if wanted > _ROWS:  # the engine's memory grows now, and TensorRT learns how many rows there may be
        try:
            engine.run(join([rows[place % _ROWS] for place in range(wanted)]))
        except RunError as error:
            sys.stderr.write(f"coldpress: {wanted} rows do not run together, so {_ROWS} will at most: {error}\n")
            wanted = _ROWS
    return Warmth(wanted, alone)


def _say(reason: str) -> None:
    sys.stderr.write(f"coldpress: requests of this model will not be batched: {reason}\n")


def _has_batch_axis(engine: Engine) -> bool:
    """Whether the signature lets rows be added: all tensors, and the first axis of each open."""
    each = (*engine.inputs, *engine.outputs)
    return all(one.info.kind == "tensor" and one.shape[:1] == (-1,) for one in each) and bool(engine.inputs)


class _Maker:
    """Makes inputs up: of one row, with axes of a length and whole numbers of a range that the model runs on.

    Raises RunError when there is no such length.
    """

    def __init__(self, engine: Engine) -> None:
        self._inputs = [each for each in engine.inputs if each.info.kind != "optional"]
        self._rng = np.random.default_rng(0)
        self._length = 0
        self._range = {each.name: 2 for each in self._inputs}
        for place, length in enumerate(_LENGTHS, 1):
            self._length = length
            try:
                engine.run(self.row())
                break
            except RunError:
                if place == len(_LENGTHS):
                    raise
        # Few different numbers make rows that are much alike, and hide what one row does to another.
        for each in self._inputs:
            if "INT" in each.datatype:
                self._range[each.name] = _WIDE
                try:
                    fine = all(map(_is_finite, engine.run(self.row()).values()))
                except RunError:  # an index beyond a table
                    fine = False
                if not fine:
                    self._range[each.name] = 2

    def row(self, times: float = 1) -> dict[str, Any]:
        """One row of random numbers, floats up to ``times`` as large."""
        return {each.name: self._array(each, times) for each in self._inputs}

    def _array(self, each: Signature, times: float) -> Any:
        shape = tuple(axis if axis >= 0 else (self._length if place else 1) for place, axis in enumerate(each.shape))
        if each.info.kind != "tensor" or each.info.dtype is None or np.prod(shape, dtype=float) > _MOST:
            raise RunError(f"nothing can be made up for input {each.name!r}.")
        dtype = each.info.dtype.numpy
        kind = np.dtype(dtype).kind
        if kind == "O":
            return np.full(shape, "", object)
        if kind in "iub":
            return self._rng.integers(0, self._range[each.name], shape).astype(dtype)
        return np.asarray(self._rng.random(shape) * times).astype(dtype)


def _is_finite(value: Any) -> bool:
    return not isinstance(value, np.ndarray) or value.dtype.kind != "f" or bool(np.isfinite(value).all())


def _time(engine: Engine, inputs: Any) -> float:
    clock = thread_time if engine.provider == "cpu" else perf_counter  # not what others on the machine make it wait for
    start = clock()
    engine.run(inputs)
    return clock() - start


def _alike(one: dict[str, Any], other: dict[str, Any], tolerance: float) -> bool:
    return all(_same(value, other[name], tolerance) for name, value in one.items())


def _same(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any], tolerance: float) -> bool:
    if one.shape != other.shape:
        return False
    if one.dtype.kind != "f":
        return bool((one == other).all())
    one, other = one.astype(float), other.astype(float)
    scale = float(np.abs(one[np.isfinite(one)]).max(initial=0.0))
    return bool(np.allclose(one, other, rtol=tolerance, atol=tolerance * scale, equal_nan=True))
