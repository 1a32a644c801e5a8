"""A request and a response, as every adapter hands them to the service and takes them back.

Nothing here knows a cloud: an adapter turns its event into a :class:`Request`, and a :class:`Response` into the
answer its provider expects.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["REASONS", "Request", "Response", "Timings"]

#: Reason phrases of the statuses the service answers with (RFC 9110), for adapters whose provider asks for them.
REASONS = {
    200: "OK",
    204: "No Content",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
}

_UNPARSED = object()


class Request:
    """One HTTP request.

    Attributes:
        method: in capitals, ``"POST"``.
        path: without the query, starting with ``/``, without any stage or base path of the provider.
        headers: names in lower case; several values of one name joined by a comma, as gateways do.
        body: the bytes as sent, still compressed if ``content-encoding`` says so; the service inflates them before
            a hook sees them.
        query: what follows the ``?``, as sent.
    """

    __slots__ = ("_document", "body", "headers", "method", "path", "query")

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
    """

    __slots__ = ("body", "error", "headers", "status", "timings")

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

    @property
    def is_json(self) -> bool:
        """Whether the body is JSON text."""
        return self.headers.get("Content-Type", "").startswith("application/json")
