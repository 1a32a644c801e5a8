"""The HTTP server that a container's bundle carries: uvicorn's wheels, each pinned by its hash in ``server.toml``."""

import tomllib
from pathlib import Path

from coldpress.bundle.wheels import Wheel, resolve
from coldpress.errors import ResolveError

__all__ = ["server_wheels"]


def server_wheels(python: str, architecture: str, cache: Path) -> tuple[Wheel, ...]:
    """Return the wheels of uvicorn and what it needs, for CPython ``python`` on ``architecture``, sorted by name.

    Args:
        python: a minor version, for example ``"3.13"``.
        architecture: ``"x86_64"`` or ``"arm64"``.
        cache: a folder where wheels are kept, by hash.

    Raises:
        ResolveError: there is no pin for this target, a wheel cannot be had, or a hash differs.
    """
    with Path(__file__).with_name("server.toml").open("rb") as file:
        pins = tomllib.load(file)
    compiled = pins.get(architecture, {}).get("httptools", {})
    if python not in compiled:
        known = ", ".join(pins["x86_64"]["httptools"])
        raise ResolveError(
            f"python is {python} on {architecture}: the server is pinned for {known} on x86_64 and arm64; "
            "choose one of these."
        )
    hashes = {**pins["any"], "httptools": compiled[python]}
    lock = "".join(
        f"{name}=={version} --hash=sha256:{hashes[name]}\n" for name, version in sorted(pins["versions"].items())
    )
    return resolve((), python, architecture, cache, lock)
