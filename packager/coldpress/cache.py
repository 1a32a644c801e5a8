"""Where downloads that are worth keeping live: one folder, outside every project."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from coldpress.errors import CacheError

__all__ = ["cache_dir", "keep_anew", "kept_folder"]


def cache_dir(*parts: str) -> Path:
    """Return ``$COLDPRESS_CACHE``, else ``$XDG_CACHE_HOME/coldpress``, else ``~/.cache/coldpress``; ``parts`` go below.

    The folder is made when it is not there.

    Raises:
        CacheError: It cannot be made.
    """
    if chosen := os.environ.get("COLDPRESS_CACHE"):
        root = Path(chosen)
    elif xdg := os.environ.get("XDG_CACHE_HOME"):
        root = Path(xdg) / "coldpress"
    else:
        root = Path.home() / ".cache" / "coldpress"
    folder = root.joinpath(*parts)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CacheError(
            f"The cache folder {folder} cannot be made ({error.strerror}); set COLDPRESS_CACHE to a folder of yours."
        ) from error
    return folder


def kept_folder(place: Path, fill: Callable[[Path], None]) -> Path:
    """Return the folder ``place``; where it is not there, ``fill`` is given a new one beside it, which becomes it.

    It is there whole or not at all. When somebody else is quicker, theirs stays.

    Raises:
        OSError: It cannot be written.
    """
    if not place.is_dir():
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=".new-") as scratch:
            new = Path(scratch, place.name)
            new.mkdir()
            fill(new)
            try:
                new.rename(place)
            except OSError:
                if not place.is_dir():
                    raise
    return place


def keep_anew(room: str, key: str, fill: Callable[[Path], None]) -> None:
    """Have ``fill`` make the folder ``key`` of a room of the cache, in the place of a damaged one.

    It is kept whole or not at all: where the cache cannot be written, the next time does the work again.
    """
    with contextlib.suppress(OSError):
        place = cache_dir(room) / key
        shutil.rmtree(place, ignore_errors=True)
        kept_folder(place, fill)
