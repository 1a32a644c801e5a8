"""An object that grows row by row: whole parts are uploaded, the rest waits and is kept in the checkpoint."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from coldpress_runtime.errors import BatchError, ConflictError

if TYPE_CHECKING:
    from typing import Any

    from coldpress_runtime.batch.stores import Store

__all__ = ["Output"]

_PARTS = 10_000  # what S3 takes
_PARTS_OF_A_SIZE = 1_000


class Output:
    """What a job has written to one of its objects so far.

    An upload is begun when there is a whole part to send; what ends before that is written at once. Parts have the
    store's ``part_bytes``, twice as many after a thousand parts, three times after another thousand, so that ten
    thousand of them hold 440 GB where the first ones have 8 MB.

    Attributes:
        key: the object's name.
    """

    def __init__(self, key: str) -> None:
        self.key = key
        self._pending: deque[memoryview] = deque()
        self._held = 0
        self._token: dict[str, Any] | None = None
        self._tags: list[str] = []
        self._number = 1
        self._sent = 0

    @property
    def size(self) -> int:
        """How many bytes there are by now, uploaded or pending."""
        return self._sent + self._held

    @property
    def pending(self) -> bytes:
        """The bytes that are in no part yet."""
        return b"".join(self._pending)

    def add(self, data: bytes) -> None:
        """Write more."""
        self._pending.append(memoryview(data))
        self._held += len(data)

    def is_due(self, store: Store) -> bool:
        """Whether there is a whole part to send."""
        return self._held >= self._part_bytes(store)

    def send(self, store: Store) -> None:
        """Upload one part.

        The state must be saved before the next one: ``leave_gap`` counts on it.
        """
        if self._token is None:
            self._token = store.begin(self.key)
        self._send(store, self._token, self._part_bytes(store))

    def _send(self, store: Store, token: dict[str, Any], size: int) -> None:
        if self._number > _PARTS:
            raise BatchError(f"{self.key} would be larger than an upload can be; cut the input into smaller objects.")
        part = self._first(size)
        self._tags.append(store.add(token, self._number, part))
        self._number += 1
        self._drop(len(part))

    def _first(self, size: int) -> bytes:
        """So many of the pending bytes."""
        parts: list[memoryview] = []
        for piece in self._pending:
            parts.append(piece[:size])
            size -= len(parts[-1])
            if not size:
                break
        return b"".join(parts)

    def _drop(self, size: int) -> None:
        """Forget as many: they are sent."""
        self._sent += size
        self._held -= size
        while size:
            piece = self._pending.popleft()
            if len(piece) > size:
                self._pending.appendleft(piece[size:])
            size -= min(size, len(piece))

    def _part_bytes(self, store: Store) -> int:
        return store.part_bytes * (1 + self._number // _PARTS_OF_A_SIZE)

    def finish(self, store: Store) -> None:
        """Make the object appear; to do it again, in whatever process, changes nothing.

        Raises:
            ConflictError: the upload is no more, or another object has that name.
        """
        try:
            if self._token is None:
                store.put(self.key, self.pending, replaces="")
                self._drop(self._held)
                return
            if self._held:
                self._send(store, self._token, self._held)
            store.finish(self._token, self._tags)
        except ConflictError:
            there = store.stat(self.key)
            if there is None or there.size != self.size:  # not what another process made of the same state
                raise

    def abandon(self, store: Store) -> None:
        """Give the upload up."""
        if self._token is not None:
            store.abandon(self._token)

    def leave_gap(self) -> None:
        """Pass over the number of the part that the process before this one may still be sending."""
        self._number += 1

    def to_dict(self) -> dict[str, Any]:
        """All but the pending bytes, as plain JSON."""
        return {
            "key": self.key,
            "token": self._token,
            "tags": self._tags,
            "number": self._number,
            "sent": self._sent,
            "pending": self._held,
        }

    @classmethod
    def from_dict(cls, document: dict[str, Any], pending: bytes) -> Output:
        """Return what ``to_dict`` was called on."""
        output = cls(document["key"])
        output._token = document["token"]
        output._tags = document["tags"]
        output._number = document["number"]
        output._sent = document["sent"]
        output.add(pending)
        return output
