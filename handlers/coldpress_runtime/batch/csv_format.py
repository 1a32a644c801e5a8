"""CSV: a record a line, or more lines where quotes hold them together.

The first record is the header when none of its fields is a number. A model of one input takes the columns in order, or
those that ``columns`` names; of a model of several inputs each takes the columns that are named after it: ``name``, or
``name.0``, ``name.1``... (``name[0]``...) where a record has several values. Without a header, by order.

Records go down one of two roads. The fast one finds all fields of a chunk at once, and reads all of their numbers at
once. It declines where quotes stand in the middle of fields and where carriage returns stand alone; then the exact one
asks Python's csv module, record by record.
"""

from __future__ import annotations

import csv
import json
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from coldpress_runtime.batch.chunks import RAW_BYTES, Position, Reject, Rows, Sizes
from coldpress_runtime.batch.csv_fields import find_fields
from coldpress_runtime.batch.csv_head import split_record, take_columns
from coldpress_runtime.batch.features import has_batch_axis, stack
from coldpress_runtime.batch.lines import Splitter, csv_ends
from coldpress_runtime.batch.numbers import read_number, read_numbers
from coldpress_runtime.http import Request
from coldpress_runtime.json_text import describe
from coldpress_runtime.tensor import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from coldpress_runtime.batch.chunks import Chunk, Stream
    from coldpress_runtime.batch.csv_head import Head, Taken
    from coldpress_runtime.batch.features import Signature

    Array = np.ndarray[Any, Any]

__all__ = ["CsvFormat"]


class _Group:
    """Columns of one element type, which are read together.

    Args:
        taken: the inputs that take them.
    """

    def __init__(self, taken: list[Taken]) -> None:
        self.taken = taken
        self.columns = [column for one in taken for column in one.columns]
        dtype = taken[0].info.dtype
        assert dtype is not None  # noqa: S101 - take_columns refuses others
        self.dtype = None if dtype.name == "BYTES" else np.dtype(dtype.numpy)

    def read(self, data: bytes, starts: Array, ends: Array) -> tuple[Array, Array]:
        """Read fields, given where they are; returns the values, and the indices of those that are none."""
        if self.dtype is not None:
            return read_numbers(data, starts, ends, self.dtype)
        values, bad = np.empty(len(starts), object), []
        for place, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
            try:
                values[place] = data[start:end].decode().replace('""', '"')
            except UnicodeDecodeError:
                bad.append(place)
        return values, np.array(bad, np.int64)

    def read_one(self, text: bytes) -> Any:
        """Read one field; raises ValueError with what was expected."""
        if self.dtype is not None:
            return read_number(text, self.dtype)
        try:
            return text.decode()
        except UnicodeDecodeError:
            raise ValueError("expected text in UTF-8") from None


class CsvFormat:
    """Reads CSV for one model.

    Args:
        signature: what the model takes.
        head: how the file begins (``csv_head.read_head``).

    Raises:
        InputError: the file does not have the columns that the model takes.
    """

    seeks = False

    def __init__(self, signature: Signature, head: Head) -> None:
        self._signature = signature
        self._head = head
        self._width = head.width
        taken = take_columns(head, signature) if head.width and not signature.preprocess else []
        if head.names is None and taken:
            self._width = sum(len(one.columns) for one in taken)
        by_type: dict[Any, list[Taken]] = {}
        for one in taken:
            by_type.setdefault(one.info.dtype, []).append(one)
        self._groups = [_Group(alike) for alike in by_type.values()]
        self._has_fast_road = all(map(_is_plain, taken))

    def chunks(self, stream: Stream, start: Position, sizes: Sizes) -> Iterator[Chunk]:
        """Yield chunks of whole records, behind the header; raises InputError where the stream is damaged."""
        splitter = Splitter(stream, start, lambda data: csv_ends(data, self._head.delimiter))
        if not start.offset and self._head.names is not None:
            splitter.take(Sizes(sizes.bytes, 1))
            splitter.position = splitter.position._replace(row=start.row)
        while (chunk := splitter.take(sizes)) is not None:
            yield chunk

    def rows(self, chunk: Chunk) -> Rows:
        """Return the rows of a chunk; a record that the model cannot take is a reject."""
        if chunk.reason:
            return Rows(np.empty(0, np.int64), {}, [Reject(chunk.first, chunk.reason, chunk.data[:RAW_BYTES])])
        if self._signature.preprocess:
            return self._preprocess(chunk)
        return self._read_fast(chunk) or self._read_exactly(chunk)

    def singles(self, chunk: Chunk) -> Iterator[Chunk]:
        """Yield the records of a chunk, each as a chunk of its own."""
        if chunk.reason:
            yield chunk
            return
        behind_header = Position(1, chunk.first)
        for one in self.chunks(BytesIO(chunk.data), behind_header, Sizes(rows=1)):
            yield one._replace(end=chunk.end)

    def record(self, chunk: Chunk, row: int) -> bytes:
        """Return a record of a chunk."""
        return self._records(chunk)[row - chunk.first][:RAW_BYTES]

    def _records(self, chunk: Chunk) -> list[bytes]:
        data = chunk.data if chunk.data.endswith(b"\n") else chunk.data + b"\n"
        ends = csv_ends(data, self._head.delimiter).tolist()
        if not ends or ends[-1] < len(data):  # of a quote that is never closed
            ends.append(len(data))
        records = (data[start:end] for start, end in zip([0, *ends], ends, strict=False))
        return [record.rstrip(b"\r\n") for record in records if not record.isspace()]

    def _read_fast(self, chunk: Chunk) -> Rows | None:
        """All records at once, or None where the exact road must look at them."""
        data, first = chunk.data, chunk.first
        fields = find_fields(data, self._head.delimiter, self._width) if self._has_fast_road else None
        if fields is None:
            return None
        reasons: dict[int, str] = {}
        read: list[tuple[Taken, Array]] = []
        for group in self._groups:
            starts, ends = self._pick(fields.starts, group), self._pick(fields.ends, group)
            values, bad = group.read(data, starts, ends)
            width, begin = len(group.columns), 0
            for field in bad.tolist():
                if (row := field // width) not in reasons:
                    text = data[starts[field] : ends[field]].replace(b'""', b'"')
                    reasons[row] = self._wrong_field(group, group.columns[field % width], text)
            values = values.reshape(len(fields.places), width)
            for taken in group.taken:
                read.append((taken, values[:, begin : begin + len(taken.columns)]))
                begin += len(taken.columns)
        good = np.ones(len(fields.places), bool)
        good[list(reasons)] = False
        rejects = [
            Reject(first + place, self._wrong_width(count), data[start:end].rstrip(b"\r\n")[:RAW_BYTES])
            for place, count, start, end in fields.others
        ]
        for row, reason in reasons.items():
            raw = data[fields.begins[row] : fields.finishes[row]]
            rejects.append(Reject(first + int(fields.places[row]), reason, raw[:RAW_BYTES]))
        numbers = fields.places[good] + first
        columns: dict[str, Any] = {}
        for taken, values in read if len(numbers) else ():
            kept = np.ascontiguousarray(values if len(numbers) == len(good) else values[good])
            columns[taken.info.name] = kept.reshape(-1, *taken.axes)
        return Rows(numbers, columns, sorted(rejects))

    def _pick(self, positions: Array, group: _Group) -> Array:
        """The positions of a group's fields, record by record."""
        if group.columns != list(range(self._width)):
            positions = positions.take(group.columns, axis=1)
        return positions.reshape(-1)

    def _read_exactly(self, chunk: Chunk) -> Rows:
        good: list[int] = []
        values: list[dict[str, Tensor]] = []
        rejects: list[Reject] = []
        for number, record in enumerate(self._records(chunk), chunk.first):
            try:
                values.append(self._read_record(record))
                good.append(number)
            except ValueError as error:
                rejects.append(Reject(number, str(error), record[:RAW_BYTES]))
        return Rows(np.array(good, np.int64), stack(values), rejects)

    def _read_record(self, record: bytes) -> dict[str, Tensor]:
        """What the engine takes for one record, with a batch axis of 1; raises ValueError with a sentence."""
        texts = [field.encode("utf-8", "surrogateescape") for field in self._split(record)]
        if len(texts) != self._width:
            raise ValueError(self._wrong_width(len(texts)))
        read: dict[int, Any] = {}
        for group in self._groups:
            for column in group.columns:
                try:
                    read[column] = group.read_one(texts[column])
                except ValueError:
                    raise ValueError(self._wrong_field(group, column, texts[column])) from None
        inputs = {}
        for group in self._groups:
            for taken in group.taken:
                inputs[taken.info.name] = _tensor(taken, [read[column] for column in taken.columns])
        return inputs

    def _split(self, record: bytes) -> list[str]:
        try:
            return split_record(record, self._head.delimiter)
        except csv.Error as error:
            raise ValueError(f"The record is not CSV: {error}.") from None

    def _wrong_width(self, count: int) -> str:
        return f"The record has {count} field{'s' * (count != 1)}, expected {self._width}."

    def _wrong_field(self, group: _Group, column: int, text: bytes) -> str:
        try:
            group.read_one(text)
        except ValueError as error:
            expected = str(error)
        found = describe(text.decode("utf-8", "replace")) if text.strip() else "empty"
        return f"Column {self._head.column(column)} is {found}, {expected}."

    def _preprocess(self, chunk: Chunk) -> Rows:
        """Hand each record to the user's ``preprocess``, as a JSON object of its texts by the header's names."""
        records = self._records(chunk)
        numbers: list[int] = []
        requests: list[Request] = []
        rejects: list[Reject] = []
        for number, record in enumerate(records, chunk.first):
            try:
                requests.append(self._request(record))
                numbers.append(number)
            except ValueError as error:
                rejects.append(Reject(number, str(error), record[:RAW_BYTES]))
        rows = self._signature.preprocessed(numbers, requests)
        rejects += [reject._replace(raw=records[reject.row - chunk.first][:RAW_BYTES]) for reject in rows.rejects]
        return rows._replace(rejects=sorted(rejects))

    def _request(self, record: bytes) -> Request:
        fields = self._split(record)
        names = self._head.names
        if len(fields) != self._width:
            raise ValueError(self._wrong_width(len(fields)))
        document: Any = fields
        if names is not None:
            document = dict(zip(names, fields, strict=True))
            document = {name: document[name] for name in self._signature.columns or names}
        try:
            body = json.dumps(document, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ValueError("The record is not UTF-8 text.") from None
        return Request("POST", "/predict", {"content-type": "application/json"}, body)


def _is_plain(taken: Taken) -> bool:
    """Whether numpy has an input's element type, and records run together."""
    dtype = taken.info.dtype
    return has_batch_axis(taken.info) and dtype is not None and bool(dtype.code or dtype.name == "BYTES")


def _tensor(taken: Taken, values: list[Any]) -> Tensor:
    """One record's value; raises ValueError where its datatype cannot hold it."""
    info = taken.info
    assert info.dtype is not None  # noqa: S101 - take_columns refuses others
    shape = (1, *taken.axes) if has_batch_axis(info) else taken.axes
    try:
        return Tensor.from_flat(info.dtype, shape, values)
    except (OverflowError, ValueError) as error:
        raise ValueError(f"Input {info.name!r}: {error}.") from None
