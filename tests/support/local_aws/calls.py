"""Which actions of AWS a process calls: a door in front of the local AWS that notes them, and policies over them."""

import http.client
import json
import re
import threading
import urllib.parse
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self

__all__ = ["Call", "Calls", "allows", "unused"]

_ACCOUNT, _REGION = "123456789012", "us-east-1"
_OF_CONNECTION = ("connection", "content-length", "expect", "transfer-encoding")
_S3 = {
    ("GET", "list-type"): ("ListBucket", ""),
    ("GET", "uploads"): ("ListBucketMultipartUploads", ""),
    ("GET", ""): ("GetObject", "key"),
    ("HEAD", ""): ("GetObject", "key"),
    ("PUT", ""): ("PutObject", "key"),
    ("PUT", "partNumber"): ("PutObject", "key"),
    ("POST", "uploads"): ("PutObject", "key"),
    ("POST", "uploadId"): ("PutObject", "key"),
    ("DELETE", ""): ("DeleteObject", "key"),
    ("DELETE", "uploadId"): ("AbortMultipartUpload", "key"),
}


class Call(NamedTuple):
    """An action on a resource, as a policy names them."""

    action: str
    resource: str


class Calls:
    """A proxy of the local AWS. Use as a context manager.

    Attributes:
        made: the calls that came through, in order.
        endpoint: where it listens.
    """

    def __init__(self, target: str) -> None:
        self.made: list[Call] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Door)
        self._server.daemon_threads = True
        self._server.calls, self._server.target = self.made, target.removeprefix("http://")
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Door(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.calls.append(_call(self.command, self.path, self.headers, body))
        kept = {name: value for name, value in self.headers.items() if name.lower() not in _OF_CONNECTION}
        aws = http.client.HTTPConnection(self.server.target)
        aws.request(self.command, self.path, body, kept | {"Content-Length": str(len(body))})
        reply = aws.getresponse()
        content = reply.read()
        self.send_response(reply.status)
        for name, value in reply.getheaders():
            if name.lower() not in {"connection", "date", "server", "transfer-encoding"}:
                self.send_header(name, value)
        if "Content-Length" not in reply.headers:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        aws.close()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass  # noqa: N815

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


def _call(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Call:
    service = re.search(r"/([a-z0-9]+)/aws4_request", headers["Authorization"])[1]
    if service == "s3":
        place, _, query = path.partition("?")
        names = set(urllib.parse.parse_qs(query, keep_blank_values=True))
        mark = next((name for name in ("list-type", "uploads", "partNumber", "uploadId") if name in names), "")
        action, kind = _S3[method, mark]
        bucket, _, key = urllib.parse.unquote(place).lstrip("/").partition("/")
        return Call(f"s3:{action}", f"arn:aws:s3:::{bucket}" + (f"/{key}" if kind else ""))
    action = headers["X-Amz-Target"].rpartition(".")[2]
    asked = json.loads(body)
    if service == "sqs":
        name = asked["QueueUrl"].rpartition("/")[2]
        return Call(f"sqs:{action}", f"arn:aws:sqs:{_REGION}:{_ACCOUNT}:{name}")
    return Call(f"{service}:{action}", f"arn:aws:{service}:{_REGION}:{_ACCOUNT}:table/{asked['TableName']}")


def allows(statements: Iterable[Mapping[str, Any]], call: Call) -> bool:
    """Whether one of a role's statements allows a call; conditions are taken as met."""
    return any(
        any(fnmatchcase(call.action, action) for action in _listed(statement["Action"]))
        and any(fnmatchcase(call.resource, resource) for resource in _listed(statement["Resource"]))
        for statement in statements
    )


def unused(statements: Iterable[Mapping[str, Any]], calls: Iterable[Call]) -> set[tuple[str, str]]:
    """Return the actions, each with its resource, that a role has and none of the calls needs."""
    granted = {
        (action, resource)
        for statement in statements
        for action in _listed(statement["Action"])
        for resource in _listed(statement["Resource"])
    }
    return {
        (action, resource)
        for action, resource in granted
        if not any(call.action == action and fnmatchcase(call.resource, resource) for call in calls)
    }


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)
