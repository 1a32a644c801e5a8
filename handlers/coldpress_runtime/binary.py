"""The binary tensor extension of the Open Inference Protocol.

A body is JSON followed by the tensors' bytes, one after the other in the order of the JSON; the header
``Inference-Header-Content-Length`` says how long the JSON is, and each tensor's parameter ``binary_data_size`` how
many bytes are its own. Numbers are little-endian, booleans one byte each, and each element of a BYTES tensor is its
length as a 4-byte unsigned integer followed by that many bytes.
"""

from __future__ import annotations

import sys
from struct import Struct
from struct import error as StructError  # noqa: N812 - it is a class

from coldpress_runtime.errors import RequestError
from coldpress_runtime.json_text import describe
from coldpress_runtime.tensor import Tensor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Buffer, Iterable  # type: ignore[attr-defined]
    from typing import Any

    from coldpress_runtime.tensor import DType

__all__ = ["HEADER", "decode", "encode", "split"]

#: The header, spelled as in the protocol.
HEADER = "Inference-Header-Content-Length"

_length = Struct("<I")


def split(body: bytes, header: str | None) -> tuple[bytes, memoryview]:
    """Part a body into its JSON and its binary tail (empty without the header); raises RequestError."""
    if header is None:
        return body, memoryview(b"")
    text = header.strip()
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise RequestError(f"{HEADER} is {describe(header)}, expected the length of the JSON in bytes.")
    length = int(text)
    if length > len(body):
        raise RequestError(f"{HEADER} is {length}, but the body has only {len(body)} bytes.")
    return body[:length], memoryview(body)[length:]


def _strings(data: memoryview, count: int, name: str) -> list[bytes]:
    """Take a BYTES tensor's elements apart; ``count`` only bounds the loop that the data itself ends."""
    strings: list[bytes] = []
    place, end = 0, len(data)
    while place < end and len(strings) <= count:
        try:
            (length,) = _length.unpack_from(data, place)
        except StructError:
            raise RequestError(f"Input {name!r}: its binary data ends inside an element's length.") from None
        place += 4
        if place + length > end:
            raise RequestError(
                f"Input {name!r}: element {len(strings)} claims {length} bytes, only {end - place} are left."
            )
        strings.append(bytes(data[place : place + length]))
        place += length
    if len(strings) != count:
        raise RequestError(
            f"Input {name!r}: its binary data holds {'more' if len(strings) > count else len(strings)} elements, "
            f"its shape needs {count}."
        )
    return strings


def decode(data: memoryview, dtype: DType, shape: tuple[int, ...], name: str) -> Tensor:
    """A tensor from its binary form, without copying numbers; raises RequestError."""
    size = 1
    for dim in shape:
        size *= dim
    if dtype.name == "BYTES":
        return Tensor(dtype, shape, _strings(data, size, name))
    if len(data) != dtype.nbytes(size):
        raise RequestError(
            f"Input {name!r} has {len(data)} bytes of binary data; {dtype.name} of shape {list(shape)} "
            + (f"needs {dtype.nbytes(size)}." if size < 1 << 60 else "needs far more.")
        )
    if dtype.name == "BOOL" and data and max(data) > 1:
        raise RequestError(f"Input {name!r} is BOOL: a byte of its binary data is {max(data)}, expected 0 or 1.")
    return Tensor(dtype, shape, _swapped(data, dtype) if sys.byteorder == "big" else data)


def _swapped(data: memoryview, dtype: DType) -> Buffer:
    """Turn numbers' byte order around, for the rare machine that is not little-endian."""
    width = dtype.itemsize
    turned = bytearray(len(data))
    for offset in range(width):
        turned[offset::width] = data[width - 1 - offset :: width]
    return turned


def encode(tensor: Tensor) -> Any:
    """A tensor's binary form, as a buffer."""
    data: Any = tensor.data
    if tensor.dtype.name == "BYTES":
        return b"".join(_with_lengths(data))
    if sys.byteorder == "big":
        return _swapped(data, tensor.dtype)
    return data


def _with_lengths(strings: Iterable[bytes]) -> Iterable[bytes]:
    for text in strings:
        yield _length.pack(len(text))
        yield text
