"""A bucket of Cloud Storage: what is special about it."""

import gzip
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from coldpress_runtime.batch.stores import open_store
from coldpress_runtime.batch.stores.gcs import GcsStore
from coldpress_runtime.errors import ConflictError, StoreError

pytestmark = pytest.mark.xdist_group("stores")  # which share the servers


@pytest.mark.parametrize("count", [1, 32, 33, 70])
def test_parts_are_composed_by_thirty_two_and_deleted(gcs_store, count):
    token = gcs_store.begin("out/scores.jsonl")
    parts = [b"part %d\n" % number for number in range(count)]
    tags = [gcs_store.add(token, number, part) for number, part in enumerate(parts, 1)]
    gcs_store.finish(token, tags)
    (found,) = gcs_store.list("")
    assert found.key == "out/scores.jsonl"
    assert gcs_store.read(found.key, 0, found.size, found.version) == b"".join(parts)


def test_who_finishes_what_another_process_has_composed_is_told_and_changes_nothing(gcs_store):
    token = gcs_store.begin("out.csv")
    tags = [gcs_store.add(token, number, b"%d\n" % number) for number in range(1, 40)]
    gcs_store.finish(token, tags)
    found = gcs_store.stat("out.csv")
    assert found.content_type == "text/csv"
    with pytest.raises(ConflictError, match=r"The upload of gs://.*/out\.csv is no more"):
        gcs_store.finish(token, tags)
    assert list(gcs_store.list("")) == [found]


@pytest.mark.parametrize("deleted", [0, 1, 2])
def test_what_a_process_that_died_while_it_cleared_away_has_left_is_cleared_away(gcs_store, deleted):
    token = gcs_store.begin("out")
    tags = [gcs_store.add(token, number, b"x") for number in (1, 2)]
    left = [found.key for found in gcs_store.list("out.parts/")]
    gcs_store._make(token, tags)
    for key in left[:deleted]:
        gcs_store.delete(key)
    with pytest.raises(ConflictError):
        gcs_store.finish(token, tags)
    assert [found.key for found in gcs_store.list("")] == ["out"]


def test_a_part_that_somebody_deleted_is_missed(gcs_store):
    token = gcs_store.begin("out")
    tag = gcs_store.add(token, 1, b"x")
    (_, part) = gcs_store.list("out.parts/")
    gcs_store.delete(part.key)
    with pytest.raises(ConflictError, match=r"Of the upload of gs://.*/out a part is missing"):
        gcs_store.finish(token, [tag])
    assert gcs_store.stat("out") is None


def test_what_takes_several_requests_to_write_is_written_under_the_same_condition(gcs_store):
    """Beyond 8 MiB Google's client begins an upload, and sends the bytes after it."""
    large = b"x" * (9 << 20)
    first = gcs_store.put("state", large, replaces="")
    with pytest.raises(ConflictError, match="written by somebody else"):
        gcs_store.put("state", b"y" * len(large), replaces="")
    second = gcs_store.put("state", large + b"1", replaces=first)
    assert gcs_store.stat("state").version == second


def test_an_object_kept_in_gzip_is_read_as_it_is_kept(gcs_store, local_gcp):
    bucket = gcs_store._bucket.name
    kept = gzip.compress(b"1,2\n" * 100)
    local_gcp.upload(bucket, "in.csv", kept, "text/csv", contentEncoding="gzip")
    found = gcs_store.stat("in.csv")
    assert found.size == len(kept)
    assert gcs_store.read("in.csv", 0, 10, found.version) + gcs_store.read(
        "in.csv", 10, found.size, found.version
    ) == kept  # fmt: skip


def test_markers_of_folders_are_not_listed(gcs_store):
    for key in ("in/", "in/a/", "in/a/b.csv", "in/empty"):
        gcs_store.put(key, b"x" if key.endswith("csv") else b"")
    assert [found.key for found in gcs_store.list("in/")] == ["in/a/b.csv", "in/empty"]


def test_a_url_is_a_bucket_and_a_key_as_it_is_written(gcs_store):
    bucket = gcs_store._bucket.name
    gcs_store.put("in/a b%20+.csv", b"x")
    store, key = open_store(f"gs://{bucket}/in/a b%20+.csv")
    assert key == "in/a b%20+.csv"
    assert store.stat(key).size == 1
    assert open_store(f"gs://{bucket}")[1] == open_store(f"gs://{bucket}/")[1] == ""
    with pytest.raises(StoreError, match=r"^gs:// names no bucket; expected gs://bucket/key\.$"):
        open_store("gs://")


def test_a_bucket_that_is_not_there_is_said_in_a_sentence(gcs_store, local_gcp):
    with pytest.raises(StoreError, match=r"^Cloud Storage has no bucket for gs://nowhere/x; look at its name\.$"):
        GcsStore("nowhere").put("x", b"1")


def test_without_an_account_one_is_told_how_to_sign_in(monkeypatch, tmp_path):
    for name, value in {"HOME": str(tmp_path), "CLOUDSDK_CONFIG": str(tmp_path), "NO_GCE_CHECK": "true"}.items():
        monkeypatch.setenv(name, value)
    for name in ("STORAGE_EMULATOR_HOST", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(StoreError, match=r"no account to ask for gs://data with .*`gcloud auth application-default"):
        GcsStore("data")


class _Refusing(BaseHTTPRequestHandler):
    """Answers about objects with the statuses that the server was given, one after the other, then with an object.

    Google's client also asks for the bucket, by itself, to put that into traces.
    """

    def do_GET(self):
        status = self.server.statuses.pop(0) if self.server.statuses and "/o" in self.path else 200
        document = {"name": "x", "size": "1", "generation": "17"} if status == 200 else {"error": {"message": "no"}}
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815

    def log_message(self, *_):
        pass


@pytest.fixture
def refusing(monkeypatch):
    """A store whose server answers with the statuses that it is given."""
    with HTTPServer(("127.0.0.1", 0), _Refusing) as server:
        server.statuses = []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.server_port}")
        yield GcsStore("data"), server.statuses
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_store_is_asked_again(refusing, status):
    store, statuses = refusing
    statuses.append(status)
    assert store.stat("x").version == "17"


@pytest.mark.parametrize(
    ("act", "action"),
    [
        (lambda store: store.stat("x"), "storage.objects.get"),
        (lambda store: store.read("x", 0, 1, "17"), "storage.objects.get"),
        (lambda store: store.put("x", b"1"), "storage.objects.create"),
        (lambda store: list(store.list("x")), "storage.objects.list"),
    ],
    ids=["stat", "read", "put", "list"],
)
def test_a_store_that_denies_says_what_the_account_lacks(refusing, act, action):
    store, statuses = refusing
    statuses.append(403)
    with pytest.raises(StoreError, match=rf"^Cloud Storage denies {action} on gs://data/x; give the account a role"):
        act(store)


def test_any_other_refusal_is_told_as_the_store_words_it(refusing):
    store, statuses = refusing
    statuses.append(400)
    with pytest.raises(StoreError, match=r"^Cloud Storage does not do storage\.objects\.get on gs://data/x: 400"):
        store.stat("x")


def test_a_write_whose_answer_was_lost_is_known_again(gcs_store):
    """The client tries again, and its own object is in the way."""
    first = gcs_store.put("state", b"mine", replaces="")
    assert gcs_store.put("state", b"mine", replaces="") == first
    assert gcs_store.put("state", b"mine", replaces="12345") == first
