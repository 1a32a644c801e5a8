"""One process that does a job and is killed on the way: ``python -m tests.support.batch_kill.worker BUNDLE URL CALL``.

It kills itself in the middle of its n-th write to the store, before or after the store has done it, so that no code
of its own runs any more; CALL -1 is a long life. It says when it begins to score, for whoever wants to kill it later.
"""

import functools
import os
import random
import signal
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from coldpress_runtime.batch.chunks import Chunk
from coldpress_runtime.batch.features import Signature
from coldpress_runtime.batch.formats import open_format
from coldpress_runtime.batch.job import Job, run_job
from coldpress_runtime.batch.layout import Model, below, job_id
from coldpress_runtime.batch.options import Options
from coldpress_runtime.batch.scoring import Scored, Scorer
from coldpress_runtime.batch.stores import Store, open_store
from coldpress_runtime.errors import ConflictError
from coldpress_runtime.service import Service
from tests.support.batch import Saboteur

__all__ = ["CONFLICT", "KEY", "PART_BYTES", "job_of", "open_input"]

KEY = "in/rows of numbers.jsonl"
PART_BYTES = 64 << 10
CONFLICT = 3
_SAVE_S = 0.05


class _Scoring:
    """The real scorer, in this process."""

    def __init__(self, service: Service, options: Options, head: Any) -> None:
        self.form = open_format(KEY, head.read(512), Signature.of(service, options.columns), options)
        self._scorer = Scorer(service, options, self.form)

    def map(self, chunks: Iterable[Chunk]) -> Iterator[Scored]:
        for chunk in chunks:
            if chunk.first == 0 or random.random() < 0.2:
                sys.stdout.write(".\n")
                sys.stdout.flush()
            yield self._scorer.score(chunk)


def open_input(url: str) -> Store:
    """Return the store with parts so small that there are many of them."""
    store, _ = open_store(url)
    store.part_bytes = PART_BYTES
    return store


def job_of(store: Store, service: Service) -> Job:
    """Return the job of the input."""
    manifest, options = service.manifest, Options(max_rejects=0.5)
    model = Model(manifest.name, manifest.version, manifest.model.sha256)
    stat = store.stat(KEY)
    layout = below(store, "out/", KEY.removeprefix("in/"), job_id(stat, model, options))
    return Job(store, stat, KEY, layout, model, options, functools.partial(_Scoring, service, options))


def main(bundle: str, url: str, call: str) -> int:
    """Do the job, or die."""
    store = open_input(url)
    mortal = Saboteur(
        store,
        int(call),
        after=random.random() < 0.5,
        act=lambda: os.kill(os.getpid(), signal.SIGKILL),
    )
    job = job_of(store, Service.open(bundle))
    try:
        run_job(job._replace(layout=job.layout._replace(store=mortal)), lease_s=0.0, save_s=_SAVE_S)
    except ConflictError as conflict:
        sys.stderr.write(f"{conflict}\n")
        return CONFLICT
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
