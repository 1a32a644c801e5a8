"""A service without a model: the endpoint alone has it, and every request goes there.

Bodies are read here only where hooks want them read: what is wrong with one, the endpoint says.
"""

from __future__ import annotations

from coldpress_runtime.errors import DoorError
from coldpress_runtime.fallback.marks import Marks, failure_name
from coldpress_runtime.fallback.routed import RoutedService, mark
from coldpress_runtime.refusals import refusal
from coldpress_runtime.signature import ValueInfo
from coldpress_runtime.tensor import DTYPES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from coldpress_runtime.fallback.call import Call
    from coldpress_runtime.fallback.settings import Value
    from coldpress_runtime.http import Request, Response, Timings
    from coldpress_runtime.manifest import Manifest

__all__ = ["RemoteService"]


class _Elsewhere:
    """What is known of a model that is elsewhere: its signature, in the place of a session."""

    def __init__(self, inputs: Sequence[Value], outputs: Sequence[Value]) -> None:
        self.inputs = tuple(map(_info, inputs))
        self.outputs = tuple(map(_info, outputs))

    def close(self) -> None:
        """Nothing is open."""


def _info(value: Value) -> ValueInfo:
    return ValueInfo(value.name, "tensor", DTYPES[value.datatype], value.shape)


class RemoteService(RoutedService):
    """A function whose model is at the endpoint; hooks run here."""

    @staticmethod
    def load_engine(root: str, manifest: Manifest) -> str:  # noqa: ARG004 - there is none
        """Nothing: there is no engine in the bundle."""
        return ""

    @staticmethod
    def open_model(root: str, manifest: Manifest, library: str) -> tuple[Any, bool]:  # noqa: ARG004 - likewise
        """What the manifest says of the model."""
        assert manifest.fallback is not None  # noqa: S101 - or this were another class
        return _Elsewhere(manifest.fallback.inputs, manifest.fallback.outputs), False

    def warm_up(self) -> None:
        """There is no model to warm up."""

    def _infer(self, request: Request, timings: Timings) -> Response:
        self._body(request)
        return self._sized(self._run(request, self._infer_path, {}, None, _never, timings))

    def _predict(self, request: Request, timings: Timings) -> Response:
        if self.hooks is not None:
            return super()._predict(request, timings)
        self._body(request)
        return self._sized(self._run(request, "/predict", {}, None, _never, timings))

    def _route(self, call: Call) -> Response:
        marks = Marks("does-not-fit")
        marks.at_once = call.request.at_once
        try:
            response = self._asked(call, marks, call.ends)
        except DoorError as error:
            marks.failed = failure_name(error)
            response = refusal(error)
        return mark(response, marks)


def _never(values: dict[str, Any]) -> Response:
    raise AssertionError(f"{list(values)} came back from a request that was passed on as it is")
