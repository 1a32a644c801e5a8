"""This machine, in the words that settings have for it."""

import platform

__all__ = ["own_architecture"]

_NAMES = {"AMD64": "x86_64", "aarch64": "arm64"}


def own_architecture() -> str:
    """Return ``"x86_64"`` or ``"arm64"``, or what the system calls anything else."""
    return _NAMES.get(platform.machine(), platform.machine())
