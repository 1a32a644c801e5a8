"""What goes to a started function and what comes back, whichever provider runs it."""

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["CALLER", "Call", "HttpRequest", "Reply"]

CALLER = "203.0.113.10"
"""Whom requests come from: an address that is reserved for documentation."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One HTTP request: what a caller would send.

    Attributes:
        path: with its query string, if any (``/predict?x=1``).
        headers: names in any case; ``content-type`` defaults to ``application/json`` when there is a body.
    """

    method: str = "GET"
    path: str = "/"
    headers: Mapping[str, str] | None = None
    body: bytes = b""

    def all_headers(self) -> dict[str, str]:
        """Return the headers in lower case, with those that a client and the provider's front end always send."""
        headers = {name.lower(): value for name, value in (self.headers or {}).items()}
        if self.body:
            headers.setdefault("content-type", "application/json")
            headers.setdefault("content-length", str(len(self.body)))
        headers.setdefault("user-agent", "coldpress")
        headers.setdefault("x-forwarded-for", CALLER)
        headers.setdefault("x-forwarded-port", "443")
        headers.setdefault("x-forwarded-proto", "https")
        return headers


@dataclass(frozen=True, slots=True)
class Reply:
    """What the caller would get back; the names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a function: its reply, and the milliseconds from the request's going out to the reply's being in."""

    reply: Reply
    ms: float
