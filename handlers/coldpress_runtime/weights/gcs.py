"""Objects of Cloud Storage, asked for with the token of the account that the function runs as.

``STORAGE_EMULATOR_HOST`` leads to an emulator, which asks for no token.
"""

from __future__ import annotations

from urllib.parse import quote

from coldpress_runtime.errors import WeightsError
from coldpress_runtime.weights.address import address
from coldpress_runtime.weights.tokens import ask

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from http.client import HTTPMessage

__all__ = ["StorageObject", "open_object"]


def open_object(url: str, environ: Mapping[str, str]) -> StorageObject:
    """Return the object at ``gs://bucket/key``; raises WeightsError where there is no account."""
    bucket, _, key = url.removeprefix("gs://").partition("/")
    if not bucket or not key:
        raise WeightsError(f"{url} names no object; expected gs://bucket/key.")
    path = f"/storage/v1/b/{quote(bucket, safe='')}/o/{quote(key, safe='')}?alt=media"
    emulator = environ.get("STORAGE_EMULATOR_HOST", "")
    if emulator:
        return StorageObject(emulator if "://" in emulator else f"http://{emulator}", path, "")
    server = environ.get("GCE_METADATA_HOST") or "metadata.google.internal"
    machine = f"http://{server}/computeMetadata/v1/instance/service-accounts/default/token"
    (token,) = ask(machine, {"Metadata-Flavor": "Google"}, "access_token")
    return StorageObject("https://storage.googleapis.com", path, token)


class StorageObject:
    """One object: how it is asked for."""

    right = "let its account storage.objects.get it (the role Storage Object Viewer)"

    def __init__(self, endpoint: str, path: str, token: str) -> None:
        self.tls, self.host, self.port, _, before = address(endpoint, "STORAGE_EMULATOR_HOST")
        self._path = before.rstrip("/") + path
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def request(self, start: int, stop: int, version: str) -> tuple[str, dict[str, str]]:
        """Return path and headers of the request for a range."""
        condition = f"&ifGenerationMatch={version}" if version.isdecimal() else ""
        return self._path + condition, {**self._headers, "Range": f"bytes={start}-{stop - 1}"}

    def version(self, headers: HTTPMessage) -> str:
        """Return the object's generation."""
        generation: str = headers.get("x-goog-generation", "")
        return generation or headers.get("etag", "")
