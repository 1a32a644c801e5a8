"""The shapes in which AWS hands a request to a function and takes its answer back.

From AWS's developer guides: API Gateway HTTP APIs (payload format 2.0) and function URLs, REST APIs (1.0),
Application Load Balancers, and direct invocation.
"""

from __future__ import annotations

from coldpress_runtime.errors import RequestError
from coldpress_runtime.events import (
    body_of,
    direct,
    document_of,
    headers_of,
    is_ping,
    quote,
    reply_of,
    without_base_path,
)
from coldpress_runtime.http import REASONS, Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from coldpress_runtime.http import Response

    Event = dict[str, Any]

__all__ = ["decode", "encode", "kind_of", "reply_limit"]

_MB = 1024 * 1024
_AWS_DOMAINS = (".amazonaws.com", ".amazonaws.com.cn", ".on.aws")


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
    return "ping" if is_ping(event) else "direct"


def decode(kind: str, event: Any, model: str) -> Request:
    """Turn an event into a request; raises RequestError when the event is not what it seems to be."""
    read = {"http-api": _http_api, "rest": _rest, "alb": _rest}.get(kind)
    try:
        request = read(event) if read else direct(event, model)
        texts = (request.method, request.path, request.query, *request.headers.values())
        sound = all(type(text) is str for text in texts)
    except (KeyError, TypeError, AttributeError, UnicodeEncodeError):
        sound = False
    if not sound:
        raise RequestError(f"The event is no {kind} event that AWS would send; is a field missing?")
    return request


def _headers(event: Event) -> dict[str, str]:
    many = event.get("multiValueHeaders")
    if many:
        return {name.lower(): ",".join(values) for name, values in many.items()}
    # In lower case already from HTTP APIs and function URLs, but not from their local stand-ins.
    return headers_of(event)


def _http_api(event: Event) -> Request:
    context = event["requestContext"]
    path = event["rawPath"]
    stage = context.get("stage", "$default")
    if not context.get("domainName", "").endswith(_AWS_DOMAINS):
        path = without_base_path(path)
    elif stage != "$default" and (path + "/").startswith(f"/{stage}/"):
        path = path[len(stage) + 1 :] or "/"
    return Request(context["http"]["method"], path, _headers(event), body_of(event), event.get("rawQueryString", ""))


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
    escape = str if "elb" in event["requestContext"] else quote
    text = "&".join(f"{escape(name)}={escape(value)}" for name, values in query.items() for value in values)
    return Request(event["httpMethod"], path, _headers(event), body_of(event), text)


def encode(kind: str, event: Any, response: Response) -> Any:
    """Turn a response into what AWS expects from this kind of event."""
    if kind in {"direct", "ping"}:
        return document_of(response)
    reply = reply_of(response)
    if kind == "alb":
        reply["statusDescription"] = f"{response.status} {REASONS.get(response.status, 'Other')}"
        if "multiValueHeaders" in event:  # the target group asks for lists, and then takes nothing else
            reply["multiValueHeaders"] = {name: [value] for name, value in reply.pop("headers").items()}
    return reply


def reply_limit(kind: str) -> int:
    """The most bytes that AWS takes as a function's answer, its JSON envelope included.

    6 MB from a synchronous invocation (Lambda quotas), 1 MB behind a load balancer (ALB, Lambda functions as targets).
    """
    return (_MB if kind == "alb" else 6 * _MB) - 1024  # the envelope around the body is far below 1 KiB
