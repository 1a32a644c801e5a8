"""Jobs whose processes are killed at random moments, by ``kill -9``, while others do the same job beside them.

Some are not killed but stopped, as machines are that go to sleep, and wake up when others have done more of the job.
"""

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from coldpress_runtime.batch.stores import Store
from coldpress_runtime.service import Service
from tests.support.batch_kill.jobs import KEY, job_of, open_input
from tests.support.local_aws import ROOT

__all__ = ["Survived", "content", "survive"]

_CONFLICT = 3  # the worker's exit status
_LIVES = 30  # a process is killed or stopped at one of its first so many calls of the store
_PATIENCE_S = 0.3  # or so long after it began to score
_LONGEST_S = 120
_STOPPED_OR_ENDED = os.WSTOPPED | os.WEXITED | os.WNOWAIT


class Survived(NamedTuple):
    """What happened before every row was there once.

    Attributes:
        jobs: how many were done.
        killed: processes that were.
        asleep: processes that were stopped, and went on later.
        conflicts: processes that found another one to be at work.
        rows: of one job.
        runs: of each job, how many processes took part.
    """

    jobs: int
    killed: int
    asleep: int
    conflicts: int
    rows: int
    runs: list[int]


def content(rows: int) -> bytes:
    """Return an input of records, of which every hundredth is bad."""
    return b"".join(b"[%d, %d]\n" % (row, 2 * row) if row % 100 != 7 else b"[%d]\n" % row for row in range(rows))


def survive(bundle: Path, url: str, kills: int, *, rows: int = 20_000, seed: int = 0) -> Survived:
    """Do a job again and again, and kill most of its processes, until there were enough kills.

    Args:
        bundle: a function that returns the two numbers that it is given.
        url: a folder or a bucket, empty.
        kills: how many at least.
        rows: of the input.
        seed: of the moments.

    Raises:
        AssertionError: a row is missing, or there more than once, or the counts do not add up.
    """
    chance = random.Random(seed)
    store = open_input(url)
    store.put(KEY, content(rows))
    job = job_of(store, Service.open(str(bundle)))
    ends: Counter[str] = Counter()
    runs: list[int] = []
    sleepers: list[_Process] = []
    try:
        while ends["killed"] < kills:
            while store.stat(job.layout.manifest) is None:
                processes = [_Process(bundle, url, chance) for _ in range(chance.choice((1, 1, 2, 3)))]
                sleepers += processes
                for process in processes:
                    ends[process.end()] += 1
                sleepers = [process for process in sleepers if process.asleep]
                if sleepers and chance.random() < 0.5:
                    ends[sleepers.pop(0).wake()] += 1
            runs.append(_check(store, job.layout.manifest, rows))
            while sleepers:
                ends[sleepers.pop().wake()] += 1
            assert _check(store, job.layout.manifest, rows) == runs[-1]  # nobody who woke up has changed anything
            last = _Process(bundle, url, chance, immortal=True)  # an event that comes late, and clears the table
            sleepers.append(last)
            assert last.end() == "done"
            assert store.stat(job.layout.checkpoint) is None
            for key in (job.layout.scores, job.layout.rejects, job.layout.manifest):
                store.delete(key)
            left = [item.key for item in store.list("")]
            assert left == [KEY], left
    finally:
        for process in sleepers:
            process.close()
    return Survived(len(runs), ends["killed"], ends["asleep"], ends["conflicts"], rows, runs)


class _Process:
    """A process that does the job; what is to happen to it is drawn."""

    def __init__(self, bundle: Path, url: str, chance: random.Random, *, immortal: bool = False) -> None:
        self._by_time = not immortal and chance.random() < 0.4
        self._patience_s = chance.uniform(0, _PATIENCE_S)
        call = -1 if immortal or self._by_time else chance.randrange(_LIVES)
        fate = signal.SIGSTOP if chance.random() < 0.3 else signal.SIGKILL
        self.asleep = False
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.batch_kill.worker", bundle, url, str(call), str(int(fate))],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )

    def end(self) -> str:
        """Wait for the end, or bring it about; say how it was."""
        process = self._process
        if self._by_time:
            process.stdout.readline()  # it scores, or it has ended
            try:
                process.wait(self._patience_s)
            except subprocess.TimeoutExpired:
                process.kill()
            return self._ended()
        self.asleep = os.waitid(os.P_PID, process.pid, _STOPPED_OR_ENDED).si_code == os.CLD_STOPPED
        return "asleep" if self.asleep else self._ended()

    def wake(self) -> str:
        """Let the process go on, to its end; say how it was."""
        self._process.send_signal(signal.SIGCONT)
        return self._ended()

    def close(self) -> None:
        """End the process, whatever it is at."""
        self._process.kill()
        self._process.communicate()

    def _ended(self) -> str:
        self.asleep = False
        _, said = self._process.communicate(timeout=_LONGEST_S)
        if self._process.returncode == -signal.SIGKILL:
            return "killed"
        if self._process.returncode == _CONFLICT:
            return "conflicts"
        assert self._process.returncode == 0, said.decode()
        return "done"


def _check(store: Store, key: str, rows: int) -> int:
    """Check that each row is in one place once, with its own values; return how many processes took part."""
    manifest = json.loads(_read(store, key))
    scores = [json.loads(line) for line in _read(store, manifest["outputs"]["scores"]).splitlines()]
    rejects = [json.loads(line) for line in _read(store, manifest["outputs"]["rejects"]).splitlines()]
    bad = list(range(7, rows, 100))
    assert [row["row"] for row in rejects] == bad
    assert [row["record"] for row in rejects] == [f"[{row}]" for row in bad]
    good = [row for row in range(rows) if row % 100 != 7]
    assert [row["row"] for row in scores] == good
    assert [row["y"] for row in scores] == [[row, 2 * row] for row in good]
    assert manifest["rows"] == {"read": rows, "scored": len(good), "rejected": len(bad)}
    return manifest["runs"]


def _read(store: Store, key: str) -> bytes:
    stat = store.stat(key)
    return store.read(key, 0, stat.size, stat.version)
