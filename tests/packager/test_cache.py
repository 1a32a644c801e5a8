"""The folder for downloads."""

import pytest

from coldpress.cache import cache_dir
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
