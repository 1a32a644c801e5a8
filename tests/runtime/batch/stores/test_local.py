"""A folder as a store: what is special about files."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from coldpress_runtime.batch.stores import local, open_store
from coldpress_runtime.batch.stores.local import LocalStore
from coldpress_runtime.errors import ChangedError, ConflictError, StoreError


@pytest.fixture
def store(tmp_path):
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "folder").mkdir()
    return LocalStore(str(tmp_path / "folder"))


@pytest.mark.parametrize(
    "key", ["../secret", "a/../../secret", "/etc/passwd", "", ".", "a//b", "a/.", "out/secret", "link", "a\0b"]
)
def test_no_key_leads_out_of_the_folder(store, tmp_path, key):
    (tmp_path / "folder/out").symlink_to(tmp_path)
    (tmp_path / "folder/link").symlink_to(tmp_path / "secret")
    token = {"key": key, "upload": "0"}
    for act in (
        lambda: store.stat(key),
        lambda: store.read(key, 0, 9, ""),
        lambda: store.put(key, b"x"),
        lambda: store.delete(key),
        lambda: store.begin(key),
        lambda: store.add(token, 1, b"x"),
        lambda: store.finish(token, []),
        lambda: store.abandon(token),
    ):
        with pytest.raises(StoreError, match="does not lie in the folder"):
            act()
    assert (tmp_path / "secret").read_bytes() == b"secret"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "secret"]


@pytest.mark.parametrize("prefix", ["..", "../", "a/../../", "/etc/"])
def test_no_prefix_leads_out_of_the_folder(store, prefix):
    with pytest.raises(StoreError, match="does not lie in the folder"):
        list(store.list(prefix))


def test_links_out_and_hidden_files_are_not_listed(store, tmp_path):
    folder = tmp_path / "folder"
    for name in ("b", ".hidden", "a"):
        (folder / name).write_bytes(b"x")
    (folder / "within").symlink_to(folder / "a")
    (folder / "out").symlink_to(tmp_path)
    (folder / "secret").symlink_to(tmp_path / "secret")
    (folder / "nowhere").symlink_to(folder / "nothing")
    os.mkfifo(folder / "pipe")
    assert [item.key for item in store.list("")] == ["a", "b", "within"]
    assert store.stat("pipe") is None


def test_a_file_written_in_place_while_it_is_read_is_another_version(store, tmp_path):
    version = store.put("x", b"before")
    with (tmp_path / "folder/x").open("r+b") as file:
        file.write(b"a")
        file.flush()
        os.utime(file.fileno(), ns=(1, 1))
    with pytest.raises(ChangedError, match="x has been replaced or written to"):
        store.read("x", 0, 6, version)


def test_an_upload_is_a_hidden_file_that_is_gone_in_the_end(store, tmp_path):
    token, stale = store.begin("sub/out"), store.begin("sub/out")
    store.add(stale, 1, b"x")
    store.finish(token, [store.add(token, 1, b"all")])
    assert [path.name for path in (tmp_path / "folder/sub").iterdir()] == ["out"]


def test_the_longest_name_that_a_file_may_have_can_be_written(store):
    name = "n" * 255
    token = store.begin(name)
    store.finish(token, [store.add(token, 1, b"x")])
    store.put("m" * 255, b"x", replaces="")
    assert [item.key for item in store.list("")] == ["m" * 255, name]


def test_a_part_that_lies_beyond_the_file_is_missed(store, tmp_path):
    token = store.begin("out")
    tag = store.add(token, 1, b"0123456789")
    (upload,) = (tmp_path / "folder").iterdir()
    os.truncate(upload, 5)
    with pytest.raises(ConflictError, match="a part is missing"):
        store.finish(token, [tag])


def test_what_the_system_refuses_is_said_in_a_sentence(store):
    store.put("folder/x", b"x")
    with pytest.raises(StoreError, match=r"^The system does not let write folder/x/y: File exists\.$"):
        store.put("folder/x/y", b"y")


def test_a_lock_that_nobody_lets_go_of_is_told(store, tmp_path, monkeypatch):
    monkeypatch.setattr(local, "_LOCK_S", 0)
    holder = os.open(tmp_path / "folder", os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    with pytest.raises(StoreError, match=r"^Another process holds x for 0 s now; let it go on, or end it\.$"):
        store.put("x", b"x")
    os.close(holder)
    store.put("x", b"x")


_COUNT = """
import sys
from coldpress_runtime.batch.stores.local import LocalStore
from coldpress_runtime.errors import ConflictError
store, won = LocalStore(sys.argv[1]), 0
while won < 50:
    seen = store.stat("count")
    try:
        store.put("count", b"%d" % (int(store.read("count", 0, 99, seen.version)) + 1), replaces=seen.version)
        won += 1
    except ConflictError:
        pass
    except Exception as error:
        if type(error).__name__ != "ChangedError": raise
"""


def test_of_processes_that_write_at_once_one_wins(store, tmp_path):
    store.put("count", b"0")
    processes = [subprocess.Popen([sys.executable, "-c", _COUNT, tmp_path / "folder"]) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert store.read("count", 0, 9, store.stat("count").version) == b"150"


def test_paths_are_stores(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/x.csv").write_bytes(b"1")
    (tmp_path / "latest.csv").symlink_to("data/x.csv")
    monkeypatch.chdir(tmp_path)
    for url, key, path in (
        ("data/x.csv", "x.csv", "data/x.csv"),
        ("latest.csv", "x.csv", "data/x.csv"),
        (str(tmp_path / "new.csv"), "new.csv", "new.csv"),
    ):
        store, found = open_store(url)
        assert found == key
        assert Path(store.path(key)) == tmp_path / path
    for url in ("data", "data/", str(tmp_path / "data")):
        store, found = open_store(url)
        assert (found, [item.key for item in store.list("")]) == ("", ["x.csv"])
    assert open_store("not/yet/")[1] == ""


def test_a_scheme_that_nobody_knows_is_refused():
    with pytest.raises(
        StoreError, match=r"^ftp:// is no store that is known; expected a path, s3://, gs:// or az://\.$"
    ):
        open_store("ftp://host/file")
