"""An object's bytes, forward and anywhere: the same as those that were put."""

import io
import threading

import pytest

from coldpress_runtime.batch import blocks
from coldpress_runtime.batch.blocks import Blocks, WholeFile
from coldpress_runtime.batch.stores.local import LocalStore
from coldpress_runtime.errors import ChangedError

CONTENT = bytes(range(256)) * 40


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr(blocks, "_BLOCK_BYTES", 1000)
    monkeypatch.setattr(blocks, "_NEAR_BYTES", 1000)
    made = LocalStore(str(tmp_path))
    made.put("x", CONTENT)
    return made


@pytest.mark.parametrize("near", [False, True])
@pytest.mark.parametrize("start", [0, 1, 999, 1000, 10_239, 10_240])
@pytest.mark.parametrize("size", [1, 700, 5000])
def test_blocks_are_the_object_from_there_on(store, start, size, near, monkeypatch):
    monkeypatch.setattr(blocks, "_NEAR_BYTES", 5000)
    store.is_near = near
    with Blocks(store, store.stat("x"), start) as stream:
        assert b"".join(iter(lambda: stream.read(size), b"")) == CONTENT[start:]
        assert stream.position == len(CONTENT)
        assert (stream.take_seconds() > 0) == (start < len(CONTENT))
        assert stream.take_seconds() == 0


def test_what_is_known_is_not_fetched(store):
    with Blocks(store, store.stat("x"), ahead=1) as head:
        start = head.peek()
        assert start == head.peek() == CONTENT[:1000]
        assert head.read(10) == CONTENT[:10]
    with Blocks(store, store.stat("x"), known=start) as stream:
        assert b"".join(iter(lambda: stream.read(300), b"")) == CONTENT


def test_blocks_are_fetched_before_they_are_asked_for(store):
    """While the first block is being used, the next two arrive."""
    arrived = threading.Event()

    class Watched(LocalStore):
        is_near = False

        def read(self, key, start, stop, version):
            if start == 2000:
                arrived.set()
            return super().read(key, start, stop, version)

    with Blocks(Watched(store._folder), store.stat("x")) as stream:
        stream.read(1)
        assert arrived.wait(60)


def test_no_more_is_fetched_than_is_held(store):
    fetched = []

    class Watched(LocalStore):
        is_near = False

        def read(self, key, start, stop, version):
            fetched.append(start)
            return super().read(key, start, stop, version)

    with Blocks(Watched(store._folder), store.stat("x")) as stream:
        stream.read(1)
    assert max(fetched) <= 3000


@pytest.mark.parametrize("read", [Blocks, WholeFile])
def test_another_version_is_noticed(store, read):
    stat = store.stat("x")
    store.put("x", CONTENT)
    with read(store, stat) as stream, pytest.raises(ChangedError, match="x has been replaced"):
        stream.read(1)


def test_a_whole_file_is_read_like_any_other(store):
    with io.BufferedReader(WholeFile(store, store.stat("x")), 64) as file:
        assert file.read() == CONTENT
        for offset, whence in ((5000, 0), (-3, 2), (-1, 1), (20_000, 0)):
            other = io.BytesIO(CONTENT)
            other.seek(file.tell())
            assert file.seek(offset, whence) == other.seek(offset, whence)
            assert file.read(1500) == other.read(1500)


def test_blocks_used_last_are_kept(store):
    fetched = []

    class Watched(LocalStore):
        is_near = False

        def read(self, key, start, stop, version):
            fetched.append(start)
            return super().read(key, start, stop, version)

    file = WholeFile(Watched(store._folder), store.stat("x"))
    for block in (0, 1, 0, 2, 3, 4, 5, 6, 7, 0, 8, 0, 1):
        file.seek(1000 * block)
        file.read(10)
    assert [start // 1000 for start in fetched] == [0, 1, 2, 3, 4, 5, 6, 7, 8, 1]
    assert file.position == 8010
