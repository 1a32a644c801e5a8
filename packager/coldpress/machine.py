"""This machine, in the words that settings have for it, and what runs on it."""

import platform
import sys
from pathlib import Path

__all__ = ["host_runs", "machine_of", "own_architecture", "own_library", "runs_here"]

_NAMES = {"AMD64": "x86_64", "aarch64": "arm64"}
_ELF = {62: "x86_64", 183: "arm64"}
"""``e_machine`` of ELF files (System V ABI, and its supplements for both)."""


def own_architecture() -> str:
    """Return ``"x86_64"`` or ``"arm64"``, or what the system calls anything else."""
    return _NAMES.get(platform.machine(), platform.machine())


def machine_of(library: Path) -> str:
    """Return the architecture of an ELF file, ``"unknown"`` for any other file."""
    with library.open("rb") as file:
        head = file.read(20)
    return _ELF.get(int.from_bytes(head[18:20], "little"), "unknown") if head[:4] == b"\x7fELF" else "unknown"


def host_runs(architecture: str) -> bool:
    """Tell whether this machine runs a function's programs for that architecture: Linux on the same kind of CPU."""
    return sys.platform == "linux" and own_architecture() == architecture


def runs_here(library: Path) -> bool:
    """Tell whether this machine can load a library that was made for Linux."""
    return host_runs(machine_of(library))


def own_library() -> Path:
    """Return the engine of the installed ``onnxruntime``, which is pinned to the version that ships.

    Raises:
        LibraryError: there is none.
    """
    from coldpress_runtime.library import find_library  # noqa: PLC0415  (the runtime's; only where it is needed)

    return Path(find_library())
