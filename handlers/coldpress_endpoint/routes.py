"""What a protocol and the server say to each other: a call, an answer, and which path is whose."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple
from urllib.parse import unquote

from coldpress_runtime.errors import MethodNotAllowedError, NotFoundError
from coldpress_runtime.json_text import describe

__all__ = ["Answer", "Call", "Handler", "Route", "Router"]

_REMEMBERED = 1024  # paths that were found, kept so that the usual ones are found at once


class Call(NamedTuple):
    """One HTTP request, its body whole and inflated.

    Attributes:
        method: in capitals.
        path: as sent, without the query.
        params: what stands for the names in braces of the route's path, unescaped.
        query: what follows the ``?``, as sent.
        headers: names in lower case.
        body: bytes.
    """

    method: str
    path: str
    params: dict[str, str]
    query: str
    headers: dict[str, str]
    body: bytes


class Answer(NamedTuple):
    """One HTTP response; ``content-length`` is added to its headers."""

    status: int
    headers: dict[str, str]
    body: bytes


Handler = Callable[[Call], Awaitable[Answer]]


class Route(NamedTuple):
    """A handler and what it answers: ``Route("POST", "/v1/models/{name}:predict", handler)``.

    A name in braces stands for one or more characters without a slash.
    """

    method: str
    path: str
    handler: Handler


class Router:
    """Finds the route of a request. Where two fit a path, the one that was given first has it."""

    def __init__(self, routes: Iterable[Route]) -> None:
        found: dict[str, dict[str, Handler]] = {}
        for route in routes:
            found.setdefault(route.path, {}).setdefault(route.method, route.handler)
        self._patterns = [(_compile(path), handlers) for path, handlers in found.items()]
        self._known: dict[tuple[str, str], tuple[Handler, dict[str, str]]] = {}

    def find(self, method: str, path: str) -> tuple[Handler, dict[str, str]]:
        """Return who answers, and what stands for the names; raises NotFoundError, MethodNotAllowedError."""
        known = self._known.get((method, path))
        if known is not None:
            return known
        allowed: list[str] = []
        for pattern, handlers in self._patterns:
            match = pattern.fullmatch(path) or pattern.fullmatch(path.rstrip("/"))
            if match is None:
                continue
            handler = handlers.get("GET" if method == "HEAD" else method)
            if handler is None:
                allowed += handlers
                continue
            params = {name: unquote(text) for name, text in match.groupdict().items()}
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[method, path] = handler, params
            return handler, params
        if allowed:
            allow = (*dict.fromkeys(allowed), "OPTIONS")
            raise MethodNotAllowedError(f"{path} does not take {describe(method)}, only {', '.join(allow)}.", allow)
        raise NotFoundError(f"There is nothing at {describe(path)}; GET /openapi.json lists what is here.")


def _compile(path: str) -> re.Pattern[str]:
    pieces = re.split(r"\{(\w+)\}", path)
    names = {place for place in range(len(pieces)) if place % 2}
    return re.compile(
        "".join(f"(?P<{piece}>[^/]+?)" if place in names else re.escape(piece) for place, piece in enumerate(pieces))
    )
