"""A packed function at work on a bucket: an object below the input prefix in, its scores below the output prefix.

The model is open in worker processes, one a vCPU, and not in this one: a record that ends its process is one reject,
and not an invocation that dies again and again.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from coldpress_runtime.batch.job import Job, run_job
from coldpress_runtime.batch.layout import Model, below, job_id
from coldpress_runtime.batch.options import Options
from coldpress_runtime.batch.pool import Pool
from coldpress_runtime.batch.tables import EXTENSIONS, write_table
from coldpress_runtime.batch.worker import command
from coldpress_runtime.errors import InputError, ManifestError, StoreError
from coldpress_runtime.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from coldpress_runtime.batch.chunks import Stream
    from coldpress_runtime.batch.job import Outcome, Progress
    from coldpress_runtime.batch.settings import Batch
    from coldpress_runtime.batch.stores import Stat, Store

__all__ = ["IDLE_TURNS", "Runner", "Runners"]

IDLE_TURNS = 3
"""So many runs in a row may come no further with an object before it is given up."""

_MB_PER_VCPU = 1769  # of a Lambda function
_LONGEST_NAME_BYTES = 1024
_SUFFIX_BYTES = 64  # what stands behind the checkpoint's name in those of the parts of a large object


class Runner(NamedTuple):
    """A function that scores objects.

    Attributes:
        model: what scores.
        batch: where objects are read and written.
        options: how.
        pool: the workers that have the model open.
    """

    model: Model
    batch: Batch
    options: Options
    pool: Pool

    @classmethod
    def open(cls, root: str | None = None, workers: int | None = None) -> Runner:
        """Start the workers of the bundle at ``root``, by default the folder that holds ``coldpress_runtime/``.

        There are as many as ``workers`` says, by default as many as the function's memory brings vCPUs. They open the
        model while this goes on; what keeps them from it is raised by the first job.

        Raises:
            ManifestError: the bundle is none that scores uploads.
        """
        if root is None:
            root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        manifest = Manifest.load(os.path.join(root, "coldpress.json"))
        batch = manifest.batch
        if batch is None:
            raise ManifestError("coldpress.json says nothing of uploads; pack the function with a table [batch].")
        options = Options("", batch.format, batch.columns, batch.outputs, batch.max_rejects)
        # Workers find their modules where this process does.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        workers = workers or max(1, manifest.function.memory_mb // _MB_PER_VCPU)
        pool = Pool([sys.executable, *command(root, options)], workers, environment)
        return cls(Model(manifest.name, manifest.version, manifest.model.sha256), batch, options, pool)

    def why_not(self, key: str) -> str:
        """Say why an object is none that is scored; empty when it is one."""
        if key.startswith(self.batch.output):
            return f"it lies below {self.batch.output}, where scores go"
        if not key.startswith(self.batch.input):
            return f"it does not lie below {self.batch.input}"
        return ""

    def job(self, store: Store, stat: Stat, url: str) -> Job:
        """Return the job of an object."""
        name = job_id(stat, self.model, self.options)
        key = stat.key.removeprefix(self.batch.input)
        table = self.options.output_format in EXTENSIONS  # made of JSON Lines
        layout = below(store, self.batch.output, key, name, "jsonl" if table else self.options.output_format)

        def open_scoring(stream: Stream) -> Any:
            return self.pool.open(stat.key, stream, self.options)

        return Job(store, stat, url, layout, self.model, self.options, open_scoring)

    def check_names(self, job: Job) -> None:
        """Refuse a job some of whose objects would have longer names than S3 takes.

        Raises:
            InputError: it is such.
        """
        if len(job.layout.checkpoint.encode()) + _SUFFIX_BYTES > _LONGEST_NAME_BYTES:
            raise InputError(
                f"The names of its results would be longer than the {_LONGEST_NAME_BYTES} bytes that S3 takes; give "
                "the object a shorter name."
            )

    def run(self, job: Job, deadline: Callable[[], float]) -> tuple[Outcome, int]:
        """Do a job, or go on with it, and write the table that was asked for; see ``run_job`` and ``write_table``.

        Returns:
            How it ended; and how many rows have been read by now, 0 where this run came to none.
        """
        row = 0

        def watch(progress: Progress) -> None:
            nonlocal row
            row = progress.scored + progress.rejected

        outcome = run_job(job, deadline=deadline, progress=watch)
        if self.options.output_format in EXTENSIONS:
            write_table(job, outcome, self.pool.signature.outputs)
        return outcome, row


class Runners:
    """A runner whose workers are started anew after an error that may be theirs.

    Attributes:
        runner: the one to use.
    """

    def __init__(self) -> None:
        self.runner = Runner.open()

    @contextmanager
    def use(self) -> Iterator[Runner]:
        """Give the runner; where it breaks off other than for its input or a store, the next use has another one."""
        try:
            yield self.runner
        except (InputError, StoreError):
            raise
        except Exception:
            self.runner.pool.close()
            self.runner = Runner.open()
            raise
