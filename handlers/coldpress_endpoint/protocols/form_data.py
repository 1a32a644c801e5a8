"""Forms with files, ``multipart/form-data``, as ``curl -F data=@file`` sends them."""

from __future__ import annotations

from email.parser import BytesParser
from email.policy import HTTP
from typing import NamedTuple

from coldpress_runtime.errors import RequestError

__all__ = ["Part", "read_form"]

_MAX_PARTS = 256


class Part(NamedTuple):
    """One field: its own headers that matter, in lower case, and its bytes."""

    headers: dict[str, str]
    body: bytes


def read_form(content_type: str, body: bytes) -> list[tuple[str, Part]]:
    """Read a form; returns its fields by name, in their order. Raises RequestError."""
    head = b"Content-Type: " + content_type.encode("latin-1", "replace") + b"\r\n\r\n"
    message = BytesParser(policy=HTTP).parsebytes(head + body)
    boundary = message.get_boundary()
    if not boundary or not message.is_multipart() or f"--{boundary}--".encode("latin-1", "replace") not in body:
        raise RequestError("The form is not whole: its boundary is missing, or its last part has no end.")
    parts = list(message.iter_parts())
    if not 0 < len(parts) <= _MAX_PARTS:
        raise RequestError(f"The form has {len(parts)} fields, expected one for each input.")
    found = []
    for part in parts:
        name = part.get_param("name", header="content-disposition")
        if not isinstance(name, str) or part.is_multipart():
            raise RequestError("A field of the form has no name; send one named after the input.")
        payload = part.get_payload(decode=True)
        kind = str(part["content-type"]) if "content-type" in part else ""
        found.append((name, Part({"content-type": kind}, payload if isinstance(payload, bytes) else b"")))
    return found
