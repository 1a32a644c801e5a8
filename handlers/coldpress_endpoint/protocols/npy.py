"""numpy's own file format, as SageMaker's and others' clients send arrays: read without believing its header."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import numpy as np

from coldpress_runtime.errors import RequestError
from coldpress_runtime.json_tensors import check_shape
from coldpress_runtime.ort import ValueInfo

__all__ = ["read_npy", "write_npy", "write_npz"]


def read_npy(body: bytes, info: ValueInfo) -> Any:
    """A ``.npy`` file as what the input takes; raises RequestError.

    Numbers are converted where none is lost but digits: Python's own floats are FP64, and models rarely are.
    """
    array = _parse(body)
    if info.kind != "tensor" or info.dtype is None:
        raise RequestError(f"Input {info.name!r} is a {info.kind}, which a .npy file cannot hold; send JSON.")
    check_shape(array.shape, info)
    return _convert(array, info.dtype.numpy, info)


def _parse(body: bytes) -> Any:
    file = io.BytesIO(body)
    try:
        version = np.lib.format.read_magic(file)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, fortran, dtype = read(file)
    except (ValueError, KeyError, EOFError, SyntaxError, TypeError, RecursionError, MemoryError):
        raise RequestError("The body is no .npy file of version 1 or 2; send what numpy.save writes.") from None
    if dtype.hasobject or dtype.kind not in "biufSU":
        raise RequestError(f"The .npy file holds {dtype.name[:24]}, expected numbers, booleans or text.")
    data = memoryview(body)[file.tell() :]
    size = dtype.itemsize
    for axis in shape:
        size *= axis
    if any(axis < 0 for axis in shape) or size != len(data) or not dtype.itemsize:
        raise RequestError(
            f"The .npy file's header says shape {list(shape)[:8]} of {dtype.name}, but {len(data)} bytes follow it."
        )
    try:
        array = np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")
    except ValueError:  # more axes, or longer ones beside an empty one, than numpy has
        raise RequestError(f"The .npy file's header says shape {list(shape)[:8]}, which no array has.") from None
    if dtype.kind == "b" and len(data) and max(data) > 1:
        raise RequestError(f"A byte of the .npy file's booleans is {max(data)}, expected 0 or 1.")
    return array


def _convert(array: Any, wanted: str, info: ValueInfo) -> Any:
    found = array.dtype
    refusal = RequestError(f"Input {info.name!r} is {info}: the .npy file holds {found.name}, which does not fit.")
    if (found.kind in "SU") != (wanted == "object"):
        raise refusal
    if wanted == "object":
        try:
            texts = np.char.decode(array, "utf-8") if found.kind == "S" else array
            return texts.astype(object)
        except ValueError:  # UnicodeDecodeError is one
            raise RequestError(f"Input {info.name!r}: the .npy file holds what is no UTF-8 text.") from None
    target = np.dtype(wanted)
    if found == target:
        return np.ascontiguousarray(array)
    if target.kind == "f" and found.kind in "iuf":
        with np.errstate(over="ignore"):
            converted = array.astype(target, order="C")
        if np.array_equal(np.isfinite(converted), np.isfinite(array)):
            return converted
    elif target.kind in "iu" and found.kind in "iuf":
        with np.errstate(invalid="ignore"):
            converted = array.astype(target, order="C")
        if np.array_equal(converted, array) and np.array_equal(converted < 0, array < 0):
            return converted
    raise refusal


def write_npy(array: Any) -> bytes:
    """One array as a ``.npy`` file; text as numpy's fixed-width text, for readers that refuse pickles."""
    file = io.BytesIO()
    np.save(file, _plain(array), allow_pickle=False)
    return file.getvalue()


def write_npz(arrays: dict[str, Any]) -> bytes:
    """Several arrays, by name, as a ``.npz`` file."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            archive.writestr(f"{name}.npy", write_npy(array))
    return file.getvalue()


def _plain(array: Any) -> Any:
    if not isinstance(array, np.ndarray):
        raise RequestError("An output is a sequence or a map, which a .npy file cannot hold; ask for JSON.")
    return array.astype(str) if array.dtype.kind == "O" else array
