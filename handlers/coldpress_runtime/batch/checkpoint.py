"""The state of a job between two processes, and who of them may go on with it.

The checkpoint is one object: a line of JSON, then the bytes that are in no part of an upload yet. It is only ever
written in the place of the version that its writer knows. Whoever finds another version there has lost the job to
somebody else, and stops. That alone keeps rows from being doubled. The rest is courtesy: who finds a checkpoint that
somebody owns first waits whether it changes, since its owner may be well and at work. No clocks are compared.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from coldpress_runtime.batch.chunks import Position
from coldpress_runtime.batch.output import Output
from coldpress_runtime.errors import ChangedError, ConflictError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from coldpress_runtime.batch.layout import Layout

__all__ = ["Checkpoint", "State"]

_FORMAT = 1
_LOOK_EVERY_S = 0.5


@dataclass
class State:
    """How far a job is.

    Attributes:
        scores: the rows' scores.
        rejects: the rows that could not be scored.
        position: where the next chunk begins; its row is how many records have been read.
        scored: how many have scores.
        rejected: how many have none.
        damage: why the input cannot be read any further.
        failure: why the job has failed.
        complete: whether all is read, so that only the objects have to be finished.
        runs: how many processes took part.
        seconds: what it took in all of them: total, read, parse, run, encode, write.
    """

    scores: Output
    rejects: Output
    position: Position = field(default_factory=Position)
    scored: int = 0
    rejected: int = 0
    damage: str = ""
    failure: str = ""
    complete: bool = False
    runs: int = 1
    seconds: dict[str, float] = field(default_factory=dict)

    def to_bytes(self, job: str, owner: str, lease_s: float) -> bytes:
        """Return the checkpoint of a job and its owner; ``""``: nobody's."""
        head = {
            "format": _FORMAT,
            "job": job,
            "owner": owner,
            "lease_s": lease_s,
            **{name: getattr(self, name) for name in _PLAIN},
            "scores": self.scores.to_dict(),
            "rejects": self.rejects.to_dict(),
        }
        return b"".join((json.dumps(head).encode(), b"\n", self.scores.pending, self.rejects.pending))

    @classmethod
    def from_bytes(cls, head: dict[str, Any], pending: bytes) -> State:
        """Return the state of a checkpoint's line of JSON and the bytes behind it."""
        middle = head["scores"]["pending"]
        if len(pending) != middle + head["rejects"]["pending"]:
            raise ValueError("the checkpoint is cut")
        values = {name: head[name] for name in _PLAIN} | {"position": Position(*head["position"])}
        scores = Output.from_dict(head["scores"], pending[:middle])
        return cls(scores, Output.from_dict(head["rejects"], pending[middle:]), **values)


_PLAIN = ("position", "scored", "rejected", "damage", "failure", "complete", "runs", "seconds")


class Checkpoint:
    """A job's state, held by this process. Everything may raise ConflictError: the job is somebody else's by now.

    Args:
        layout: the job.
        lease_s: how long others are to wait for a sign of life before they take the job over.
    """

    def __init__(self, layout: Layout, lease_s: float) -> None:
        self.lease_s = lease_s
        self._layout = layout
        self._owner = os.urandom(8).hex()
        self._version = ""

    def claim(self, time_left: Callable[[], float]) -> State | None:
        """Take the job over, or begin it.

        Args:
            time_left: how many seconds this process has.

        Returns:
            The state to go on from; None when time ran out while it was not clear whether the owner is alive.

        Raises:
            ConflictError: somebody else is at work.
        """
        self._version, content = self._read()
        head, state = _parsed(content)
        if head.get("owner") and not self._outlasts(head["lease_s"], time_left):
            return None
        if state is None or head["job"] != self._layout.job:
            state = self.fresh()
        else:
            state.runs += 1
            state.scores.leave_gap()
            state.rejects.leave_gap()
        self.save(state)
        return state

    def _outlasts(self, lease_s: float, time_left: Callable[[], float]) -> bool:
        """Wait for the owner's lease to end, without a sign of life; False when time is up before."""
        key = self._layout.checkpoint
        until = time.monotonic() + lease_s
        while (rest := until - time.monotonic()) > 0:
            if time_left() <= _LOOK_EVERY_S:
                return False
            time.sleep(min(_LOOK_EVERY_S, rest))
            there = self._layout.store.stat(key)
            if there is None or there.version != self._version:
                raise ConflictError(f"{key} changes: another process is at work on this job; wait until it is done.")
        return True

    def fresh(self) -> State:
        """Return the state of a job of which nothing is done."""
        return State(Output(self._layout.scores), Output(self._layout.rejects))

    def save(self, state: State, *, release: bool = False) -> None:
        """Write the state; ``release``: anybody may go on from it at once."""
        content = state.to_bytes(self._layout.job, "" if release else self._owner, self.lease_s)
        self._version = self._layout.store.put(self._layout.checkpoint, content, replaces=self._version)

    def release(self) -> None:
        """Let anybody go on from what was saved last."""
        _, content = self._read(self._version)
        line, newline, pending = content.partition(b"\n")
        head = json.loads(line) | {"owner": ""}
        self._layout.store.put(
            self._layout.checkpoint, json.dumps(head).encode() + newline + pending, replaces=self._version
        )

    def delete(self) -> None:
        """Forget the state."""
        self._layout.store.delete(self._layout.checkpoint)

    def _read(self, version: str | None = None) -> tuple[str, bytes]:
        """The version that is there and its bytes; nothing and nothing when there is none."""
        store, key = self._layout.store, self._layout.checkpoint
        while True:
            there = store.stat(key)
            if version is not None and (there is None or there.version != version):
                raise ConflictError(f"{key} has been written by another process.")
            if there is None:
                return "", b""
            try:
                return there.version, store.read(key, 0, there.size, there.version)
            except ChangedError:
                continue  # its owner is quick


def _parsed(content: bytes) -> tuple[dict[str, Any], State | None]:
    """The head of a checkpoint and the state in it; a damaged one, or one of another release, counts as none."""
    line, _, pending = content.partition(b"\n")
    try:
        head: dict[str, Any] = json.loads(line)
        if head["format"] != _FORMAT:
            return {}, None
        return head, State.from_bytes(head, pending)
    except (ValueError, KeyError, TypeError):
        return {}, None
