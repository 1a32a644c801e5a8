"""A chunk in, scored rows and rejects out; a bad row fails alone.

Rows run through the model many at a time where it has a batch axis and answers each as if it were alone, else one by
one. When the model refuses a run,
its rows are halved until the bad one stands alone and is a reject with the model's reason.
"""

from __future__ import annotations

from binascii import b2a_base64
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import orjson

from coldpress_runtime.batch.chunks import RAW_BYTES, Reject
from coldpress_runtime.batch.features import has_batch_axis, tell
from coldpress_runtime.batch.independence import are_independent, has_rows
from coldpress_runtime.batch.writers import CsvWriter, JsonLinesWriter
from coldpress_runtime.errors import BatchError, HookError, RequestError, RunError
from coldpress_runtime.json_text import describe
from coldpress_runtime.protocol import quoted
from coldpress_runtime.tensor import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from coldpress_runtime.batch.chunks import Chunk, Format, Position, Rows
    from coldpress_runtime.batch.options import Options
    from coldpress_runtime.ort import Session
    from coldpress_runtime.service import Service
    from coldpress_runtime.signature import ValueInfo

    Array = np.ndarray[Any, Any]

__all__ = ["Read", "Scored", "Scorer", "reject_line"]

_RUN_BYTES = 4 << 20  # of inputs in one run: more would leave the processor's caches
_RUN_ROWS = 4096
_PROBES = 2  # rows that are also run by themselves, once a process
_verdicts: WeakKeyDictionary[Session, bool] = WeakKeyDictionary()  # whether rows may run together


@dataclass(frozen=True, slots=True)
class Scored:
    """What a chunk came to.

    Attributes:
        first: number of its first record.
        count: how many records it has; each is scored or rejected.
        end: where the next chunk begins.
        output: bytes for the output file; the chunk that holds record 0 brings the header.
        rejects: JSON Lines for the rejects file.
        scored: how many rows ``output`` has.
        rejected: how many ``rejects`` has.
        seconds: spent on ``parse``, ``run`` and ``encode``.
    """

    first: int
    count: int
    end: Position
    output: bytes
    rejects: bytes
    scored: int
    rejected: int
    seconds: dict[str, float]


class Read(NamedTuple):
    """A chunk whose records are read.

    Attributes:
        chunk: the chunk.
        rows: what they came to.
        seconds: spent on it.
    """

    chunk: Chunk
    rows: Rows
    seconds: float


class Scorer:
    """Scores the chunks of one object.

    Args:
        service: the loaded function.
        options: what the job is asked to do.
        form: what the object's records look like (``formats.open_format``).

    Raises:
        BatchError: ``options.outputs`` names what the model does not give.
    """

    def __init__(self, service: Service, options: Options, form: Format) -> None:
        session = service.session
        known = {info.name: info for info in session.outputs}
        for name in options.outputs:
            if name not in known:
                raise BatchError(
                    f"outputs has {name!r}, but this model's outputs are {quoted(known)}; name some of them."
                )
        self._session = session
        self._form = form
        self._inputs = {info.name: info for info in session.inputs}
        hooks = service.hooks
        self._hooks = hooks if hooks is not None and hooks.postprocess is not None else None
        wanted = options.outputs if options.outputs and self._hooks is None else tuple(known)
        self._outputs = [known[name] for name in wanted]
        self._writer = (
            CsvWriter(self._outputs, merged=self._hooks is not None)
            if options.output_format == "csv"
            else JsonLinesWriter(self._outputs)
        )
        self._sliced = all(map(has_batch_axis, session.inputs))  # a row's outputs lose the axis that its inputs lack
        self._batched = all(map(_is_open, session.inputs)) and all(map(_may_be_open, self._outputs))
        self._probed = session in _verdicts
        self._batched = self._batched and _verdicts.get(session, True)

    def score(self, chunk: Chunk) -> Scored:
        """Score the records of a chunk; bad data raises nothing."""
        return self.finish(self.read(chunk))

    def read(self, chunk: Chunk) -> Read:
        """Read the records of a chunk, which asks nothing of the model: another thread may do it ahead."""
        start = perf_counter()
        rows = self._form.rows(chunk)
        return Read(chunk, rows, perf_counter() - start)

    def finish(self, read: Read) -> Scored:
        """Score what was read of a chunk; bad data raises nothing."""
        chunk, rows, read_s = read
        start = perf_counter()
        ran = _Ran()
        for places in self._groups(rows):
            self._run(rows, places, ran)
        done = perf_counter()
        numbers, output = self._encode(rows, ran)
        rejects = rows.rejects
        if ran.refused:
            raws = ((int(rows.numbers[place]), reason) for place, reason in ran.refused)
            rejects = sorted([*rejects, *(Reject(row, reason, self._form.record(chunk, row)) for row, reason in raws)])
        head = b"" if chunk.first else self._writer.head(files=rows.files is not None)
        lines = b"".join(map(reject_line, rejects))
        seconds = {"parse": read_s, "run": done - start, "encode": perf_counter() - done}
        return Scored(chunk.first, chunk.records, chunk.end, head + output, lines, numbers, len(rejects), seconds)

    def _groups(self, rows: Rows) -> Iterator[Array]:
        """Yield the places of rows that run together: alike in shape, and not too many."""
        count = len(rows.numbers)
        if not count:
            return
        lists = [column for column in rows.columns.values() if isinstance(column, list)]
        alike: dict[Any, list[int]] = {}
        for place in range(count) if lists else ():
            alike.setdefault(tuple(_shape(column[place]) or (place,) for column in lists), []).append(place)
        for places in map(np.array, alike.values()) if lists else [np.arange(count)]:
            size = max(sum(_row_bytes(column, places[0]) for column in rows.columns.values()), 1)
            step = min(max(_RUN_BYTES // size, 1), _RUN_ROWS)
            start = 0
            while start < len(places):  # whether the model takes many at once may turn out on the way
                end = start + (step if self._batched else 1)
                yield places[start:end]
                start = end

    def _run(self, rows: Rows, places: Array, ran: _Ran) -> None:
        """Run rows together, or halve them until the one that the model refuses is alone."""
        if len(places) > 1 and self._batched and not self._probed:
            self._probe(rows, places)
        if len(places) == 1 or self._batched:
            try:
                values = self._session.run(self._feed(rows, places), [info.name for info in self._outputs])
            except RunError as error:
                if len(places) == 1:
                    ran.refused.append((int(places[0]), str(error)))
                    return
            else:
                if len(places) == 1 or all(has_rows(value, len(places)) for value in values.values()):
                    ran.groups.append((places, values))
                    return
                self._batched = False
        step = len(places) // 2 if self._batched else 1
        for start in range(0, len(places), step):
            self._run(rows, places[start : start + step], ran)

    def _probe(self, rows: Rows, places: Array) -> None:
        """Look at a few rows whether they may run together."""
        some = places[:: max(len(places) // _PROBES, 1)][:_PROBES]
        singles = [self._feed(rows, some[item : item + 1]) for item in range(len(some))]
        verdict = are_independent(self._session, singles, {info.name for info in self._outputs})
        if verdict is not None:  # else one of them has a reject coming; the next run asks again
            self._probed = True
            self._batched = self._batched and verdict
            _verdicts[self._session] = verdict

    def _feed(self, rows: Rows, places: Array) -> dict[str, Any]:
        """What the engine takes for these rows."""
        feed: dict[str, Any] = {}
        for name, column in rows.columns.items():
            if isinstance(column, list):
                items = [column[place] for place in places]
                feed[name] = items[0] if len(items) == 1 else _together(items)
            else:
                first, last = int(places[0]), int(places[-1]) + 1
                values = column[first:last] if last - first == len(places) else column[places]
                feed[name] = Tensor.from_numpy(values, self._inputs[name].dtype)
        return feed

    def _encode(self, rows: Rows, ran: _Ran) -> tuple[int, bytes]:
        """Return how many rows there are and their lines, in the order of the input."""
        merged = self._hooks is not None
        found: list[int] = []
        columns: list[list[bytes]] = [[] for _ in range(1 if merged else len(self._outputs))]
        for places, values in ran.groups:
            if merged:
                good, documents = self._postprocessed(places, values, ran)
                found += good
                columns[0] += documents
            else:
                found += places.tolist()
                for place, info in enumerate(self._outputs):
                    by_row = self._by_row(values[info.name], info, len(places))
                    columns[place].extend(self._writer.texts(place, by_row))
        if not found:
            return 0, b""
        order = np.argsort(np.array(found))
        if (np.diff(order) < 0).any():
            columns = [[column[place] for place in order] for column in columns]
        found.sort()
        numbers = rows.numbers[found]
        files = None if rows.files is None else [rows.files[place] for place in found]
        if merged:
            return len(found), self._writer.merged(numbers, columns[0], files)
        return len(found), self._writer.rows(numbers, columns, files)

    def _by_row(self, value: Any, info: ValueInfo, count: int) -> Any:
        """An output with an item for each of the rows that ran together."""
        if count > 1 or (self._sliced and has_rows(value, 1) and (info.kind == "sequence" or has_batch_axis(info))):
            return value
        return [value]

    def _postprocessed(self, places: Array, values: dict[str, Any], ran: _Ran) -> tuple[list[int], list[bytes]]:
        """Hand the outputs of each row to ``postprocess``; its JSON is the row."""
        good, documents = [], []
        for item, place in enumerate(places.tolist()):
            row = values if len(places) == 1 else {name: _slice(value, item) for name, value in values.items()}
            try:
                documents.append(self._document(row))
                good.append(place)
            except (RequestError, HookError) as error:
                tell(error)
                ran.refused.append((place, str(error)))
        return good, documents

    def _document(self, outputs: dict[str, Any]) -> bytes:
        assert self._hooks is not None  # noqa: S101 - callers look first
        response = self._hooks.response(outputs)
        if response.status >= 400 or not response.is_json:
            kind = describe(response.headers.get("Content-Type", ""))
            raise RequestError(
                f"postprocess answered with status {response.status} and content type {kind}; rows take JSON alone."
            )
        return response.body


class _Ran:
    """What became of the rows of a chunk, by their places in it."""

    def __init__(self) -> None:
        self.groups: list[tuple[Array, dict[str, Any]]] = []
        self.refused: list[tuple[int, str]] = []


def reject_line(reject: Reject) -> bytes:
    """Return a line of the rejects file: the row's number, the reason, and the record as text or in base64."""
    raw = reject.raw[:RAW_BYTES]
    whole = raw
    if len(raw) == RAW_BYTES:  # cut, maybe within a character
        start = len(raw) - 1
        while start > len(raw) - 4 and raw[start] & 0xC0 == 0x80:
            start -= 1
        whole = raw[:start]
    record: Any
    try:
        record = whole.decode()
    except UnicodeDecodeError:
        record = {"b64": b2a_base64(raw, newline=False).decode()}
    return orjson.dumps(
        {"row": reject.row, "reason": reject.reason, "record": record}, option=orjson.OPT_APPEND_NEWLINE
    )


def _is_open(info: ValueInfo) -> bool:
    """Whether an input's first axis is of any size."""
    return info.kind == "tensor" and bool(info.shape) and not isinstance(info.shape[0], int)


def _may_be_open(info: ValueInfo) -> bool:
    """Whether an output may have a row for each of the input's; no axes may mean that the model does not say."""
    return info.kind == "sequence" or (info.kind == "tensor" and not (info.shape and isinstance(info.shape[0], int)))


def _slice(value: Any, item: int) -> Any:
    """One row of an output, with a batch axis of 1."""
    if isinstance(value, list):
        return value[item : item + 1]
    size = value.size // value.shape[0]
    shape = (1, *value.shape[1:])
    if value.dtype.bits == 4:
        return Tensor.from_flat(value.dtype, shape, value.flat()[item * size : (item + 1) * size])
    step = size * value.dtype.itemsize or size
    return Tensor(value.dtype, shape, value.data[item * step : (item + 1) * step])


def _shape(value: Any) -> tuple[int, ...] | None:
    """The shape by which single values may be joined: that of a Tensor with a batch axis of 1."""
    return value.shape if isinstance(value, Tensor) and value.shape[:1] == (1,) else None


def _together(items: Sequence[Tensor]) -> Tensor:
    first = items[0]
    return Tensor.from_numpy(np.concatenate([item.numpy() for item in items]), first.dtype)


def _row_bytes(column: Array | list[Any], place: int) -> int:
    if isinstance(column, list):
        return column[place].nbytes if isinstance(column[place], Tensor) else 1
    return column.nbytes // len(column)
