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
from coldpress_runtime.uploads import Upload

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Bucket", "uploads"]

_TIMEOUT_S = 60.0
_NAME = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
#: What makes an object whole; ``ObjectCreated:*`` would tell of each part of a large upload too.
_MADE = {"PutObject", "PostObject", "CopyObject", "CompleteMultipartUpload", "AppendObject"}


def uploads(event: dict[str, Any]) -> list[tuple[str, Upload]]:
    """Each object that an OSS trigger's event says was made, with its region; raises RequestError for another event."""
    found = []
    try:
        for each in event["events"]:
            if each["eventName"].removeprefix("ObjectCreated:") in _MADE:
                item = each["oss"]["object"]
                texts = (item["key"], item.get("objectMeta", {}).get("mimeType", ""), item.get("eTag", ""))
                key, content_type, version = map("".__add__, texts)  # what is no text is a TypeError
                upload = Upload(each["oss"]["bucket"]["name"], key, content_type, 0 + item["size"], version)
                found.append((each["region"], upload))
    except (KeyError, TypeError, AttributeError):
        raise RequestError("The event is no event that OSS would send; is a field missing?") from None
    return found


class Bucket:
    """A bucket in a region, read and written as the function's role may.

    Raises RequestError for what cannot name a bucket or a region: both become parts of a host name, and credentials go
    there.
    """

    def __init__(self, region: str, name: str) -> None:
        if not all(type(part) is str and part and _NAME.issuperset(part) for part in (name, region)):
            raise RequestError(f"The event names bucket {name!r} in region {region!r}, which OSS cannot have.")
        self._region = region
        self._name = name

    def get(self, key: str, version: str = "") -> bytes:
        """Return an object's bytes.

        Raises FileNotFoundError when there is none, or one with another ETag than ``version``; OSError when OSS
        refuses.
        """
        return self._get(key, version)[0]

    def read(self, upload: Upload) -> bytes:
        """Return an upload's bytes, and note how they are compressed, which no event tells; raises likewise."""
        content, upload.encoding = self._get(upload.key, upload.version)
        return content

    def _get(self, key: str, version: str) -> tuple[bytes, str]:
        return self._request("GET", key, b"", {}, {"if-match": f'"{version}"'} if version else {})

    def put(self, key: str, body: bytes) -> None:
        """Write a JSON object, in the place of one that is there; raises OSError when OSS refuses."""
        self._request("PUT", key, body, {"content-type": "application/json"}, {})

    def _request(
        self, method: str, key: str, body: bytes, signed: dict[str, str], unsigned: dict[str, str]
    ) -> tuple[bytes, str]:
        """Send a request; return the answer's body and its Content-Encoding."""
        path = "/".join(map(quote, key.split("/")))
        resource = f"/{self._name}/{path}"
        endpoint = os.environ.get("COLDPRESS_OSS_ENDPOINT") or f"https://oss-{self._region}-internal.aliyuncs.com"
        scheme, _, host = endpoint.rstrip("/").rpartition("://")
        connect = http.client.HTTPConnection if scheme == "http" else http.client.HTTPSConnection
        if host.replace(".", "").replace(":", "").isdigit():  # an address can carry no bucket in its name
            connection, target = connect(host, timeout=_TIMEOUT_S), resource
        else:
            connection, target = connect(f"{self._name}.{host}", timeout=_TIMEOUT_S), f"/{path}"
        try:
            headers = unsigned | _signed(method, self._region, resource, signed)
            connection.request(method, target, body or None, headers)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        if response.status in {404, 412}:
            raise FileNotFoundError(f"oss://{self._name}/{key} is not there any more.")
        if response.status >= 300:
            code = content.partition(b"<Code>")[2].partition(b"</Code>")[0].decode("ascii", "replace")
            raise OSError(
                f"OSS answered {response.status} {code} to {method} oss://{self._name}/{key}; expected the function's "
                "role to be allowed that."
            )
        return content, response.getheader("content-encoding", "")


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
