"""What JSON events of several providers have in common: bodies, headers, direct calls, replies."""

from __future__ import annotations

import json
from binascii import a2b_base64, b2a_base64

from coldpress_runtime.errors import ColdpressError, RequestError
from coldpress_runtime.http import Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from coldpress_runtime.http import Response

    Event = dict[str, Any]

__all__ = [
    "bare",
    "body_of",
    "direct",
    "document_of",
    "headers_of",
    "is_ping",
    "quote",
    "reply_of",
    "without_base_path",
]

_UNRESERVED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
_PINGS = ({"coldpress": "ping"}, {"warmer": True}, {"source": "serverless-plugin-warmup"})


def is_ping(event: Event) -> bool:
    """Whether an event of somebody's own only keeps the function warm."""
    return any(event.items() >= ping.items() for ping in _PINGS if event.keys() >= ping.keys())


def body_of(event: Event) -> bytes:
    """The bytes of an event's ``body``, which ``isBase64Encoded`` may say is base64."""
    body = event.get("body") or ""
    if event.get("isBase64Encoded"):
        try:
            return a2b_base64(body, strict_mode=True)
        except ValueError:
            raise RequestError("The body is not valid base64, as the event's isBase64Encoded says.") from None
    return str.encode(body)


def headers_of(event: Event) -> dict[str, str]:
    """An event's ``headers``, their names in lower case."""
    return {name.lower(): value for name, value in (event.get("headers") or {}).items() if value is not None}


def without_base_path(path: str) -> str:
    """Drop what a custom domain's mapping (``v2``, say) or stage puts in front of a route.

    Nothing in an event says what that is, so the route is looked for instead.
    """
    for start in ("/v2/models/", "/v2/health/"):
        place = path.find(start)
        if place >= 0:
            return path[place:]
    plain = path.rstrip("/")
    return next((end for end in ("/predict", "/openapi.json", "/v2") if plain.endswith(end)), path)


def quote(text: str) -> str:
    """Percent-encode all but RFC 3986's unreserved characters."""
    return "".join(chr(byte) if byte in _UNRESERVED else f"%{byte:02X}" for byte in text.encode())


def direct(event: Any, model: str) -> Request:
    """The request of a direct call: a body for ``/predict`` or ``infer``, or ``{"path": ..., "body": ...}``."""
    if type(event) is dict and type(event.get("path")) is str:
        body = event.get("body")
        method = event.get("method", "GET" if body is None else "POST")
        headers = headers_of(event)
        if body is None or type(body) is str:
            return Request(method.upper(), event["path"], headers, body_of(event), event.get("query", ""))
        return Request(method.upper(), event["path"], headers, document=body)
    protocol = type(event) is dict and type(event.get("inputs")) is list
    return Request("POST", f"/v2/models/{model}/infer" if protocol else "/predict", document=event)


def document_of(response: Response) -> Any:
    """What a direct caller gets: the JSON document itself, or a reply as from a gateway where there is none."""
    if response.is_json:
        try:
            return json.loads(response.body)
        except ValueError:  # none at all, to HEAD, or what a hook takes for JSON
            pass
    return reply_of(response)


def reply_of(response: Response) -> Event:
    """A response in the shape that gateways take back, its body in base64 where it is no text."""
    text = _text(response)
    return {
        "statusCode": response.status,
        "headers": response.headers,
        "body": b2a_base64(response.body, newline=False).decode() if text is None else text,
        "isBase64Encoded": text is None,
    }


def bare(error: Exception) -> Exception:
    """The error without its traceback and its cause: the log has them, and a direct caller sees what is raised."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None) if isinstance(error, ColdpressError) else ColdpressError(str(error))


def _text(response: Response) -> str | None:
    """The body as text, or None for what must travel in base64."""
    if response.body and not response.is_json and not response.headers.get("Content-Type", "").startswith("text/"):
        return None
    try:
        return response.body.decode()
    except UnicodeDecodeError:  # a hook's text in another charset
        return None
