"""Blobs of Azure Storage, asked for with a token of the function's managed identity.

``AZURE_STORAGE_CONNECTION_STRING``, where it is set, opens the account that it names by its key, as an emulator's; the
signature is Azure's "Authorize with Shared Key", version 2015-02-21 and later.
"""

from __future__ import annotations

import base64
import hmac
import time
from urllib.parse import quote

from coldpress_runtime.errors import WeightsError
from coldpress_runtime.weights.address import address
from coldpress_runtime.weights.tokens import ask

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from http.client import HTTPMessage

__all__ = ["Blob", "open_object"]

_API = "2021-12-02"
_RESOURCE = "https%3A%2F%2Fstorage.azure.com%2F"


def open_object(url: str, environ: Mapping[str, str]) -> Blob:
    """Return the blob at ``az://account/container/key``; raises WeightsError where there is no identity."""
    account, _, rest = url.removeprefix("az://").partition("/")
    if not account or not all(rest.partition("/")[::2]):
        raise WeightsError(f"{url} names no blob; expected az://account/container/key.")
    path = "/" + quote(rest, safe="/-_.~")
    known = dict(
        entry.partition("=")[::2] for entry in environ.get("AZURE_STORAGE_CONNECTION_STRING", "").split(";") if entry
    )
    if known.get("AccountName") == account and "AccountKey" in known:
        suffix = known.get("EndpointSuffix", "core.windows.net")
        endpoint = known.get("BlobEndpoint", f"https://{account}.blob.{suffix}").rstrip("/")
        return Blob(endpoint, path, account, key=known["AccountKey"])
    machine = environ.get("IDENTITY_ENDPOINT", "")
    if not machine:
        raise WeightsError(f"There is no identity to read {url} with; give the function app a managed identity.")
    client = environ.get("AZURE_CLIENT_ID", "")
    query = f"?api-version=2019-08-01&resource={_RESOURCE}" + (f"&client_id={quote(client)}" if client else "")
    (token,) = ask(machine + query, {"X-IDENTITY-HEADER": environ.get("IDENTITY_HEADER", "")}, "access_token")
    return Blob(f"https://{account}.blob.core.windows.net", path, account, token=token)


class Blob:
    """One blob: how it is asked for."""

    right = "give its identity the role Storage Blob Data Reader on the container"

    def __init__(self, endpoint: str, path: str, account: str, *, key: str = "", token: str = "") -> None:
        self.tls, self.host, self.port, _, before = address(endpoint, "AZURE_STORAGE_CONNECTION_STRING")
        self._path, self._account = before + path, account
        self._key, self._token = key, token

    def request(self, start: int, stop: int, version: str) -> tuple[str, dict[str, str]]:
        """Return path and headers of the request for a range."""
        headers = {
            "x-ms-date": time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime()),
            "x-ms-range": f"bytes={start}-{stop - 1}",
            "x-ms-version": _API,
        }
        signature = self._signature(headers, version) if self._key else ""
        headers["Authorization"] = f"SharedKey {self._account}:{signature}" if self._key else f"Bearer {self._token}"
        return self._path, headers | ({"If-Match": version} if version else {})

    def version(self, headers: HTTPMessage) -> str:
        """Return the blob's ETag."""
        return headers.get("etag", "")

    def _signature(self, headers: dict[str, str], version: str) -> str:
        lines = "\n".join(f"{name}:{headers[name]}" for name in sorted(headers))
        # Of the eleven lines behind the verb, If-Match is the eighth; all others are empty in these requests.
        text = "GET" + "\n" * 8 + version + "\n" * 4 + f"{lines}\n/{self._account}{self._path}"
        return base64.b64encode(hmac.digest(base64.b64decode(self._key), text.encode(), "sha256")).decode()
