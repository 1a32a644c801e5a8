"""What runs on the machines of a Ray cluster. It travels there by value: nothing of the packager is installed there.

The runtime lies in the working folder that Ray unpacks, beside the function in ``function/``. Tasks and results are
JSON texts, one in a row of Ray Data.
"""

import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from coldpress_runtime.batch import job as jobs
from coldpress_runtime.batch.blocks import Blocks
from coldpress_runtime.batch.chunks import Position
from coldpress_runtime.batch.layout import Layout, Model
from coldpress_runtime.batch.options import Options
from coldpress_runtime.batch.parts import score_range
from coldpress_runtime.batch.pool import Pool
from coldpress_runtime.batch.ranges import Lines, Range, survey, walk
from coldpress_runtime.batch.stores import Stat, Store, open_store
from coldpress_runtime.batch.worker import command
from coldpress_runtime.errors import ColdpressError, LibraryError
from coldpress_runtime.library import find_library, open_library
from coldpress_runtime.manifest import Manifest
from coldpress_runtime.opening import library_path

__all__ = ["Scoring", "lacking", "look"]

_NEEDED = ("numpy", "orjson")
_LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_LEASE_S = 1.0  # Ray says when a worker has died; nobody has to be watched for a sign of life


def lacking() -> tuple[str, list[str]]:
    """Return this machine's name, and which packages its Python lacks."""
    return platform.node(), [name for name in _NEEDED if find_spec(name) is None]


def look(batch: Mapping[str, Any]) -> dict[str, list[str]]:
    """Survey slices of files, or walk through whole ones, for a batch of Ray Data."""
    return {"result": [_told(_look, json.loads(text)) for text in batch["task"]]}


class Scoring:
    """A function open on a machine, in a process of its own, which a bad record may end; for batches of Ray Data.

    Args:
        function: the function's folder, or its path in the working folder.
        target: the place that results go to, as ``open_store`` takes it.
        model: what scores: name, version and SHA-256.
        options: what was asked for.
    """

    def __init__(self, function: str, target: str, model: Sequence[str], options: Mapping[str, Any]) -> None:
        self._function = function
        self._target = target
        self._model = Model(*model)
        self._options = Options(**options)
        self._process: Pool | None = None
        self._opened: tuple[str, str, Any] = ("", "", None)
        self._stores: dict[str, Store] = {}

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[str]]:
        """Score whole files and ranges."""
        return {"result": [_told(self._score, json.loads(text)) for text in batch["task"]]}

    def _pool(self) -> Pool:
        """The process, started when there is something to do: then whatever is wrong with it can be told."""
        if self._process is None:
            self._scratch = tempfile.TemporaryDirectory(prefix="coldpress-ray-")
            root = _suited(Path(self._function).absolute(), self._scratch.name)
            modules = os.pathsep.join(filter(None, sys.path))
            environment = {**os.environ, **dict.fromkeys(_LIMITS, "1"), "PYTHONPATH": modules}
            self._process = Pool([sys.executable, *command(root, self._options)], 1, environment)
        return self._process

    def _store(self, place: str) -> Store:
        """A bucket or folder, opened once: that takes longer than to read from it."""
        if place not in self._stores:
            self._stores[place] = open_store(place)[0]
        return self._stores[place]

    def _score(self, task: dict[str, Any]) -> dict[str, Any]:
        stat = Stat(*task["stat"])
        store = self._store(task["place"])
        layout = Layout(self._store(self._target), *task["layout"])

        def open_scoring(stream: Any) -> Any:
            return self._pool().open(stat.key, stream, self._options)

        job = jobs.Job(store, stat, task["url"], layout, self._model, self._options, open_scoring)
        if task["range"] is None:
            return {"outcome": jobs.run_job(job, lease_s=_LEASE_S)}
        url, version, scoring = self._opened
        if (url, version) != (job.url, stat.version):
            with Blocks(store, stat, ahead=1) as head:
                scoring = open_scoring(head)
            self._opened = (job.url, stat.version, scoring)
        start, stop = task["range"]
        return {"parts": score_range(job, scoring, Range(Position(*start), Position(*stop)))}


def _look(task: dict[str, Any]) -> dict[str, Any]:
    store, stat, lines = open_store(task["place"])[0], Stat(*task["stat"]), Lines(*task["lines"])
    begin = Position(*task["begin"])
    if "span" in task:
        return {"survey": survey(store, stat, lines, tuple(task["span"]), begin.offset)}
    return {"ranges": list(walk(store, stat, lines, task["spans"], begin))}


def _told(do: Callable[[dict[str, Any]], dict[str, Any]], task: dict[str, Any]) -> str:
    """Do a task; return its number and what came of it."""
    try:
        result = do(task)
    except ColdpressError as error:
        result = {"error": [type(error).__name__, str(error)]}
    return json.dumps({"number": task["number"], **result})


def _suited(root: Path, scratch: str) -> str:
    """Make a folder of links to a function's files, with one thread a session and an engine that loads here."""
    manifest = Manifest.load(str(root / "coldpress.json"))
    try:
        library = library_path(str(root), manifest)
        open_library(library)
    except LibraryError:
        library = find_library()
    engine, into = Path(manifest.engine.library), Path(scratch)
    for place in root.iterdir():
        if place.name not in {"coldpress.json", engine.parts[0]}:
            (into / place.name).symlink_to(place)
    (into / "coldpress.json").write_text(json.dumps({**manifest.to_dict(), "threads": 1}), "utf-8")
    (into / engine).parent.mkdir(parents=True, exist_ok=True)
    (into / engine).symlink_to(library)
    return scratch
