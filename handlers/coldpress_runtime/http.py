"""A request and a response, as every adapter hands them to the service and takes them back.

Nothing here knows a cloud: an adapter turns its event into a :class:`Request`, and a :class:`Response` into the
answer its provider expects.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from coldpress_runtime.fallback.marks import Marks

__all__ = ["REASONS", "Request", "Response", "Timings", "ends_by"]

#: Reason phrases of the statuses the service answers with (RFC 9110), for adapters whose provider asks for them.
REASONS = {
    200: "OK",
    202: "Accepted",
    204: "No Content",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}

_UNPARSED = object()


def ends_by(start: float, seconds: float) -> float:
    """When an answer must be there that may take ``seconds`` from ``start``, a value of ``perf_counter()``, on.

    A tenth, or half a second where that is less, is left to whoever carries the answer home.
    """
    return start + seconds - min(0.5, seconds / 10)


class Request:
    """One HTTP request.

    Attributes:
        method: in capitals, ``"POST"``.
        path: without the query, starting with ``/``, without any stage or base path of the provider.
        headers: names in lower case; several values of one name joined by a comma, as gateways do.
        body: the bytes as sent, still compressed if ``content-encoding`` says so; the service inflates them before
            a hook sees them.
        query: what follows the ``?``, as sent.
        ends: when the answer must be there, as ``perf_counter()`` tells the time; None where the adapter does not know.
        at_once: whether nobody may be waited for.
    """

    __slots__ = ("_document", "at_once", "body", "ends", "headers", "method", "path", "query")

    def __init__(
        self,
        method: str,
        path: str,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        query: str = "",
        document: Any = _UNPARSED,
    ) -> None:
        self.method = method
        self.path = path
        self.headers = headers if headers is not None else {}
        self.body = body
        self.query = query
        self.ends: float | None = None
        self.at_once = False
        self._document = document

    def json(self) -> Any:
        """The body as JSON, parsed once; raises ``RequestError`` when it is not."""
        if self._document is _UNPARSED:
            from coldpress_runtime.json_text import parse  # noqa: PLC0415 - a health check needs no JSON reader

            self._document = parse(self.body)
        return self._document


class Timings:
    """Where one request's time went, in milliseconds; what did not happen stays 0."""

    __slots__ = ("decode_ms", "encode_ms", "run_ms")

    def __init__(self) -> None:
        self.decode_ms = 0.0
        self.run_ms = 0.0
        self.encode_ms = 0.0

    def header(self) -> str:
        """The value of ``Server-Timing`` (W3C), which browsers show beside a request."""
        return f"decode;dur={self.decode_ms:.3f}, run;dur={self.run_ms:.3f}, encode;dur={self.encode_ms:.3f}"


class Response:
    """One HTTP response.

    Attributes:
        status: HTTP status code.
        headers: names spelled as in RFC 9110, one value each.
        body: bytes; JSON unless ``Content-Type`` says otherwise.
        timings: what the service measured on the way.
        error: what went wrong, for logs and for callers without HTTP; None when the status is below 400.
        marks: who answered and why, where there is an endpoint beside the function; else None.
    """

    __slots__ = ("body", "error", "headers", "marks", "status", "timings")

    def __init__(
        self,
        status: int,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        error: Exception | None = None,
    ) -> None:
        self.status = status
        self.headers = headers if headers is not None else {}
        self.body = body
        self.timings = Timings()
        self.error = error
        self.marks: Marks | None = None

    @property
    def is_json(self) -> bool:
        """Whether the body is JSON text."""
        return self.headers.get("Content-Type", "").startswith("application/json")
