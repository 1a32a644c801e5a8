"""AWS: many objects, or one huge one, scored by a state machine with Distributed Maps; Lambda's side of each state.

::

    plan      finds the objects, cuts large files of lines into slices
    work      Map over the slices: each surveyed by itself
    arrange   joins the surveys into ranges of whole records with their row numbers
    work      Map over objects and ranges: each scored
    work      Map over the large files: each one's parts gathered into its scores
    report    says what became of every object

What passes between the states are files of JSON Lines in a folder of the run, since a state's input is bounded. An
object's results are those of an upload, in the same place: what either of the two has done the other does not do again.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from coldpress_runtime.batch.chunks import Position
from coldpress_runtime.batch.parts import known_position
from coldpress_runtime.batch.ranges import RANGE_BYTES, Lines, Range, Survey, join, lines_of, slices, walk
from coldpress_runtime.batch.stores import Stat, open_store
from coldpress_runtime.batch.tasks import Tasks
from coldpress_runtime.errors import ChangedError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any

    from coldpress_runtime.batch.runner import Runner, Runners
    from coldpress_runtime.batch.stores import Store

__all__ = ["make_task"]

_RESERVE_S = 20.0
_MOST_ITEMS = 100  # of a batch: what fits into a state's 256 KiB
_STATS_AT_ONCE = 16
_GOOD = ("done", "already-done")
_LISTED = 100  # objects that failed, in the report; all are in its list of results


def make_task(runners: Runners) -> Callable[[Any, Any], Any]:
    """Return Lambda's handler for the states of the state machine."""
    steps = {"plan": _plan, "arrange": _arrange, "report": _report}
    tasks = Tasks(runners)

    def task(event: dict[str, Any], context: Any) -> dict[str, Any]:
        def seconds_left() -> float:
            return float(context.get_remaining_time_in_millis()) / 1000 - _RESERVE_S

        if event["step"] == "work":
            return tasks.work(event["batch"], seconds_left)
        return steps[event["step"]](runners.runner, event, seconds_left)

    return task


class _Folder(NamedTuple):
    """Where a run keeps what passes between its states."""

    store: Store
    prefix: str

    def write(self, name: str, lines: Sequence[Any]) -> dict[str, Any]:
        """Write a file of JSON Lines; return what a Map is told of it."""
        key = f"{self.prefix}{name}.jsonl"
        self.store.put(key, b"".join(json.dumps(line).encode() + b"\n" for line in lines))
        return {"key": key, "count": len(lines), "batch": max(1, min(_MOST_ITEMS, len(lines) // 1000))}

    def read(self, name: str) -> Iterator[Any]:
        """Yield the lines of a file; none when there is no such file."""
        stat = self.store.stat(f"{self.prefix}{name}.jsonl")
        if stat is not None and stat.size:
            for line in self.store.read(stat.key, 0, stat.size, stat.version).splitlines():
                yield json.loads(line)

    def results(self, kind: str) -> Iterator[Any]:
        """Yield what work of a kind came to."""
        for stat in self.store.list(f"{self.prefix}{kind}/"):
            yield from self.read(stat.key.removeprefix(self.prefix).removesuffix(".jsonl"))


def _plan(runner: Runner, event: dict[str, Any], _seconds_left: Callable[[], float]) -> dict[str, Any]:
    """Find what is to be scored, by the execution's input: ``source``, an object or a prefix; or ``manifest``."""
    asked = event["asked"]
    source = asked.get("source") or asked.get("manifest") or ""
    store, key = open_store(source)
    place = source.removesuffix(key)
    range_bytes = int(asked.get("range_bytes", RANGE_BYTES))
    prefix = f"{runner.batch.output}.runs/{event['run']}/"
    folder = _Folder(store, prefix)
    whole, large, surveys = [], [], []
    for stat in _named(store, key) if "manifest" in asked else _found(runner, store, key):
        cut = _cut(runner, store, stat, range_bytes)
        if cut is None:
            whole.append({"kind": "whole", "stat": stat})
            continue
        lines, begin, spans = cut
        large.append({"stat": stat, "lines": lines, "begin": begin, "spans": spans})
        surveys += [
            {"kind": "survey", "stat": stat, "lines": lines, "span": span, "begin": begin.offset} for span in spans
        ]
    if not whole and not large:
        raise InputError(f"There is nothing to score at {source}; expected objects below {runner.batch.input}.")
    folder.write("whole", whole)
    folder.write("large", large)
    bucket = place.removeprefix("s3://").rstrip("/")
    shared = {"run": event["run"], "place": place, "bucket": bucket, "folder": prefix, "maps": f"{prefix}maps"}
    return {"shared": shared, "source": source, "items": folder.write("surveys", surveys)}


def _found(runner: Runner, store: Store, key: str) -> Iterator[Stat]:
    if key and not key.endswith("/"):
        stat = store.stat(key)
        if stat is None or runner.why_not(key):
            raise InputError(f"{key} is not scored: {runner.why_not(key) or 'there is no such object'}.")
        yield stat
        return
    for stat in store.list(key or runner.batch.input):
        if not runner.why_not(stat.key):
            yield stat


def _named(store: Store, key: str) -> Iterator[Stat]:
    """Yield the objects that a manifest lists: a line of JSON each, a key or an object with one."""
    manifest = store.stat(key)
    if manifest is None:
        raise InputError(f"There is no manifest {key}; expected JSON Lines, the key of an object each.")
    names = []
    for number, line in enumerate(store.read(key, 0, manifest.size, manifest.version).splitlines(), 1):
        try:
            told = json.loads(line)
            names.append(told if isinstance(told, str) else told["key"])
        except (ValueError, KeyError, TypeError):
            raise InputError(
                f'Line {number} of {key} names no object; expected a JSON string, or {{"key": "..."}}.'
            ) from None
    with ThreadPoolExecutor(_STATS_AT_ONCE) as threads:
        for name, stat in zip(names, threads.map(store.stat, names), strict=True):
            yield stat or Stat(name, 0, "")


def _cut(
    runner: Runner, store: Store, stat: Stat, range_bytes: int
) -> tuple[Lines, Position, list[tuple[int, int]]] | None:
    """Cut a large file of lines into slices, from where its job stands; None when it is scored whole."""
    if stat.size < 2 * range_bytes:
        return None
    job = runner.job(store, stat, "")
    layout = job.layout
    try:
        runner.check_names(job)
        if store.stat(layout.manifest) is not None:
            return None
        lines = lines_of(store, stat, runner.options)
    except (InputError, ChangedError):
        return None  # whoever scores all of it will see
    begin = known_position(layout)
    if lines is None or begin.offset >= stat.size:
        return None
    return lines, begin, slices(stat.size, begin.offset, range_bytes)


def _arrange(_runner: Runner, event: dict[str, Any], seconds_left: Callable[[], float]) -> dict[str, Any]:
    """Number the rows of large files and make the list of all that is to be scored; ``left`` when time is up before."""
    shared = event["shared"]
    folder = _Folder(open_store(shared["place"])[0], shared["folder"])
    surveys: dict[str, dict[int, Survey]] = {}
    for result in folder.results("survey"):
        if result["status"] == "done":
            found = Survey(*result["survey"])
            surveys.setdefault(result["key"], {})[result["span"][0]] = found
    tasks = list(folder.read("whole"))
    gathers = []
    for number, large in enumerate(folder.read("large")):
        stat, lines, begin = Stat(*large["stat"]), Lines(*large["lines"]), Position(*large["begin"])
        slots = surveys.get(stat.key, {})
        known = [slots[span[0]] for span in large["spans"] if span[0] in slots]
        ranges = join(known, lines, begin) if len(known) == len(large["spans"]) else None
        if ranges is None:
            try:
                ranges = _walked(folder, number, large, seconds_left)
            except ChangedError:
                ranges = []
            if ranges is None:
                return {**event, "left": 1}
        tasks += [{"kind": "range", "stat": stat, "range": cut} for cut in ranges]
        gathers.append({"kind": "gather", "stat": stat, "stop": ranges[-1].stop if ranges else begin})
    written = {"items": folder.write("tasks", tasks), "gathers": folder.write("gathers", gathers)}
    return {"shared": shared, "source": event["source"], "left": 0, **written}


def _walked(
    folder: _Folder, number: int, large: dict[str, Any], seconds_left: Callable[[], float]
) -> list[Range] | None:
    """Read a file with quotes through, from where the invocation before came to; None when time is up again."""
    stat, lines = Stat(*large["stat"]), Lines(*large["lines"])
    ranges = [Range(Position(*start), Position(*stop)) for start, stop in folder.read(f"walked-{number}")]
    begin = ranges[-1].stop if ranges else Position(*large["begin"])
    spans = [tuple(span) for span in large["spans"] if span[1] > begin.offset]
    for cut in walk(folder.store, stat, lines, spans, begin) if spans else ():
        ranges.append(cut)
        if seconds_left() < 0:
            folder.write(f"walked-{number}", ranges)
            return None
    return ranges


def _report(runner: Runner, event: dict[str, Any], _seconds_left: Callable[[], float]) -> dict[str, Any]:
    """Say what became of every object, and of the rows of all."""
    shared = event["shared"]
    folder = _Folder(open_store(shared["place"])[0], shared["folder"])
    results = {line["key"]: line for kind in ("whole", "gather") for line in folder.results(kind)}
    missing = "it was given up after several tries; the execution's history says why"
    for planned in (*folder.read("whole"), *folder.read("large")):
        key = planned["stat"][0]
        results.setdefault(key, {"key": key, "status": "failed", "reason": missing, "rows": None})
    failed = [line for line in results.values() if line["status"] not in _GOOD]
    rows = [line["rows"] for line in results.values() if line["rows"]]
    listed = folder.write("objects", list(results.values()))
    manifest = {
        "format": 1,
        "run": shared["run"],
        "source": event["source"],
        "status": "failed" if failed else "done",
        "model": runner.model._asdict(),
        "objects": {status: _count(results.values(), status) for status in (*_GOOD, "failed", "gone")},
        "rows": {name: sum(row[name] for row in rows) for name in ("read", "scored", "rejected")},
        "failed": [{"key": line["key"], "reason": line["reason"]} for line in failed[:_LISTED]],
        "results": listed["key"],
    }
    key = f"{shared['folder']}manifest.json"
    folder.store.put(key, json.dumps(manifest, indent=1).encode() + b"\n")
    told = ("run", "status", "objects", "rows")
    return {**{name: manifest[name] for name in told}, "manifest": shared["place"] + key}


def _count(results: Iterable[dict[str, Any]], status: str) -> int:
    return sum(line["status"] == status for line in results)
