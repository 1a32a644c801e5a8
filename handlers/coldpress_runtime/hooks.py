"""The user's own two functions around the model, for ``POST /predict``.

``hooks.py`` in the bundle may define either or both:

``preprocess(request) -> dict``
    Gets the :class:`~coldpress_runtime.http.Request`: ``request.json()`` is the parsed body, ``request.body`` its raw
    bytes (an uploaded image, say), ``request.headers`` a dict with lower-case names, ``request.query`` the query
    string. Returns a dict of input name -> value; a value is a :class:`~coldpress_runtime.tensor.Tensor`, a numpy
    array, or nested lists as in plain JSON.

``postprocess(outputs) -> object``
    Gets a dict of output name -> Tensor (``.tolist()``, ``.flat()``, ``.numpy()``, ``.shape``), or list or dict for
    sequences and maps. Returns what is to be sent as JSON (numpy arrays and Tensors in it become lists), or a
    :class:`~coldpress_runtime.http.Response` to choose status, headers and body.

A hook that finds the caller at fault raises ``coldpress_runtime.errors.RequestError`` (or a subclass, for another
4xx) with a sentence for the caller. Anything else that escapes a hook is a
:class:`~coldpress_runtime.errors.HookError`: 500, one sentence, the traceback in the log only.
"""

from __future__ import annotations

import sys
from binascii import b2a_base64

from coldpress_runtime.errors import HookError, RequestError
from coldpress_runtime.http import Response
from coldpress_runtime.json_tensors import check_shape, read_nested
from coldpress_runtime.json_text import Constant, describe, dump
from coldpress_runtime.tensor import Tensor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from coldpress_runtime.http import Request
    from coldpress_runtime.ort import ValueInfo

__all__ = ["Hooks"]

_FRAMING = {"content-length", "transfer-encoding", "connection"}  # for whoever sends the answer to say
_MARKS = "!#$%&'*+-.^_`|~"  # that a header's name may hold beside letters and digits (RFC 9110)


class Hooks:
    """The loaded hooks; ``preprocess`` and ``postprocess`` are None where the user wrote none."""

    __slots__ = ("_module", "postprocess", "preprocess")

    def __init__(self, module: Any) -> None:
        self._module = module
        self.preprocess: Callable[[Any], Any] | None = _function(module, "preprocess")
        self.postprocess: Callable[[Any], Any] | None = _function(module, "postprocess")
        if self.preprocess is None and self.postprocess is None:
            raise HookError("hooks.py defines neither preprocess(request) nor postprocess(outputs); define one.")

    @classmethod
    def load(cls, path: str, root: str) -> Hooks:
        """Import a hooks file; ``root``, where its packages lie, joins ``sys.path``. Raises HookError."""
        from importlib.machinery import ModuleSpec, SourceFileLoader  # noqa: PLC0415 - only bundles with hooks

        if root not in sys.path:
            sys.path.append(root)
        loader = SourceFileLoader("coldpress_hooks", path)
        spec = ModuleSpec(loader.name, loader, origin=path)
        spec.has_location = True
        module = type(sys)(loader.name)
        module.__spec__, module.__file__, module.__loader__ = spec, path, loader
        sys.modules[loader.name] = module  # pickles and dataclasses look their module up by name
        try:
            loader.exec_module(module)
        except (Exception, SystemExit) as error:
            raise HookError(f"hooks.py cannot be imported: {_one_line(error)}.") from error
        return cls(module)

    def inputs(self, request: Request, infos: Mapping[str, ValueInfo]) -> dict[str, Any]:
        """Run ``preprocess`` and check what it returned against the signature; raises RequestError or HookError."""
        assert self.preprocess is not None  # noqa: S101 - callers look first
        method, path, body = request.method, request.path, request.body
        try:
            values = _call(self.preprocess, "preprocess", request)
        finally:  # a hook may do as it likes with its request; the log tells of the one that came
            request.method, request.path, request.body = method, path, body
        if not isinstance(values, dict) or values.keys() != infos.keys():
            found = sorted(map(str, values)) if isinstance(values, dict) else type(values).__name__
            raise HookError(f"preprocess returned {found}, expected a dict with the inputs {sorted(infos)}.")
        return {name: _value(value, infos[name]) for name, value in values.items()}

    def response(self, outputs: dict[str, Any]) -> Response:
        """Run ``postprocess``, and make what it returned a response; raises RequestError or HookError."""
        assert self.postprocess is not None  # noqa: S101 - callers look first
        result = _call(self.postprocess, "postprocess", outputs)
        if isinstance(result, Response):
            return _checked(result)
        try:
            return Response(200, {"Content-Type": "application/json"}, dump(result))
        except (TypeError, ValueError, RecursionError) as error:
            raise HookError(f"postprocess returned what JSON cannot hold: {error}.") from error


def _function(module: Any, name: str) -> Callable[[Any], Any] | None:
    found = getattr(module, name, None)
    if found is not None and not callable(found):
        raise HookError(f"hooks.py defines {name} as a {type(found).__name__}, expected a function.")
    return found


def _one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


def _call(function: Callable[[Any], Any], name: str, argument: Any) -> Any:
    try:
        return function(argument)
    except RequestError:
        raise
    except BaseException as error:  # asyncio's CancelledError, too, would end the process
        # The exception's own text may hold the caller's data or a path: it goes to the log with the traceback.
        raise HookError(f"{name} in hooks.py failed with {type(error).__name__}; the log has the details.") from error


def _value(value: Any, info: ValueInfo) -> Any:
    try:
        if info.kind == "tensor" and info.dtype is not None:
            if hasattr(value, "__array_interface__") and value.dtype.kind != "O":
                value = Tensor.from_numpy(_as_dtype(value, info.dtype.numpy), info.dtype)
            if isinstance(value, Tensor):
                if value.dtype is not info.dtype:
                    raise HookError(
                        f"preprocess returned {value.dtype.name} for input {info.name!r}, expected {info.dtype.name}."
                    )
                check_shape(value.shape, info)
                return value
        return read_nested(_as_json(value), info)
    except (RequestError, ValueError, OverflowError, RecursionError) as error:  # the hook's own slip, not the caller's
        raise HookError(f"preprocess returned a value that does not fit: {error}") from error


def _checked(response: Response) -> Response:
    """A hook's own response, with each field of the kind that adapters count on; raises HookError."""
    status, headers, body = response.status, response.headers, response.body
    if type(status) is not int or not 200 <= status <= 599:
        raise HookError(f"postprocess returned a Response with status {status!r}, expected a number from 200 to 599.")
    if type(headers) is not dict or any(type(text) is not str for pair in headers.items() for text in pair):
        raise HookError("postprocess returned a Response whose headers are not a dict of str to str.")
    if not isinstance(body, (bytes, bytearray, memoryview)):
        raise HookError(f"postprocess returned a Response whose body is a {type(body).__name__}, expected bytes.")
    return Response(status, _headers(headers), b"" if status in {204, 304} else bytes(body))


def _headers(headers: dict[str, str]) -> dict[str, str]:
    """A hook's headers, such as every provider's server can send them; raises HookError."""
    sound = {}
    for name, text in headers.items():
        plain = name.isascii() and name and all(mark.isalnum() or mark in _MARKS for mark in name)
        if not plain or any((mark < " " and mark != "\t") or mark == "\x7f" for mark in text):
            raise HookError(
                f"postprocess returned a Response with the header {describe(name)}, whose name or value holds what no "
                "header can."
            )
        key = name.lower()
        if key not in _FRAMING:  # adapters look for the one name that they need as RFC 9110 spells it
            name = "Content-Type" if key == "content-type" else name  # noqa: PLW2901 - the same, spelled
            sound[name] = text.encode("latin-1", "replace").decode("latin-1")
    return sound


def _as_json(value: Any) -> Any:
    """Lists as they would have come from JSON: tuples, numpy's scalars and Python's infinities are welcome here."""
    if isinstance(value, (list, tuple)):
        return [_as_json(item) for item in value]
    if isinstance(value, dict):
        return {key: _as_json(item) for key, item in value.items()}
    if isinstance(value, bytes):
        return {"b64": b2a_base64(value, newline=False).decode()}
    if isinstance(value, Tensor) or hasattr(value, "__array_interface__"):
        return _as_json(value.tolist())
    return Constant(value) if isinstance(value, float) and value - value != 0 else value


def _as_dtype(array: Any, name: str) -> Any:
    """Cast within a kind, float64 to float32 say, because numpy's arithmetic widens; never floats to integers."""
    if not name or array.dtype == name or array.dtype.kind in "OSU":
        return array
    try:
        return array.astype(name, casting="same_kind")
    except TypeError:
        raise HookError(f"preprocess returned a {array.dtype} array, expected {name}.") from None
