"""A worker process, as the process that started it sees it: chunks go in, answers come out, or it has ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from coldpress_runtime import errors
from coldpress_runtime.batch.chunks import Position
from coldpress_runtime.batch.frames import Channel
from coldpress_runtime.batch.scoring import Scored
from coldpress_runtime.batch.told import signature_of
from coldpress_runtime.errors import BatchError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from coldpress_runtime.batch.chunks import Chunk
    from coldpress_runtime.batch.features import Signature

__all__ = ["EndedError", "Object", "Task", "Worker"]

#: Every chunk makes and drops arrays of some hundred kilobytes. Left to itself, glibc gives each back to the system and
#: asks for it again, and numbers take twice the time to read (mallopt(3): M_MMAP_THRESHOLD and its neighbours). Threads
#: share one arena: what one of them has dropped, another one takes.
_MEMORY = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TOP_PAD_": str(1 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(256 << 20),
}


class Object(NamedTuple):
    """What workers must know of an input to read its records.

    Attributes:
        name: the input's.
        start: its first bytes, decompressed.
        file: the path and the version of the file that it is as it stands; None where there is none.
    """

    name: str
    start: bytes
    file: tuple[str, str] | None


class EndedError(Exception):
    """A worker has ended, and was not told to."""


class Task:
    """A chunk of an object on its way; ``scored`` is there when it is back.

    Args:
        of: the object.
        chunk: its records.
        start: where they lie in the object's file, from which workers read them then; None: they are to be sent.
    """

    def __init__(self, of: Object, chunk: Chunk, start: int | None) -> None:
        self.of = of
        self.chunk = chunk if start is None else chunk._replace(data=b"")
        self.span = None if start is None else [start, start + len(chunk.data)]
        self.scored: Scored | None = None
        self.died = False  # of it
        self.given_up = False  # by who asked for it


class Worker:
    """A process, and what it has been given and has not answered yet."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None) -> None:
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=_MEMORY | dict(os.environ if environment is None else environment),
            start_new_session=True,  # Ctrl-C is for the process that keeps the state; this one ends with its input
        )
        self.tasks: deque[Task] = deque()
        self._signature: Signature | None = None
        self._knows: Object | None = None
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None  # noqa: S101 - both were asked for
        assert stdout is not None  # noqa: S101
        self.channel = Channel(os.dup(stdout.fileno()), os.dup(stdin.fileno()))
        stdin.close()
        stdout.close()

    def give(self, task: Task, **alone: Any) -> None:
        """Send a chunk. That nobody reads it shows when the answer is waited for."""
        self.tasks.append(task)
        with contextlib.suppress(BrokenPipeError):
            if task.of is not self._knows:
                self._knows = task.of
                self.channel.send({"object": task.of.name, "file": task.of.file}, task.of.start)
            first, records, data, end, reason = task.chunk
            self.channel.send({"chunk": [first, records, list(end), reason], "span": task.span, **alone}, data)

    @property
    def signature(self) -> Signature:
        """What the model takes, which a worker tells first; raises ColdpressError when it cannot open it."""
        while self._signature is None:
            self.receive()
        return self._signature

    def receive(self) -> Scored | None:
        """Wait for the next message; return an answer if it is one.

        Raises:
            EndedError: the process has ended.
            ColdpressError: the worker says that it cannot go on, or has ended before it could begin.
        """
        message = self.channel.receive()
        if message is None:
            if self._signature is not None:
                raise EndedError
            raise BatchError(
                f"A worker ended with {self.how()} before it had opened the model; see what it wrote, and whether "
                "there is memory for so many workers."
            )
        head, blobs = message
        if "error" in head:
            kind, text = head["error"]
            raise getattr(errors, kind, BatchError)(text)
        if "signature" in head:
            self._signature = signature_of(head["signature"])
            return None
        first, count, end, scored, rejected, seconds = head["scored"]
        output, rejects = blobs
        return Scored(first, count, Position(*end), output, rejects, scored, rejected, seconds)

    def how(self) -> str:
        """Say how the process ended."""
        status = self.process.wait()
        return f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"

    def close(self) -> None:
        """End the process, and what its hooks have started."""
        self.channel.close()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
