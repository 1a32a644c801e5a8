"""Which processes a process has started."""

from contextlib import suppress
from pathlib import Path

__all__ = ["family"]


def family(pid: int) -> list[int]:
    """Return the process and all that it started, and they; some servers start theirs in sessions of their own."""
    found = [pid]
    for each in found:
        with suppress(OSError):  # it has ended
            for thread in Path(f"/proc/{each}/task").iterdir():
                with suppress(OSError):
                    found += map(int, (thread / "children").read_text().split())
    return found
