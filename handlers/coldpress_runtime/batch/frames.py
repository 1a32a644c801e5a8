"""Messages between two processes over pipes: a head in JSON, and bytes after it that are sent as they are.

Pipes and not `multiprocessing`: its semaphores need ``/dev/shm``, which functions do not have.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from typing import Any

__all__ = ["Channel"]

_PIPE_BYTES = 1 << 20  # what Linux lets anybody ask for: a chunk goes through without waiting for the reader
_SET_PIPE_SIZE = 1031  # F_SETPIPE_SZ of <linux/fcntl.h>; Python's fcntl has the name on some builds alone


class Channel:
    """One end of two pipes.

    Args:
        source: file descriptor that is read.
        sink: file descriptor that is written.
    """

    def __init__(self, source: int, sink: int) -> None:
        self.source = source
        self.sink = sink
        _widen(sink)

    def send(self, head: dict[str, Any], *blobs: bytes) -> None:
        """Write one message; raises OSError when nobody reads any more."""
        text = orjson.dumps({**head, "": [len(blob) for blob in blobs]})
        self._write(struct.pack("<I", len(text)) + text)
        for blob in blobs:
            self._write(blob)

    def receive(self) -> tuple[dict[str, Any], list[bytes]] | None:
        """Read one message; None where the other side has ended."""
        start = self._read(4)
        text = None if start is None else self._read(struct.unpack("<I", start)[0])
        if text is None:
            return None
        head: dict[str, Any] = orjson.loads(text)
        blobs = []
        for size in head.pop(""):
            blob = self._read(size)
            if blob is None:
                return None
            blobs.append(blob)
        return head, blobs

    def close(self) -> None:
        """Close both pipes; closing twice is fine."""
        for end in ("source", "sink"):
            descriptor = getattr(self, end)
            if descriptor >= 0:
                setattr(self, end, -1)
                os.close(descriptor)

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self.sink, rest) :]

    def _read(self, size: int) -> bytes | None:
        """Read exactly so many bytes; None where they end before."""
        data = os.read(self.source, size)
        if len(data) == size:
            return data
        parts = [data]
        size -= len(data)
        while size and parts[-1]:
            parts.append(os.read(self.source, size))
            size -= len(parts[-1])
        return None if size else b"".join(parts)


def _widen(pipe: int) -> None:
    """Let a pipe hold a whole chunk, where the system can."""
    try:
        import fcntl  # noqa: PLC0415  (not on every system)

        fcntl.fcntl(pipe, _SET_PIPE_SIZE, _PIPE_BYTES)
    except (ImportError, OSError):
        pass  # it holds less, and the writer waits
