"""Each row once: whatever happens to the process, to its store, and to the object that it reads."""

import contextlib
import gzip
import itertools
import json
from dataclasses import replace

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coldpress_runtime.batch import blocks
from coldpress_runtime.batch.job import run_job
from coldpress_runtime.batch.layout import beside, job_id
from coldpress_runtime.batch.options import Options
from coldpress_runtime.batch.stores.local import LocalStore
from coldpress_runtime.errors import BatchError, ConflictError
from tests.support.batch import MODEL, Doubling, Killed, Saboteur, accounted, haunt, job, numbers

FATES = ["dies", "sleeps", "stops", "clears"]
CONTENT = numbers(2000, bad_every=10)


@pytest.fixture
def store(tmp_path):
    made = LocalStore(str(tmp_path / "store"), part_bytes=5000)
    made.put("in/numbers.txt", CONTENT)
    return made


def run(job, **settings):
    return run_job(job, **({"lease_s": 0.0} | settings))


def in_little_time():
    """Two chunks' time."""
    looks = itertools.count()
    return lambda: 100 if next(looks) < 1 else 0


def clear(store):
    for item in list(store.list("out/")):
        store.delete(item.key)


def test_a_job_is_done_once(store):
    outcome = run(job(store))
    assert outcome.status == "done"
    manifest = accounted(job(store), CONTENT)
    assert manifest == outcome.manifest
    assert manifest["input"] == {
        "url": "test://in/numbers.txt",
        "key": "in/numbers.txt",
        "size": len(CONTENT),
        "version": store.stat("in/numbers.txt").version,
    }
    assert manifest["bytes"]["written"] == sum(store.stat(key).size for key in manifest["outputs"].values())
    before = list(store.list(""))
    again = run(job(store))
    assert (again.status, again.manifest) == ("already-done", manifest)
    assert list(store.list("")) == before


def calls_of_a_job(store):
    watched = Saboteur(store, -1, after=False)
    run(job(watched))
    clear(store)
    return watched.calls


def test_a_process_may_die_at_every_call_of_its_store(store):
    calls = calls_of_a_job(store)
    assert set(calls) == {"stat", "read", "put", "begin", "add", "finish", "delete"}
    for call, after in itertools.product(range(len(calls)), (False, True)):
        with pytest.raises(Killed):
            run(job(Saboteur(store, call, after=after)))
        run(job(store))
        assert accounted(job(store), CONTENT)["runs"] <= 2
        clear(store)


def test_every_process_may_die_after_a_few_calls_of_its_store(store):
    for lives in (12, 14, 17, 25):
        for _ in range(1000):
            try:
                run(job(Saboteur(store, lives, after=True)))
                break
            except Killed:
                continue
        accounted(job(store), CONTENT)
        clear(store)


@pytest.mark.parametrize("other", ["finishes", "starts and stops", "starts and dies"])
def test_another_process_may_come_between_any_two_calls(store, other):
    """The first process sleeps in the middle of a call; the other takes the job over; then the first one wakes up."""

    def intrude():
        if other == "finishes":
            run(job(store))
        elif other == "starts and stops":
            run(job(store), deadline=in_little_time())
        else:
            with contextlib.suppress(Killed):
                run(job(Saboteur(store, 9, after=True)))

    for call, after in itertools.product(range(len(calls_of_a_job(store))), (False, True)):
        with contextlib.suppress(ConflictError):
            run(job(Saboteur(store, call, after=after, act=intrude)))
        run(job(store))
        accounted(job(store), CONTENT)
        clear(store)


@given(st.lists(st.tuples(st.integers(0, 45), st.booleans(), st.sampled_from(FATES)), max_size=6))
@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_processes_may_come_and_go_as_they_please(store, plan):
    haunt(job(store), plan)
    run(job(store))
    accounted(job(store), CONTENT)
    clear(store)


def test_a_process_goes_on_where_the_last_one_ran_out_of_time(store):
    runs = 1
    while (outcome := run(job(store), deadline=in_little_time())).status == "unfinished":
        assert outcome.reason == "Time is up; run the job again to go on."
        runs += 1
    assert outcome.status == "done"
    assert accounted(job(store), CONTENT)["runs"] == runs > 3


def test_a_process_without_time_still_makes_progress(store):
    store.put("in/numbers.txt", numbers(20, bad_every=10))
    while run(job(store), deadline=lambda: 0.0).status == "unfinished":
        pass
    assert accounted(job(store), numbers(20, bad_every=10))["runs"] == 21  # the last finds that no row is left


def test_what_is_alive_is_left_alone(store):
    """A process that finds the checkpoint of another waits for a sign of life, and there is one."""
    found = []

    def intrude(chunk):
        if chunk.first == 1:
            writer = iter(range(100))

            class Alive(LocalStore):
                def stat(self, key):
                    if key.endswith("checkpoint") and next(writer) == 1:
                        there = store.stat(key)
                        content = store.read(key, 0, there.size, there.version)
                        store.put(key, content.replace(b'"runs": 1', b'"runs": 2'), replaces=there.version)
                    return super().stat(key)

            with pytest.raises(ConflictError, match="another process is at work on this job"):
                run_job(job(Alive(store.path("in").removesuffix("/in"))), lease_s=60.0)
            found.append(chunk)

    with pytest.raises(ConflictError, match="has been written by somebody else"):
        run_job(job(store, scoring=lambda _head: Doubling(intrude)), save_s=0.0, lease_s=60.0)
    assert found


def test_a_wait_for_a_sign_of_life_ends_with_the_time(store):
    with pytest.raises(Killed):
        run(job(Saboteur(store, 3, after=True)), lease_s=1e6)
    outcome = run(job(store), deadline=lambda: 0.1)
    assert (outcome.status, outcome.reason[:11]) == ("unfinished", "Time was up")


def test_an_error_lets_the_next_process_go_on_at_once(store):
    def fail(chunk):
        if chunk.first > 1000:
            raise BatchError("The model has gone mad.")

    with pytest.raises(BatchError, match="mad"):
        run_job(job(store, scoring=lambda _head: Doubling(fail)), lease_s=1e6)
    run_job(job(store))
    assert accounted(job(store), CONTENT)["runs"] == 2


def test_an_upload_that_the_store_cleared_away_is_begun_again(store):
    with pytest.raises(Killed):
        run(job(Saboteur(store, 12, after=True)))
    store.abandon({"key": job(store).layout.scores})
    run(job(store))
    accounted(job(store), CONTENT)


@pytest.mark.parametrize("what", ["cut", "garbage", "of another format", "of another job"])
def test_a_checkpoint_that_says_nothing_is_none(store, what):
    with pytest.raises(Killed):
        run(job(Saboteur(store, 12, after=True)))
    key = job(store).layout.checkpoint
    stat = store.stat(key)
    content = store.read(key, 0, stat.size, stat.version)
    line, _, pending = content.partition(b"\n")
    head = json.loads(line)
    store.put(
        key,
        {
            "cut": content[:-1],
            "garbage": b"\xff",
            "of another format": json.dumps(head | {"format": 2}).encode() + b"\n" + pending,
            "of another job": json.dumps(head | {"job": "other"}).encode() + b"\n" + pending,
        }[what],
    )
    run(job(store))
    assert accounted(job(store), CONTENT)["runs"] == 1


@pytest.mark.parametrize("change", ["deleted", "replaced"])
@pytest.mark.parametrize("when", ["before", "while"])
def test_an_input_that_is_no_more_leaves_nothing_behind(store, tmp_path, monkeypatch, change, when):
    monkeypatch.setattr(blocks, "_NEAR_BYTES", 1000)  # so that it is not read to the end at once

    def alter(chunk):
        if chunk.first < 2:
            if change == "deleted":
                store.delete("in/numbers.txt")
            else:
                store.put("in/numbers.txt", numbers(100))

    old = job(store, scoring=lambda _head: Doubling(alter if when == "while" else lambda _chunk: None))
    if when == "before":
        alter(type("Chunk", (), {"first": 0}))
    outcome = run(old)
    assert (outcome.status, outcome.manifest) == ("gone", {})
    assert (
        outcome.reason
        == {
            "deleted": "in/numbers.txt is gone.",
            "replaced": "in/numbers.txt has been replaced or written to.",
        }[change]
    )
    assert list(store.list("out/")) == []
    left = [path for path in (tmp_path / "store/out").rglob("*") if path.is_file() and not path.name.endswith("-put")]
    assert left == []
    if change == "replaced":
        run(job(store))
        accounted(job(store), numbers(100))


def test_events_may_come_late_and_in_any_order(store):
    """Three uploads under one key, and their events twice each: what counts is the upload that is there."""
    uploads = []
    for rows in (500, 700, 900):
        store.put("in/numbers.txt", numbers(rows))
        uploads.append(job(store))
    ends = [run(uploads[turn]).status for turn in (1, 2, 0, 2, 1, 0)]
    assert ends == ["gone", "done", "gone", "already-done", "gone", "gone"]
    accounted(uploads[2], numbers(900))
    assert {item.key.rpartition("/")[0] for item in store.list("out/")} == {uploads[2].layout.scores.rpartition("/")[0]}


def test_a_finished_job_stays_when_its_input_is_replaced(store):
    first = job(store)
    run(first)
    store.put("in/numbers.txt", numbers(300))
    second = job(store)
    assert [run(second).status, run(first).status, run(second).status] == ["done", "already-done", "already-done"]
    accounted(first, CONTENT)
    accounted(second, numbers(300))


@pytest.mark.parametrize("content", [b"", b"7"], ids=["empty", "no newline"])
def test_the_smallest_inputs_have_scores(store, content):
    store.put("in/numbers.txt", content)
    assert run(job(store)).status == "done"
    accounted(job(store), content)
    layout = job(store).layout
    assert store.stat(layout.scores) is not None
    assert store.stat(layout.rejects) is None


def test_too_many_rejects_fail_a_job_and_are_kept(store):
    for _ in range(2):
        outcome = run(job(store, max_rejects=0.05))
        assert outcome.status == "failed"
        assert outcome.reason == "200 of 2000 rows were rejected, and at most a share of 0.05 may be; see the rejects."
        assert outcome.manifest["status"] == "failed"
    layout = job(store, max_rejects=0.05).layout
    assert outcome.manifest["outputs"] == {"scores": None, "rejects": layout.rejects}
    stat = store.stat(layout.rejects)
    assert store.read(layout.rejects, 0, stat.size, stat.version).count(b"\n") == 200
    assert [item.key for item in store.list("out/")] == [layout.manifest, layout.rejects]
    assert run(job(store, max_rejects=0.1)).status == "done"


def test_damage_is_one_reject_behind_the_rows_before_it(store):
    before = numbers(1000)
    store.put("in/numbers.txt", before + b"damage\n" + numbers(1000))
    assert run(job(store)).status == "done"
    manifest = run(job(store)).manifest
    assert manifest["truncated"] is True
    assert manifest["rows"] == {"read": 1001, "scored": 1000, "rejected": 1}
    stat = store.stat(manifest["outputs"]["rejects"])
    (line,) = store.read(stat.key, 0, stat.size, stat.version).splitlines()
    assert json.loads(line) == {"row": 1000, "reason": "The input is damaged.", "record": ""}


def test_an_input_that_is_damaged_from_the_start_fails(store):
    store.put("in/numbers.txt", b"damage\n")
    outcome = run(job(store))
    assert (outcome.status, outcome.reason) == ("failed", "The input is damaged.")
    assert outcome.manifest["rows"] == {"read": 0, "scored": 0, "rejected": 0}
    assert run(job(store)).status == "failed"


def test_scores_beside_a_file_are_not_written_over_what_is_there(store):
    def to(name, **options):
        asked = Options(**options)
        made = job(store, **options)
        return made._replace(layout=beside(store, name, job_id(made.input, MODEL, asked)))

    store.put("mine.jsonl", b"a letter")
    with pytest.raises(ConflictError, match=r"^mine\.jsonl exists already; delete it, or choose another name"):
        run(to("mine.jsonl"))
    assert [item.key for item in store.list("mine")] == ["mine.jsonl"]

    with pytest.raises(Killed):
        run(to("new.jsonl")._replace(layout=to("new.jsonl").layout._replace(store=Saboteur(store, 6, after=True))))
    assert store.stat(".new.jsonl.checkpoint") is not None
    run(to("new.jsonl"))
    accounted(to("new.jsonl"), CONTENT)
    assert [item.key for item in store.list("new")] == [
        "new.jsonl",
        "new.jsonl.manifest.json",
        "new.jsonl.rejects.jsonl",
    ]
    with pytest.raises(ConflictError, match=r"^new\.jsonl is the result of another input, model or setting"):
        run(to("new.jsonl", max_rejects=0.5))
    accounted(to("new.jsonl"), CONTENT)


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress], ids=["gzip", "zstd"])
def test_a_compressed_input_is_gone_on_with_where_it_was_left(store, compress):
    store.put("in/numbers.txt", compress(CONTENT))
    while run(job(store), deadline=in_little_time()).status == "unfinished":
        pass
    assert accounted(job(store), CONTENT)["runs"] > 3


def test_a_truncated_archive_gives_the_rows_before_the_end(store):
    store.put("in/numbers.txt", gzip.compress(CONTENT)[:-2000])

    def scoring(head):
        while head.read(1000):
            pass
        return Doubling()

    manifest = run(job(store, scoring=scoring, max_rejects=0.2)).manifest
    assert (manifest["status"], manifest["truncated"]) == ("done", True)
    read, scored, rejected = (manifest["rows"][name] for name in ("read", "scored", "rejected"))
    assert read == scored + rejected
    assert 500 < read < 2000
    stat = store.stat(manifest["outputs"]["rejects"])
    last = json.loads(store.read(stat.key, 0, stat.size, stat.version).splitlines()[-1])
    assert last == {
        "row": read - 1,
        "reason": "The input's gzip data is cut short; upload the whole file again.",
        "record": "",
    }


def test_a_format_that_seeks_reads_the_input_as_a_file(store, monkeypatch):
    monkeypatch.setattr(blocks, "_BLOCK_BYTES", 1000)
    seeking = job(store, scoring=lambda _head: Doubling(seeks=True))
    while run(seeking, deadline=in_little_time()).status == "unfinished":
        pass
    assert accounted(seeking, CONTENT)["runs"] > 3
    store.put("in/numbers.txt", gzip.compress(CONTENT))
    outcome = run(job(store, scoring=lambda _head: Doubling(seeks=True)))
    assert (outcome.status, outcome.reason[:26]) == ("failed", "The input is compressed as")


def test_an_input_is_fetched_once(store):
    """The beginning, which tells what it is, is not fetched again to be scored."""
    fetched = []

    class Watched(LocalStore):
        def read(self, key, start, stop, version):
            fetched.append((start, stop))
            return super().read(key, start, stop, version)

    def scoring(head):
        assert b"".join(iter(lambda: head.read(10), b"")) == CONTENT
        return Doubling()

    watched = Watched(store.path("in").removesuffix("/in"))
    run(job(store, scoring=scoring)._replace(store=watched))
    assert fetched == [(0, len(CONTENT))]
    accounted(job(store), CONTENT)


def test_progress_is_told_of_every_row(store):
    told = []
    run(job(store), progress=told.append)
    assert [sum(progress[:2]) for progress in told][-1] == 2000
    assert told[-1].bytes == len(CONTENT)
    assert told == sorted(told)


def test_rows_that_do_not_come_back_are_an_error(store):
    class Forgetful(Doubling):
        def map(self, chunks):
            for scored in super().map(chunks):
                yield replace(scored, scored=scored.scored - 1)

    with pytest.raises(BatchError, match="Of the 1 records from 0 on, 0 came back"):
        run(job(store, scoring=lambda _head: Forgetful()))
