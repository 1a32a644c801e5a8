"""HTTP requests as the events of Function Compute's HTTP triggers, and what functions return back as HTTP.

From Alibaba Cloud's guide "Use an HTTP trigger to invoke a function" (built-in runtimes; 2026-09-15) and the structures
in its Go SDK: names of headers as Go's net/http spells them, several values of one name joined by a comma, the path
with its escapes, the query without, binary bodies in base64.
"""

import base64
import json
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

from coldpress.emulate.http import HttpRequest, Reply
from coldpress.errors import EmulateError

__all__ = ["DOORS", "make_event", "oss_event", "read_reply"]

DOORS = ("http", "direct")
"""How a request can reach a function: through an HTTP trigger, or as the event of a direct invocation."""
_ACCOUNT = "123456789012345"
_REGION = "cn-shanghai"
_DOMAIN = f"predict-abcdefghij.{_REGION}.fcapp.run"
_CALLER = "203.0.113.10"  # an address reserved for documentation
_TEXT = ("text/", "application/json", "application/javascript", "application/xml", "application/x-www-form-urlencoded")
_PATH_SAFE = "/%:@!$&'()*+,;=~-._"


def make_event(door: str, request: HttpRequest, request_id: str) -> bytes:
    """Build the event for ``request``.

    Raises:
        EmulateError: there is no such door.
    """
    if door not in DOORS:
        raise EmulateError(f"Function Compute has no event {door!r}; expected one of {', '.join(DOORS)}.")
    if door == "direct":
        return request.body
    path, _, query = request.path.partition("?")
    headers = {"host": _DOMAIN} | request.all_headers()
    body, is_base64 = _body(request, headers.get("content-type", ""), encoded="content-encoding" in headers)
    parameters: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        parameters[name] = f"{parameters[name]},{value}" if name in parameters else value
    now = time.time()
    event = {
        "version": "v1",
        "rawPath": quote(path, safe=_PATH_SAFE),
        "body": body,
        "isBase64Encoded": is_base64,
        "headers": {"-".join(map(str.capitalize, name.split("-"))): value for name, value in headers.items()},
        "queryParameters": parameters,
        "requestContext": {
            "accountId": _ACCOUNT,
            "domainName": _DOMAIN,
            "domainPrefix": _DOMAIN.partition(".")[0],
            "http": {
                "method": request.method,
                "path": unquote(path),
                "protocol": "HTTP/1.1",
                "sourceIp": _CALLER,
                "userAgent": headers["user-agent"],
            },
            "requestId": request_id,
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)),
            "timeEpoch": str(int(now * 1e3)),
        },
    }
    return json.dumps(event, ensure_ascii=False).encode()


def _body(request: HttpRequest, content_type: str, *, encoded: bool) -> tuple[str, bool]:
    """Return the body as the event holds it, and whether that is base64."""
    if content_type.lower().startswith(_TEXT) and not encoded:
        try:
            return request.body.decode(), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(request.body).decode(), bool(request.body)


def oss_event(bucket: str, uploads: Sequence[tuple[str, int, str]], region: str = _REGION) -> bytes:
    """Build the event by which OSS tells of uploads: each a key, a size and an ETag."""
    records: list[dict[str, Any]] = [
        {
            "eventName": "ObjectCreated:PutObject",
            "eventSource": "acs:oss",
            "eventTime": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime()),
            "eventVersion": "1.0",
            "oss": {
                "bucket": {"arn": f"acs:oss:{region}:{_ACCOUNT}:{bucket}", "name": bucket, "ownerIdentity": _ACCOUNT},
                "object": {"deltaSize": size, "eTag": etag, "key": key, "size": size},
                "ossSchemaVersion": "1.0",
                "ruleId": "coldpress",
            },
            "region": region,
            "requestParameters": {"sourceIPAddress": _CALLER},
            "responseElements": {"requestId": "58F9FF2D3DF792092E12044C"},
            "userIdentity": {"principalId": _ACCOUNT},
        }
        for key, size, etag in uploads
    ]
    return json.dumps({"events": records}, ensure_ascii=False).encode()


def read_reply(door: str, payload: bytes) -> Reply:
    """Turn what the handler returned into the HTTP answer that the caller gets.

    A document with a ``statusCode`` is a reply; anything else is the body of a 200, as JSON.

    Raises:
        EmulateError: the reply is malformed; Function Compute would answer 502 there.
    """
    try:
        document = json.loads(payload)
    except ValueError:
        document = None
    if door == "direct" or not isinstance(document, dict) or "statusCode" not in document:
        return Reply(200, {"content-type": "application/json"}, payload)
    status, headers, body = document["statusCode"], document.get("headers") or {}, document.get("body") or ""
    texts = [body, *headers, *headers.values()] if isinstance(headers, dict) else [None]
    try:
        if type(status) is not int or not 100 <= status <= 599 or not all(isinstance(text, str) for text in texts):
            raise ValueError("expected a whole number, headers that are texts, and a body that is one")  # noqa: TRY301
        raw = base64.b64decode(body, validate=True) if document.get("isBase64Encoded") else body.encode()
    except ValueError as error:
        raise EmulateError(
            f"The function's answer is not a reply that an HTTP trigger takes ({error}); it began {payload[:80]!r}."
        ) from None
    return Reply(status, {name.lower(): value for name, value in headers.items()}, raw)
