"""Compressed request bodies, inflated within a bound."""

from __future__ import annotations

import zlib

from coldpress_runtime.errors import MediaTypeError, RequestError, TooLargeError
from coldpress_runtime.json_text import describe

__all__ = ["inflate"]

_WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}  # zlib's own codes for the two framings


def inflate(body: bytes, encoding: str, limit: int) -> bytes:
    """Undo a ``Content-Encoding``; never builds more than ``limit`` bytes and one.

    Raises MediaTypeError for an unknown encoding, RequestError for broken data, TooLargeError above the limit.
    """
    name = encoding.strip().lower()
    if name in {"", "identity"}:
        return body
    if name not in _WINDOW_BITS:
        raise MediaTypeError(f"Content-Encoding is {describe(encoding)}, expected gzip, deflate or none.")
    machine = zlib.decompressobj(_WINDOW_BITS[name])
    try:
        plain = machine.decompress(body, limit + 1)
    except zlib.error:
        raise RequestError(f"The body is not valid {name} data, as its Content-Encoding says.") from None
    if len(plain) > limit:
        raise TooLargeError(f"The body is over {limit} bytes once decompressed, which is this function's limit.")
    if not machine.eof or machine.unused_data:
        raise RequestError(f"The body's {name} data is cut short or followed by more; send one whole stream.")
    return plain
