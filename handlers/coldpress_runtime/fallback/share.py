"""Which requests are part of a share: those whose id says so, so that a request sent again meets the same fate."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["identity", "is_in_share"]

#: Headers that name a request, those first that the caller chooses.
_IDS = ("x-request-id", "traceparent", "x-amzn-trace-id", "x-cloud-trace-context")


def identity(headers: Mapping[str, str]) -> str:
    """What names a request: the first header that does, or what nobody has thought of yet."""
    return next(filter(None, map(headers.get, _IDS)), None) or os.urandom(8).hex()


def is_in_share(name: str, request: str, share: float) -> bool:
    """Whether a request is part of a share from 0 to 1; shares of different names fall independently."""
    from hashlib import blake2b  # noqa: PLC0415 - few functions send a share

    digest = blake2b(f"{name}\0{request}".encode("utf-8", "replace"), digest_size=7).digest()
    return int.from_bytes(digest) < share * (1 << 56)
