"""``weights`` of ``coldpress.json``: where the model's file lies, when it does not lie in the bundle."""

from __future__ import annotations

from coldpress_runtime.record import Record, error, integer, sha256, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["SCHEMES", "Weights"]

#: What URLs of objects begin with.
SCHEMES = ("s3://", "gs://", "az://")
_MOST_BYTES = (1 << 31) - 1  # offsets of ORT format
_MOST_PARTS = 64


def _source(value: Any, where: str) -> str:
    if value not in ("store", "mount"):
        raise error(where, "store or mount", value)
    return str(value)


class Weights(Record):
    """A file in ORT format outside of the bundle.

    ``source`` is ``store``, and ``url`` the URL of an object, or ``mount``, and ``url`` an absolute path, such as one
    in a mounted bucket. The variable ``COLDPRESS_WEIGHTS`` names another place of either kind. ``bytes`` and ``sha256``
    are the file's wherever it lies; ``parts`` of it are read at a time.
    """

    __slots__ = ("source", "url", "bytes", "sha256", "parts")  # noqa: RUF023 - the order is that of the file
    READERS = (_source, text, integer(8, _MOST_BYTES), sha256, integer(1, _MOST_PARTS))
    source: str
    url: str
    bytes: int
    sha256: str
    parts: int

    def check(self) -> None:
        """Check that the URL is one of its source."""
        if self.source == "mount":
            if not self.url.startswith("/"):
                raise error("weights.url", "an absolute path", self.url)
        elif not self.url.startswith(SCHEMES):
            raise error("weights.url", "a URL that begins with " + ", ".join(SCHEMES), self.url)
