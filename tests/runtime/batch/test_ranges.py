"""Large files cut into ranges: each record in one of them, with its number, whatever the lines look like."""

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldpress_runtime.batch.blocks import Blocks
from coldpress_runtime.batch.chunks import Position, Sizes
from coldpress_runtime.batch.options import Options
from coldpress_runtime.batch.ranges import Lines, join, lines_of, range_bytes, slices, survey, walk
from coldpress_runtime.batch.stores import Stat
from coldpress_runtime.errors import ChangedError, InputError

JSON_LINES, CSV, CSV_WITH_HEADER = Lines("", header=False), Lines(",", header=False), Lines(",", header=True)
START = Position()
LINES = st.lists(st.sampled_from([b"1,2", b"", b" ", b"3", b"x" * 50, b"4,5\r", b"\xff"]), max_size=40)
FIELDS = st.lists(st.sampled_from([b"1,2", b"", b'"a\nb",2', b'"', b'"c""\n"', b'5"6', b"x" * 50]), max_size=30)


class Memory:
    """The one object of a store."""

    def __init__(self, content):
        self.content = content
        self.item = Stat("file", len(content), "1")

    def read(self, key, start, stop, version):
        if version != "1":
            raise ChangedError(f"{key} has been replaced.")
        return self.content[start:stop]


def surveyed(store, lines, step, begin=START):
    spans = slices(store.item.size, begin.offset, step)
    return join([survey(store, store.item, lines, span, begin.offset) for span in spans], lines, begin)


def walked(store, lines, step, begin=START):
    return list(walk(store, store.item, lines, slices(store.item.size, begin.offset, step), begin))


def records(store, lines, start=START, stop=None):
    """Every record from a place on, with its number, as a format would find it."""
    item = store.item if stop is None else store.item._replace(size=stop.offset)
    with Blocks(store, item, start.offset) as source:
        splitter = lines.splitter(source, start.offset)
        if lines.header and not start.offset:
            splitter.take(Sizes(rows=1))
        splitter.position = splitter.position._replace(row=start.row)
        found = []
        while (chunk := splitter.take(Sizes(rows=1))) is not None:
            found.append((chunk.first, chunk.data.strip()))
        return found


def check(store, lines, ranges, begin=START):
    """Each record is in one range, and each range begins where the one before it ends."""
    parts = [records(store, lines, found.start, found.stop) for found in ranges]
    assert [record for part in parts for record in part] == records(store, lines, begin)
    assert [found.stop.row for found in ranges] == [part[-1][0] + 1 for part in parts]
    assert [found.start.row for found in ranges] == [part[0][0] for part in parts]


@given(LINES, st.sampled_from([b"", b"\n"]), st.integers(1, 60), st.sampled_from([JSON_LINES, CSV, CSV_WITH_HEADER]))
def test_slices_join_to_ranges_that_hold_every_record_once(lines, end, step, kind):
    store = Memory(b"\n".join(lines) + end)
    check(store, kind, surveyed(store, kind, step))


@given(LINES, st.integers(1, 60))
def test_ranges_begin_where_a_job_stands(lines, step):
    store = Memory(b"\n".join([b"a,b", *lines]))
    whole = surveyed(store, CSV_WITH_HEADER, step)
    for begin in [found.stop for found in whole]:
        check(store, CSV_WITH_HEADER, surveyed(store, CSV_WITH_HEADER, step, begin), begin)
        check(store, CSV_WITH_HEADER, walked(store, CSV_WITH_HEADER, step, begin), begin)


@given(FIELDS, st.integers(1, 60), st.sampled_from([CSV, CSV_WITH_HEADER]))
def test_csv_with_quotes_is_walked_through(lines, step, kind):
    store = Memory(b"\n".join(lines))
    if b'"' in store.content:
        assert surveyed(store, kind, step) is None
    check(store, kind, walked(store, kind, step))


def test_quotes_of_json_are_no_quotes():
    store = Memory(b'{"x":[1,"a"]}\n' * 50)
    ranges = surveyed(store, JSON_LINES, 100)
    assert len(ranges) == 7
    check(store, JSON_LINES, ranges)


def test_a_walk_reads_no_more_than_a_few_ranges_too_many():
    store = Memory(b'1,"2"\n' * 3_000_000)
    ranges = walked(store, CSV, 1 << 20)
    assert 4 <= len(ranges) <= 18
    assert ranges[-1].stop == Position(len(store.content), 3_000_000)


def test_a_line_longer_than_slices_is_in_one_range():
    store = Memory(b"1\n" + b"2" * 1000 + b"\n3\n")
    assert [found.start.row for found in surveyed(store, JSON_LINES, 100)] == [0, 2]
    check(store, JSON_LINES, surveyed(store, JSON_LINES, 100))


def test_slices_are_the_same_wherever_the_first_one_begins():
    assert slices(10, 0, 4) == [(0, 4), (4, 8), (8, 10)]
    assert slices(10, 5, 4) == [(5, 8), (8, 10)]
    assert slices(10, 8, 4) == [(8, 10)]


def test_larger_files_have_more_ranges_and_then_larger_ones():
    sizes = [1, 15 << 20, 16 << 20, 100 << 20, 1 << 30, 10 << 30, 1 << 40]
    assert [len(slices(size, 0, range_bytes(size))) for size in sizes] == [1, 1, 2, 13, 64, 320, 4096]


@pytest.mark.parametrize(
    ("key", "content", "options", "expected"),
    [
        ("a.csv", b"p,q\n1,2\n", Options(), CSV_WITH_HEADER),
        ("a.csv", b"1;2\n", Options(), Lines(";", header=False)),
        ("a.jsonl", b"[1]\n", Options(), JSON_LINES),
        ("a.jsonl", b"1,2\n", Options(input_format="csv"), CSV),
        ("a.csv.gz", gzip.compress(b"1,2\n"), Options(), None),
        ("a.parquet", b"PAR1", Options(), None),
    ],
    ids=["header", "semicolon", "jsonl", "said", "gzip", "parquet"],
)
def test_plain_files_of_lines_can_be_cut(key, content, options, expected):
    store = Memory(content)
    assert lines_of(store, store.item._replace(key=key), options) == expected


def test_what_cannot_be_read_is_told():
    store = Memory("1,2\n".encode("utf-16"))
    with pytest.raises(InputError, match="UTF-16"):
        lines_of(store, store.item._replace(key="a.csv"), Options())
    with pytest.raises(ChangedError):
        survey(store, store.item._replace(version="2"), CSV, (0, 8), 0)
