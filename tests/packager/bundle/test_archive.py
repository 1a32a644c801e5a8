"""The zip: same folder, same bytes; and a zip from elsewhere never writes outside of its folder."""

import base64
import hashlib
import os
import stat
import subprocess
import sys
import zipfile
import zlib

import pytest

from coldpress.bundle.archive import safe_extract, write_zip
from coldpress.errors import BundleError


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("COLDPRESS_CACHE", str(tmp_path / "cache"))


def _fill(folder, names):
    for name in names:
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(name.encode() * 100)
    (folder / "tool").write_bytes(os.urandom(0))
    (folder / "tool").chmod(0o750)
    return folder


NAMES = ["b.py", "a/z.py", "a/b/c.bin", "é.txt", "a.py"]


def test_two_folders_with_the_same_files_give_the_same_bytes(tmp_path):
    one = _fill(tmp_path / "one", NAMES)
    other = _fill(tmp_path / "elsewhere" / "two", reversed(NAMES))
    for place in other.rglob("*"):
        os.utime(place, (1_000_000_000, 1_000_000_000))
        if place.name == "a.py":
            place.chmod(0o600)
    first, second = write_zip(one, tmp_path / "1.zip"), write_zip(other, tmp_path / "2.zip")
    assert (tmp_path / "1.zip").read_bytes() == (tmp_path / "2.zip").read_bytes()
    assert first.sha256 == second.sha256


def test_zip_holds_every_file_with_sorted_names_fixed_times_and_modes(tmp_path):
    folder = _fill(tmp_path / "tree", NAMES)
    archive = write_zip(folder, tmp_path / "out.zip")
    with zipfile.ZipFile(archive.path) as source:
        assert source.testzip() is None
        infos = source.infolist()
        assert [info.filename for info in infos] == sorted([*NAMES, "tool"])
        assert {info.date_time for info in infos} == {(1980, 1, 1, 0, 0, 0)}
        modes = {info.filename: stat.S_IMODE(info.external_attr >> 16) for info in infos}
        assert modes.pop("tool") == 0o755
        assert set(modes.values()) == {0o644}
        assert all(source.read(name) == (folder / name).read_bytes() for name in NAMES)


def test_sizes_and_digests_are_those_of_the_file(tmp_path):
    folder = _fill(tmp_path / "tree", NAMES)
    archive = write_zip(folder, tmp_path / "out.zip")
    content = archive.path.read_bytes()
    digest = hashlib.sha256(content).digest()
    assert archive.zip_bytes == len(content)
    assert archive.sha256 == digest.hex()
    assert base64.b64decode(archive.code_sha256) == digest
    assert archive.files == len(NAMES) + 1
    assert archive.unzipped_bytes == sum(place.stat().st_size for place in folder.rglob("*") if place.is_file())


def test_what_does_not_compress_is_stored(tmp_path):
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "noise").write_bytes(os.urandom(5000))
    archive = write_zip(tmp_path / "tree", tmp_path / "out.zip")
    with zipfile.ZipFile(archive.path) as source:
        assert source.infolist()[0].compress_type == zipfile.ZIP_STORED
        assert source.read("noise") == (tmp_path / "tree" / "noise").read_bytes()


def _engine_like(tmp_path):
    (tmp_path / "tree" / "lib").mkdir(parents=True)
    (tmp_path / "tree" / "lib" / "engine.so").write_bytes(bytes(range(256)) * (9 << 12))
    return tmp_path / "tree"


def test_a_kept_stream_gives_the_same_bytes_as_a_fresh_one(tmp_path):
    folder = _engine_like(tmp_path)
    first = write_zip(folder, tmp_path / "1.zip")
    assert list((tmp_path / "cache" / "deflate").iterdir())
    assert write_zip(folder, tmp_path / "2.zip").sha256 == first.sha256


def test_a_cache_that_cannot_be_made_costs_time_and_not_the_build(tmp_path, monkeypatch):
    folder = _engine_like(tmp_path)
    first = write_zip(folder, tmp_path / "1.zip")
    monkeypatch.setenv("COLDPRESS_CACHE", "/dev/null/cache")
    assert write_zip(folder, tmp_path / "2.zip").sha256 == first.sha256


def test_a_large_file_is_the_same_for_one_core_as_for_many(tmp_path, monkeypatch):
    (tmp_path / "tree" / "model").mkdir(parents=True)
    content = bytes(range(256)) * (5 << 12) + b"end"
    (tmp_path / "tree" / "model" / "m.onnx").write_bytes(content)
    first = write_zip(tmp_path / "tree", tmp_path / "1.zip")
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert write_zip(tmp_path / "tree", tmp_path / "2.zip").sha256 == first.sha256
    with zipfile.ZipFile(first.path) as source:
        assert source.read("model/m.onnx") == content


@pytest.mark.parametrize("damage", ["truncated", "other content", "noise"])
def test_a_damaged_kept_stream_is_made_again(tmp_path, damage):
    folder = _engine_like(tmp_path)
    first = write_zip(folder, tmp_path / "1.zip")
    (kept,) = (tmp_path / "cache" / "deflate").iterdir()
    press = zlib.compressobj(9, zlib.DEFLATED, -15)
    lies = {
        "truncated": kept.read_bytes()[:-10],
        "other content": press.compress(b"other") + press.flush(),
        "noise": b"\xff" * 100,
    }
    kept.write_bytes(lies[damage])
    assert write_zip(folder, tmp_path / "2.zip").sha256 == first.sha256


def test_a_link_in_the_folder_is_refused_by_name(tmp_path):
    folder = _fill(tmp_path / "tree", NAMES)
    (folder / "a" / "link").symlink_to("/etc/passwd")
    with pytest.raises(BundleError, match="a/link is a link"):
        write_zip(folder, tmp_path / "out.zip")


def test_a_link_to_a_folder_is_refused_too(tmp_path):
    folder = _fill(tmp_path / "tree", NAMES)
    (folder / "up").symlink_to(tmp_path)
    with pytest.raises(BundleError, match="up is a link"):
        write_zip(folder, tmp_path / "out.zip")


def test_a_name_that_is_not_unicode_is_refused(tmp_path):
    folder = _fill(tmp_path / "tree", NAMES)
    (folder / os.fsdecode(b"bad\xff")).write_bytes(b"")
    with pytest.raises(BundleError, match="no Unicode name"):
        write_zip(folder, tmp_path / "out.zip")


def test_extracting_gives_the_folder_back(tmp_path):
    folder = _fill(tmp_path / "tree", NAMES)
    archive = write_zip(folder, tmp_path / "out.zip")
    names = safe_extract(archive.path, tmp_path / "back")
    assert list(names) == sorted([*NAMES, "tool"])
    assert all((tmp_path / "back" / name).read_bytes() == (folder / name).read_bytes() for name in names)
    assert os.access(tmp_path / "back" / "tool", os.X_OK)


@pytest.mark.parametrize("name", ["../up.txt", "/tmp/abs.txt", "a/../../up.txt", "a\\..\\up.txt", "C:evil.txt", "./.."])
def test_a_path_that_leads_out_is_refused(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), b"x")
    with pytest.raises(BundleError, match="entry named"):
        safe_extract(tmp_path / "evil.zip", tmp_path / "in" / "side")
    assert sorted(p.name for p in tmp_path.rglob("*.txt")) == []


def test_a_link_in_a_zip_is_refused(tmp_path):
    info = zipfile.ZipInfo("link")
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr(info, "/etc")
    with pytest.raises(BundleError, match="link"):
        safe_extract(tmp_path / "evil.zip", tmp_path / "in")


def test_an_entry_that_comes_twice_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr("a", b"1")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a", b"2")
    with pytest.raises(BundleError, match="twice"):
        safe_extract(tmp_path / "evil.zip", tmp_path / "in")


def test_a_zip_that_unpacks_too_large_is_refused_before_anything_is_written(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(2_000_000))
    with pytest.raises(BundleError, match="1,000,000"):
        safe_extract(tmp_path / "bomb.zip", tmp_path / "in", max_bytes=1_000_000)
    assert not (tmp_path / "in").exists()


def test_a_file_that_is_not_a_zip_is_named(tmp_path):
    (tmp_path / "no.zip").write_bytes(b"PK but no")
    with pytest.raises(BundleError, match=r"no\.zip cannot be unpacked"):
        safe_extract(tmp_path / "no.zip", tmp_path / "in")


def test_a_disk_that_is_full_is_not_a_zip_that_is_damaged(tmp_path):
    with zipfile.ZipFile(tmp_path / "f.zip", "w") as archive:
        archive.writestr("large", bytes(1 << 20))
    code = """
import resource, sys
from pathlib import Path
from coldpress.bundle.archive import safe_extract
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
safe_extract(Path("f.zip"), Path("out"))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "there is no room in out for what f.zip unpacks to (File too large): make some" in done.stderr
