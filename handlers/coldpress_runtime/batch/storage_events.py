"""Google Cloud and Azure: of each upload that a storage event tells of, a job; done, or gone on with.

Events come at least once, and in any order. An event therefore stands for what has its object's name by now: late news
of an object that has been replaced scores the new one, whose own event then finds it done. Of two events at a time one
has the job; the other one is to come again, since the process that is at work may yet die.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from coldpress_runtime.batch.job import Outcome
from coldpress_runtime.batch.runner import Runner
from coldpress_runtime.errors import ConflictError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from coldpress_runtime.batch.job import Job
    from coldpress_runtime.batch.stores import Store

__all__ = ["Score", "Uploads"]

_RESERVE_S = 10.0  # of the time limit: to begin, to answer
_LONGEST_KEY = 1024  # bytes, of both stores
_PART = ".parts/0123456789abcdef-00001-01234567"  # what the names of an upload's parts have beside its own


class Score(NamedTuple):
    """What became of an event.

    Attributes:
        outcome: how the job ended, or ``passed``: the object is none that is scored.
        row: how many rows have been read by now.
    """

    outcome: Outcome
    row: int = 0

    @property
    def has_failed(self) -> bool:
        """Whether somebody has to look after the object; to try again would not help."""
        return self.outcome.status == "failed"

    def to_record(self, url: str) -> dict[str, Any]:
        """Return what a log keeps of it."""
        status, manifest, reason = self.outcome
        found: dict[str, Any] = {name: manifest[name] for name in ("job", "rows", "outputs") if name in manifest}
        message = f"{url}: {status}" + (f", {reason}" if reason else "")
        return {"message": message, "object": url, "status": status, **found}


class Uploads:
    """Scores what is uploaded, one object at a time.

    The workers start when they are first needed, and anew after an error that may be theirs.

    Args:
        root: the bundle's folder; None: the one that holds ``coldpress_runtime/``.
        workers: how many; None: as many as the function's memory brings vCPUs.
    """

    def __init__(self, root: str | None = None, workers: int | None = None) -> None:
        self._root = root
        self._workers = workers
        self._lock = Lock()
        self._runner: Runner | None = None

    def score(self, store: Store, key: str, url: str, time_left: Callable[[], float]) -> Score:
        """Score an object, or go on with it.

        Args:
            store: where it lies.
            key: its name there.
            url: the same for people.
            time_left: how many seconds this event may still take.

        Raises:
            ConflictError: another process is at work on it; the event is to come again.
            ColdpressError: it may go better later.
        """
        with self._lock:
            try:
                if self._runner is None:
                    self._runner = Runner.open(self._root, self._workers)
                return _score(self._runner, store, key, url, lambda: time_left() - _RESERVE_S)
            except StoreError:
                raise  # ConflictError is one: neither is the workers' fault
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """End the workers; they start again when they are needed."""
        if self._runner is not None:
            self._runner.pool.close()
            self._runner = None


def _score(runner: Runner, store: Store, key: str, url: str, time_left: Callable[[], float]) -> Score:
    if reason := runner.why_not(key):
        return Score(Outcome("passed", {}, reason))
    while True:
        stat = store.stat(key)
        if stat is None:
            return Score(Outcome("gone", {}, "it is not there any more"))
        if key.endswith("/") and not stat.size:
            return Score(Outcome("passed", {}, "it stands for a folder"))
        job = runner.job(store, stat, url)
        if len((job.layout.scores + _PART).encode()) > _LONGEST_KEY:
            reason = f"the names of its results would be longer than the {_LONGEST_KEY} bytes that a store takes"
            return Score(Outcome("failed", {}, reason))
        score = _run(runner, job, time_left)
        if score.outcome.status != "gone":  # else what has its name now is scored, if there is anything
            return score


def _run(runner: Runner, job: Job, time_left: Callable[[], float]) -> Score:
    try:
        return Score(*runner.run(job, time_left))
    except ConflictError as conflict:
        if job.layout.is_begun():
            raise
        return Score(Outcome("failed", {}, str(conflict)))
