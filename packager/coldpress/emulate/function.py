"""A built function of any target, started: what all the providers' emulations have in common."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, Self

from coldpress.emulate.http import Call, HttpRequest
from coldpress.emulate.process import locate
from coldpress.errors import EmulateError
from coldpress.targets import ENTRIES, TARGETS

__all__ = ["LocalFunction", "start", "target_of"]


class LocalFunction(Protocol):
    """A started function: a process under its provider's own runtime. Use as a context manager.

    Attributes:
        init_ms: from the start of the process to its being ready for work, in milliseconds.
        python, minor: the interpreter it runs on, and its version.
    """

    init_ms: float
    python: Path
    minor: str

    @property
    def peak_mb(self) -> float:
        """Largest resident memory so far, in MB (10^6 bytes); the process must still run."""
        ...

    def call(self, request: HttpRequest, door: str | None = None) -> Call:
        """Send one request and wait for its reply.

        Args:
            request: what a caller sends.
            door: the kind of event that brings it, where the provider has several; None: the usual one.

        Raises:
            EmulateError: the process ended, or did not answer in time, and is gone; or the code around the service
                raised, which answers no request.
        """
        ...

    def logs(self) -> str:
        """Return what the function has written to stdout and stderr so far."""
        ...

    def close(self) -> None:
        """End the process and everything it started; forget its files."""
        ...

    def __enter__(self) -> Self:
        """Return the function itself."""
        ...

    def __exit__(self, *_exc: object) -> None:
        """Close it."""
        ...


def target_of(build: str | Path) -> str:
    """Tell for which target a function was built, by its entry point.

    Args:
        build: a folder that ``coldpress pack`` wrote, a zip, or an unpacked function.

    Raises:
        EmulateError: it is none of these.
    """
    source = locate(build)
    if source.is_dir():
        return next(target for entry, target in ENTRIES.items() if (source / entry).is_file())
    with zipfile.ZipFile(source) as archive:
        names = set(archive.namelist())
    for entry, target in ENTRIES.items():
        if entry in names:
            return target
    raise EmulateError(f"{source} is not a built function: expected one of {', '.join(ENTRIES)} in it; pack it again.")


def start(
    build: str | Path,
    *,
    python: str | Path | None = None,
    memory_mb: int = 1024,
    timeout_s: float = 30.0,
    environment: Mapping[str, str] | None = None,
) -> LocalFunction:
    """Start a built function as its provider does.

    Args:
        build: a folder that ``coldpress pack`` wrote, a zip, or an unpacked function.
        python: the interpreter to run it with; None: one of the function's own minor version when there is one here,
            else the one that runs this.
        memory_mb: what the function is told it has.
        timeout_s: likewise; an answer that comes later ends it.
        environment: further variables that it sees.

    Raises:
        EmulateError: there is no function, or it fails to start; the message is the function's own.
    """
    function: LocalFunction = TARGETS[target_of(build)].function_class()(
        build, python=python, memory_mb=memory_mb, timeout_s=timeout_s, environment=environment
    )
    return function
