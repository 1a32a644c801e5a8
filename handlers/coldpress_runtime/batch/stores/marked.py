"""What stores have in common where the provider does less: see ``Store`` for what the methods promise."""

from __future__ import annotations

import mimetypes
import os
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from coldpress_runtime.errors import ChangedError, ConflictError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from coldpress_runtime.batch.stores import Stat, Store

__all__ = ["MarkedUploads", "content_type", "folder_of", "holds", "marker_of"]


def content_type(key: str) -> str:
    """Return what kind of thing an object is, by its name."""
    return mimetypes.guess_type(key)[0] or "application/octet-stream"


def holds(store: Store, there: Stat, data: bytes) -> bool:
    """Tell whether an object is these very bytes: the result of a write whose answer was lost on the way, then."""
    try:
        return there.size == len(data) and (not data or store.read(there.key, 0, len(data), there.version) == data)
    except ChangedError:
        return False


def folder_of(key: str) -> str:
    """Return what the names of all that belongs to a key's uploads begin with."""
    return f"{key}.parts/"


def marker_of(token: dict[str, Any]) -> str:
    """Return the name of the object that stands for an upload."""
    return folder_of(token["key"]) + str(token["upload"])


class MarkedUploads(ABC):
    """Uploads in parts for which an empty object beside them stands, where the provider has none of its own."""

    @abstractmethod
    def url(self, key: str) -> str:
        """Return the URL by which ``open_store`` finds an object."""

    @abstractmethod
    def stat(self, key: str) -> Stat | None: ...  # noqa: D102 - see Store

    @abstractmethod
    def put(self, key: str, data: bytes, *, replaces: str | None = None) -> str: ...  # noqa: D102 - see Store

    @abstractmethod
    def abandon(self, token: dict[str, Any]) -> None: ...  # noqa: D102 - see Store

    @abstractmethod
    def _make(self, token: dict[str, Any], tags: Sequence[str]) -> None:
        """Make the object of its parts; raises ConflictError when there is one, or a part is no more."""

    def begin(self, key: str) -> dict[str, Any]:
        """Make the object that stands for the upload; its token names it."""
        token = {"key": key, "upload": os.urandom(8).hex()}
        self.put(marker_of(token), b"")
        return token

    def finish(self, token: dict[str, Any], tags: Sequence[str]) -> None:
        """Make the object of its parts; raises ConflictError when there is one, or the upload or a part is no more."""
        try:
            self._check(token)
            self._make(token, tags)
        except ConflictError:
            if self.stat(token["key"]) is not None:
                self.abandon(token)  # who made the object may have died before it could
            raise
        self.abandon(token)

    def _check(self, token: dict[str, Any]) -> None:
        if self.stat(marker_of(token)) is None:
            raise ConflictError(f"The upload of {self.url(token['key'])} is no more; it was finished or given up.")
