"""Objects in Alibaba Cloud's OSS over plain HTTPS, each request signed with the function's temporary credentials.

Function Compute gives a function the credentials of its role in ``ALIBABA_CLOUD_ACCESS_KEY_ID``,
``ALIBABA_CLOUD_ACCESS_KEY_SECRET`` and ``ALIBABA_CLOUD_SECURITY_TOKEN``. Requests go to the region's internal endpoint,
which costs no traffic, unless ``COLDPRESS_OSS_ENDPOINT`` names another one.

Signature version 4: https://www.alibabacloud.com/help/en/oss/developer-reference/recommend-to-use-signature-version-4
"""

from __future__ import annotations

import hmac
import http.client
import os
import time
from hashlib import sha256

from coldpress_runtime.errors import RequestError
from coldpress_runtime.events import quote

__all__ = ["get", "put"]

_TIMEOUT_S = 60.0
_NAME = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")


def get(region: str, bucket: str, key: str) -> bytes:
    """Return an object's bytes; raises FileNotFoundError when there is none, and OSError when OSS refuses."""
    return _request("GET", region, bucket, key, b"", {})


def put(region: str, bucket: str, key: str, body: bytes) -> None:
    """Write an object, in the place of one that is there; raises OSError when OSS refuses."""
    _request("PUT", region, bucket, key, body, {"content-type": "application/json"})


def _request(method: str, region: str, bucket: str, key: str, body: bytes, headers: dict[str, str]) -> bytes:
    if not (_NAME.issuperset(bucket) and _NAME.issuperset(region)):
        # Both become parts of a host name, and credentials go there.
        raise RequestError(f"The event names bucket {bucket!r} in region {region!r}, which OSS cannot have.")
    path = "/".join(map(quote, key.split("/")))
    endpoint = os.environ.get("COLDPRESS_OSS_ENDPOINT") or f"https://oss-{region}-internal.aliyuncs.com"
    scheme, _, host = endpoint.rstrip("/").rpartition("://")
    connect = http.client.HTTPConnection if scheme == "http" else http.client.HTTPSConnection
    if host.replace(".", "").replace(":", "").isdigit():  # an address can carry no bucket in its name
        connection, target = connect(host, timeout=_TIMEOUT_S), f"/{bucket}/{path}"
    else:
        connection, target = connect(f"{bucket}.{host}", timeout=_TIMEOUT_S), f"/{path}"
    try:
        connection.request(method, target, body or None, _signed(method, region, f"/{bucket}/{path}", headers))
        response = connection.getresponse()
        content = response.read()
    finally:
        connection.close()
    if response.status == 404:
        raise FileNotFoundError(f"oss://{bucket}/{key} is not there any more.")
    if response.status >= 300:
        code = content.partition(b"<Code>")[2].partition(b"</Code>")[0].decode("ascii", "replace")
        raise OSError(f"OSS answered {response.status} {code} to {method} oss://{bucket}/{key}; look at the role.")
    return content


def _signed(method: str, region: str, resource: str, headers: dict[str, str]) -> dict[str, str]:
    """The headers to send, with the signature of the request among them."""
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    scope = f"{now[:8]}/{region}/oss/aliyun_v4_request"
    headers = headers | {"x-oss-content-sha256": "UNSIGNED-PAYLOAD", "x-oss-date": now}
    if token := os.environ.get("ALIBABA_CLOUD_SECURITY_TOKEN"):
        headers["x-oss-security-token"] = token
    listed = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    canonical = f"{method}\n{resource}\n\n{listed}\n\nUNSIGNED-PAYLOAD"
    text = f"OSS4-HMAC-SHA256\n{now}\n{scope}\n{sha256(canonical.encode()).hexdigest()}"
    signature = ("aliyun_v4" + os.environ.get("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "")).encode()
    for part in (*scope.split("/"), text):
        signature = hmac.digest(signature, part.encode(), "sha256")
    identity = f"{os.environ.get('ALIBABA_CLOUD_ACCESS_KEY_ID', '')}/{scope}"
    return headers | {"authorization": f"OSS4-HMAC-SHA256 Credential={identity},Signature={signature.hex()}"}
