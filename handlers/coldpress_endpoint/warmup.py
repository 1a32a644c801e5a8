"""The runs before the first request: they warm the engine up, and find out whether and how far to batch.

The inputs are made up from the signature: random numbers, small whole numbers, empty texts; open axes are tried at a
few usual lengths until the model runs. A model is batched only if several rows together give what each gives alone,
within a tolerance: one that scales by the largest value of its whole input, or draws random numbers, or whose outputs
have no row for each of the input's, is not. Unless the settings say how far, it is batched only if that is also
quicker a row.
"""

from __future__ import annotations

import sys
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from coldpress_endpoint.batching import join, split
from coldpress_endpoint.engine import Engine
from coldpress_runtime.errors import RunError

__all__ = ["Warmth", "warm_up"]

_LENGTHS = (8, 1, 16, 32, 64, 224)  # of open axes behind the first
_MOST = 1 << 24  # elements of one made-up input: no warm-up shall fill the memory
_ROWS = 8
_DEFAULT = 32
_GAIN = 1.15  # how much quicker a row must be in a batch to be worth the wait


class Warmth(NamedTuple):
    """What the warm-up found: rows that may run together, and what a run of one row takes in seconds."""

    max_batch: int
    seconds: float


def warm_up(engine: Engine, wanted: int | None) -> Warmth:
    """Run the model on made-up inputs; ``wanted`` is how far to batch at most, None where it is to be measured.

    A model that cannot run on made-up inputs can still answer real ones, so that failure is only logged.
    """
    rng = np.random.default_rng(0)
    batched = _has_batch_axis(engine)
    for length in _LENGTHS:
        requests = [_make_up(engine, rng, length) for _ in range(_ROWS if batched else 1)]
        if any(request is None for request in requests):
            return Warmth(1, float("inf"))
        try:
            singles = [engine.run(request) for request in requests]  # type: ignore[arg-type]
            break
        except RunError as error:
            reason = str(error)
    else:
        sys.stderr.write(f"coldpress: the warm-up run failed, so requests will not be batched: {reason}\n")
        return Warmth(1, float("inf"))
    seconds = _best(engine, requests[0])
    if not batched or wanted == 1:
        return Warmth(1, seconds)
    whole = join(requests)  # type: ignore[arg-type]
    try:
        parts = split(engine.run(whole), [1] * _ROWS)
    except (RunError, ValueError, TypeError) as error:
        sys.stderr.write(f"coldpress: rows do not run together, so requests will not be batched: {error}\n")
        return Warmth(1, seconds)
    if not all(map(_alike, singles, parts)):
        sys.stderr.write("coldpress: rows answer otherwise together than alone, so requests will not be batched.\n")
        return Warmth(1, seconds)
    if wanted is not None:
        return Warmth(wanted, seconds)
    gain = _ROWS * seconds / _best(engine, whole)
    return Warmth(_DEFAULT if gain >= _GAIN else 1, seconds)


def _has_batch_axis(engine: Engine) -> bool:
    """Whether the signature lets rows be added: all tensors, and the first axis of each open."""
    each = (*engine.inputs, *engine.outputs)
    return all(one.info.kind == "tensor" and one.shape[:1] == (-1,) for one in each) and bool(engine.inputs)


def _make_up(engine: Engine, rng: np.random.Generator, length: int) -> dict[str, Any] | None:
    """Inputs of one row; None where nothing can be made up."""
    inputs: dict[str, Any] = {}
    for name, _, axes, info in engine.inputs:
        if info.kind == "optional":
            continue
        if info.kind != "tensor" or info.dtype is None:
            return None
        shape = tuple(axis if axis >= 0 else (length if place else 1) for place, axis in enumerate(axes))
        if np.prod(shape, dtype=float) > _MOST:
            return None
        kind = np.dtype(info.dtype.numpy).kind
        if kind == "O":
            inputs[name] = np.full(shape, "", object)
        elif kind in "iub":
            inputs[name] = rng.integers(0, 2, shape).astype(info.dtype.numpy)
        else:
            inputs[name] = np.asarray(rng.random(shape)).astype(info.dtype.numpy)
    return inputs


def _best(engine: Engine, inputs: Any) -> float:
    """What a run takes, in seconds, when nothing comes between."""
    best = float("inf")
    for _ in range(3):
        start = perf_counter()
        engine.run(inputs)
        best = min(best, perf_counter() - start)
    return best


def _alike(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(_same(np.asarray(value), np.asarray(other[name])) for name, value in one.items())


def _same(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> bool:
    if one.shape != other.shape:
        return False
    if one.dtype.kind not in "fc":
        return bool((one == other).all())
    scale = float(np.abs(one[np.isfinite(one)]).max(initial=1e-6))
    tolerance = 1e-2 if one.dtype.itemsize < 4 else 1e-4
    return bool(np.allclose(one, other, rtol=tolerance, atol=tolerance * scale, equal_nan=True))
