"""Where downloads that are worth keeping live: one folder, outside every project."""

import os
from pathlib import Path

from coldpress.errors import CacheError

__all__ = ["cache_dir"]


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
