"""Where a job keeps its four objects, and what tells one job from another."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from coldpress_runtime.batch.options import Options
    from coldpress_runtime.batch.stores import Stat, Store

__all__ = ["Layout", "Model", "below", "beside", "job_id"]


class Model(NamedTuple):
    """What scores: the function's name and version, and the SHA-256 of its model file."""

    name: str
    version: str
    sha256: str


class Layout(NamedTuple):
    """Where a job writes.

    Attributes:
        store: the store of all of it.
        job: the job's name: the same input, model and options have the same one.
        scores: key of the rows' scores.
        rejects: key of the rows that could not be scored; there is no such object when all could.
        manifest: key of the account of the job, written last.
        checkpoint: key of the state of a job that is not done yet.
    """

    store: Store
    job: str
    scores: str
    rejects: str
    manifest: str
    checkpoint: str

    def is_begun(self) -> bool:
        """Whether any process has been at work on the job; else something else lies where its results would go."""
        return any(self.store.stat(key) is not None for key in (self.checkpoint, self.manifest))


def job_id(stat: Stat, model: Model, options: Options) -> str:
    """Name a job after all that its result depends on: the input's version, the model, what was asked for."""
    asked = json.dumps(options._asdict(), sort_keys=True)
    return f"{_digest(stat.version, 12)}-{model.sha256[:12]}-{_digest(asked, 8)}"


def below(store: Store, prefix: str, key: str, job: str, extension: str = "jsonl") -> Layout:
    """Lay a job out in a bucket: a folder for the input's key, and one in it for each job.

    Args:
        store: the bucket.
        prefix: what all names begin with.
        key: the input's, without the prefix of inputs.
        job: the job's name.
        extension: of the scores.
    """
    folder = f"{prefix}{key}/{job}/"
    return Layout(
        store,
        job,
        f"{folder}scores.{extension}",
        f"{folder}rejects.jsonl",
        f"{folder}manifest.json",
        f"{folder}checkpoint",
    )


def beside(store: Store, key: str, job: str) -> Layout:
    """Lay a job out around one file of scores, as on a laptop; the checkpoint is hidden."""
    folder, slash, name = key.rpartition("/")
    hidden = f"{folder}{slash}.{name}.checkpoint"
    return Layout(store, job, key, f"{key}.rejects.jsonl", f"{key}.manifest.json", hidden)


def _digest(text: str, length: int) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:length]
