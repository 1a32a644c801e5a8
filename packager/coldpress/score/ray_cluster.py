"""A Ray cluster, joined or started: the runtime and the function carried to its machines, tasks done in any order."""

import contextlib
import json
import logging
import os
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from coldpress._resources import runtime_root
from coldpress.emulate.process import unpacked
from coldpress.emulate.requests import manifest_of
from coldpress.errors import EmulateError
from coldpress.score import ray_worker
from coldpress_runtime.batch.job import Job
from coldpress_runtime.errors import BatchError

__all__ = ["Cluster", "Results", "Tasks", "join_cluster"]

_CARRIED_BYTES = 400 << 20  # Ray carries working folders of 500 MiB to the machines
_BLOCKS = 2000  # tasks that Ray Data keeps account of one by one; of more, some go together

Tasks = Sequence[tuple[int, dict[str, Any]]]
"""What workers are to do: the number of a job, and the words of ``ray_worker`` for it."""
Results = Iterator[tuple[int, dict[str, Any]]]
"""What came of it, as it comes."""


class Cluster:
    """Ray, with the function in its working folder.

    Args:
        ray: the module.
        function: the function's path as workers have it.
    """

    def __init__(self, ray: Any, function: str) -> None:
        self._ray = ray
        self._function = function

    def look(self, tasks: Tasks) -> Results:
        """Have slices surveyed, and files walked through."""
        return self._map(tasks, ray_worker.look)

    def score(self, target: str, job: Job, workers: int | None, tasks: Tasks) -> Results:
        """Have files and ranges scored.

        Args:
            target: the place that results go to, as ``open_store`` takes it.
            job: any of those that the tasks are of.
            workers: how many have the function open at once; None: as many as the cluster has CPUs.
            tasks: what is to be scored.
        """
        most = workers or max(1, int(self._ray.cluster_resources().get("CPU", 1)))
        return self._map(
            tasks,
            ray_worker.Scoring,
            fn_constructor_args=(self._function, target, list(job.model), job.options._asdict()),
            compute=self._ray.data.ActorPoolStrategy(size=min(most, len(tasks))),
        )

    def _map(self, tasks: Tasks, what: Any, **how: Any) -> Results:
        """Yield what workers answer, as it comes; BatchError when they cannot."""
        if not tasks:
            return
        rows = [{"task": json.dumps(words | {"number": place})} for place, (_, words) in enumerate(tasks)]
        data = self._ray.data.from_items(rows, override_num_blocks=min(len(rows), _BLOCKS))
        try:
            for row in data.map_batches(what, batch_size=1, num_cpus=1, **how).iter_rows():
                result = json.loads(row["result"])
                yield tasks[result.pop("number")][0], result
        except self._ray.exceptions.RayError as error:
            raise BatchError(self._why(error)) from error

    def _why(self, error: Exception) -> str:
        """Say in a sentence why workers cannot go on."""
        machine, lacked = self._ray.get(self._ray.remote(ray_worker.lacking).remote())
        if lacked:
            return (
                f"Python on {machine}, a machine of the Ray cluster, lacks {' and '.join(lacked)}; install that on all "
                "of its machines."
            )
        return f"Ray gave up; what was scored stays, so score again to go on. It said: {error}"


@contextlib.contextmanager
def join_cluster(build: Path) -> Iterator[Cluster]:
    """Join the cluster, or start one; ColdpressError when that cannot be."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # of what Ray's C++ writes to the terminal
    try:
        import ray  # noqa: PLC0415 - the user's own
        import ray.data  # noqa: PLC0415
    except ModuleNotFoundError as missing:
        raise EmulateError(
            f"--engine ray needs the package {missing.name}, which is not here; install it with "
            "`pip install 'coldpress[ray]'`."
        ) from missing
    ray.cloudpickle.register_pickle_by_value(ray_worker)
    # Ray prints on the standard output, which is the result's.
    with _working_folder(build) as (archive, function), contextlib.redirect_stdout(sys.stderr):
        try:
            ray.init(
                runtime_env={"working_dir": str(archive)}, logging_level=logging.WARNING, log_to_driver=False,
                include_dashboard=False,
            )  # fmt: skip
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise BatchError(f"There is no Ray cluster to be had: {error}") from error
        try:
            _quieten(ray)
            yield Cluster(ray, function)
        finally:
            ray.shutdown()


@contextlib.contextmanager
def _working_folder(build: Path) -> Iterator[tuple[Path, str]]:
    """Write the folder that workers have at hand as a zip; also give the function's path as they have it."""
    with unpacked(build) as folder, tempfile.TemporaryDirectory(prefix="coldpress-ray-") as scratch:
        if manifest_of(folder) is None:
            raise EmulateError(f"{build} holds no coldpress.json, so nothing says what it scores with; pack it again.")
        files = {place: place.relative_to(folder) for place in folder.rglob("*") if place.is_file()}
        carried = {place: name for place, name in files.items() if name.parts[0] != "coldpress_runtime"}
        shared = sum(place.stat().st_size for place in carried) > _CARRIED_BYTES
        if shared and folder.resolve() not in {build.resolve(), build.resolve() / "function"}:
            raise EmulateError(
                f"{build} is too large for Ray to carry to the machines; unpack it into a folder that they share."
            )
        runtime = runtime_root()
        sources = list(runtime.rglob("*.py"))
        archive = Path(scratch, "working.zip")
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1, strict_timestamps=False) as into:
            for place in sources:
                into.write(place, Path(runtime.name, place.relative_to(runtime)))
            for place, name in () if shared else carried.items():
                into.write(place, Path("function", name))
        yield archive, str(folder.resolve()) if shared else "function"


def _quieten(ray: Any) -> None:
    """Leave the terminal to the one bar of this command."""
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # what goes wrong is raised too
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
