"""What a storage event comes to: one object at a time, by workers that are started when they are needed."""

import json

import pytest

from coldpress_runtime.batch.storage_events import Uploads
from coldpress_runtime.batch.stores.local import LocalStore
from coldpress_runtime.errors import StoreError
from tests.support.tiny import write_bundle

BATCH = {"input": "in/", "output": "out/", "format": "jsonl", "columns": [], "outputs": [], "max_rejects": 0.5}
ROWS = b"[1, 2]\n[3, 4]\n"


@pytest.fixture(scope="module")
def uploads(tmp_path_factory):
    made = Uploads(str(write_bundle(tmp_path_factory.mktemp("bundle") / "b", "fp32", batch=BATCH)), workers=1)
    yield made
    made.close()


@pytest.fixture
def store(tmp_path):
    return LocalStore(str(tmp_path / "bucket"))


def score(uploads, store, key="in/rows.jsonl", seconds=60.0):
    return uploads.score(store, key, f"test://{key}", lambda: seconds)


def results(store):
    return sorted(item.key.rpartition("/")[2] for item in store.list("out/"))


def test_an_object_is_scored_and_then_it_is_done(uploads, store):
    store.put("in/rows.jsonl", ROWS)
    first, second = score(uploads, store), score(uploads, store)
    assert (first.outcome.status, first.row, second.outcome.status) == ("done", 2, "already-done")
    assert results(store) == ["manifest.json", "scores.jsonl"]
    record = json.loads(json.dumps(first.to_record("test://in/rows.jsonl")))
    assert record["message"] == "test://in/rows.jsonl: done"
    assert record["rows"] == {"read": 2, "scored": 2, "rejected": 0}


@pytest.mark.parametrize("key", ["rows.jsonl", "out/rows.jsonl", "inn/rows.jsonl"])
def test_what_lies_elsewhere_is_passed(uploads, store, key):
    store.put(key, ROWS)
    assert score(uploads, store, key).outcome.status == "passed"
    assert [item.key for item in store.list("")] == [key]


def test_what_is_not_there_any_more_is_gone(uploads, store):
    found = score(uploads, store)
    assert (found.outcome.status, found.has_failed) == ("gone", False)


class Replaced(LocalStore):
    """A folder in which an object is replaced as soon as it is read."""

    replacements = (ROWS * 2, ROWS * 3)

    def read(self, key, start, stop, version):
        if key == "in/rows.jsonl" and self.replacements:
            first, *self.replacements = self.replacements
            self.put(key, first)
        return super().read(key, start, stop, version)


def test_an_object_that_is_replaced_while_it_is_read_is_scored_as_it_is_then(uploads, tmp_path):
    store = Replaced(str(tmp_path / "bucket"))
    store.put("in/rows.jsonl", ROWS)
    found = score(uploads, store)
    assert (found.outcome.status, found.outcome.manifest["rows"]["read"]) == ("done", 6)
    assert results(store) == ["manifest.json", "scores.jsonl"]  # of the last one alone


def test_names_that_something_else_has_are_a_failure_that_no_second_try_mends(uploads, store):
    store.put("in/rows.jsonl", ROWS)
    score(uploads, store)
    (manifest,) = (item.key for item in store.list("out/") if item.key.endswith("manifest.json"))
    store.delete(manifest)
    found = score(uploads, store)
    assert found.has_failed
    assert "exists already" in found.outcome.reason


def test_without_time_the_rest_is_left_for_later(uploads, store):
    store.put("in/rows.jsonl", ROWS * 50)
    found = score(uploads, store, seconds=10.5)
    assert (found.outcome.status, found.has_failed) == ("unfinished", False)
    assert 0 < found.row < 100
    assert score(uploads, store).outcome.status == "done"


class Refusing(LocalStore):
    """A folder that refuses to be written to."""

    def put(self, key, data, *, replaces=None):
        raise StoreError("no")


def test_what_a_store_refuses_may_go_better_later(uploads, store, tmp_path):
    store.put("in/rows.jsonl", ROWS)
    with pytest.raises(StoreError, match="no"):
        score(uploads, Refusing(str(tmp_path / "bucket")))
    assert score(uploads, store).outcome.status == "done"


def test_after_any_other_error_the_workers_are_started_anew(uploads, store):
    store.put("in/rows.jsonl", ROWS)
    with pytest.raises(TypeError):
        score(uploads, store, seconds="no number")
    assert score(uploads, store).outcome.status == "done"
