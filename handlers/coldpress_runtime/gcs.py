"""Objects in Google Cloud Storage over plain HTTPS, with the token that the metadata server gives a function.

``STORAGE_EMULATOR_HOST`` leads to an emulator instead, which takes no token.

An answer remembers the generation of the upload that it answers. Storage events come twice now and then, and not in
order: an answer to the same upload, or to a later one of the same name, stays as it is.

https://docs.cloud.google.com/storage/docs/json_api
"""

from __future__ import annotations

import http.client
import json
import os
import time

from coldpress_runtime.events import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["get", "put"]

_TIMEOUT_S = 60.0
_METADATA = "metadata.google.internal"
_TOKEN_PATH = "/computeMetadata/v1/instance/service-accounts/default/token"  # noqa: S105 - where one is, and none itself
_SOURCE = "coldpress-source-generation"
_EARLY_S = 60.0  # a token that is about to expire is asked for again
_token = ("", 0.0)


def get(bucket: str, key: str, generation: str) -> bytes:
    """Return the bytes of that generation of an object as they are kept, which may be compressed.

    Raises FileNotFoundError when there is none any more, and OSError when the store refuses.
    """
    # To those who do not take gzip the store sends it inflated, whatever size that is.
    headers = {"Accept-Encoding": "gzip"}
    return _request("GET", f"{_place(bucket, key)}?alt=media&generation={quote(generation)}", headers=headers)


def put(bucket: str, key: str, body: bytes, source: str) -> None:
    """Write a JSON object, unless there is one already that was made of the same upload, or of a later one.

    Args:
        bucket: where.
        key: the object's name.
        body: a JSON document.
        source: the generation of the upload.

    Raises OSError when the store refuses, or when somebody else has written the object in the meantime.
    """
    try:
        there = json.loads(_request("GET", f"{_place(bucket, key)}?fields=generation,metadata"))
    except FileNotFoundError:
        there = {"generation": "0"}  # as a precondition: only where there is none
    answered = there.get("metadata", {}).get(_SOURCE, "")
    if answered.isdecimal() and int(answered) >= int(source):
        return
    _insert(bucket, key, body, source, there["generation"])


def _insert(bucket: str, key: str, body: bytes, source: str, generation: str) -> None:
    """Write an object in the place of that generation; raises OSError when another one is there by now."""
    description = {"name": key, "contentType": "application/json", "metadata": {_SOURCE: source}}
    boundary = os.urandom(16).hex().encode()
    head = b"--%b\r\nContent-Type: application/json\r\n\r\n" % boundary
    form = b"%b%b\r\n%b%b\r\n--%b--\r\n" % (head, json.dumps(description).encode(), head, body, boundary)
    place = f"/upload/storage/v1/b/{quote(bucket)}/o?uploadType=multipart&ifGenerationMatch={quote(generation)}"
    _request("POST", place, form, {"Content-Type": f"multipart/related; boundary={boundary.decode()}"})


def _place(bucket: str, key: str) -> str:
    return f"/storage/v1/b/{quote(bucket)}/o/{quote(key)}"


def _request(method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None) -> bytes:
    emulator = os.environ.get("STORAGE_EMULATOR_HOST", "").rstrip("/")
    if emulator:
        connection = http.client.HTTPConnection(emulator.rpartition("://")[2], timeout=_TIMEOUT_S)
        sent = headers or {}
    else:
        connection = http.client.HTTPSConnection("storage.googleapis.com", timeout=_TIMEOUT_S)
        sent = {"Authorization": f"Bearer {_access_token()}", **(headers or {})}
    status, content = _exchange(connection, method, target, body, sent)
    name = target.partition("?")[0]
    if status == 404:
        raise FileNotFoundError(f"Cloud Storage has no {name} any more.")
    if status == 412:
        raise OSError(f"Somebody else wrote to {name} in the meantime; the next try will see it.")
    if status >= 300:
        raise OSError(f"Cloud Storage answered {status} to {method} {name}; look at the service account's roles.")
    return content


def _access_token() -> str:
    """The service account's token, asked for again shortly before it expires."""
    global _token  # noqa: PLW0603 - one a process; two threads that ask at once get the same
    token, expires = _token
    if time.monotonic() > expires - _EARLY_S:
        host = os.environ.get("GCE_METADATA_HOST") or _METADATA
        connection = http.client.HTTPConnection(host, timeout=_TIMEOUT_S)
        status, content = _exchange(connection, "GET", _TOKEN_PATH, b"", {"Metadata-Flavor": "Google"})
        if status != 200:
            raise OSError(f"The metadata server answered {status} instead of a token; has the service an account?")
        document: dict[str, Any] = json.loads(content)
        token = document["access_token"]
        _token = (token, time.monotonic() + document["expires_in"])
    return token


def _exchange(
    connection: http.client.HTTPConnection, method: str, target: str, body: bytes, headers: dict[str, str]
) -> tuple[int, bytes]:
    try:
        connection.request(method, target, body or None, headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()
