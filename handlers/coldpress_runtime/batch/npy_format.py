"""NumPy's files: ``.npy`` holds one array, ``.npz`` an array for each input; a record is an item of the first axis."""

from __future__ import annotations

import json
import zipfile
from contextlib import ExitStack
from io import BytesIO
from math import prod
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from coldpress_runtime.batch.arrays import document, preprocessed_arrays, rows_of_arrays
from coldpress_runtime.batch.chunks import Chunk, Position
from coldpress_runtime.batch.features import record_axes
from coldpress_runtime.batch.reading import buffered, read_fully, refusing_damage
from coldpress_runtime.errors import InputError
from coldpress_runtime.json_tensors import shape_text
from coldpress_runtime.protocol import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO, Any

    from coldpress_runtime.batch.chunks import Rows, Sizes, Stream
    from coldpress_runtime.batch.features import Signature
    from coldpress_runtime.signature import ValueInfo

    Array = np.ndarray[Any, Any]

__all__ = ["NpyFormat", "NpzFormat"]


class _Header(NamedTuple):
    """What a ``.npy`` file says of its array."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    size: int  # of the header itself

    @property
    def record_bytes(self) -> int:
        return prod(self.shape[1:]) * self.dtype.itemsize

    def array(self, data: bytes, records: int) -> Array:
        shape = (records, *self.shape[1:])
        return np.frombuffer(data, self.dtype).reshape(shape) if data else np.zeros(shape, self.dtype)


class NpyFormat:
    """Reads the array of a ``.npy`` file for a model of one input.

    Args:
        signature: what the model takes.
        start: the file's first bytes, with all of its header.

    Raises:
        InputError: the array has not the shape that the model takes, or cannot be read in parts.
    """

    seeks = False

    def __init__(self, signature: Signature, start: bytes) -> None:
        self._signature = signature
        self._header = _read_header(BytesIO(start), "The file")
        _refuse_columns(signature)
        if signature.preprocess:
            self._name = ""
            return
        if signature.only is None:
            raise InputError(
                f"The file is one array, but this model has the inputs {quoted(signature.inputs)}; use .npz with an "
                "array for each."
            )
        self._name = signature.only.name
        _check(self._header, signature.only, "The array")

    def chunks(self, stream: Stream, start: Position, sizes: Sizes) -> Iterator[Chunk]:
        """Yield chunks of whole records; raises InputError where the file ends too soon."""
        header, row = self._header, start.row
        if not start.offset:
            read_fully(stream, header.size)
        size = max(header.record_bytes, 1)
        _refuse_long(size, sizes)
        while row < header.shape[0]:
            asked = min(max(sizes.bytes // size, 1), sizes.rows, header.shape[0] - row)
            data = read_fully(stream, asked * header.record_bytes)
            records = len(data) // header.record_bytes if header.record_bytes else asked
            if records:
                first, row = row, row + records
                yield Chunk(first, records, data[: records * header.record_bytes], self._position(row))
            if records < asked:
                raise InputError(f"The file ends after {row} of {header.shape[0]} records.")

    def rows(self, chunk: Chunk) -> Rows:
        """Return the rows of a chunk; a number that the input cannot hold makes its record a reject."""
        return _rows(chunk.first, self._arrays(chunk), self._signature)

    def singles(self, chunk: Chunk) -> Iterator[Chunk]:
        """Yield the records of a chunk, each as a chunk of its own."""
        size = self._header.record_bytes
        for place in range(chunk.records):
            yield Chunk(chunk.first + place, 1, chunk.data[place * size : (place + 1) * size], chunk.end)

    def record(self, chunk: Chunk, row: int) -> bytes:
        """Return a record of a chunk as JSON."""
        return document(self._arrays(chunk), row - chunk.first)

    def _arrays(self, chunk: Chunk) -> dict[str, Array]:
        return {self._name: self._header.array(chunk.data, chunk.records)}

    def _position(self, row: int) -> Position:
        return Position(self._header.size + row * self._header.record_bytes, row)


class NpzFormat:
    """Reads the arrays of a ``.npz`` file, named after the model's inputs; others are passed over.

    A chunk holds its records of each array as a small ``.npy`` file, behind a line with the arrays' names.
    """

    seeks = True

    def __init__(self, signature: Signature) -> None:
        _refuse_columns(signature)
        self._signature = signature

    def chunks(self, stream: Stream, start: Position, sizes: Sizes) -> Iterator[Chunk]:
        """Yield chunks of whole records; raises InputError for a file without the arrays that the model takes."""
        with refusing_damage("The file is no .npz archive that can be read"), ExitStack() as opened:
            archive = opened.enter_context(zipfile.ZipFile(opened.enter_context(buffered(stream))))
            yield from self._read(archive, opened, start.row, sizes)

    def rows(self, chunk: Chunk) -> Rows:
        """Return the rows of a chunk; a number that an input cannot hold makes its record a reject."""
        return _rows(chunk.first, _unpack(chunk.data), self._signature)

    def singles(self, chunk: Chunk) -> Iterator[Chunk]:
        """Yield the records of a chunk, each as a chunk of its own."""
        arrays = _unpack(chunk.data)
        for place in range(chunk.records):
            one = _pack({name: array[place : place + 1] for name, array in arrays.items()})
            yield Chunk(chunk.first + place, 1, one, chunk.end)

    def record(self, chunk: Chunk, row: int) -> bytes:
        """Return a record of a chunk as JSON, by the arrays' names."""
        return document(_unpack(chunk.data), row - chunk.first)

    def _read(self, archive: zipfile.ZipFile, opened: ExitStack, row: int, sizes: Sizes) -> Iterator[Chunk]:
        parts: dict[str, tuple[_Header, IO[bytes]]] = {}
        for name, member in self._members(archive).items():
            file = opened.enter_context(archive.open(member))
            parts[name] = (_read_header(file, f"Array {name!r}"), file)
        counts = {name: header.shape[0] for name, (header, _) in parts.items()}
        total = next(iter(counts.values()))
        if set(counts.values()) != {total}:
            raise InputError(f"The arrays have different numbers of records: {counts}; each needs one for each record.")
        for name, (header, file) in parts.items():
            if name in self._signature.inputs and not self._signature.preprocess:
                _check(header, self._signature.inputs[name], f"Array {name!r}")
            file.seek(row * header.record_bytes, 1)
        size = max(sum(header.record_bytes for header, _ in parts.values()), 1)
        _refuse_long(size, sizes)
        while row < total:
            records = min(max(sizes.bytes // size, 1), sizes.rows, total - row)
            arrays = {}
            for name, (header, file) in parts.items():
                data = read_fully(file, records * header.record_bytes)
                if len(data) < records * header.record_bytes:
                    raise InputError(f"Array {name!r} ends before its {total} records.")
                arrays[name] = header.array(data, records)
            first, row = row, row + records
            yield Chunk(first, records, _pack(arrays), Position(row=row))

    def _members(self, archive: zipfile.ZipFile) -> dict[str, str]:
        """Which member is which input's."""
        found = {name.removesuffix(".npy"): name for name in archive.namelist() if name.endswith(".npy")}
        if not found:
            raise InputError("The archive holds no array, expected one for each input of the model.")
        if self._signature.preprocess:
            return found
        inputs = self._signature.inputs
        if len(inputs) == len(found) == 1:
            return dict(zip(inputs, found.values(), strict=True))
        missing = [name for name in inputs if name not in found]
        if missing:
            raise InputError(f"The archive has the arrays {sorted(found)}, but this model takes {quoted(inputs)}.")
        return {name: found[name] for name in inputs}


def _rows(first: int, arrays: dict[str, Array], signature: Signature) -> Rows:
    if signature.preprocess:
        return preprocessed_arrays(first, arrays, signature)
    return rows_of_arrays(first, arrays, signature)


def _read_header(file: Any, what: str) -> _Header:
    with refusing_damage(f"{what} is no .npy array that can be read"):
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, by_column, dtype = read(file)
    if dtype.hasobject or dtype.names:
        raise InputError(f"{what} holds {dtype}, expected numbers or text; save plain arrays, one for each input.")
    if not shape:
        raise InputError(f"{what} has no axes, expected a first one that counts records.")
    if by_column and len(shape) > 1 and shape[0] > 1:
        raise InputError(f"{what} lies column by column; save numpy.ascontiguousarray(array).")
    return _Header(dtype, shape, file.tell())


def _check(header: _Header, info: ValueInfo, what: str) -> None:
    """Compare an array's shape with what the model takes of a record."""
    if info.kind != "tensor":
        raise InputError(f"Input {info.name!r} is a {info.kind}, which no array can hold; use JSON Lines.")
    axes, found = record_axes(info), header.shape[1:]
    if info.shape and (
        len(axes) != len(found)
        or any(isinstance(axis, int) and axis != has for axis, has in zip(axes, found, strict=True))
    ):
        raise InputError(
            f"{what} has shape {shape_text(header.shape)}, expected {shape_text((None, *axes))} for input "
            f"{info.name!r}: a record is an item of the first axis."
        )


def _refuse_columns(signature: Signature) -> None:
    if signature.columns:
        raise InputError("columns names fields of tables, which NumPy's files have none of; leave it out.")


def _refuse_long(size: int, sizes: Sizes) -> None:
    if size > sizes.record_bytes:
        raise InputError(f"A record has {size} bytes, and at most {sizes.record_bytes} are read as one.")


def _pack(arrays: dict[str, Array]) -> bytes:
    packed = BytesIO()
    packed.write(json.dumps(list(arrays)).encode() + b"\n")
    for array in arrays.values():
        np.lib.format.write_array(packed, array, allow_pickle=False)
    return packed.getvalue()


def _unpack(data: bytes) -> dict[str, Array]:
    packed = BytesIO(data)
    names = json.loads(packed.readline())
    return {name: np.lib.format.read_array(packed, allow_pickle=False) for name in names}
