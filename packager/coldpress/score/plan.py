"""Which job scores which input into what: the plan of a ``coldpress score``, made and checked before anything runs."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from coldpress.errors import ConfigError
from coldpress.score.sources import Input, Sources, canonical
from coldpress_runtime.batch.job import Job
from coldpress_runtime.batch.layout import Layout, Model, below, beside, job_id
from coldpress_runtime.batch.options import Options
from coldpress_runtime.batch.stores import open_store
from coldpress_runtime.batch.tables import EXTENSIONS

__all__ = ["OUTPUTS", "Plan", "make_plan", "output_format", "result_key"]

OUTPUTS = {"jsonl": "jsonl", "csv": "csv", "parquet": "parquet", "npz": "npy"}
"""Formats of scores by the extensions of their files."""


@dataclass(frozen=True)
class Plan:
    """What is to be done.

    Attributes:
        jobs: one for each input.
        base: what stands before the keys of results: the folder or bucket of the store that they all go to.
    """

    jobs: tuple[Job, ...]
    base: str

    @property
    def bytes(self) -> int:
        """How much there is to read."""
        return sum(job.input.size for job in self.jobs)

    def result(self, job: Job) -> str:
        """Return where what was asked for is."""
        return self.base + result_key(job.layout.scores, job.options.output_format)

    @property
    def largest(self) -> Job:
        """The job with the most to read."""
        return max(self.jobs, key=lambda job: job.input.size)


def output_format(destination: str, otherwise: str = "jsonl") -> str:
    """Tell from its name how scores are to be written; ``otherwise`` where it is a folder or a prefix.

    Raises:
        ConfigError: its extension is of no format that scores are written in.
    """
    extension = PurePosixPath(destination).suffix.lower().removeprefix(".")
    if not extension or _is_folder(destination):
        return otherwise
    if extension not in OUTPUTS:
        raise ConfigError(
            f"{destination} ends with .{extension}, and scores are written as .{', .'.join(OUTPUTS)}; choose one of "
            "these, or a folder, with a slash at its end."
        )
    return OUTPUTS[extension]


def result_key(scores: str, form: str) -> str:
    """Return the key of what was asked for: the table that is made of the scores, or the scores themselves."""
    extension = EXTENSIONS.get(form)
    return f"{scores.removesuffix('.jsonl')}.{extension}" if extension else scores


def make_plan(
    sources: Sources,
    destination: str,
    model: Model,
    options: Options,
    open_scoring: Callable[[Input], Callable[[Any], Any]],
    *,
    overwrite: bool = False,
) -> Plan:
    """Plan a job for each input.

    One object that is scored into one file has its results beside that file. The results of several go below
    ``destination``: in a bucket as the deployed function lays them out, in a folder each in a file that is named after
    its input. A table (.parquet, .npz) is made of JSON Lines, which stay beside it.

    Args:
        sources: what is to be scored.
        destination: a file, or a folder or prefix.
        model: what scores.
        options: what is asked for.
        open_scoring: how an input will be scored: see ``Job``.
        overwrite: whether other things that lie where results go may be replaced.

    Raises:
        ConfigError: the results would be inputs of the next run, several would have one name, or something that this
            command did not write is there.
    """
    _refuse_loop(sources, destination)
    folder = _is_folder(destination)
    if not sources.one and not folder and Path(destination).suffix:
        raise ConfigError(
            f"There are {len(sources.inputs)} inputs, and {destination} is one file; name a folder, with a slash at "
            "its end."
        )
    into = destination if (sources.one and not folder) or destination.endswith("/") else f"{destination}/"
    store, key = open_store(into)
    extension = "jsonl" if options.output_format in EXTENSIONS else options.output_format
    jobs: list[Job] = []
    taken: dict[str, str] = {}
    for item in sources.inputs:
        if item.below in taken:
            raise ConfigError(
                f"{taken[item.below]} and {item.url} would have their scores in one place; name a folder that holds "
                "both, or score them one after the other."
            )
        taken[item.below] = item.url
        name = job_id(item.stat, model, options)
        if sources.one and not folder:
            table = options.output_format in EXTENSIONS
            layout = beside(store, f"{key.rpartition('.')[0]}.jsonl" if table else key, name)
        elif "://" in into:
            layout = below(store, key, item.below, name, extension)
        else:
            layout = beside(store, f"{key}{item.below}.{extension}", name)
        _make_room(layout, item, result_key(layout.scores, options.output_format), overwrite=overwrite)
        jobs.append(Job(item.store, item.stat, item.url, layout, model, options, open_scoring(item)))
    return Plan(tuple(jobs), into.removesuffix(key))


def _is_folder(destination: str) -> bool:
    if "://" in destination:
        return destination.endswith("/") or not destination.partition("://")[2].partition("/")[2]
    return destination.endswith("/") or Path(destination).is_dir()


def _refuse_loop(sources: Sources, destination: str) -> None:
    """Refuse results that would be scored in turn."""
    place = canonical(destination)
    for folder in sources.folders:
        if f"{place.rstrip('/')}/".startswith(f"{folder.rstrip('/')}/"):
            raise ConfigError(
                f"{destination} lies in {folder}, all of which is scored: the scores would be scored next; choose a "
                "place outside."
            )
    for item in sources.inputs:
        if canonical(item.url) == place or ("://" not in item.url and str(Path(canonical(item.url)).parent) == place):
            raise ConfigError(
                f"The scores of {item.url} would go to {destination}, among what is scored; choose another place."
            )


def _make_room(layout: Layout, item: Input, result: str, *, overwrite: bool) -> None:
    """Clear away the results of another version of an input, model or setting; refuse what is not ours.

    Raises:
        ConfigError: something is there that no job has written, and ``overwrite`` is not given.
    """
    store = layout.store
    manifest = store.stat(layout.manifest)
    if manifest is not None:
        job = _job_of(store.read(layout.manifest, 0, manifest.size, manifest.version))
        if job == layout.job and not overwrite:
            return
    elif store.stat(layout.checkpoint) is not None or not any(map(store.stat, (layout.scores, result))):
        return
    if (manifest is None or not job) and not overwrite:
        raise ConfigError(
            f"{result}, where the scores of {item.url} go, is there and was not written by this command; "
            "choose another name, or add --overwrite."
        )
    for key in (layout.manifest, result, layout.scores, layout.rejects, layout.checkpoint):
        store.delete(key)


def _job_of(manifest: bytes) -> str:
    """Return the job that a manifest tells of, empty when it is none of ours."""
    try:
        document = json.loads(manifest)
    except ValueError:
        return ""
    job = document.get("job") if isinstance(document, dict) else None
    return job if isinstance(job, str) else ""
