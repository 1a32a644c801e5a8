"""Nothing half-written: a file or a folder is written beside its final place, and swapped in when it is whole.

A full disk, a read-only folder or Ctrl-C leaves what was there before, and nothing else.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from coldpress.errors import BundleError

__all__ = ["fresh_file", "fresh_folder"]


@contextmanager
def fresh_file(final: Path) -> Iterator[Path]:
    """Yield a path beside ``final`` to write to; on leaving, it replaces ``final`` in one step.

    Raises:
        BundleError: the folder is not writable or the disk is full; ``final`` is as it was.
    """
    with _beside(final) as scratch:
        partial = scratch / final.name
        yield partial
        partial.replace(final)


@contextmanager
def fresh_folder(final: Path) -> Iterator[Path]:
    """Yield an empty folder beside ``final`` to fill; on leaving, it takes the place of ``final`` as a whole.

    Raises:
        BundleError: the folder is not writable or the disk is full; ``final`` is as it was.
    """
    if final.is_symlink() or (final.exists() and not final.is_dir()):
        raise BundleError(f"{final} is in the way: expected a folder or nothing; remove it or choose another output.")
    with _beside(final) as scratch:
        partial = scratch / "new"
        partial.mkdir()
        yield partial
        old = scratch / "old"
        try:
            if final.exists():
                final.rename(old)
            partial.rename(final)
        finally:  # Ctrl-C may fall between the two: what is still in the scratch folder goes with it
            if old.exists() and not final.exists():
                old.rename(final)


@contextmanager
def _beside(final: Path) -> Iterator[Path]:
    """Yield a scratch folder on the same file system as ``final``, gone afterwards whatever happens."""
    scratch: Path | None = None
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{final.name}.", suffix=".partial", dir=final.parent))
        yield scratch
    except OSError as error:
        place = error.filename or final
        raise BundleError(
            f"could not write {final}: {os.strerror(error.errno) if error.errno else error} ({place}); "
            "what was there before is untouched: make room, or choose another place with --out or TMPDIR."
        ) from error
    finally:
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)
