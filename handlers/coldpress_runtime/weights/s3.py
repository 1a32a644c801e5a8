"""Objects of Amazon S3, asked for with a signature of our own: AWS Signature Version 4, a page of standard library.

botocore does the same after 450 ms of imports and loading of its models, which a cold start would wait for; all of this
package, ``http.client`` and ``ssl`` take 65 ms.
``AWS_ENDPOINT_URL_S3`` or ``AWS_ENDPOINT_URL`` leads to another store that speaks like it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from urllib.parse import quote

from coldpress_runtime.errors import WeightsError
from coldpress_runtime.weights.address import address
from coldpress_runtime.weights.tokens import ask

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from http.client import HTTPMessage

__all__ = ["S3Object", "open_object"]

_NOTHING = hashlib.sha256(b"").hexdigest()
_AS_HOST = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")  # a dot would be a level too many for the certificate


def open_object(url: str, environ: Mapping[str, str]) -> S3Object:
    """Return the object at ``s3://bucket/key``; raises WeightsError without a region or credentials."""
    bucket, _, key = url.removeprefix("s3://").partition("/")
    if not bucket or not key:
        raise WeightsError(f"{url} names no object; expected s3://bucket/key.")
    region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
    if not region:
        raise WeightsError(f"No region is set to read {url} in; set AWS_REGION.")
    endpoint = environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL") or ""
    path = "/" + quote(key, safe="/-_.~")
    if not endpoint:
        host = f"s3.{region}.amazonaws.com" + (".cn" if region.startswith("cn-") else "")
        if _AS_HOST.fullmatch(bucket):
            return S3Object(f"https://{bucket}.{host}", path, region, _credentials(url, environ))
        endpoint = f"https://{host}"
    return S3Object(endpoint, f"/{quote(bucket)}{path}", region, _credentials(url, environ))


def _credentials(url: str, environ: Mapping[str, str]) -> tuple[str, str, str]:
    """The function's own: variables, or, with SnapStart and in containers, an address on this machine."""
    if "AWS_ACCESS_KEY_ID" in environ and "AWS_SECRET_ACCESS_KEY" in environ:
        return environ["AWS_ACCESS_KEY_ID"], environ["AWS_SECRET_ACCESS_KEY"], environ.get("AWS_SESSION_TOKEN", "")
    if place := environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI"):
        token = environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", "")
        found = ask(place, {"Authorization": token} if token else {}, "AccessKeyId", "SecretAccessKey", "Token")
        return found[0], found[1], found[2]
    raise WeightsError(f"There are no credentials to read {url} with; give the function a role.")


class S3Object:
    """One object: how it is asked for."""

    right = "let its role s3:GetObject that object"

    def __init__(self, endpoint: str, path: str, region: str, credentials: tuple[str, str, str]) -> None:
        self.tls, self.host, self.port, self._named, before = address(endpoint, "AWS_ENDPOINT_URL")
        self._path, self._region = before.rstrip("/") + path, region
        self._id, self._secret, self._token = credentials

    def request(self, start: int, stop: int, version: str) -> tuple[str, dict[str, str]]:
        """Return path and signed headers of the request for a range."""
        headers = {"host": self._named, "range": f"bytes={start}-{stop - 1}", "x-amz-content-sha256": _NOTHING}
        if version:
            headers["if-match"] = version
        return self._path, self.signed(headers, time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()))

    def signed(self, headers: dict[str, str], now: str) -> dict[str, str]:
        """Return ``headers`` with the signature of a GET at ``now``, such as ``20130524T000000Z``."""
        headers = headers | {"x-amz-date": now} | ({"x-amz-security-token": self._token} if self._token else {})
        names = ";".join(sorted(headers))
        lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
        scope = f"{now[:8]}/{self._region}/s3/aws4_request"
        canonical = f"GET\n{self._path}\n\n{lines}\n{names}\n{headers['x-amz-content-sha256']}"
        text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        key = f"AWS4{self._secret}".encode()
        for step in scope.split("/"):
            key = hmac.digest(key, step.encode(), "sha256")
        signature = hmac.digest(key, text.encode(), "sha256").hex()
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self._id}/{scope},SignedHeaders={names},Signature={signature}"
        )
        return headers

    def version(self, headers: HTTPMessage) -> str:
        """Return the object's ETag."""
        return headers.get("etag", "")
