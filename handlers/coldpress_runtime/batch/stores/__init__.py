"""Where objects lie: one interface over folders, S3, Cloud Storage and Blob Storage."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

__all__ = ["Stat", "Store", "open_store"]


class Stat(NamedTuple):
    """An object: its name, its size in bytes, and the version that tells it from others of the same name."""

    key: str
    size: int
    version: str
    content_type: str = ""


class Store(Protocol):
    """A bucket, a container or a folder.

    Attributes:
        part_bytes: how large a part of an upload is; the last one may be smaller.
    """

    part_bytes: int

    def stat(self, key: str) -> Stat | None:
        """Return what is known of an object, None when there is none."""
        ...

    def read(self, key: str, start: int, stop: int, version: str) -> bytes:
        """Return the bytes from ``start`` to ``stop`` of that version; raises ChangedError when it is not there."""
        ...

    def list(self, prefix: str) -> Iterator[Stat]:
        """Yield the objects whose names begin with ``prefix``, sorted by name."""
        ...

    def put(self, key: str, data: bytes, *, replaces: str | None = None) -> str:
        """Write a whole object and return its version.

        Args:
            key: its name.
            data: its bytes.
            replaces: None: whatever is there; ``""``: only where there is none; a version: only over that one.

        Raises:
            ConflictError: something else is there.
        """
        ...

    def delete(self, key: str) -> None:
        """Remove an object; there need not be one."""
        ...

    def begin(self, key: str) -> dict[str, Any]:
        """Start an upload in parts; return its token, plain JSON, with which any process can go on."""
        ...

    def add(self, token: dict[str, Any], number: int, data: bytes) -> str:
        """Upload part ``number``, from 1 on; a part sent again replaces the one before. Returns its tag."""
        ...

    def finish(self, token: dict[str, Any], tags: Sequence[str]) -> None:
        """Make the object of its parts, whole; raises ConflictError when there is one of that name already."""
        ...

    def abandon(self, token: dict[str, Any]) -> None:
        """Forget an upload and its parts; there need not be one any more."""
        ...


def open_store(url: str) -> tuple[Store, str]:
    """Return the store that ``url`` lies in, and the key there.

    Args:
        url: ``s3://bucket/key``, ``gs://bucket/key``, ``az://account/container/key``, or a path.

    Raises:
        StoreError: no such scheme, or what the scheme needs is not installed.
    """
    raise NotImplementedError
