"""HTTP requests as the events in which AWS hands them to a function, and the function's replies back as HTTP.

Shapes from AWS's developer guides: API Gateway HTTP API (payload format 2.0) and function URLs, REST API (1.0),
Application Load Balancer, and a direct invocation, whose event is the body itself.
"""

import base64
import json
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, parse_qsl, quote

from coldpress.emulate.http import CALLER, HttpRequest, Reply
from coldpress.errors import EmulateError

__all__ = ["EVENTS", "make_event", "read_reply"]

_HOST = "abcdefghij.execute-api.eu-central-1.amazonaws.com"
_URL_HOST = "abcdefghijabcdefghijabcdefghij.lambda-url.eu-central-1.on.aws"
_REQUEST_ID = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"
# What the gateways pass on as text; everything else arrives in base64.
_TEXT = ("text/", "application/json", "application/javascript", "application/xml", "application/x-www-form-urlencoded")


def _body(request: HttpRequest, headers: Mapping[str, str]) -> tuple[str | None, bool]:
    """Return the body as the event holds it, and whether that is base64."""
    if not request.body:
        return None, False
    if headers.get("content-type", "").lower().startswith(_TEXT) and "content-encoding" not in headers:
        try:
            return request.body.decode(), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(request.body).decode(), True


def _http_api(request: HttpRequest, host: str = _HOST, stage: str = "$default") -> dict[str, Any]:
    path, _, query = request.path.partition("?")
    headers = {"host": host} | request.all_headers()
    body, is_base64 = _body(request, headers)
    now = time.time()
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": headers,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": host.partition(".")[0],
            "domainName": host,
            "domainPrefix": host.partition(".")[0],
            "http": {
                "method": request.method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": CALLER,
                "userAgent": headers["user-agent"],
            },
            "requestId": _REQUEST_ID,
            "routeKey": "$default",
            "stage": stage,
            "time": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
            "timeEpoch": int(now * 1e3),
        },
        "isBase64Encoded": is_base64,
    }
    if query:
        event["queryStringParameters"] = {name: ",".join(values) for name, values in parse_qs(query).items()}
    if body is not None:
        event["body"] = body
    return event


def _url(request: HttpRequest) -> dict[str, Any]:
    return _http_api(request, _URL_HOST)


def _rest(request: HttpRequest) -> dict[str, Any]:
    path, _, query = request.path.partition("?")
    headers = {"host": _HOST} | request.all_headers()
    body, is_base64 = _body(request, headers)
    many = parse_qs(query, keep_blank_values=True)
    now = time.time()
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": request.method,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": dict(parse_qsl(query, keep_blank_values=True)) or None,
        "multiValueQueryStringParameters": many or None,
        "pathParameters": {"proxy": path.lstrip("/")},
        "stageVariables": None,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": _HOST.partition(".")[0],
            "domainName": _HOST,
            "httpMethod": request.method,
            "identity": {"sourceIp": CALLER, "userAgent": headers["user-agent"]},
            "path": f"/prod{path}",
            "protocol": "HTTP/1.1",
            "requestId": _REQUEST_ID,
            "requestTime": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
            "requestTimeEpoch": int(now * 1e3),
            "resourceId": "abc123",
            "resourcePath": "/{proxy+}",
            "stage": "prod",
        },
        "body": body,
        "isBase64Encoded": is_base64,
    }


def _alb(request: HttpRequest) -> dict[str, Any]:
    path, _, query = request.path.partition("?")
    headers = {"host": "lb-123456789.eu-central-1.elb.amazonaws.com"} | request.all_headers()
    body, is_base64 = _body(request, headers)
    arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/coldpress/abcdef0123456789"
    # Load balancers pass the query on still encoded.
    pairs = {quote(name): quote(value) for name, value in parse_qsl(query, keep_blank_values=True)}
    return {
        "requestContext": {"elb": {"targetGroupArn": arn}},
        "httpMethod": request.method,
        "path": path,
        "queryStringParameters": pairs,
        "headers": headers,
        "body": body or "",
        "isBase64Encoded": is_base64,
    }


EVENTS: dict[str, Callable[[HttpRequest], dict[str, Any]]] = {
    "http-api": _http_api,
    "rest": _rest,
    "url": _url,
    "alb": _alb,
}


def make_event(kind: str, request: HttpRequest) -> dict[str, Any] | bytes:
    """Build the event for ``request``.

    Args:
        kind: ``http-api``, ``rest``, ``url``, ``alb``, or ``direct`` (the body itself is the event).
        request: what the caller sends.

    Raises:
        EmulateError: a direct invocation whose body is not JSON, which AWS refuses before the function sees it.
    """
    if kind != "direct":
        return EVENTS[kind](request)
    try:
        json.loads(request.body)
    except ValueError as error:
        raise EmulateError(
            f"A direct invocation's event must be JSON, and this body is not ({error}); try another --event."
        ) from None
    return request.body


def read_reply(kind: str, payload: bytes) -> Reply:
    """Turn what the handler returned into the HTTP answer that the caller gets.

    Raises:
        EmulateError: it is not what the gateway takes; AWS would answer 502 there.
    """
    try:
        document = json.loads(payload)
        if kind == "direct" and not (isinstance(document, dict) and "statusCode" in document):
            return Reply(200, {"content-type": "application/json"}, payload)
        body = document.get("body") or ""
        raw = base64.b64decode(body, validate=True) if document.get("isBase64Encoded") else body.encode()
        headers = dict(document.get("headers") or {})
        headers |= {name: ", ".join(values) for name, values in (document.get("multiValueHeaders") or {}).items()}
        return Reply(int(document["statusCode"]), {str(k).lower(): str(v) for k, v in headers.items()}, raw)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EmulateError(
            f"The function's answer is not a reply that {kind} takes ({type(error).__name__}: {error}); "
            f"it began {payload[:80]!r}."
        ) from None
