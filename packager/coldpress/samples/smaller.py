"""The smallest request that a model still runs on, cut out of one that is known to work.

A warm-up run faults the weights in, fills the caches and starts what starts late; all of that happens on a small image
or a short text too. A run at full size only makes the caller of a cold function wait for one answer more: for a
320x320 object detector 20 ms of 100.
"""

import time
from collections.abc import Iterator, Mapping
from typing import Any

from coldpress.errors import SamplesError
from coldpress.reference import Reference
from coldpress.signature import Signature

__all__ = ["smallest_request"]

_SIZES = (4, 8, 16, 32, 48, 64, 128, 256)  # not 1: a matrix of one row takes another way through the kernels

Axis = tuple[str, int]  # an input's name and one of its axes


def smallest_request(reference: Reference, request: Mapping[str, Any], *, budget_s: float = 5.0) -> dict[str, Any]:
    """Cut the open dimensions of ``request`` as far as the model still runs and answers.

    Args:
        reference: The model, open in the plain binding.
        request: Inputs by name that it runs on; numpy arrays are cut, everything else stays.
        budget_s: Stop cutting after this many seconds.

    Returns:
        A request in which every array is the beginning of the one in ``request``; ``request`` itself where nothing can
        be cut. The answer to it has the kinds, types and ranks of the answer to ``request``, and is empty only where
        that is.
    """
    deadline = time.monotonic() + budget_s
    wanted = _outline(reference.run(request))
    best = dict(request)
    for axes in _groups(reference.signature, best):
        size = max(best[name].shape[axis] for name, axis in axes)
        for smaller in _SIZES:
            if smaller >= size or time.monotonic() > deadline:
                break
            cut = _cut(best, axes, smaller)
            try:
                answer = reference.run(cut, timeout_s=max(0.1, deadline - time.monotonic()))
            except SamplesError:
                continue
            if _outline(answer) == wanted:
                best = cut
                break
    return best


def _groups(signature: Signature, request: Mapping[str, Any]) -> Iterator[tuple[Axis, ...]]:
    """Yield the axes to cut together: those that bear one name, then unnamed ones of one size, then each by itself."""
    named: dict[str, list[Axis]] = {}
    sized: dict[int, list[Axis]] = {}
    for port in signature.inputs:
        value = request.get(port.name)
        shape = getattr(value, "shape", None)
        if port.kind != "tensor" or port.shape is None or shape is None or len(shape) != len(port.shape):
            continue
        for axis, dimension in enumerate(port.shape):
            if isinstance(dimension, int) or shape[axis] < 2:
                continue
            named.setdefault(dimension, []).append((port.name, axis)) if dimension else None
            sized.setdefault(shape[axis], []).append((port.name, axis))
    yield from map(tuple, named.values())
    yield from map(tuple, sized.values())
    for axes in sized.values():
        yield from ((axis,) for axis in axes)


def _cut(request: Mapping[str, Any], axes: tuple[Axis, ...], size: int) -> dict[str, Any]:
    """Keep the first ``size`` along every axis of ``axes``."""
    import numpy as np

    result = dict(request)
    for name, axis in axes:
        keep = [slice(None)] * result[name].ndim
        keep[axis] = slice(size)
        result[name] = np.ascontiguousarray(result[name][tuple(keep)])
    return result


def _outline(value: Any) -> Any:
    """Keep kinds, element types, ranks, and whether there is anything in it."""
    if isinstance(value, dict):
        return {key: _outline(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_outline(item) for item in value[:1]]
    shape = getattr(value, "shape", ())
    return (str(getattr(value, "dtype", type(value).__name__)), len(shape), 0 in shape)
