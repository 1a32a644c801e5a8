"""Scores as a table for other programs: the JSON Lines of a job as Parquet, or as NumPy's ``.npz``.

Neither can grow part by part in the hands of several processes: Parquet says at its end where all of it lies, and a
``.npy`` array at its start how long it is. So a job writes JSON Lines, and when they are whole they are converted, a
few megabytes at a time. To convert them again makes the same bytes.
"""

from __future__ import annotations

import io
import zipfile
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import orjson

from coldpress_runtime.batch.output import Output
from coldpress_runtime.batch.writers import output_names
from coldpress_runtime.errors import BatchError
from coldpress_runtime.json_text import describe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from coldpress_runtime.batch.job import Job, Outcome
    from coldpress_runtime.batch.stores import Stat, Store
    from coldpress_runtime.signature import ValueInfo
    from coldpress_runtime.tensor import DType

    Array = np.ndarray[Any, Any]
    Records = list[dict[str, Any]]

__all__ = ["EXTENSIONS", "convert", "write_table"]

EXTENSIONS = {"parquet": "parquet", "npy": "npz"}
"""By output format, what a table's name ends in."""

_BLOCK_BYTES = 4 << 20
_GROUP_BYTES = 8 << 20  # of JSON in a row group; as objects it is many times as large
_NOT_FINITE = {"NaN": np.nan, "Infinity": np.inf, "-Infinity": -np.inf}
_MARKS = (b'"NaN"', b'"Infinity"', b'"-Infinity"')


def write_table(job: Job, outcome: Outcome, outputs: Sequence[ValueInfo]) -> str:
    """Write the table that a job was asked for beside its scores, once they are whole; to do it again changes nothing.

    Args:
        job: with JSON Lines as its scores.
        outcome: what ``run_job`` said.
        outputs: what the model gives (``Signature.outputs``).

    Returns:
        The table's key; empty where none was asked for, or the job is not done.

    Raises:
        BatchError: rows of an output differ in shape, which arrays cannot.
        StoreError: a store refuses.
    """
    extension = EXTENSIONS.get(job.options.output_format)
    if extension is None or outcome.status not in {"done", "already-done"}:
        return ""
    store, scores = job.layout.store, job.layout.scores
    key = f"{scores.removesuffix('.jsonl')}.{extension}"
    there = store.stat(scores)
    if store.stat(key) is None and there is not None:
        written = [info for info in outputs if not job.options.outputs or info.name in job.options.outputs]
        written.sort(key=lambda info: job.options.outputs.index(info.name) if job.options.outputs else 0)
        convert(store, there, key, job.options.output_format, written)
    return key


def convert(store: Store, scores: Stat, key: str, kind: str, outputs: Sequence[ValueInfo]) -> None:
    """Write the scores of a job as a table; to do it again changes nothing.

    Args:
        store: where both lie.
        scores: the JSON Lines.
        key: of the table.
        kind: ``parquet``, or ``npy`` for a ``.npz`` archive of an array for ``row`` and each output.
        outputs: those of the model that were written; none where ``postprocess`` made the rows, which are then texts
            of JSON in the column ``result``.

    Raises:
        BatchError: rows of an output differ in shape, which arrays cannot.
        ConflictError: something else is there.
    """

    def records(size: int = _BLOCK_BYTES) -> Iterator[Records]:
        return _records(store, scores, size, outputs)

    output = Output(key)
    with _Upload(output, store) as file:
        (_write_parquet if kind == "parquet" else _write_npz)(records, file, _Column.of(records, outputs))
    output.finish(store)


class _Upload(io.RawIOBase):
    """An object of a store as a file that only grows."""

    def __init__(self, output: Output, store: Store) -> None:
        super().__init__()
        self._output = output
        self._store = store

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._output.add(bytes(data))
        while self._output.is_due(self._store):
            self._output.send(self._store)
        return memoryview(data).nbytes


class _Column:
    """A column of the table.

    Attributes:
        name: in the rows and in the table.
        dtype: of its numbers; None for text.
        depth: how deep its values are nested.
    """

    def __init__(self, name: str, dtype: str | None, depth: int = 0) -> None:
        self.name = name
        self.dtype = dtype
        self.depth = depth

    @classmethod
    def of(cls, records: Callable[[], Iterator[Records]], outputs: Sequence[ValueInfo]) -> list[_Column]:
        """Return the columns: what a value is like the first record tells, which all others are like."""
        first = next(records(), [{"row": 0}])[0]
        columns = [cls("row", "int64")] + ([cls("file", None)] if "file" in first else [])
        if not outputs:
            return [*columns, cls("result", None)]
        for info, name in zip(outputs, output_names(outputs), strict=True):
            plain = info.kind == "tensor" and info.dtype is not None and not info.dtype.name.startswith("COMPLEX")
            depth = _depth(first[name]) if name in first else max(len(info.shape) - 1, 0)
            columns.append(cls(name, _numpy(info.dtype), depth) if plain and info.dtype else cls(name, None))
        return columns

    def values(self, records: Records) -> list[Any]:
        """The values of records as Python has them."""
        values = [record[self.name] for record in records]
        return values if self.dtype else [_as_text(value, self.depth) for value in values]


def _as_text(value: Any, depth: int) -> Any:
    """Texts, nested so deep; what is none is written as JSON."""
    if depth and isinstance(value, list):
        return [_as_text(item, depth - 1) for item in value]
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _depth(value: Any) -> int:
    depth = 0
    while isinstance(value, list):
        depth += 1
        value = value[0] if value else None
    return depth


def _numpy(dtype: DType) -> str | None:
    return None if dtype.name == "BYTES" else dtype.numpy


def _records(store: Store, scores: Stat, size: int, outputs: Sequence[ValueInfo]) -> Iterator[Records]:
    """Yield the rows, some megabytes at a time."""
    floats = any(info.dtype is not None and "float" in info.dtype.numpy for info in outputs)
    rest = b""
    for start in range(0, scores.size, size):
        block = rest + store.read(scores.key, start, min(start + size, scores.size), scores.version)
        end = block.rfind(b"\n") + 1
        rest = block[end:]
        if lines := block[:end].splitlines():
            records = list(map(orjson.loads, lines))
            if not outputs:
                records = [_merged(record) for record in records]
            elif floats and any(mark in block for mark in _MARKS):
                _mend(records, outputs)
            yield records


def _merged(record: dict[str, Any]) -> dict[str, Any]:
    kept = {name: record.pop(name) for name in ("row", "file") if name in record}
    return kept | {"result": record.get("result") if record.keys() == {"result"} else record}


def _mend(records: Records, outputs: Sequence[ValueInfo]) -> None:
    """Put floats where JSON had names for them."""
    for info, name in zip(outputs, output_names(outputs), strict=True):
        if info.kind == "tensor" and info.dtype is not None and "float" in info.dtype.numpy:
            for record in records:
                record[name] = _floats(record[name])


def _floats(value: Any) -> Any:
    if isinstance(value, list):
        return list(map(_floats, value))
    return _NOT_FINITE.get(value, value) if isinstance(value, str) else value


def _write_parquet(records: Callable[[int], Iterator[Records]], file: Any, columns: list[_Column]) -> None:
    import pyarrow as pa  # noqa: PLC0415 - for Parquet alone
    import pyarrow.parquet as pq  # noqa: PLC0415

    fields = []
    for column in columns:
        kind = pa.string() if column.dtype is None else pa.from_numpy_dtype(np.dtype(column.dtype))
        for _ in range(column.depth):
            kind = pa.list_(kind)
        fields.append(pa.field(column.name, kind))
    schema = pa.schema(fields)
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for some in records(_GROUP_BYTES):
            arrays = [pa.array(column.values(some), field.type) for column, field in zip(columns, fields, strict=True)]
            writer.write_batch(pa.record_batch(arrays, schema=schema))


def _write_npz(records: Callable[[], Iterator[Records]], file: Any, columns: list[_Column]) -> None:
    count = sum(map(len, records()))
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for column in columns:
            member = zipfile.ZipInfo(f"{column.name}.npy")  # dated 1980, so that it is the same each time
            with archive.open(member, "w", force_zip64=True) as array:
                _write_npy(records, array, column, count)


def _write_npy(records: Callable[[], Iterator[Records]], file: Any, column: _Column, count: int) -> None:
    dtype = np.dtype(column.dtype) if column.dtype else np.dtype(f"<U{_longest(records, column)}")
    shape: tuple[int, ...] | None = None
    for some in records():
        try:
            array = np.array(column.values(some), dtype)
        except ValueError:  # lists of different lengths
            array = np.empty(0)
        if len(array) != len(some) or (shape is not None and array.shape[1:] != shape):
            raise BatchError(f"Rows of {describe(column.name)} differ in shape, which an array cannot; write parquet.")
        if shape is None:
            shape = array.shape[1:]
            _write_header(file, dtype, (count, *shape))
        file.write(array.tobytes())
    if shape is None:
        _write_header(file, dtype, (0,))


def _write_header(file: Any, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def _longest(records: Callable[[], Iterator[Records]], column: _Column) -> int:
    """How long the longest text is."""
    longest = 1
    for some in records():
        texts = column.values(some)
        for _ in range(column.depth):
            texts = list(chain.from_iterable(texts))
        longest = max(longest, *map(len, texts)) if texts else longest
    return longest
