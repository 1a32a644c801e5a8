"""A request on its way to a model, whichever of the two it will be."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from coldpress_runtime.http import Request, Response, Timings

__all__ = ["Call"]


class Call:
    """A decoded request on its way to the model.

    Attributes:
        request: what it was decoded from.
        path: what it asks for: ``/predict``, or the model's ``infer``.
        inputs: what the engine takes, by name.
        outputs: the names of the outputs asked for; None for all of them.
        encode: makes the response of what the engine returns.
        timings: of this request.
        ends: when the answer must be there, as ``perf_counter()`` tells the time.
    """

    __slots__ = ("encode", "ends", "inputs", "outputs", "path", "request", "timings")

    def __init__(
        self,
        request: Request,
        path: str,
        inputs: dict[str, Any],
        outputs: list[str] | None,
        encode: Callable[[dict[str, Any]], Response],
        timings: Timings,
        ends: float,
    ) -> None:
        self.request = request
        self.path = path
        self.inputs = inputs
        self.outputs = outputs
        self.encode = encode
        self.timings = timings
        self.ends = ends
