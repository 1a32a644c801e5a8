"""Wheels for functions by a lock of coldpress's own: which file each is, is chosen once and kept."""

import hashlib
import tempfile
from collections.abc import Callable
from pathlib import Path

from coldpress.bundle.pip import Target, download
from coldpress.bundle.swap import fresh_file
from coldpress.bundle.wheels import Wheel, keep, lock_text, resolve

__all__ = ["locked_wheels"]

_LOCKS = Path(__file__).with_name("locks")


def locked_wheels(
    lock: str, python: str, architecture: str, cache: Path, wanted: Callable[[str], bool] = lambda _: True
) -> tuple[Wheel, ...]:
    """Return the wheels of a lock, sorted by name.

    Args:
        lock: its name in ``locks/``, without the ending.
        python: a minor version, for example ``"3.13"``.
        architecture: ``"x86_64"`` or ``"arm64"``.
        cache: a folder where wheels are kept, by hash.
        wanted: which of its lines count, each a pin with its hashes.

    Raises:
        ResolveError: one cannot be had for this Python and architecture, or its hash is not the pinned one.
    """
    text = (_LOCKS / f"{lock}.txt").read_text(encoding="utf-8")
    there = Target(python, architecture)
    lines = [line for line in _needed(text, there) if wanted(line)]
    digest = hashlib.sha256("\n".join((*lines, python, architecture)).encode()).hexdigest()
    family = lock.partition("-")[0]
    chosen = cache / family / f"{digest}.txt"  # which of a line's files it was: then nothing is asked of an index
    if not chosen.is_file():
        with tempfile.TemporaryDirectory() as scratch:
            download(there, lines, Path(scratch), follow=False)
            wheels = [keep(path, cache) for path in sorted(Path(scratch).glob("*.whl"))]
        with fresh_file(chosen) as new:
            new.write_text(lock_text(wheels), encoding="utf-8")
    return resolve((), python, architecture, cache, chosen.read_text(encoding="utf-8"))


def _needed(lock: str, target: Target) -> list[str]:
    """Return the lines of a lock that hold on ``target``, each with all of its hashes."""
    from packaging.requirements import Requirement  # noqa: PLC0415  (only where there is something to resolve)

    lines = []
    for entry in lock.replace("\\\n", " ").splitlines():
        if not entry.strip() or entry.lstrip().startswith("#"):
            continue
        pin, *hashes = (part.strip() for part in entry.split("--hash="))
        requirement = Requirement(pin)
        if requirement.marker is None or requirement.marker.evaluate(target.environment()):
            requirement.marker = None
            lines.append(" ".join((str(requirement), *(f"--hash={digest}" for digest in hashes))))
    return lines
