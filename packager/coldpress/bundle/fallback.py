"""What a bundle that asks an endpoint brings beside the runtime: the library that proves who asks, where one does."""

from pathlib import Path

from coldpress.bundle.locked import locked_wheels
from coldpress.bundle.wheels import Wheel

__all__ = ["fallback_wheels"]

_LIBRARIES = ("aws", "azure", "google")


def fallback_wheels(auth: str, target: str, python: str, architecture: str, cache: Path) -> tuple[Wheel, ...]:
    """Return the wheels for one way to prove who asks, sorted by name; Lambda has botocore already.

    Args:
        auth: as in ``fallback.endpoint.auth`` of the manifest.
        target: a name in ``TARGETS``.
        python: a minor version, for example ``"3.13"``.
        architecture: ``"x86_64"`` or ``"arm64"``.
        cache: a folder where wheels are kept, by hash.

    Raises:
        ResolveError: one cannot be had for this Python and architecture, or its hash is not the pinned one.
    """
    if auth not in _LIBRARIES or (auth, target) == ("aws", "aws"):
        return ()
    return locked_wheels(f"fallback-{auth}", python, architecture, cache)
