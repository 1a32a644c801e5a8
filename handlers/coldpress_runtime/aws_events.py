"""The shapes in which AWS hands a request to a function and takes its answer back.

From AWS's developer guides: API Gateway HTTP APIs (payload format 2.0) and function URLs, REST APIs (1.0),
Application Load Balancers, and direct invocation.
"""

from __future__ import annotations

import json
from binascii import a2b_base64, b2a_base64

from coldpress_runtime.errors import RequestError
from coldpress_runtime.http import REASONS, Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from coldpress_runtime.http import Response

    Event = dict[str, Any]

__all__ = ["decode", "encode", "kind_of", "reply_limit"]

_MB = 1024 * 1024
_AWS_DOMAINS = (".amazonaws.com", ".amazonaws.com.cn", ".on.aws")
_UNRESERVED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
_PINGS = ({"coldpress": "ping"}, {"warmer": True}, {"source": "serverless-plugin-warmup"})


def kind_of(event: Any) -> str:
    """Which of ``http-api`` (function URLs too), ``rest``, ``alb``, ``ping`` and ``direct`` an event is."""
    if type(event) is not dict:
        return "direct"
    context = event.get("requestContext")
    if type(context) is dict:
        if "http" in context and "rawPath" in event:
            return "http-api"
        if "httpMethod" in event:
            return "alb" if "elb" in context else "rest"
    if event.get("detail-type") == "Scheduled Event" and str(event.get("source")).startswith("aws."):
        return "ping"
    if any(event.items() >= ping.items() for ping in _PINGS if event.keys() >= ping.keys()):
        return "ping"
    return "direct"


def decode(kind: str, event: Any, model: str) -> Request:
    """Turn an event into a request; raises RequestError when the event is not what it seems to be."""
    read = {"http-api": _http_api, "rest": _rest, "alb": _rest}.get(kind)
    try:
        request = read(event) if read else _direct(event, model)
        texts = (request.method, request.path, request.query, *request.headers.values())
        sound = all(type(text) is str for text in texts)
    except (KeyError, TypeError, AttributeError, UnicodeEncodeError):
        sound = False
    if not sound:
        raise RequestError(f"The event is no {kind} event that AWS would send; is a field missing?")
    return request


def _body(event: Event) -> bytes:
    body = event.get("body") or ""
    if event.get("isBase64Encoded"):
        try:
            return a2b_base64(body, strict_mode=True)
        except ValueError:
            raise RequestError("The body is not valid base64, as the event's isBase64Encoded says.") from None
    return str.encode(body)


def _headers(event: Event) -> dict[str, str]:
    many = event.get("multiValueHeaders")
    if many:
        return {name.lower(): ", ".join(values) for name, values in many.items()}
    # In lower case already from HTTP APIs and function URLs, but not from their local stand-ins.
    return {name.lower(): value for name, value in (event.get("headers") or {}).items() if value is not None}


def _http_api(event: Event) -> Request:
    context = event["requestContext"]
    path = event["rawPath"]
    stage = context.get("stage", "$default")
    if not context.get("domainName", "").endswith(_AWS_DOMAINS):
        path = _without_base_path(path)
    elif stage != "$default" and (path + "/").startswith(f"/{stage}/"):
        path = path[len(stage) + 1 :] or "/"
    return Request(context["http"]["method"], path, _headers(event), _body(event), event.get("rawQueryString", ""))


def _without_base_path(path: str) -> str:
    """Drop what a custom domain's API mapping (``v2``, say) or stage puts in front of a route.

    Nothing in the event says what that is, so the route is looked for instead.
    """
    for start in ("/v2/models/", "/v2/health/"):
        place = path.find(start)
        if place >= 0:
            return path[place:]
    plain = path.rstrip("/")
    return next((end for end in ("/predict", "/openapi.json", "/v2") if plain.endswith(end)), path)


def _rest(event: Event) -> Request:
    path = event["path"]
    resource = event.get("resource")
    if resource:
        # The route itself, filled in: it has neither the stage nor a custom domain's base path, where ``path`` does.
        path = resource
        for name, value in (event.get("pathParameters") or {}).items():
            path = path.replace("{" + name + "+}", value).replace("{" + name + "}", value)
    query = event.get("multiValueQueryStringParameters") or {
        name: [value] for name, value in (event.get("queryStringParameters") or {}).items()
    }
    # A load balancer hands the query over as it was sent, API Gateway without its escapes.
    quote = str if "elb" in event["requestContext"] else _quote
    text = "&".join(f"{quote(name)}={quote(value)}" for name, values in query.items() for value in values)
    return Request(event["httpMethod"], path, _headers(event), _body(event), text)


def _quote(text: str) -> str:
    """Percent-encode all but RFC 3986's unreserved characters."""
    return "".join(chr(byte) if byte in _UNRESERVED else f"%{byte:02X}" for byte in text.encode())


def _direct(event: Any, model: str) -> Request:
    if type(event) is dict and type(event.get("path")) is str:
        body = event.get("body")
        method = event.get("method", "GET" if body is None else "POST")
        headers = _headers(event)
        if body is None or type(body) is str:
            return Request(method.upper(), event["path"], headers, _body(event), event.get("query", ""))
        return Request(method.upper(), event["path"], headers, document=body)
    protocol = type(event) is dict and type(event.get("inputs")) is list
    return Request("POST", f"/v2/models/{model}/infer" if protocol else "/predict", document=event)


def encode(kind: str, event: Any, response: Response) -> Any:
    """Turn a response into what AWS expects from this kind of event."""
    if kind in {"direct", "ping"} and response.is_json:
        try:
            return json.loads(response.body)
        except ValueError:  # none at all, to HEAD, or what a hook takes for JSON
            pass
    text = _text(response)
    reply: Event = {
        "statusCode": response.status,
        "headers": response.headers,
        "body": b2a_base64(response.body, newline=False).decode() if text is None else text,
        "isBase64Encoded": text is None,
    }
    if kind == "alb":
        reply["statusDescription"] = f"{response.status} {REASONS.get(response.status, 'Other')}"
        if "multiValueHeaders" in event:  # the target group asks for lists, and then takes nothing else
            reply["multiValueHeaders"] = {name: [value] for name, value in reply.pop("headers").items()}
    return reply


def _text(response: Response) -> str | None:
    """The body as text, or None for what must travel in base64."""
    if response.body and not response.is_json and not response.headers.get("Content-Type", "").startswith("text/"):
        return None
    try:
        return response.body.decode()
    except UnicodeDecodeError:  # a hook's text in another charset
        return None


def reply_limit(kind: str) -> int:
    """The most bytes that AWS takes as a function's answer, its JSON envelope included.

    6 MB from a synchronous invocation (Lambda quotas), 1 MB behind a load balancer (ALB, Lambda functions as targets).
    """
    return (_MB if kind == "alb" else 6 * _MB) - 1024  # the envelope around the body is far below 1 KiB
