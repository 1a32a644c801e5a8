"""Errors as responses: one sentence to the caller, the traceback to the log."""

from __future__ import annotations

import os
import sys

from coldpress_runtime.errors import ColdpressError, DoorError, LateError, MethodNotAllowedError
from coldpress_runtime.http import Response
from coldpress_runtime.json_text import dump

__all__ = ["failure", "refusal"]


def refusal(error: ColdpressError) -> Response:
    """The response to an error that coldpress raised on purpose."""
    headers = {"Content-Type": "application/json"}
    if isinstance(error, MethodNotAllowedError):
        headers["Allow"] = ", ".join(error.allow)
    if retry_after := getattr(error, "retry_after", None):
        headers["Retry-After"] = str(retry_after)
    if isinstance(error, LateError):
        headers["Connection"] = "close"  # nobody waits for the rest
    if error.status >= 500 and not isinstance(error, DoorError):  # an endpoint that is away is no bug: a line will do
        _log(error, "")
    return Response(error.status, headers, dump({"error": str(error)}), error)


def failure(error: Exception) -> Response:
    """The response to an error that nobody foresaw: an opaque id that finds the traceback in the log."""
    identity = os.urandom(6).hex()
    _log(error, f"internal error {identity}: ")
    message = f"Internal error {identity}; the function's log has the details."
    return Response(500, {"Content-Type": "application/json"}, dump({"error": message}), ColdpressError(message))


def _log(error: Exception, prefix: str) -> None:
    import traceback  # noqa: PLC0415 - rare

    # A hook's exception may quote the caller, and Lambda makes an event of every line: none shall pass for ours.
    text = "".join(traceback.format_exception(error)).rstrip().replace("\n", "\n  | ")
    sys.stderr.write(f"coldpress: {prefix}{text}\n")
    sys.stderr.flush()
