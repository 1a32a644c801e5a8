"""Where a request goes: to the function's own model, or out by the door.

A request that is decoded has passed every check of its own, so that no mistake of a caller ever leaves. Before the
model runs, the first rule whose bound the request is above sends it out; after it has run, doubtful rows go.
"""

from __future__ import annotations

from time import perf_counter

from coldpress_runtime.fallback.doubt import count_rows
from coldpress_runtime.fallback.question import body_of
from coldpress_runtime.fallback.share import identity, is_in_share
from coldpress_runtime.tensor import Tensor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from coldpress_runtime.http import Request
    from coldpress_runtime.signature import ValueInfo

__all__ = ["Policy"]

_SIZES = ("batch", "sequence", "elements", "bytes", "time")
_RECENT = 0.25  # of what a row is expected to take, the share that the last run has
_SPARE = 1.5  # times what a run is expected to take is kept for it


class Policy:
    """The rules of one function.

    Attributes:
        rules: their bounds by name.
        row_ms: milliseconds that a row took of late; None before the first run.
    """

    def __init__(self, rules: Mapping[str, float], inputs: Mapping[str, ValueInfo]) -> None:
        self.rules = rules
        self.row_ms: float | None = None
        self._inputs = inputs

    def before(self, request: Request, inputs: Mapping[str, Any], ends: float) -> str | None:
        """The rule that sends a request out before anything has run; None for none of them."""
        for name in _SIZES:
            if name in self.rules and self._size(name, request, inputs, ends) > self.rules[name]:
                return name
        return "canary" if self._falls("canary", request) else None

    def shadows(self, request: Request) -> bool:
        """Whether the endpoint is asked beside the function's model."""
        return self._falls("shadow", request)

    def rows(self, inputs: Mapping[str, Any]) -> int:
        """How many rows a request has; the longest first axis that is open where its inputs disagree, else 1."""
        shared = count_rows(inputs, self._inputs)
        if shared is not None:
            return shared
        shapes = [
            (self._inputs[name].shape, value.shape) for name, value in inputs.items() if isinstance(value, Tensor)
        ]
        return max((shape[0] for axes, shape in shapes if shape and type((axes or (None,))[0]) is not int), default=1)

    def expected(self, inputs: Mapping[str, Any]) -> float:
        """Seconds that the function's model is expected to take; 0 before the first run."""
        return (self.row_ms or 0.0) * self.rows(inputs) / 1e3

    def took(self, rows: int, milliseconds: float) -> None:
        """Learn from a run."""
        row_ms = milliseconds / max(rows, 1)
        self.row_ms = row_ms if self.row_ms is None else self.row_ms + _RECENT * (row_ms - self.row_ms)

    def spare(self, inputs: Mapping[str, Any], ends: float) -> float:
        """Seconds to keep from the endpoint, so that the function's model can still answer; 0 where it could not."""
        seconds = _SPARE * self.expected(inputs)
        return seconds if seconds < (ends - perf_counter()) / 2 else 0.0

    def fits(self, inputs: Mapping[str, Any], ends: float) -> bool:
        """Whether the function's model can be expected to answer in time."""
        left = ends - perf_counter()
        return left > 0 and self.expected(inputs) <= left

    def _size(self, name: str, request: Request, inputs: Mapping[str, Any], ends: float) -> float:
        if name == "batch":
            return self.rows(inputs)
        if name == "bytes":
            return len(body_of(request))
        if name == "time":
            return self.expected(inputs) / max(ends - perf_counter(), 1e-9)
        tensors = [(self._inputs[key].shape, value) for key, value in inputs.items() if isinstance(value, Tensor)]
        if name == "elements":
            return sum(tensor.size for _, tensor in tensors)
        return max((_longest(axes, tensor.shape) for axes, tensor in tensors), default=0)

    def _falls(self, name: str, request: Request) -> bool:
        share = self.rules.get(name, 0.0)
        return share > 0 and is_in_share(name, identity(request.headers), share)


def _longest(axes: tuple[int | str | None, ...], shape: tuple[int, ...]) -> int:
    """The longest axis that the signature leaves open beside the first; any beside it where it does not say."""
    axes = axes or (None,) * len(shape)
    open_axes = [size for axis, size in zip(axes, shape, strict=True) if type(axis) is not int]
    return max(open_axes[1:] if type((axes or (0,))[0]) is not int else open_axes, default=0)
