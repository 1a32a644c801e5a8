import random
import tarfile
from io import BytesIO

import pytest

from coldpress_runtime.batch.folder import folder_as_archive
from coldpress_runtime.batch.stores import open_store
from coldpress_runtime.errors import ChangedError

_SIZES = {"b/a.png": 511, "b/c.png": 512, "b/empty.png": 0, "b/" + "long" * 60 + ".wav": 5000, "b/ä \u2028.jpg": 1}


@pytest.fixture
def store(tmp_path):
    store, _ = open_store(f"{tmp_path}/")
    drawn = random.Random(0)
    for name, size in _SIZES.items():
        store.put(name, drawn.randbytes(size))
    return store


def _open(store):
    files = list(store.list("b/"))
    return files, *folder_as_archive(store, files, "b/", "b.tar")


def test_the_archive_holds_every_file(store):
    files, folder, archive = _open(store)
    whole = folder.read("b.tar", 0, archive.size, archive.version)
    assert len(whole) == archive.size
    with tarfile.open(fileobj=BytesIO(whole)) as tar:
        assert [member.name for member in tar] == [stat.key.removeprefix("b/") for stat in files]
        for stat in files:
            content = tar.extractfile(stat.key.removeprefix("b/")).read()
            assert content == store.read(stat.key, 0, stat.size, stat.version)


def test_any_part_of_the_archive_is_that_part_of_the_whole(store):
    _, folder, archive = _open(store)
    whole = folder.read("b.tar", 0, archive.size, archive.version)
    drawn = random.Random(1)
    for _ in range(300):
        start, stop = sorted(drawn.randrange(archive.size + 1) for _ in range(2))
        assert folder.read("b.tar", start, stop, archive.version) == whole[start:stop]
    assert folder.read("b.tar", 0, archive.size + 99, archive.version) == whole
    assert folder.read("b.tar", archive.size, archive.size + 9, archive.version) == b""


def test_the_version_tells_of_every_file(store):
    _, folder, archive = _open(store)
    assert _open(store)[2] == archive == folder.stat("b.tar")
    assert folder.stat("other") is None
    store.put("b/c.png", bytes(512))
    assert _open(store)[2].version != archive.version
    with pytest.raises(ChangedError):
        folder.read("b.tar", 0, archive.size, archive.version)


def test_a_file_that_is_gone(store):
    _, folder, archive = _open(store)
    store.delete("b/a.png")
    with pytest.raises(ChangedError):
        folder.read("b.tar", 0, archive.size, archive.version)


def test_a_folder_of_nothing(store):
    folder, archive = folder_as_archive(store, [], "", "none.tar")
    with tarfile.open(fileobj=BytesIO(folder.read("none.tar", 0, archive.size, archive.version))) as tar:
        assert tar.getnames() == []
