"""A local Cloud Storage: gcp-storage-emulator, in the environment ``.tools/gcp`` that ``make tools`` builds."""

import http.client
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from tests.support.local_aws import tool

__all__ = ["LocalStorage", "python"]

_SERVER = Path(__file__).with_name("server.py")


def python() -> Path:
    """Return the interpreter of the environment with the emulator."""
    return tool("gcp", "python")


class LocalStorage:
    """A running store, in memory. Use as a context manager.

    Attributes:
        host: for ``STORAGE_EMULATOR_HOST``.
    """

    def __init__(self) -> None:
        self._home = tempfile.TemporaryDirectory(prefix="local-gcp-")
        with Path(self._home.name, "log").open("wb") as log:
            self._process = subprocess.Popen(
                [python(), _SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
            )
        self.host = self._process.stdout.readline().strip()
        if not self.host:
            raise RuntimeError(Path(self._home.name, "log").read_text())

    def make_bucket(self, name: str) -> None:
        """Make an empty bucket."""
        self._ask("POST", "/storage/v1/b?project=p", json.dumps({"name": name}).encode(), "application/json")

    def upload(
        self, bucket: str, key: str, body: bytes, content_type: str = "application/json", **properties: str
    ) -> dict[str, Any]:
        """Put an object there as a client would; return what the store says of it, which is an event's data."""
        meta = json.dumps(
            {"name": key, **properties}
        ).encode()  # in two parts: the emulator takes a JSON body alone for its own
        parts = b"--=\r\nContent-Type: application/json\r\n\r\n%b\r\n--=\r\nContent-Type: %b\r\n\r\n%b\r\n--=--\r\n"
        place = f"/upload/storage/v1/b/{bucket}/o?uploadType=multipart"
        form = parts % (meta, content_type.encode(), body)
        return json.loads(self._ask("POST", place, form, "multipart/related; boundary==")[1])

    def read(self, bucket: str, key: str) -> bytes:
        """Return an object's bytes."""
        return self._ask("GET", f"/storage/v1/b/{bucket}/o/{quote(key, safe='')}?alt=media")[1]

    def describe(self, bucket: str, key: str) -> dict[str, Any] | None:
        """Return what the store says of an object; None when there is none."""
        status, body = self._ask("GET", f"/storage/v1/b/{bucket}/o/{quote(key, safe='')}")
        return json.loads(body) if status == 200 else None

    def keys(self, bucket: str) -> list[str]:
        """Return the names of all the objects in a bucket."""
        listed = json.loads(self._ask("GET", f"/storage/v1/b/{bucket}/o")[1])
        return sorted(item["name"] for item in listed.get("items", ()))

    def _ask(self, method: str, place: str, body: bytes = b"", content_type: str = "") -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self.host, timeout=60)
        try:
            connection.request(method, place, body, {"Content-Type": content_type} if content_type else {})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def close(self) -> None:
        """End the server and forget everything it held."""
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()
        self._home.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()
