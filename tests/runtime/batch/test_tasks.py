"""What a Map's invocations do of a batch of items: all of it in the end, however little time each has."""

import contextlib
import itertools
import json

import pytest

from coldpress_runtime.batch.chunks import Position
from coldpress_runtime.batch.job import run_job
from coldpress_runtime.batch.ranges import Lines, join, slices, survey
from coldpress_runtime.batch.stores.local import LocalStore
from coldpress_runtime.batch.tasks import Tasks
from coldpress_runtime.errors import StoreError
from tests.support.batch import MODEL, accounted, job, numbers

CONTENT = numbers(1200, bad_every=10)
LINES = Lines("", header=False)


class Function:
    """A packed function that doubles numbers; it is the runner, and has it."""

    model = MODEL

    def __init__(self):
        self.runner = self
        self.refused = set()

    def use(self):
        return contextlib.nullcontext(self)

    def job(self, store, stat, _url):
        return job(store, stat.key)._replace(input=stat)

    def check_names(self, work):
        if work.input.key in self.refused:
            raise StoreError("The store refuses.")

    def run(self, work, deadline):
        rows = [0]
        outcome = run_job(work, deadline=deadline, progress=lambda done: rows.append(sum(done[:2])), lease_s=0.0)
        return outcome, rows[-1]


@pytest.fixture
def store(tmp_path):
    made = LocalStore(str(tmp_path), part_bytes=5000)
    made.put("in/numbers.txt", CONTENT)
    return made


@pytest.fixture
def batch(tmp_path):
    """A batch of items, as a Map hands it over: through JSON."""

    def make(*items):
        return json.loads(
            json.dumps({"BatchInput": {"place": f"{tmp_path}/", "folder": "out/.runs/r/"}, "Items": items})
        )

    return make


def finish(function, batch, time_left=lambda: 60.0):
    """Invoke until nothing is left; return how often it took."""
    tasks, turns = Tasks(function), 0
    while batch["Items"]:
        batch = json.loads(json.dumps(tasks.work(batch, time_left)))
        assert batch["left"] == len(batch["Items"])
        turns += 1
    return turns


def results(store, kind):
    found = []
    for item in store.list(f"out/.runs/r/{kind}/"):
        found += map(json.loads, store.read(item.key, 0, item.size, item.version).splitlines())
    return found


def impatient(chunks):
    """A clock that runs out after so many looks, and starts again: each invocation's."""
    looks = itertools.cycle([*[60.0] * chunks, -1.0, -1.0])
    return lambda: next(looks)


def ranges_of(store):
    stat = store.stat("in/numbers.txt")
    spans = slices(stat.size, 0, 1024)
    return stat, join([survey(store, stat, LINES, span, 0) for span in spans], LINES, Position())


def test_a_large_file_is_surveyed_scored_in_ranges_and_gathered(store, batch):
    stat = store.stat("in/numbers.txt")
    spans = slices(stat.size, 0, 1024)
    finish(
        Function(),
        batch(*({"kind": "survey", "stat": stat, "lines": LINES, "span": span, "begin": 0} for span in spans)),
    )
    assert [
        tuple(found["span"]) for found in sorted(results(store, "survey"), key=lambda found: found["span"])
    ] == spans
    _, cuts = ranges_of(store)
    assert finish(Function(), batch(*({"kind": "range", "stat": stat, "range": cut} for cut in cuts[::-1]))) == 1
    assert finish(Function(), batch({"kind": "gather", "stat": stat, "stop": cuts[-1].stop})) == 1
    manifest = accounted(job(store), CONTENT)
    (told,) = results(store, "gather")
    assert told["rows"] == manifest["rows"]
    assert (told["status"], told["key"]) == ("done", "in/numbers.txt")


@pytest.mark.parametrize("patience", [3, 4, 7, 20])
def test_what_there_is_no_time_for_is_left_for_the_next_invocation(store, batch, patience):
    stat, cuts = ranges_of(store)
    items = [{"kind": "range", "stat": stat, "range": cut} for cut in cuts]
    assert finish(Function(), batch(*items), impatient(patience)) > 1
    finish(Function(), batch({"kind": "gather", "stat": stat, "stop": cuts[-1].stop}))
    accounted(job(store), CONTENT)


def test_who_gathers_scores_what_nobody_could(store, batch):
    stat, cuts = ranges_of(store)
    finish(Function(), batch(*({"kind": "range", "stat": stat, "range": cut} for cut in cuts[1::2])))
    finish(Function(), batch({"kind": "gather", "stat": stat, "stop": cuts[-1].stop}))
    accounted(job(store), CONTENT)


def test_a_job_that_is_done_is_not_done_again(store, batch):
    stat, cuts = ranges_of(store)
    items = [{"kind": "whole", "stat": stat}, {"kind": "range", "stat": stat, "range": cuts[0]}]
    finish(Function(), batch(*items, {"kind": "gather", "stat": stat, "stop": cuts[-1].stop}))
    manifest = accounted(job(store), CONTENT)
    assert [results(store, kind)[0]["status"] for kind in ("whole", "range", "gather")] == [
        "done",
        *["already-done"] * 2,
    ]
    assert manifest["runs"] == 1


def test_an_object_that_is_gone_or_replaced_is_said_to_be(store, batch):
    stat = store.stat("in/numbers.txt")
    missing = ["in/missing.txt", 0, "", ""]
    store.put("in/numbers.txt", b"1\n")
    finish(Function(), batch({"kind": "whole", "stat": stat}, {"kind": "whole", "stat": missing}))
    assert sorted((found["key"], found["status"]) for found in results(store, "whole")) == [
        ("in/missing.txt", "gone"),
        ("in/numbers.txt", "gone"),
    ]


def test_a_store_that_refuses_one_object_holds_no_other_up(store, batch):
    store.put("in/other.txt", b"1\n")
    function = Function()
    function.refused.add("in/numbers.txt")
    stats = [store.stat("in/numbers.txt"), store.stat("in/other.txt")]
    left = Tasks(function).work(batch(*({"kind": "whole", "stat": stat} for stat in stats)), lambda: 60.0)
    assert [item["stat"][0] for item in left["Items"]] == ["in/numbers.txt"]
    with pytest.raises(StoreError):  # now the state machine waits, and tries again
        Tasks(function).work(left, lambda: 60.0)
    function.refused.clear()
    assert Tasks(function).work(left, lambda: 60.0)["left"] == 0
    accounted(job(store), CONTENT)


def test_whoever_comes_no_further_again_and_again_gives_up(store, batch):
    class Stuck(Function):
        def run(self, _work, _deadline):
            return run_job(job(store), deadline=lambda: 0.0, lease_s=0.0)._replace(status="unfinished"), 0

    item = {"kind": "whole", "stat": store.stat("in/numbers.txt"), "row": 1 << 40}
    assert finish(Stuck(), batch(item)) == 3
    (told,) = results(store, "whole")
    assert told["status"] == "failed"
    assert "3 invocations came no further" in told["reason"]
