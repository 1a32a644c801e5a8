"""The job that is done: rows of two numbers, scored by a function that returns them."""

import functools
import random
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from coldpress_runtime.batch.chunks import Chunk
from coldpress_runtime.batch.features import Signature
from coldpress_runtime.batch.formats import open_format
from coldpress_runtime.batch.job import Job
from coldpress_runtime.batch.layout import Model, below, job_id
from coldpress_runtime.batch.options import Options
from coldpress_runtime.batch.scoring import Scored, Scorer
from coldpress_runtime.batch.stores import Store, open_store
from coldpress_runtime.service import Service

__all__ = ["KEY", "PART_BYTES", "job_of", "open_input"]

KEY = "in/rows of numbers.jsonl"
PART_BYTES = 64 << 10


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
