"""A process that scores chunks: it opens the function, then answers what comes through its standard input.

It ends when its input does, at whatever it is working, so that it never outlives the process that started it.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import traceback
from functools import partial
from typing import TYPE_CHECKING

import orjson

from coldpress_runtime.batch.alone import Alone
from coldpress_runtime.batch.chunks import Chunk, Position
from coldpress_runtime.batch.features import Signature
from coldpress_runtime.batch.formats import open_format
from coldpress_runtime.batch.frames import Channel
from coldpress_runtime.batch.options import Options
from coldpress_runtime.batch.scoring import Scorer
from coldpress_runtime.batch.stores import open_store
from coldpress_runtime.batch.told import tell_signature
from coldpress_runtime.errors import ColdpressError
from coldpress_runtime.service import Service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from coldpress_runtime.batch.scoring import Read, Scored

    Message = tuple[dict[str, Any], list[bytes]]

__all__ = ["command", "serve"]


def command(root: str, options: Options) -> list[str]:
    """Return what an interpreter is to be given so that it serves the function in a folder."""
    # -P: what lies in the working folder may be called like a module.
    return ["-P", "-m", "coldpress_runtime.batch.worker", root, orjson.dumps(options._asdict()).decode()]


def serve(root: str, options: Options) -> None:
    """Score what comes with the function in a folder, until no more comes.

    What is printed meanwhile goes to the standard error, since the standard output belongs to the answers.
    """
    channel = _own_channel()
    messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(channel, messages), daemon=True).start()
    try:
        _Worker(channel, root, options).answer(messages)
    except BrokenPipeError:
        return  # nobody waits for it any more
    except MemoryError:
        raise  # as if the system had ended it for its memory: the records are tried by themselves
    except Exception as error:  # noqa: BLE001 - the other side raises it
        if isinstance(error, ColdpressError):
            channel.send({"error": [type(error).__name__, str(error)]})
        else:
            channel.send({"error": ["BatchError", f"A worker failed:\n{traceback.format_exc()}"]})


class _Worker:
    def __init__(self, channel: Channel, root: str, options: Options) -> None:
        self._channel = channel
        self._options = options
        self._service = Service.open(root)
        self._signature = Signature.of(self._service, options.columns)
        channel.send({"signature": tell_signature(self._signature)})

    def answer(self, messages: queue.SimpleQueue[Message]) -> None:
        """Answer messages as they come."""
        works = self._works(messages)
        for work in _one_ahead(works) if self._signature.preprocess else works:
            work()

    def _works(self, messages: queue.SimpleQueue[Message]) -> Iterator[Callable[[], None]]:
        """Yield what is left to do for each chunk when its records are read."""
        while True:
            head, (data,) = messages.get()
            if "object" in head:
                form = open_format(head["object"], data, self._signature, self._options)
                scorer = Scorer(self._service, self._options, form)
                file = head["file"]
                continue
            if head["span"] is not None:
                (path, version), (start, stop) = file, head["span"]
                store, key = open_store(path)
                data = store.read(key, start, stop, version)
            first, records, end, reason = head["chunk"]
            chunk = Chunk(first, records, data, Position(*end), reason)
            if "row" in head:
                yield partial(self._score_one_by_one, Alone(form, chunk, head["row"], head["lost"], rest=head["rest"]))
            else:
                yield partial(self._finish, scorer, scorer.read(chunk))

    def _finish(self, scorer: Scorer, read: Read) -> None:
        self._tell(scorer.finish(read))

    def _score_one_by_one(self, alone: Alone) -> None:
        scorer = Scorer(self._service, self._options, alone)
        for one in alone.each():
            self._tell(scorer.score(one))

    def _tell(self, scored: Scored) -> None:
        told = [scored.first, scored.count, list(scored.end), scored.scored, scored.rejected, scored.seconds]
        self._channel.send({"scored": told}, scored.output, scored.rejects)


def _read(channel: Channel, messages: queue.SimpleQueue[Message]) -> None:
    """Hand messages over as they come: the next chunk is here when the one before is done."""
    while (message := channel.receive()) is not None:
        messages.put(message)
    os._exit(0)


def _one_ahead(works: Iterator[Callable[[], None]]) -> Iterator[Callable[[], None]]:
    """Yield works, of which a thread gets the next one ready meanwhile.

    Hooks open pictures while the model runs, which both leave the interpreter free: so one worker keeps two processors
    busy. What goes wrong is raised where the work would have been.
    """
    ready: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
    wanted = threading.Semaphore()

    def prepare() -> None:
        while True:
            wanted.acquire()
            try:
                ready.put(next(works))
            except Exception as error:  # noqa: BLE001 - raised by who waits for it
                ready.put(partial(_raise, error))
                return

    threading.Thread(target=prepare, daemon=True).start()
    while True:
        work = ready.get()
        wanted.release()
        yield work


def _raise(error: Exception) -> None:
    raise error


def _own_channel() -> Channel:
    """Take the standard input and output for messages, and leave others in their place."""
    channel = Channel(os.dup(0), os.dup(1))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return channel


if __name__ == "__main__":
    folder, asked = sys.argv[1:]
    given: dict[str, Any] = orjson.loads(asked)
    given |= {name: tuple(given[name]) for name in ("columns", "outputs")}
    serve(folder, Options(**given))
