"""What is uploaded to a local Cloud Storage is scored row by row, by the function that ``pack`` built.

The tests play the part of Eventarc: they may deliver twice, late, and to two instances at a time.
"""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from coldpress.emulate.gcp import FrameworkFunction
from coldpress.emulate.http import HttpRequest
from tests.support.batch_kill import survive
from tests.support.batch_uploads import accounted, packed, table
from tests.support.local_gcp import LocalStorage, python
from tests.support.tiny import write_bundle

pytestmark = [
    pytest.mark.skipif(not python().exists(), reason="`make tools` has not made .tools/gcp"),
    pytest.mark.xdist_group("batch-gcp"),
]


@pytest.fixture(scope="session")
def bundle(tmp_path_factory, digits):
    return packed(tmp_path_factory, digits, "gcp", 'uploads_bucket = "my-data"')


@pytest.fixture(scope="module")
def store():
    with LocalStorage() as running:
        yield running


@pytest.fixture
def bucket(store, request):
    """A bucket of this test's own."""
    name = f"b-{hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:16]}"
    store.make_bucket(name)
    return name


@pytest.fixture
def start(bundle, store):
    """Start instances of the function that takes events."""
    started = []

    def begin(timeout_s=60, host=store.host):
        environment = {"STORAGE_EMULATOR_HOST": f"http://{host}", "CLOUD_RUN_TIMEOUT_SECONDS": str(timeout_s)}
        started.append(FrameworkFunction(bundle, target="score_upload", environment=environment, timeout_s=120.0))
        return started[-1]

    yield begin
    for each in started:
        each.close()


@pytest.fixture(scope="module")
def scorer(bundle, store):
    """An instance that all tests share that leave it as it is."""
    environment = {"STORAGE_EMULATOR_HOST": f"http://{store.host}", "CLOUD_RUN_TIMEOUT_SECONDS": "60"}
    with FrameworkFunction(bundle, target="score_upload", environment=environment, timeout_s=120.0) as function:
        yield function


@pytest.fixture
def check(store, bucket):
    def look(key, content, bad=()):
        names = [name for name in store.keys(bucket) if name.startswith(f"scores/{key}/")]
        return accounted(lambda name: store.read(bucket, name), names, key, content, bad)

    return look


def deliver(function, event):
    """Send an event over a connection of its own, and return the status of the answer."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(function.deliver, event).result().reply.status


def told(function):
    """What the function wrote into its log of jobs."""
    lines = [json.loads(line) for line in function.logs().splitlines() if line.startswith('{"severity"')]
    return [(line["severity"], line.get("status")) for line in lines]


@pytest.mark.cloud
def test_every_row_survives_kills(tmp_path, store, bucket, monkeypatch):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://{store.host}")
    bundle = write_bundle(tmp_path / "bundle", "fp32")
    assert survive(bundle, f"gs://{bucket}/", kills=2, rows=5000).killed >= 2


@pytest.mark.parametrize("key", ["rows.csv", "a folder/50% of a+b.csv", "Größe/数据 🙂.csv", "%41?x=1&y#z.csv"])
def test_every_row_of_an_upload_is_scored_or_rejected_once(scorer, store, bucket, check, key):
    bad = (7, 150)
    content = table(300, bad)
    assert deliver(scorer, store.upload(bucket, f"uploads/{key}", content, "text/csv")) == 200
    manifest = check(key, content, bad)
    assert manifest["status"] == "done"
    assert manifest["input"]["url"] == f"gs://{bucket}/uploads/{key}"


def test_events_come_twice_and_late_and_change_nothing(scorer, store, bucket, check):
    first, second = table(40, seed=1), table(50, seed=2)
    old = store.upload(bucket, "uploads/rows.csv", first, "text/csv")
    assert deliver(scorer, old) == 200
    manifest = check("rows.csv", first)
    new = store.upload(bucket, "uploads/rows.csv", second, "text/csv")
    for event in (new, old, new, old):
        assert deliver(scorer, event) == 200
    (job,) = {key.split("/")[2] for key in store.keys(bucket) if key.startswith("scores/")} - {manifest["job"]}
    names = [key for key in store.keys(bucket) if f"/{job}/" in key]
    accounted(lambda name: store.read(bucket, name), names, "rows.csv", second)
    written = {key: store.describe(bucket, key)["generation"] for key in store.keys(bucket)}
    assert deliver(scorer, old) == deliver(scorer, new) == 200
    assert {key: store.describe(bucket, key)["generation"] for key in store.keys(bucket)} == written


def test_late_news_of_what_was_replaced_scores_what_is_there(scorer, store, bucket, check):
    old = store.upload(bucket, "uploads/rows.csv", table(10, seed=1), "text/csv")
    content = table(20, seed=2)
    store.upload(bucket, "uploads/rows.csv", content, "text/csv")
    assert deliver(scorer, old) == 200
    check("rows.csv", content)


def test_when_time_is_up_the_event_comes_again_and_goes_on(start, store, bucket, check):
    content = table(12, (3,))
    event = store.upload(bucket, "uploads/rows.csv", content, "text/csv")
    hurried = start(timeout_s=11)  # of which ten are kept back
    statuses = [deliver(hurried, event)]
    while statuses[-1] == 503 and len(statuses) < 20:
        statuses.append(deliver(hurried, event))
    assert statuses[-1] == 200
    assert len(statuses) > 2
    assert check("rows.csv", content, (3,))["runs"] == len(statuses)
    assert told(hurried) == [("INFO", "unfinished")] * (len(statuses) - 1) + [("INFO", "done")]


def test_of_two_instances_at_a_time_one_has_the_job(scorer, start, store, bucket, check):
    content = table(5000)
    event = store.upload(bucket, "uploads/rows.csv", content, "text/csv")
    with ThreadPoolExecutor(2) as pool:
        statuses = list(pool.map(lambda function: deliver(function, event), [scorer, start()]))
    assert 200 in statuses
    assert set(statuses) <= {200, 503}
    assert deliver(scorer, event) == 200
    check("rows.csv", content)


def test_an_instance_that_dies_is_followed_by_one_that_goes_on(scorer, start, store, bucket, check):
    content = table(20_000)
    event = store.upload(bucket, "uploads/rows.csv", content, "text/csv")
    doomed = start()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(deliver, doomed, event)  # of which no answer comes
        while not any(key.endswith("/checkpoint") for key in store.keys(bucket)):
            pass
        doomed.close()
    assert deliver(scorer, event) == 200
    check("rows.csv", content)


def test_too_many_rejects_are_a_failed_job_and_no_second_try(start, store, bucket):
    scorer = start()
    event = store.upload(bucket, "uploads/rows.csv", table(10, (1, 2, 3)), "text/csv")
    assert deliver(scorer, event) == deliver(scorer, event) == 200
    assert told(scorer) == [("ERROR", "failed")] * 2
    (manifest,) = (key for key in store.keys(bucket) if key.endswith("manifest.json"))
    found = json.loads(store.read(bucket, manifest))
    assert (found["status"], found["outputs"]["scores"]) == ("failed", None)
    assert found["reason"].startswith("3 of 10 rows were rejected")
    assert [json.loads(line)["row"] for line in store.read(bucket, found["outputs"]["rejects"]).splitlines()] == [
        1,
        2,
        3,
    ]


class _Denying(BaseHTTPRequestHandler):
    """A Cloud Storage that lets nobody read."""

    def do_GET(self):
        self.send_error(403)

    def log_message(self, *_):
        pass


def test_a_bucket_that_denies_has_the_event_come_again(start):
    with HTTPServer(("127.0.0.1", 0), _Denying) as server, ThreadPoolExecutor(1) as pool:
        pool.submit(server.serve_forever, 0.01)
        function = start(host=f"127.0.0.1:{server.server_port}")
        event = {"bucket": "b", "name": "uploads/a.csv", "generation": "1", "size": "5"}
        assert deliver(function, event) == deliver(function, event) == 503
        server.shutdown()
    assert told(function) == [("WARNING", "again")] * 2
    assert "Cloud Storage denies storage.objects.get on gs://b/uploads/a.csv" in function.logs()


@pytest.mark.parametrize("content", [b"", b"a,b\n"])
def test_a_file_without_rows_is_a_job_with_none(scorer, store, bucket, content):
    assert deliver(scorer, store.upload(bucket, "uploads/none.csv", content, "text/csv")) == 200
    (manifest,) = (key for key in store.keys(bucket) if key.endswith("manifest.json"))
    assert json.loads(store.read(bucket, manifest))["rows"]["read"] == 0


def test_other_objects_and_those_that_are_gone_leave_nothing(scorer, store, bucket):
    events = [store.upload(bucket, key, b"1", "text/csv") for key in ("a.csv", "scores/a.csv", "uploads")]
    events.append(store.upload(bucket, "uploads/folder/", b""))
    events.append(events[0] | {"name": "uploads/gone.csv"})
    before = store.keys(bucket)
    for event in events:
        assert deliver(scorer, event) == 200
    assert store.keys(bucket) == before


def test_names_that_leave_no_room_for_results_are_told_and_left(start, store, bucket):
    scorer = start()
    event = store.upload(bucket, f"uploads/{'x' * 960}.csv", b"1", "text/csv")
    assert deliver(scorer, event) == 200
    assert told(scorer) == [("ERROR", "failed")]
    assert "longer than the 1024 bytes" in scorer.logs()


def test_the_function_that_answers_opens_the_model_itself_and_imports_nothing_of_this(bundle):
    with FrameworkFunction(bundle) as function:
        reply = function.call(HttpRequest("GET", "/v2/health/ready"))
        assert reply.reply.status == 200
