"""A job done in parts: each row once, whatever happens to the processes that score ranges or put the parts together."""

import itertools
from pathlib import Path

import pytest

from coldpress_runtime.batch import parts
from coldpress_runtime.batch.chunks import Position, Sizes
from coldpress_runtime.batch.job import run_job
from coldpress_runtime.batch.parts import Gathered, delete_parts, known_position, score_range
from coldpress_runtime.batch.ranges import Lines, join, slices, survey
from coldpress_runtime.batch.stores.local import LocalStore
from coldpress_runtime.errors import ChangedError, StoreError
from tests.support.batch import Doubling, Killed, Saboteur, accounted, job, numbers

CONTENT = numbers(1200, bad_every=10)
LINES = Lines("", header=False)


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "_PART_BYTES", 500)
    made = LocalStore(str(tmp_path / "store"), part_bytes=5000)
    made.put("in/numbers.txt", CONTENT)
    return made


def ranges(work):
    """What is left of a job's input, in ranges of a kilobyte."""
    stat, begin = work.input, known_position(work.layout)
    spans = slices(stat.size, begin.offset, 1024)
    return join([survey(work.store, stat, LINES, span, begin.offset) for span in spans], LINES, begin)


def score(work, order=list, before=lambda _chunk: None):
    """Score all ranges, in some order; return the parts in theirs."""
    found = [part for cut in order(ranges(work)) for part in score_range(work, Doubling(before), cut)]
    return sorted(found)


def gather(work, found):
    outcome = run_job(work._replace(open_scoring=lambda _head: Gathered(work.layout, found, 1.5)), lease_s=0.0)
    delete_parts(work.layout, found)
    return outcome


def clear(store):
    for item in list(store.list("out/")):
        store.delete(item.key)


@pytest.mark.parametrize("order", [list, lambda found: found[::-1]], ids=["forwards", "backwards"])
def test_parts_make_the_same_job_as_one_process(store, order):
    work = job(store)
    found = score(work, order)
    assert len(found) > len(ranges(work)) > 4
    assert gather(work, found).status == "done"
    manifest = accounted(work, CONTENT)
    assert 1.5 <= manifest["seconds"]["total"] < 100
    assert {item.key.rpartition("/")[2] for item in store.list("out/")} == {
        "scores.jsonl", "rejects.jsonl", "manifest.json"}  # fmt: skip
    together = {name: store.read(key, 0, store.stat(key).size, store.stat(key).version)
                for name, key in manifest["outputs"].items()}  # fmt: skip
    clear(store)
    run_job(work._replace(open_scoring=lambda _head: Doubling()))
    for name, content in together.items():
        there = store.stat(manifest["outputs"][name])
        assert store.read(there.key, 0, there.size, there.version) == content


def test_a_range_that_is_scored_is_not_scored_again(store):
    work = job(store)
    found = score(work)
    assert score(work, before=pytest.fail) == found


def test_the_process_that_scores_a_range_may_die_at_every_call_of_its_store(store):
    watched = Saboteur(store, -1, after=False)
    cut = ranges(job(store))[1]
    score_range(job(watched), Doubling(), cut)
    assert len(watched.calls) > 1
    clear(store)
    for call, after in itertools.product(range(len(watched.calls)), (False, True)):
        with pytest.raises(Killed):
            score_range(job(Saboteur(store, call, after=after)), Doubling(), cut)
        work = job(store)
        gather(work, score(work))
        accounted(work, CONTENT)
        clear(store)


def test_two_processes_may_score_the_same_range(store):
    """One sleeps within a call while the other scores all of it, in chunks of other sizes; then it wakes up."""
    cut = ranges(job(store))[1]
    for call, after in itertools.product((0, 1), (False, True)):
        other = []

        def intrude(other=other):
            scoring = Doubling()
            chunks = scoring.form.chunks
            scoring.form.chunks = lambda stream, start, _sizes: chunks(stream, start, Sizes(rows=7))
            other.extend(score_range(job(store), scoring, cut))

        mine = score_range(job(Saboteur(store, call, after=after, act=intrude)), Doubling(), cut)
        assert mine == other
        work = job(store)
        gather(work, score(work))
        accounted(work, CONTENT)
        clear(store)


def test_the_process_that_puts_parts_together_may_die_at_every_call_of_its_store(store):
    work = job(store)
    watched = Saboteur(store, -1, after=False)
    gather(job(watched), score(work))
    clear(store)
    for call, after in itertools.product(range(len(watched.calls)), (False, True)):
        found = score(work)
        with pytest.raises(Killed):
            gather(job(Saboteur(store, call, after=after)), found)
        # Where the job stands tells which parts are still needed.
        scored = []
        found = score(work, before=scored.append)
        outcome = gather(work, found)
        assert outcome.status in {"done", "already-done"}
        assert not scored or outcome.status == "already-done"
        accounted(work, CONTENT)
        folder = Path(store.path(work.layout.manifest)).parent
        assert not [path for path in folder.iterdir() if "checkpoint" in path.name]
        clear(store)


def test_a_job_that_one_process_began_goes_on_in_parts(store):
    work = job(store, scoring=lambda _head: Doubling())
    looks = itertools.count()
    assert run_job(work, deadline=lambda: 100 if next(looks) < 3 else 0).status == "unfinished"
    position = known_position(work.layout)
    assert position.row > 0
    found = score(work)
    assert found[0].start == position
    assert gather(work, found).status == "done"
    accounted(work, CONTENT)


def test_what_the_checkpoint_of_another_job_says_is_nothing(store):
    work = job(store, scoring=lambda _head: Doubling())
    assert known_position(work.layout) == Position()
    for content in (b"", b"{}", b"no JSON", b'{"job":"another","position":[7,1]}\n'):
        store.put(work.layout.checkpoint, content)
        assert known_position(work.layout) == Position()


def test_damage_ends_the_rows(store):
    content = numbers(30) + b"damage\n" + numbers(30)
    store.put("in/numbers.txt", content)
    work = job(store)
    whole = ranges(work)[0]
    found = score_range(work, Doubling(), whole)
    *others, last = [part.damage for part in found]
    assert (set(others) - {""}, last) == (set(), "The input is damaged.")
    assert gather(work, found).manifest["truncated"]
    assert gather(work, found).manifest["rows"] == {"read": 31, "scored": 30, "rejected": 1}


def test_an_input_that_is_replaced_is_told(store):
    work = job(store)
    cut = ranges(work)[1]
    store.put("in/numbers.txt", numbers(2000))
    with pytest.raises(ChangedError):
        score_range(work, Doubling(), cut)


def test_a_part_that_is_gone_is_told(store):
    work = job(store)
    found = score(work)
    delete_parts(work.layout, found[3:])
    with pytest.raises(StoreError, match="is not there any more; score again"):
        gather(work, found)
    gather(work, score(work))
    accounted(work, CONTENT)
