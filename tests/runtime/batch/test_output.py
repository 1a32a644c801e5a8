"""An object that grows: parts of one size, whatever the pieces, and finished twice as well as once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldpress_runtime.batch.output import Output
from coldpress_runtime.batch.stores.local import LocalStore
from coldpress_runtime.errors import BatchError, ConflictError


@pytest.fixture
def store(tmp_path):
    return LocalStore(str(tmp_path), part_bytes=10)


def content(store, key):
    stat = store.stat(key)
    return store.read(key, 0, stat.size, stat.version)


def write(output, store, pieces):
    for piece in pieces:
        output.add(piece)
        while output.is_due(store):
            output.send(store)


@given(st.lists(st.binary(max_size=40), max_size=12))
def test_the_object_is_what_was_written(tmp_path_factory, pieces):
    store = LocalStore(str(tmp_path_factory.mktemp("store")), part_bytes=10)
    output = Output("out")
    write(output, store, pieces)
    whole = b"".join(pieces)
    assert (output.size, len(output.pending)) == (len(whole), len(whole) % 10)
    assert store.stat("out") is None
    again = Output.from_dict(output.to_dict(), output.pending)
    output.finish(store)
    again.finish(store)
    assert content(store, "out") == whole
    assert [item.key for item in store.list("")] == ["out"]


def test_what_is_small_needs_no_upload(store):
    class NoUploads(LocalStore):
        begin = None

    output = Output("out")
    output.add(b"small")
    output.finish(NoUploads(store._folder))
    assert content(store, "out") == b"small"


@pytest.mark.parametrize("size", [0, 5, 25])
def test_another_object_of_that_name_is_left_as_it_is(store, size):
    store.put("out", b"somebody else's, and longer than what is to be there")
    output = Output("out")
    write(output, store, [b"x" * size])
    with pytest.raises(ConflictError, match="out"):
        output.finish(store)
    assert content(store, "out").startswith(b"somebody")


def test_parts_grow_so_that_an_upload_holds_more(store):
    output = Output("out")
    output._number = 999
    sizes = []
    for _ in range(3):
        output.add(b"x" * 25)
        output.send(store)
        sizes.append(int(output._tags[-1].partition("-")[2]))
    assert sizes == [10, 20, 20]
    output._number = 10_001
    output.add(b"x" * 200)
    with pytest.raises(BatchError, match="cut the input into smaller objects"):
        output.send(store)
