"""The folder for downloads."""

import pytest

from coldpress.cache import cache_dir, keep_anew, kept_folder
from coldpress.errors import CacheError


def test_the_cache_goes_where_it_is_told_and_is_made(tmp_path, monkeypatch):
    monkeypatch.setenv("COLDPRESS_CACHE", str(tmp_path / "c"))
    assert cache_dir("a", "b") == tmp_path / "c" / "a" / "b"
    assert (tmp_path / "c" / "a" / "b").is_dir()


def test_a_cache_that_cannot_be_made_names_the_setting(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("COLDPRESS_CACHE", str(tmp_path / "file"))
    with pytest.raises(CacheError, match="COLDPRESS_CACHE") as caught:
        cache_dir("wheels")
    assert isinstance(caught.value, OSError)  # so that what only saves time goes on without a cache


def test_a_folder_is_filled_once_and_not_before_it_is_whole(tmp_path):
    place = tmp_path / "kept"

    def fill(folder):
        assert not place.exists()
        (folder / "file").write_text("whole")

    assert kept_folder(place, fill) == kept_folder(place, pytest.fail) == place
    assert (place / "file").read_text() == "whole"
    assert list(tmp_path.iterdir()) == [place]


def test_a_folder_that_could_not_be_filled_is_not_there(tmp_path):
    def fill(folder):
        (folder / "half").touch()
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        kept_folder(tmp_path / "kept", fill)
    assert list(tmp_path.iterdir()) == []


def test_of_two_who_fill_a_folder_at_the_same_time_the_first_one_s_stays(tmp_path):
    place = tmp_path / "kept"

    def fill(folder):
        (folder / "file").write_text("second")
        if not place.exists():
            kept_folder(place, lambda first: (first / "file").write_text("first"))

    assert (kept_folder(place, fill) / "file").read_text() == "first"


def test_what_was_kept_is_made_anew_and_a_cache_that_cannot_be_written_keeps_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("COLDPRESS_CACHE", str(tmp_path))
    for text in ("damaged", "mended"):
        keep_anew("forms", "key", lambda folder, text=text: (folder / "file").write_text(text))
    assert (tmp_path / "forms" / "key" / "file").read_text() == "mended"
    (tmp_path / "file").touch()
    monkeypatch.setenv("COLDPRESS_CACHE", str(tmp_path / "file"))
    keep_anew("forms", "key", pytest.fail)
