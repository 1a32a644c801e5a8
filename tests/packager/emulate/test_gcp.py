"""Functions under functions-framework's own server: what they see and say, how they end; and a bucket's events."""

import gzip
import hashlib
import json
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from coldpress.emulate.function import start, target_of
from coldpress.emulate.gcp import FrameworkFunction
from coldpress.emulate.http import HttpRequest
from coldpress.errors import EmulateError
from coldpress_runtime import gcs
from tests.support.functions import write_function
from tests.support.local_gcp import LocalStorage, python

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="functions are started on Linux only")
needs_store = pytest.mark.skipif(not python().exists(), reason="`make tools` has not made .tools/gcp")

_ECHO = """
import json, os, sys

def predict(request):
    print("seen", request.path)
    return json.dumps({"env": dict(os.environ), "path": sys.path, "pid": os.getpid()})
"""
_BODY = b'{"inputs": {"x": [[1.5, -2.0]]}}'
_ANSWER = {"outputs": {"y": [[1.5, -2.0]]}}


@pytest.fixture
def function(tmp_path):
    """Write main.py into a folder and start it, with the interpreter of these tests."""
    started = []

    def begin(source, **options):
        folder = tmp_path / f"task{len(started)}"
        folder.mkdir()
        (folder / "main.py").write_text(source)
        started.append(FrameworkFunction(folder, **{"python": sys.executable} | options))
        return started[-1]

    yield begin
    for each in started:
        each.close()


def _seen(function):
    return json.loads(function.call(HttpRequest("GET", "/x")).reply.body)


def test_the_function_sees_cloud_runs_variables_and_nothing_of_this_process(function, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_TEST", "1")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    seen = _seen(function(_ECHO, timeout_s=12.0, environment={"MINE": "yes"}))["env"]
    assert seen["K_SERVICE"] == "function"
    assert seen["FUNCTION_TARGET"] == "predict"
    assert seen["CLOUD_RUN_TIMEOUT_SECONDS"] == "12"
    assert seen["MINE"] == "yes"
    assert {"SECRET_OF_THE_TEST", "PYTHONPATH", "HOME"}.isdisjoint(seen)


def test_the_function_sees_the_framework_its_own_folder_and_the_standard_library_only(function):
    echo = function(_ECHO)
    paths = [path for path in _seen(echo)["path"] if path]
    packages, own = paths[0], paths[-1]
    assert "clients/gcp" in packages
    assert own == str(echo.root)
    assert not [path for path in paths if "site-packages" in path]


def test_the_server_is_the_one_of_production_and_its_worker_answers(function):
    echo = function(_ECHO)
    reply = echo.call(HttpRequest("GET", "/x")).reply
    assert reply.headers["server"] == "gunicorn"
    assert json.loads(reply.body)["pid"] != echo.pid
    assert "seen /x" in echo.logs()
    assert echo.init_ms > 0
    assert echo.peak_mb > 20


def test_calls_at_the_same_time_are_answered_each_for_itself(function):
    echo = function("def predict(request):\n    return request.args['n']\n", environment={"THREADS": "8"})
    with ThreadPoolExecutor(8) as pool:
        replies = pool.map(lambda n: echo.call(HttpRequest("GET", f"/?n={n}")).reply.body, range(40))
        assert [*replies] == [str(n).encode() for n in range(40)]


def test_a_function_that_cannot_be_imported_says_why(function):
    with pytest.raises(EmulateError, match=r"failed while starting.*No module named 'nowhere'"):
        function("import nowhere\n")


def test_a_broken_bundle_says_why_in_one_sentence(tmp_path):
    root = write_function(tmp_path / "f", "gcp", "fp32")
    (root / "coldpress.json").write_text("{")
    with pytest.raises(EmulateError, match=r"failed to start: .*ManifestError: coldpress.json is not JSON"):
        FrameworkFunction(root, python=sys.executable)


def test_an_answer_that_comes_too_late_ends_the_function(function):
    slow = function(
        "import time\ndef predict(request):\n    time.sleep(60 if request.path == '/slow' else 0)\n    return ''\n",
        timeout_s=1.0,
    )
    with pytest.raises(EmulateError, match=r"time limit of 1 s"):
        slow.call(HttpRequest("GET", "/slow"))
    with pytest.raises(EmulateError, match=r"start another one"):
        slow.call(HttpRequest("GET", "/"))


def test_another_cloud_has_events_of_its_own(function):
    with pytest.raises(EmulateError, match=r"HTTP requests alone"):
        function(_ECHO).call(HttpRequest(), "alb")


def test_start_knows_a_function_by_its_entry_point(tmp_path):
    root = write_function(tmp_path / "f", "gcp", "fp32")
    assert target_of(root) == "gcp"
    with start(root, python=sys.executable) as function:
        reply = function.call(HttpRequest("POST", "/predict", body=_BODY)).reply
        assert (reply.status, json.loads(reply.body)) == (200, _ANSWER)


# A bucket's events, against a store.


@pytest.fixture(scope="module")
def store():
    with LocalStorage() as running:
        yield running


@pytest.fixture(scope="module")
def scorer(tmp_path_factory, store):
    """A function that scores uploads."""
    root = write_function(tmp_path_factory.mktemp("scorer") / "f", "gcp", "fp32",
                          limits={"request_bytes": 1000, "response_bytes": 1000})  # fmt: skip
    with FrameworkFunction(
        root, python=sys.executable, target="score_upload", environment={"STORAGE_EMULATOR_HOST": store.host}
    ) as function:
        yield function


@pytest.fixture
def bucket(store, request):
    """A bucket of this test's own."""
    name = f"b-{hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:16]}"
    store.make_bucket(name)
    return name


@needs_store
def test_an_upload_is_scored_beside_itself(scorer, store, bucket):
    event = store.upload(bucket, "uploads/a b/ü.json", _BODY)
    assert scorer.deliver(event).reply.status == 200
    assert store.keys(bucket) == ["scores/a b/ü.json.json", "uploads/a b/ü.json"]
    assert json.loads(store.read(bucket, "scores/a b/ü.json.json")) == _ANSWER
    described = store.describe(bucket, "scores/a b/ü.json.json")
    assert described["contentType"] == "application/json"
    assert described["metadata"] == {"coldpress-source-generation": event["generation"]}


@needs_store
def test_the_same_event_again_changes_nothing(scorer, store, bucket):
    event = store.upload(bucket, "uploads/a", _BODY)
    descriptions = []
    for _ in range(3):
        assert scorer.deliver(event).reply.status == 200
        descriptions.append(store.describe(bucket, "scores/a.json"))
    assert descriptions[0] == descriptions[1] == descriptions[2] is not None


@needs_store
def test_a_new_object_of_the_same_name_is_scored_anew_and_late_news_of_the_old_one_changes_nothing(
    scorer, store, bucket
):
    old = store.upload(bucket, "uploads/a", _BODY)
    scorer.deliver(old)
    new = store.upload(bucket, "uploads/a", b'{"inputs": {"x": [[7, 8]]}}')
    scorer.deliver(new)
    scored = store.describe(bucket, "scores/a.json")
    assert json.loads(store.read(bucket, "scores/a.json")) == {"outputs": {"y": [[7.0, 8.0]]}}
    assert scorer.deliver(old).reply.status == 200
    assert store.describe(bucket, "scores/a.json") == scored


@needs_store
def test_the_event_of_an_answer_makes_no_answer(scorer, store, bucket):
    scorer.deliver(store.upload(bucket, "uploads/a", _BODY))
    assert scorer.deliver(store.describe(bucket, "scores/a.json")).reply.status == 200
    assert store.keys(bucket) == ["scores/a.json", "uploads/a"]


@needs_store
@pytest.mark.parametrize(("body", "said"), [(b"{", "not JSON"), (b" " * 1001, "1001 bytes"), (b"[]", "object")])
def test_an_upload_at_fault_is_said_beside_it_and_the_event_is_done(scorer, store, bucket, body, said):
    assert scorer.deliver(store.upload(bucket, "uploads/a", body)).reply.status == 200
    assert said in json.loads(store.read(bucket, "scores/a.error.json"))["error"]


@needs_store
def test_an_upload_kept_in_gzip_is_inflated_here_within_the_limit(scorer, store, bucket):
    """The store would inflate it too, whole and without a limit."""
    for name, body in {"small": _BODY, "bomb": b" " * 500_000}.items():
        event = store.upload(bucket, f"uploads/{name}", gzip.compress(body), contentEncoding="gzip")
        assert scorer.deliver(event).reply.status == 200
    assert json.loads(store.read(bucket, "scores/small.json")) == _ANSWER
    said = json.loads(store.read(bucket, "scores/bomb.error.json"))["error"]
    assert "over 1000 bytes once decompressed" in said


@needs_store
def test_other_objects_and_other_events_are_left_alone(scorer, store, bucket):
    elsewhere = store.upload(bucket, "a.json", _BODY)
    gone = store.upload(bucket, "uploads/a", _BODY) | {"generation": "17"}
    for event in (elsewhere, gone, {"bucket": bucket}, {}):
        assert scorer.deliver(event).reply.status == 200
    kind = "google.cloud.storage.object.v1.deleted"
    assert scorer.deliver(store.describe(bucket, "uploads/a"), kind=kind).reply.status == 200
    assert store.keys(bucket) == ["a.json", "uploads/a"]


@needs_store
def test_a_store_that_fails_has_the_event_come_again(scorer, store):
    event = {"bucket": "nowhere", "name": "uploads/a", "generation": "1", "size": "5"}
    assert scorer.deliver(event).reply.status == 200  # what is gone is gone
    lost = FrameworkFunction(
        scorer.root, python=sys.executable, target="score_upload", environment={"STORAGE_EMULATOR_HOST": "127.0.0.1:9"}
    )
    with lost:
        assert lost.deliver(event).reply.status == 500


@needs_store
def test_what_is_no_event_at_all_is_refused_by_the_framework(scorer):
    assert scorer.call(HttpRequest("POST", "/", {"content-type": "application/json"}, b"{}")).reply.status == 400
    assert scorer.call(HttpRequest("GET", "/")).reply.status == 405


@needs_store
def test_two_writers_at_once_do_not_hide_each_other(store, bucket, monkeypatch):
    """Whoever comes second finds that the object has changed, and the event comes again."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://{store.host}/")
    gcs.put(bucket, "scores/a.json", b'"first"', "2")
    with pytest.raises(OSError, match="in the meantime"):
        gcs._insert(bucket, "scores/a.json", b'"second"', "3", "0")  # it saw none there
    assert store.read(bucket, "scores/a.json") == b'"first"'
    gcs.put(bucket, "scores/a.json", b'"second"', "3")
    assert store.read(bucket, "scores/a.json") == b'"second"'


@needs_store
def test_an_object_that_is_not_there_is_named(store, bucket, monkeypatch):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", store.host)
    with pytest.raises(FileNotFoundError, match="uploads%2Fx"):
        gcs.get(bucket, "uploads/x", "1")
