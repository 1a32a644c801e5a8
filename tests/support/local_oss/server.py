"""The store behind ``LocalOss``: runs in the environment of Alibaba Cloud's SDKs and stops when its stdin is closed.

Each request is signed again by OSS's own SDK, with the secret that the caller should have; the two signatures must be
the same. Objects live in memory. ``If-Match`` is heeded, and errors are OSS's XML.
"""

import datetime as dt
import hashlib
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from alibabacloud_oss_v2.credentials import StaticCredentialsProvider
from alibabacloud_oss_v2.signer import SignerV4
from alibabacloud_oss_v2.types import HttpRequest, SigningContext

JOURNAL, SECRETS = Path(sys.argv[1]), json.loads(sys.argv[2])
OBJECTS: dict[str, tuple[bytes, str]] = {}
ENCODINGS: dict[tuple[str, str], str] = {}
LOCK = threading.Lock()


def expected(method: str, url: str, bucket: str, key: str, headers: dict[str, str]) -> str:
    """Return the Authorization header that OSS's own SDK would send with this request."""
    provider = StaticCredentialsProvider(
        SECRETS["ALIBABA_CLOUD_ACCESS_KEY_ID"],
        SECRETS["ALIBABA_CLOUD_ACCESS_KEY_SECRET"],
        SECRETS["ALIBABA_CLOUD_SECURITY_TOKEN"],
    )
    request = HttpRequest(method, url)
    request.headers.update({name: value for name, value in headers.items() if name != "authorization"})
    region = headers["authorization"].partition("Credential=")[2].split("/")[2]
    when = dt.datetime.strptime(headers["x-oss-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=dt.UTC)
    context = SigningContext(
        product="oss", region=region, bucket=bucket, key=key, request=request,
        credentials=provider.get_credentials(), signing_time=when,
    )  # fmt: skip
    SignerV4().sign(context)
    return request.headers["Authorization"]


class Handler(BaseHTTPRequestHandler):
    """One request at an address: ``/BUCKET/KEY``."""

    def do_GET(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def log_message(self, *_: object) -> None:
        """Say nothing: the journal says it."""

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        _, bucket, key = urlsplit(self.path).path.split("/", 2)
        key = unquote(key)
        headers = {name.lower(): value for name, value in self.headers.items()}
        with LOCK:
            status, content = self._decide(bucket, key, headers, body)
            digest = hashlib.sha256(body if self.command == "PUT" else content).hexdigest()
            line = {"method": self.command, "bucket": bucket, "key": key, "status": status, "sha256": digest}
            with JOURNAL.open("a") as journal:
                journal.write(json.dumps(line) + "\n")
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        if encoding := ENCODINGS.get((bucket, key)):
            self.send_header("content-encoding", encoding)
        self.end_headers()
        self.wfile.write(content)

    def _decide(self, bucket: str, key: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        try:
            sound = expected(self.command, f"http://store{self.path}", bucket, key, headers) == headers["authorization"]
        except (KeyError, IndexError, ValueError):
            sound = False
        if not sound:
            return 403, _error("SignatureDoesNotMatch")
        name = f"{bucket}/{key}"
        if self.command == "PUT":
            OBJECTS[name] = body, hashlib.md5(body).hexdigest().upper()
            ENCODINGS[bucket, key] = headers.get("content-encoding", "")
            return 200, b""
        if name not in OBJECTS:
            return 404, _error("NoSuchKey")
        content, etag = OBJECTS[name]
        if headers.get("if-match", etag).strip('"') != etag:
            return 412, _error("PreconditionFailed")
        return 200, content


def _error(code: str) -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code></Error>'.encode()


def main() -> None:
    """Serve until nobody holds the other end of stdin."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(f"http://127.0.0.1:{server.server_port}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
