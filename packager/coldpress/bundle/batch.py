"""What a bundle that scores uploads row by row brings beside the runtime, each wheel pinned by its hash."""

from pathlib import Path

from coldpress.bundle.locked import locked_wheels
from coldpress.bundle.wheels import Wheel

__all__ = ["batch_wheels"]


def batch_wheels(target: str, python: str, architecture: str, cache: Path, *, parquet: bool) -> tuple[Wheel, ...]:
    """Return the wheels for batch scoring on ``target``, sorted by name.

    Args:
        target: a name in ``TARGETS`` that can score uploads.
        python: a minor version, for example ``"3.13"``.
        architecture: ``"x86_64"`` or ``"arm64"``.
        cache: a folder where wheels are kept, by hash.
        parquet: whether pyarrow is among them.

    Raises:
        ResolveError: one cannot be had for this Python and architecture, or its hash is not the pinned one.
    """

    def wanted(line: str) -> bool:
        return parquet or not line.startswith("pyarrow==")

    return locked_wheels(f"batch-{target}", python, architecture, cache, wanted)
