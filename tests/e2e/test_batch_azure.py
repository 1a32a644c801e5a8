"""What is uploaded to Azurite is scored row by row, by the function app that ``pack`` built.

The tests play the part of Event Grid and of the Functions host's queue: they may deliver twice, late, and to two
instances at a time.
"""

import json
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from coldpress.emulate.azure import AzureFunction
from coldpress.emulate.http import HttpRequest
from tests.support.batch_kill import survive
from tests.support.batch_uploads import accounted, packed, table
from tests.support.local_azure.azurite import Azurite, why_not
from tests.support.local_azure.host import Queue, blob_created
from tests.support.tiny import write_bundle

pytestmark = [
    pytest.mark.skipif(bool(why_not()), reason=f"no Azurite: {why_not()}"),
    pytest.mark.xdist_group("batch-azure"),
]


@pytest.fixture(scope="session")
def bundle(tmp_path_factory, digits):
    return packed(tmp_path_factory, digits, "azure", 'uploads_container = "data"')


@pytest.fixture(scope="module")
def store():
    with Azurite() as azurite:
        yield azurite


@pytest.fixture
def container(store):
    """A container of this test's own."""
    name = f"c{uuid.uuid4().hex}"
    store.make_container(name)
    return name


@pytest.fixture
def start(bundle, store, container):
    """Start instances of the app."""
    started = []

    def begin(timeout="00:01:00"):
        environment = {
            "AZURE_STORAGE_CONNECTION_STRING": store.connection_string,
            "AzureFunctionsJobHost__functionTimeout": timeout,
            "COLDPRESS_UPLOADS": container,
            "UPLOADS__blobServiceUri": store.url,
        }
        started.append(AzureFunction(bundle, environment=environment, timeout_s=120.0))
        return started[-1]

    yield begin
    for each in started:
        each.close()


@pytest.fixture
def upload(store, container):
    """Upload a blob and return the event."""

    def put(name, content):
        store.put(container, name, content, "text/csv")
        return blob_created(store, container, name)

    return put


@pytest.fixture
def check(store, container):
    def look(key, content, bad=(), job=""):
        names = [name for name in store.names(container) if name.startswith(f"scores/{key}/{job}")]
        return accounted(lambda name: store.get(container, name)[1], names, key, content, bad)

    return look


def run_all(queue, app, most=20):
    """Let the host hand over messages until there are none; return how many it took."""
    for count in range(most):
        if not queue.messages:
            return count
        assert queue.run(app), queue.errors
    raise AssertionError(f"there are still messages after {most}")


@pytest.mark.cloud
def test_every_row_survives_kills(tmp_path, store, container, monkeypatch):
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", store.connection_string)
    bundle = write_bundle(tmp_path / "bundle", "fp32")
    assert survive(bundle, f"az://devstoreaccount1/{container}/", kills=2, rows=5000).killed >= 2


def test_every_row_of_an_upload_is_scored_or_rejected_once_and_events_come_twice(
    start, upload, store, container, check
):
    app, queue, bad = start(), Queue(), (7, 150)
    keys = ["rows.csv", "a folder/50% of a+b.csv", "Größe/数据 🙂.csv", "%41?x=1&y#z.csv"]
    contents = {key: table(200, bad, seed) for seed, key in enumerate(keys)}
    events = [upload(f"uploads/{key}", content) for key, content in contents.items()]
    for event in [*events, *reversed(events)]:
        queue.put(event)
    assert run_all(queue, app) == 8
    for key, content in contents.items():
        manifest = check(key, content, bad)
        assert (manifest["status"], manifest["runs"]) == ("done", 1)
        assert manifest["input"]["url"] == f"az://devstoreaccount1/{container}/uploads/{key}"
    assert app.call(HttpRequest("GET", "/v2/health/ready")).reply.status == 200  # it answers, too


def test_late_news_of_what_was_replaced_scores_what_is_there_once(start, upload, store, container, check):
    app, queue, content = start(), Queue(), table(20, seed=2)
    queue.put(upload("uploads/rows.csv", table(10, seed=1)))
    queue.put(upload("uploads/rows.csv", content))
    assert queue.run(app)
    check("rows.csv", content)
    before = {name: store.get(container, name)[0]["etag"] for name in store.names(container)}
    assert queue.run(app)
    assert {name: store.get(container, name)[0]["etag"] for name in store.names(container)} == before


def test_when_time_is_up_the_function_hands_itself_the_rest(start, upload, check):
    app, queue, content = start("00:00:11"), Queue(), table(12, (3,))  # of which ten seconds are kept back
    queue.put(upload("uploads/rows.csv", content))
    runs = run_all(queue, app)
    assert runs > 2
    assert check("rows.csv", content, (3,))["runs"] == runs


def test_a_job_that_no_run_brings_further_ends_as_poison(start, upload):
    app, queue = start("00:00:11"), Queue(most=1)
    event = upload("uploads/rows.csv", table(5))
    queue.put({"coldpress": {"key": "uploads/rows.csv", "row": 999, "idle": 2}})  # as two such runs have left it
    assert not queue.run(app)
    assert "3 runs came no further than row 999" in queue.errors[0]
    assert queue.poison
    queue.put(event)
    assert run_all(queue, app) >= 1  # and it may be tried again


def test_of_two_instances_at_a_time_one_has_the_job(start, upload, check):
    apps, queue, content = [start(), start()], Queue(), table(5000)
    event = upload("uploads/rows.csv", content)
    queue.put(event)
    queue.put(event)
    with ThreadPoolExecutor(2) as pool:
        taken = list(pool.map(queue.run, apps))
    assert any(taken)
    assert len(queue.messages) == taken.count(False)
    run_all(queue, apps[0])
    check("rows.csv", content)


def test_an_instance_that_dies_is_followed_by_one_that_goes_on(start, upload, store, container, check):
    doomed, queue, content = start(), Queue(), table(20_000)
    queue.put(upload("uploads/rows.csv", content))
    with ThreadPoolExecutor(1) as pool:
        taken = pool.submit(queue.run, doomed)
        while not any(name.endswith("/checkpoint") for name in store.names(container)):
            pass
        doomed.close()
        taken.result()
    run_all(queue, start())
    check("rows.csv", content)


def test_too_many_rejects_are_a_failed_job_and_no_second_try(start, upload, store, container):
    app, queue = start(), Queue()
    queue.put(upload("uploads/rows.csv", table(10, (1, 2, 3))))
    assert queue.run(app)
    assert not queue.messages
    (manifest,) = (name for name in store.names(container) if name.endswith("manifest.json"))
    found = json.loads(store.get(container, manifest)[1])
    assert (found["status"], found["outputs"]["scores"]) == ("failed", None)
    assert found["reason"].startswith("3 of 10 rows were rejected")
    assert "3 of 10 rows were rejected" in app.logs()


def test_other_blobs_and_those_that_are_gone_leave_nothing(start, upload, store, container):
    app, queue = start(), Queue()
    for name in ("a.csv", "scores/a.csv", "uploads"):
        queue.put(upload(name, b"1"))
    gone = upload("uploads/gone.csv", b"1")
    store.ask("DELETE", f"/{container}/uploads/gone.csv")
    queue.put(gone)
    queue.put(gone | {"eventType": "Microsoft.Storage.BlobDeleted"})
    before = store.names(container)
    run_all(queue, app)
    assert store.names(container) == before


def test_what_is_no_event_ends_as_poison(start):
    app, queue = start(), Queue(most=1)
    for message in ({"hello": 1}, {"eventType": "Microsoft.Storage.BlobCreated", "data": None}, []):
        queue.put(message)
        assert not queue.run(app)
    assert len(queue.poison) == 3
    assert all("which is no event of Event Grid's; let nobody else send to it." in error for error in queue.errors)
