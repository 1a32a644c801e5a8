import io
import tracemalloc
from functools import partial

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from coldpress_runtime.batch.chunks import RAW_BYTES, Position, Sizes
from coldpress_runtime.batch.lines import BOM, Splitter, csv_ends, line_ends, split_lines
from coldpress_runtime.errors import InputError

_PIECES = [
    b"a",
    b"1",
    b'"',
    b",",
    b"\n",
    b'""',
    b'"a,b"',
    b'"x\ny"',
    b"\r\n",
    b" ",
    b'",',
    b'\n"',
    b'"\n',
    b"\r",
    b"\xff",
]
_TEXTS = st.lists(st.sampled_from(_PIECES), max_size=40).map(b"".join)
_FIND = {"lines": line_ends, "csv": partial(csv_ends, delimiter=",")}


class _Damaged(io.BytesIO):
    """A stream whose end is damaged."""

    def read(self, size=-1, /):
        block = super().read(size)
        if not block:
            raise InputError("It is damaged.")
        return block


def _split(data, sizes, find_ends=line_ends, start=Position()):  # noqa: B008 - a tuple
    splitter = Splitter(io.BytesIO(data[start.offset :]), start, find_ends)
    return list(iter(lambda: splitter.take(sizes), None))


def _records(data, kind):
    """The records of a text that are not blank, found a byte at a time."""
    records = []
    while data:
        end = _end_of_record(data) if kind == "csv" else data.find(b"\n") + 1 or len(data)
        records.append(data[:end])
        data = data[end:]
    return [record for record in records if not record.isspace()]


def _end_of_record(data):
    """Where the first record of CSV ends; where a quote is never closed, where its first line does."""
    state = "start"
    for place in range(len(data)):
        mark = data[place : place + 1]
        if state == "quoted":
            state = "closed" if mark == b'"' else "quoted"
        elif mark == b"\n":
            return place + 1
        elif mark == b",":
            state = "start"
        elif mark == b'"' and state in {"start", "closed"}:
            state = "quoted"
        else:
            state = "plain"
    return data.find(b"\n") + 1 or len(data) if state == "quoted" else len(data)


@pytest.mark.parametrize("kind", _FIND)
@given(data=_TEXTS, size=st.integers(1, 50), rows=st.integers(1, 5))
@example(data=b'1,"a\nb"', size=3, rows=1)
@example(data=b'"a\n1\n2\n', size=100, rows=5)
def test_chunks_hold_the_records_that_there_are(kind, data, size, rows):
    expected = _records(data, kind)
    longest = max(map(len, expected), default=0)
    chunks = _split(data, Sizes(size, rows), _FIND[kind])
    at, row = 0, 0
    for chunk in chunks:
        records = _records(chunk.data, kind)
        assert chunk.first == row
        assert chunk.records == len(records) <= rows
        assert records == expected[row : row + len(records)]
        assert len(chunk.data) <= max(size, 2 * longest)
        assert data[chunk.end.offset - len(chunk.data) : chunk.end.offset] == chunk.data
        assert chunk.end.offset > at
        row += chunk.records
        at = chunk.end.offset
        assert chunk.end.row == row
    assert row == len(expected)


@pytest.mark.parametrize("kind", _FIND)
@given(data=_TEXTS, size=st.integers(1, 50))
def test_reading_goes_on_at_the_end_of_any_chunk(kind, data, size):
    sizes = Sizes(size)
    expected = _records(data, kind)
    for chunk in _split(data, sizes, _FIND[kind]):
        rest = _split(data, sizes, _FIND[kind], chunk.end)
        assert [record for later in rest for record in _records(later.data, kind)] == expected[chunk.end.row :]
        assert [later.first for later in rest[:1]] == [chunk.end.row][: len(rest)]


def test_sizes_may_change_between_chunks():
    sizes = Sizes(rows=1)
    chunks = split_lines(io.BytesIO(b"1\n2\n3\n4\n5\n"), Position(), sizes)
    assert next(chunks).data == b"1\n"
    sizes.rows = 3
    assert next(chunks).data == b"2\n3\n4\n"
    sizes.bytes = 1
    assert next(chunks).data == b"5\n"


@pytest.mark.parametrize("data", [b"", b"\n", b" \n\r\n\t\n", BOM, BOM + b"\n\n", b"  "])
def test_blank_lines_are_no_records(data):
    assert _split(data, Sizes()) == []


def test_a_mark_of_byte_order_is_no_part_of_the_first_record():
    assert _split(BOM + b"1\n", Sizes(bytes=1)) == [(0, 1, b"1\n", (5, 1), "")]
    assert _split(BOM + b"1\n2\n", Sizes(rows=1)) == [(0, 1, b"1\n", (5, 1), ""), (1, 1, b"2\n", (7, 2), "")]
    assert _split(b"1\n" + BOM + b"2\n", Sizes())[0].data == b"1\n" + BOM + b"2\n"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_is_refused(encoding):
    with pytest.raises(InputError, match="The input is UTF-16 text, expected UTF-8; save it as UTF-8"):
        _split("\ufeff1\n".encode(encoding), Sizes())


@pytest.mark.parametrize("kind", _FIND)
def test_a_record_that_is_too_long_is_a_chunk_that_says_so(kind):
    sizes = Sizes(bytes=1000, record_bytes=100_000)
    data = b"1,2\n" + b"5" * 100_001 + b"\n3,4\n" + b"6" * 99_999 + b"\n" + b"7" * 300_000
    small, long, next_one, whole, last = _split(data, sizes, _FIND[kind])
    assert small == (0, 1, b"1,2\n", (4, 1), "")
    reason = "The record is over 100000 bytes long, which is more than is read as one."
    assert long == (1, 1, b"5" * RAW_BYTES, (100_006, 2), reason)
    assert next_one == (2, 1, b"3,4\n", (100_010, 3), "")
    assert (whole.first, len(whole.data), whole.reason) == (3, 100_000, "")
    assert last == (4, 1, b"7" * RAW_BYTES, (len(data), 5), reason)
    assert _split(data, sizes, _FIND[kind], long.end)[0] == next_one


def test_a_quote_that_is_never_closed_loses_one_line():
    data = b'1,2\n3,"4\n' + b"5,6\n" * 50_000
    chunks = _split(data, Sizes(bytes=1000, record_bytes=100_000), _FIND["csv"])
    assert [chunk.data for chunk in chunks[:2]] == [b"1,2\n", b'3,"4\n']
    assert sum(chunk.records for chunk in chunks) == 50_002


def test_a_line_of_50_megabytes_takes_a_bounded_memory():
    def blocks():
        yield b"1\n"
        yield from (b"x" * (1 << 20) for _ in range(50))
        yield b"\n2\n"

    source = blocks()

    class _Stream:
        def read(self, size, /):
            return next(source, b"")

    tracemalloc.start()
    try:
        chunks = list(split_lines(_Stream(), Position(), Sizes(record_bytes=4 << 20)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [(chunk.first, bool(chunk.reason)) for chunk in chunks] == [(0, False), (1, True), (2, False)]
    assert chunks[2].end == (50 * (1 << 20) + 5, 3)
    assert peak < 24 << 20


@pytest.mark.parametrize("kind", _FIND)
def test_what_lies_before_damage_is_read_and_a_half_record_is_not(kind):
    chunks = []
    splitter = Splitter(_Damaged(b'1,2\n3,4\n5,"'), Position(), _FIND[kind])
    with pytest.raises(InputError, match="It is damaged"):
        chunks.extend(iter(lambda: splitter.take(Sizes()), None))
    assert splitter.position == (8, 2)


@pytest.mark.parametrize("long", [False, True], ids=["short", "too-long"])
def test_damage_within_a_record_is_told_after_all_whole_ones(long):
    stream = _Damaged(b"1\n2\n" + b"3" * (5000 if long else 5))
    splitter = Splitter(stream, Position())
    sizes = Sizes(bytes=10, record_bytes=100)
    assert splitter.take(sizes).data == b"1\n2\n"
    with pytest.raises(InputError, match="It is damaged"):
        splitter.take(sizes)
