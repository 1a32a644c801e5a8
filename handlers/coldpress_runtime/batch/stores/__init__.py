"""Where objects lie: one interface over folders, S3, Cloud Storage and Blob Storage."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple, Protocol

from coldpress_runtime.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

__all__ = ["Stat", "Store", "open_store"]

#: By scheme: the module here whose ``open_place`` takes what stands behind ``://``, and the extra that it needs.
_SCHEMES = {"": ("local", ""), "s3": ("s3", "s3"), "gs": ("gcs", "gcs"), "az": ("blob", "azure")}


class Stat(NamedTuple):
    """An object: its name, its size in bytes, and the version that tells it from others of the same name."""

    key: str
    size: int
    version: str
    content_type: str = ""


class Store(Protocol):
    """A bucket, a container or a folder.

    An upload in parts may have several writers, one after the other, and one that was thought dead may wake up and
    send one more part. Each writer therefore numbers its parts behind those of the writer before, with a gap: numbers
    ascend, some are missing, and some were sent by nobody's leave. The object is made of the parts whose tags
    ``finish`` is given, in that order, and of no others; a tag holds all that it takes to find its part.

    Attributes:
        part_bytes: how large a part of an upload is at least; the last one may be smaller.
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
        """Upload part ``number``, from 1 to 10,000, and return its tag; raises ConflictError without the upload."""
        ...

    def finish(self, token: dict[str, Any], tags: Sequence[str]) -> None:
        """Make the object of the parts with these tags, whole, and forget every other upload of its name.

        Raises:
            ConflictError: there is an object of that name already, or the upload or one of its parts is no more.
        """
        ...

    def abandon(self, token: dict[str, Any]) -> None:
        """Forget every upload of the name that ``token`` is for; there need not be one any more."""
        ...


def open_store(url: str) -> tuple[Store, str]:
    """Return the store that ``url`` lies in, and the key there.

    Args:
        url: ``s3://bucket/key``, ``gs://bucket/key``, ``az://account/container/key``, or a path. A path that ends with
            ``/``, or is a folder's, is that folder, with the key ``""``.

    Raises:
        StoreError: no such scheme, or what the scheme needs is not installed.
    """
    scheme, mark, place = url.partition("://")
    if not mark:
        scheme, place = "", url
    if scheme not in _SCHEMES:
        raise StoreError(f"{scheme}:// is no store that is known; expected a path, s3://, gs:// or az://.")
    module, extra = _SCHEMES[scheme]
    try:
        found: tuple[Store, str] = import_module(f"{__name__}.{module}").open_place(place)
    except ModuleNotFoundError as missing:
        raise StoreError(
            f"{scheme}:// needs the package {missing.name}, which is not here; install it with "
            f"`pip install 'coldpress[{extra}]'`."
        ) from missing
    return found
