"""A running Azurite, Microsoft's stand-in for Azure Storage: its blob service, and the few calls that tests make of it.

Requests are signed with the account key that Azurite documents, as Azure asks for it ("Authorize with Shared Key").
"""

import base64
import hashlib
import hmac
import http.client
import re
import shutil
import subprocess
from email.utils import formatdate
from typing import Self
from urllib.parse import parse_qsl, quote, urlsplit
from xml.etree import ElementTree as ET

from tests.support.local_aws import ROOT

__all__ = ["Azurite", "why_not"]

_MAIN = ROOT / ".tools" / "azurite" / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
_ACCOUNT = "devstoreaccount1"
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_VERSION = "2021-12-02"
_SIGNED = ("content-encoding", "content-language", "content-length", "content-md5", "content-type", "date",
           "if-modified-since", "if-match", "if-none-match", "if-unmodified-since", "range")  # fmt: skip


def why_not() -> str:
    """Return why Azurite cannot be started here; empty when it can."""
    if shutil.which("node") is None:
        return "node is not on this machine"
    return "" if _MAIN.is_file() else "`make azurite` has not installed Azurite"


class Azurite:
    """Use as a context manager; everything is in its memory."""

    def __init__(self) -> None:
        command = ["node", _MAIN, "--blobHost", "127.0.0.1", "--blobPort", "0"]
        command += ["--inMemoryPersistence", "--disableTelemetry"]
        command += ["--skipApiVersionCheck"]  # Microsoft's newer clients ask for versions that it does not know
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        said = []
        for line in self._process.stdout:
            said.append(line)
            if match := re.search(r"listens on http://127\.0\.0\.1:(\d+)", line):
                self.port = int(match[1])
                return
        self.close()
        raise RuntimeError(f"Azurite did not start: {''.join(said)[-2000:]}")

    @property
    def url(self) -> str:
        """The address of the account's blobs."""
        return f"http://127.0.0.1:{self.port}/{_ACCOUNT}"

    @property
    def connection_string(self) -> str:
        """What opens the account, for Microsoft's clients."""
        return f"DefaultEndpointsProtocol=http;AccountName={_ACCOUNT};AccountKey={_KEY};BlobEndpoint={self.url};"

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, dict[str, str], bytes]:
        """Send one signed request; ``path`` is what follows the account, escaped."""
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        fields |= {"x-ms-date": formatdate(usegmt=True), "x-ms-version": _VERSION, "content-length": str(len(body))}
        target = f"/{_ACCOUNT}{path}"
        fields["authorization"] = f"SharedKey {_ACCOUNT}:{_signature(method, target, fields)}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request(method, target, body, fields)
        reply = connection.getresponse()
        found = reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read()
        connection.close()
        return found

    def make_container(self, name: str) -> None:
        """Make an empty container."""
        self._expect(201, "PUT", f"/{name}?restype=container")

    def put(self, container: str, name: str, body: bytes, content_type: str = "application/json") -> None:
        """Upload a blob."""
        self._expect(
            201, "PUT", f"/{container}/{quote(name)}", body, x_ms_blob_type="BlockBlob", content_type=content_type
        )

    def get(self, container: str, name: str) -> tuple[dict[str, str], bytes] | None:
        """Return a blob's headers and bytes, or None when there is none."""
        status, headers, body = self.ask("GET", f"/{container}/{quote(name)}")
        return (headers, body) if status == 200 else None

    def names(self, container: str) -> list[str]:
        """Return the names of all blobs of a container."""
        listing = self._expect(200, "GET", f"/{container}?comp=list&restype=container")
        return [name.text for name in ET.fromstring(listing.decode("utf-8-sig")).iterfind(".//Blob/Name")]

    def _expect(self, wanted: int, method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
        status, _, found = self.ask(method, path, body, **headers)
        assert status == wanted, found
        return found

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


def _signature(method: str, target: str, fields: dict[str, str]) -> str:
    parts = urlsplit(target)
    plain = [fields.get(name, "") if fields.get(name) != "0" else "" for name in _SIGNED]
    ours = [f"{name}:{fields[name]}" for name in sorted(fields) if name.startswith("x-ms-")]
    query = [f"{name}:{value}" for name, value in sorted(parse_qsl(parts.query))]
    text = "\n".join([method, *plain, *ours, "\n".join([f"/{_ACCOUNT}{parts.path}", *query])])
    digest = hmac.new(base64.b64decode(_KEY), text.encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()
