"""Parquet, row group after row group and a few thousand rows at a time, only the columns that the model takes.

A model of one input takes the column that is named after it, or the only one there is, if it holds lists; else all
columns in order, or those that ``columns`` names, a number each. Of a model of several inputs each takes the column
named after it, or ``name.0``, ``name.1``...

A chunk is a stream in Arrow's IPC format: it says itself what its columns are.
"""

from __future__ import annotations

from binascii import b2a_base64
from importlib.util import find_spec
from itertools import count, takewhile
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from coldpress_runtime.batch.arrays import rows_of_arrays
from coldpress_runtime.batch.chunks import RAW_BYTES, Chunk, Position, Reject, Rows
from coldpress_runtime.batch.csv_head import Head, take_columns
from coldpress_runtime.batch.features import join_rows, record_axes, solve_axes
from coldpress_runtime.batch.reading import buffered, refusing_damage
from coldpress_runtime.errors import InputError
from coldpress_runtime.http import Request
from coldpress_runtime.json_tensors import shape_text
from coldpress_runtime.json_text import describe, dump

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from coldpress_runtime.batch.chunks import Sizes, Stream
    from coldpress_runtime.batch.features import Signature
    from coldpress_runtime.signature import ValueInfo

    Array = np.ndarray[Any, Any]

__all__ = ["ParquetFormat"]

_WHOLE_BYTES = 32 << 20  # of a row group that is read as a whole: a column in one request to the store
_BUFFER_BYTES = 1 << 20  # of a column of a larger one that are read at a time


class _Input(NamedTuple):
    """The columns that an input takes: one of lists, or a number from each of several."""

    info: ValueInfo
    columns: tuple[str, ...]
    lists: bool


class _UnfitError(Exception):
    """Rows do not make an array as a whole; said of one row, it is why that is a reject."""


class ParquetFormat:
    """Reads Parquet for one model.

    Args:
        signature: what the model takes.

    Raises:
        InputError: pyarrow, which reads Parquet, is not there.
    """

    seeks = True

    def __init__(self, signature: Signature) -> None:
        if find_spec("pyarrow") is None:
            raise InputError('Parquet needs pyarrow; install it with pip install "coldpress[batch]".')
        self._signature = signature

    def chunks(self, stream: Stream, start: Position, sizes: Sizes) -> Iterator[Chunk]:
        """Yield chunks of whole rows; raises InputError for a damaged file, or one without the model's columns."""
        import pyarrow.parquet as pq  # noqa: PLC0415 - 30 MB that only this format needs

        with refusing_damage("The file is no Parquet that can be read"), buffered(stream) as source:
            file = pq.ParquetFile(source, pre_buffer=False)
            names = file.schema_arrow.names
            if not self._signature.preprocess:
                taken = {name for one in self._inputs(file.schema_arrow) for name in one.columns}
                names = [name for name in names if name in taken]
            if _largest_group(file.metadata) > _WHOLE_BYTES:
                file = pq.ParquetFile(source, metadata=file.metadata, buffer_size=_BUFFER_BYTES, pre_buffer=False)
            yield from _read(file, names, start.row, sizes)

    def rows(self, chunk: Chunk) -> Rows:
        """Return the rows of a chunk; one with null in a column, or a number out of range, is a reject."""
        if chunk.reason:
            return Rows(np.empty(0, np.int64), {}, [Reject(chunk.first, chunk.reason, b"")])
        table = _unpack(chunk.data)
        if self._signature.preprocess:
            bodies = (dump(_plain(record)) for record in table.to_pylist())
            requests = (Request("POST", "/predict", {"content-type": "application/json"}, body) for body in bodies)
            return self._signature.preprocessed(range(chunk.first, chunk.first + chunk.records), requests)
        return self._rows(table, chunk.first, self._inputs(table.schema))

    def singles(self, chunk: Chunk) -> Iterator[Chunk]:
        """Yield the rows of a chunk, each as a chunk of its own."""
        if chunk.reason:
            yield chunk
            return
        (batch,) = _unpack(chunk.data).to_batches()
        for place in range(chunk.records):
            yield Chunk(chunk.first + place, 1, _pack(batch.slice(place, 1)), chunk.end)

    def record(self, chunk: Chunk, row: int) -> bytes:
        """Return a row of a chunk as JSON."""
        return b"" if chunk.reason else _record(_unpack(chunk.data).slice(row - chunk.first, 1))

    def _rows(self, table: Any, first: int, inputs: list[_Input]) -> Rows:
        """All rows at once, or in halves until the one that does not fit is alone."""
        count = table.num_rows
        try:
            arrays = {one.info.name: _array_of(table, one) for one in inputs}
        except _UnfitError as error:
            if count == 1:
                return Rows(np.empty(0, np.int64), {}, [Reject(first, str(error), _record(table))])
            half = count // 2
            parts = [
                self._rows(table.slice(0, half), first, inputs),
                self._rows(table.slice(half), first + half, inputs),
            ]
            return join_rows(parts, self._signature)
        return rows_of_arrays(first, arrays, self._signature, lambda place: _record(table.slice(place, 1)))

    def _inputs(self, schema: Any) -> list[_Input]:
        """Which columns each input takes; raises InputError where some are missing, or hold what it does not take."""
        only, names, lists = self._signature.only, tuple(schema.names), set(filter(_is_list(schema), schema.names))
        if only is not None:
            chosen = self._signature.columns or ((only.name,) if only.name in lists else names)
            if len(chosen) == 1 and chosen[0] in lists:
                inputs = [_Input(only, chosen, lists=True)]
            else:
                taken = take_columns(Head(",", names, len(names)), self._signature)
                inputs = [_Input(one.info, tuple(names[place] for place in one.columns), lists=False) for one in taken]
        else:
            inputs = [_named(info, names, lists) for info in self._signature.inputs.values()]
        for one in inputs:
            for name in one.columns:
                _check_type(schema.field(name).type, name, one)
        return inputs


def _is_list(schema: Any) -> Callable[[str], bool]:
    return lambda name: _has_items(schema.field(name).type)


def _has_items(kind: Any) -> bool:
    from pyarrow import types  # noqa: PLC0415

    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _check_type(kind: Any, name: str, taken: _Input) -> None:
    from pyarrow import types  # noqa: PLC0415

    inner = kind
    while taken.lists and _has_items(inner):
        inner = inner.value_type
    if types.is_dictionary(inner):
        inner = inner.value_type
    numbers = (types.is_integer, types.is_floating, types.is_boolean, types.is_decimal, types.is_null)
    texts = (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary, types.is_null)
    dtype = taken.info.dtype.name if taken.info.dtype else ""
    if not any(is_one(inner) for is_one in (texts if dtype == "BYTES" else numbers)):
        raise InputError(
            f"Column {describe(name)} holds {str(kind)[:40]}, not what input {taken.info.name!r} of {dtype} takes; "
            "convert it, or name others."
        )


def _named(info: ValueInfo, names: tuple[str, ...], lists: set[str]) -> _Input:
    if info.kind != "tensor":
        raise InputError(f"Input {info.name!r} is a {info.kind}, which no column can hold; use JSON Lines.")
    if info.name in names:
        return _Input(info, (info.name,), info.name in lists)
    for pattern in ("{}.{}", "{}[{}]"):
        every = (pattern.format(info.name, place) for place in count())
        if columns := tuple(takewhile(names.__contains__, every)):
            return _Input(info, columns, lists=False)
    raise InputError(
        f"The file lacks the column {describe(info.name)}, which the model takes; it has {', '.join(map(repr, names))}."
    )


def _largest_group(metadata: Any) -> int:
    groups = map(metadata.row_group, range(metadata.num_row_groups))
    return max(
        (sum(group.column(place).total_compressed_size for place in range(group.num_columns)) for group in groups),
        default=0,
    )


def _read(file: Any, names: list[str], row: int, sizes: Sizes) -> Iterator[Chunk]:
    """Yield the rows from ``row`` on, row group after row group."""
    metadata = file.metadata
    begin = 0
    for group in range(metadata.num_row_groups):
        rows, size = metadata.row_group(group).num_rows, metadata.row_group(group).total_byte_size
        end = begin + rows
        if end > row:
            row_bytes = max(size // rows, 1)
            at = begin
            asked = min(max(sizes.bytes // row_bytes, 1), sizes.rows)
            for batch in file.iter_batches(asked, row_groups=[group], columns=names):
                skipped = min(max(row - at, 0), batch.num_rows)
                at += batch.num_rows
                for chunk in _cut(batch.slice(skipped), row, sizes):
                    row = chunk.end.row
                    yield chunk
        begin = end


def _cut(batch: Any, row: int, sizes: Sizes) -> Iterator[Chunk]:
    """Yield the rows of a batch in chunks that are small enough."""
    while batch.num_rows:
        records = min(batch.num_rows, sizes.rows)
        while records > 1 and batch.slice(0, records).nbytes > min(2 * sizes.bytes, sizes.record_bytes):
            records //= 2
        part, batch = batch.slice(0, records), batch.slice(records)
        end = Position(row=row + records)
        if part.nbytes > sizes.record_bytes:
            reason = f"The record is over {sizes.record_bytes} bytes long, which is more than is read as one."
            yield Chunk(row, 1, b"", end, reason)
        else:
            yield Chunk(row, records, _pack(part), end)
        row += records


def _array_of(table: Any, one: _Input) -> Array:
    """The values of an input, with an item a row."""
    arrays = [_array(table.column(name).combine_chunks(), name) for name in one.columns]
    if one.lists:
        found, axes = arrays[0].shape[1:], record_axes(one.info)
        if one.info.shape and (
            len(axes) != len(found)
            or any(isinstance(axis, int) and axis != has for axis, has in zip(axes, found, strict=True))
        ):
            name = describe(one.columns[0])
            raise _UnfitError(f"Column {name} holds a list of shape {shape_text(found)}, expected {shape_text(axes)}.")
        return arrays[0]
    whole = arrays[0] if len(arrays) == 1 else np.stack(arrays, 1)
    return whole.reshape(table.num_rows, *solve_axes(one.info, len(arrays)))


def _array(column: Any, name: str) -> Array:
    """A column as an array; raises _UnfitError where one holds null, or lists of different lengths."""
    from pyarrow import types  # noqa: PLC0415

    kind = column.type
    if column.null_count:
        raise _UnfitError(f"Column {describe(name)} is null, expected a value.")
    if types.is_dictionary(kind):
        return _array(column.dictionary_decode(), name)
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        lengths = np.unique(column.value_lengths().to_numpy(zero_copy_only=False)) if len(column) else np.zeros(1)
        if len(lengths) != 1:
            raise _UnfitError(f"Column {describe(name)} holds lists of different lengths.")
        inner = _array(column.flatten(), name)
        return inner.reshape(len(column), int(lengths[0]), *inner.shape[1:])
    if types.is_decimal(kind):
        column = column.cast("float64")
    values: Array = column.to_numpy(zero_copy_only=False)
    return values


def _record(table: Any) -> bytes:
    """A table's only row as JSON."""
    (record,) = table.to_pylist()
    return dump(_plain(record))[:RAW_BYTES]


def _plain(value: Any) -> Any:
    """Values of Arrow as JSON has them; what it lacks (dates, decimals) as text."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        return {"b64": b2a_base64(value, newline=False).decode()}
    return value if value is None or isinstance(value, (str, bool, int, float)) else str(value)


def _pack(batch: Any) -> bytes:
    import pyarrow as pa  # noqa: PLC0415

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    packed: bytes = sink.getvalue().to_pybytes()
    return packed


def _unpack(data: bytes) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    return pa.ipc.open_stream(data).read_all()
