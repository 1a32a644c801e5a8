"""The bytes of an object: forward, fetched ahead by threads so that scoring does not wait for the network; or anywhere.

Both read one version of the object, and raise ChangedError as soon as it is another one.
"""

from __future__ import annotations

import io
from collections import OrderedDict, deque
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import Future

    from _typeshed import WriteableBuffer

    from coldpress_runtime.batch.stores import Stat, Store

__all__ = ["Blocks", "WholeFile"]

_BLOCK_BYTES = 4 << 20
_AHEAD = 3
_KEPT = 8
_NEAR_BYTES = 256 << 10  # of a block that is at hand: more would only lie in memory


class Blocks:
    """An object block after block. Use as a context manager.

    Args:
        store: where it lies.
        stat: what it was when it was found.
        start: the first byte.
        known: what is known of what follows it, and need not be fetched.
        ahead: so many blocks are fetched at once, the one that is waited for among them.

    Attributes:
        position: where the next block begins.
    """

    def __init__(self, store: Store, stat: Stat, start: int = 0, known: bytes = b"", ahead: int = _AHEAD) -> None:
        self.position = start + len(known)
        self._seconds = 0.0
        self._store = store
        self._stat = stat
        self._asked = self.position
        self._ahead = ahead
        self._is_near = getattr(store, "is_near", False)
        self._rest = memoryview(known)
        self._coming: deque[Future[bytes]] = deque()
        self._threads = ThreadPoolExecutor(ahead, thread_name_prefix="coldpress-read")

    def read(self, size: int, /) -> bytes:
        """Return at most ``size`` bytes, none at the end."""
        if not self._rest:
            if self._is_near and size >= _NEAR_BYTES:
                return self._read(size)
            self._rest = memoryview(self._next())
        part, self._rest = self._rest[:size], self._rest[size:]
        return part.tobytes()

    def peek(self) -> bytes:
        """Return what comes next, up to the end of a block, and leave it there."""
        if not self._rest:
            self._rest = memoryview(self._next())
        return self._rest.tobytes()

    def take_seconds(self) -> float:
        """Return how long blocks were waited for since this was last asked."""
        seconds, self._seconds = self._seconds, 0.0
        return seconds

    def _read(self, size: int) -> bytes:
        """Read what is at hand: to fetch it ahead would only copy it once more."""
        stop = min(self.position + size, self._stat.size)
        if stop <= self.position:
            return b""
        began = perf_counter()
        data = self._store.read(self._stat.key, self.position, stop, self._stat.version)
        self.position += len(data)
        self._seconds += perf_counter() - began
        return data

    def _next(self) -> bytes:
        if self._is_near:
            return self._read(_NEAR_BYTES)
        began = perf_counter()
        self._ask()
        if not self._coming:
            return b""
        block = self._coming.popleft().result()
        if self._ahead > 1:
            self._ask()
        self.position += len(block)
        self._seconds += perf_counter() - began
        return block

    def _ask(self) -> None:
        while self._asked < self._stat.size and len(self._coming) < self._ahead:
            stop = min(self._asked + _BLOCK_BYTES, self._stat.size)
            read = self._threads.submit(self._store.read, self._stat.key, self._asked, stop, self._stat.version)
            self._coming.append(read)
            self._asked = stop

    def __enter__(self) -> Blocks:  # noqa: PYI034 - typing.Self would be another import
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(cancel_futures=True)


class WholeFile(io.RawIOBase):
    """An object as a file to seek in, of which the blocks that were used last are kept in memory.

    Args:
        store: where it lies.
        stat: what it was when it was found.

    Attributes:
        position: behind the last byte that was ever asked for.
    """

    def __init__(self, store: Store, stat: Stat) -> None:
        super().__init__()
        self.position = 0
        self._seconds = 0.0
        self._store = store
        self._stat = stat
        self._at = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def seekable(self) -> bool:
        """Say that it can be read anywhere."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go somewhere else, and return where that is."""
        self._at = max(0, offset + (0, self._at, self._stat.size)[whence])
        return self._at

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill a buffer, up to the end of a block."""
        into = memoryview(buffer).cast("B")
        if self._at >= self._stat.size:
            return 0
        number, offset = divmod(self._at, _BLOCK_BYTES)
        data = memoryview(self._block(number))[offset : offset + len(into)]
        into[: len(data)] = data
        self._at += len(data)
        self.position = max(self.position, self._at)
        return len(data)

    def take_seconds(self) -> float:
        """Return how long blocks were waited for since this was last asked."""
        seconds, self._seconds = self._seconds, 0.0
        return seconds

    def _block(self, number: int) -> bytes:
        if number in self._blocks:
            self._blocks.move_to_end(number)
            return self._blocks[number]
        began = perf_counter()
        start = number * _BLOCK_BYTES
        stop = min(start + _BLOCK_BYTES, self._stat.size)
        block = self._blocks[number] = self._store.read(self._stat.key, start, stop, self._stat.version)
        if len(self._blocks) > _KEPT:
            self._blocks.popitem(last=False)
        self._seconds += perf_counter() - began
        return block
