"""A function app under Microsoft's worker library: what it sees, what it says, how it ends; and uploads."""

import json
import os
import shutil
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from coldpress._resources import runtime_root, template_root
from coldpress.emulate.azure import AzureFunction
from coldpress.emulate.function import start
from coldpress.emulate.http import HttpRequest
from coldpress.errors import EmulateError
from coldpress.interpreters import find_interpreter
from tests.support.local_azure.azurite import Azurite, why_not
from tests.support.local_azure.host import blob_created, deliver
from tests.support.tiny import write_bundle

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Azure's worker library is for Linux")

_BODY = b'{"inputs": {"x": [[1.5, -2.0]]}}'
_ANSWER = {"outputs": {"y": [[1.5, -2.0]]}}
_HTTP = """import json, os, sys
import azure.functions as func

app = func.FunctionApp()


@app.route(route="{*path}")
def answer(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return func.HttpResponse(%s)
"""


@pytest.fixture
def app(tmp_path):
    """Write function_app.py into a folder and start it, with the interpreter of these tests."""
    started = []

    def start(source, **options):
        folder = tmp_path / f"task{len(started)}"
        folder.mkdir()
        (folder / "function_app.py").write_text(source)
        started.append(AzureFunction(folder, **{"python": sys.executable} | options))
        return started[-1]

    yield start
    for each in started:
        each.close()


def seen(function, method="GET", path="/", headers=None, body=b""):
    return json.loads(function.call(HttpRequest(method, path, headers, body)).reply.body)


def write_app(folder, hooks=None):
    """The tiny model as a function app: a bundle, the runtime, the entry point."""
    write_bundle(folder, "fp32", hooks)
    shutil.copytree(runtime_root(), folder / "coldpress_runtime", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("function_app.py", "host.json"):
        shutil.copy(template_root() / "azure" / name, folder)
    return folder


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_app(tmp_path_factory.mktemp("azure") / "function")


@pytest.fixture(scope="module")
def tiny(bundle):
    with start(bundle, python=sys.executable) as function:
        yield function


def test_a_request_is_answered(tiny):
    reply = tiny.call(HttpRequest("POST", "/predict", body=_BODY)).reply
    assert (reply.status, json.loads(reply.body)) == (200, _ANSWER)
    assert reply.headers["content-type"] == "application/json"
    assert tiny.init_ms > 0
    assert tiny.peak_mb > 1


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/v2/health/ready", b"", 200),
        ("GET", "/v2/models/tiny?a=1&a=2&b=", b"", 200),
        ("GET", "/v2/models/t%69ny", b"", 200),
        ("HEAD", "/v2/health/live", b"", 200),
        ("OPTIONS", "/predict", b"", 204),
        ("POST", "/predict", b"", 400),
        ("POST", "/predict", b"\xff\x00", 400),
        ("GET", "/predict", b"", 405),
        ("DELETE", "/predict", b"", 405),
        ("GET", "/", b"", 404),
        ("GET", "/n%C3%BC/%2F%20x", b"", 404),
    ],
)
def test_what_reaches_the_service_is_what_was_sent(tiny, method, path, body, status):
    assert tiny.call(HttpRequest(method, path, body=body)).reply.status == status


def test_requests_at_the_same_time_are_all_answered(tiny):
    bodies = [json.dumps({"inputs": {"x": [[float(n), 0.0]]}}).encode() for n in range(24)]
    with ThreadPoolExecutor(8) as pool:
        replies = pool.map(lambda body: tiny.call(HttpRequest("POST", "/predict", body=body)).reply.body, bodies)
        assert [json.loads(reply)["outputs"]["y"][0][0] for reply in replies] == [float(n) for n in range(24)]


@pytest.mark.parametrize("minor", ["3.12", "3.13", "3.14"])
def test_it_answers_under_every_python_that_azure_offers_and_this_machine_has(bundle, minor):
    if (python := find_interpreter(minor)) is None:
        pytest.skip(f"there is no Python {minor} on this machine")
    with AzureFunction(bundle, python=python) as function:
        assert function.minor == minor
        assert seen(function, "POST", "/predict", body=_BODY) == _ANSWER
        assert ("is made for Python 3.13 and later" in function.logs()) == (minor == "3.12")


def test_the_worker_indexes_the_app_as_the_host_would_ask_it_to(tiny):
    assert tiny.functions() == {
        "answer": [
            {"direction": "IN", "type": "httpTrigger", "name": "req", "authLevel": "FUNCTION", "route": "{*path}"},
            {"direction": "OUT", "type": "http", "name": "$return"},
        ]
    }


def test_the_function_gets_requests_as_the_host_hands_them_over(app):
    what = "json.dumps([req.method, req.url, dict(req.headers), dict(req.params), dict(req.route_params)])"
    method, url, headers, params, route = seen(
        app(_HTTP % what),
        "POST",
        "/a%c3%bc%2Fb?x=1&x=2&y=&z=%C3%A9",
        {"X-Empty": "", "X-One": "1 ", "Host": "h"},
        b"1",
    )
    assert method == "POST"
    assert url == "http://h/a%C3%BC%2Fb?x=1&x=2&y=&z=%C3%A9"
    assert headers["x-one"] == "1"
    assert headers["x-empty"] == ""
    assert headers["content-length"] == "1"
    assert not [name for name in headers if name != name.lower()]
    assert params == {"x": "1,2", "z": "é"}
    assert route == {"path": "aü%2Fb"}


def test_an_answer_is_sent_as_the_host_sends_it(app):
    function = app(_HTTP % "b'', headers={'Content-Type': '', 'X-Empty': ''} | dict(req.params)")
    reply = function.call(HttpRequest()).reply
    assert (reply.status, reply.headers.get("content-type"), reply.headers["x-empty"]) == (200, None, "")
    assert function.call(HttpRequest("GET", "/?x-digit=%C3%BC")).reply.status == 500
    assert "Invalid non-ASCII or control character in header: x-digit" in function.logs()


def test_a_body_is_bytes_and_none_is_empty(app):
    function = app(_HTTP % "repr(req.get_body())")
    assert function.call(HttpRequest("POST", "/", body=b"\xff\x00")).reply.body == b"b'\\xff\\x00'"
    assert function.call(HttpRequest("POST", "/")).reply.body == b"b''"


def test_the_function_sees_azures_variables_and_nothing_of_this_process(app, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_TEST", "1")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    found = seen(app(_HTTP % "json.dumps(dict(os.environ))", environment={"MINE": "1"}))
    assert found["FUNCTIONS_WORKER_RUNTIME"] == "python"
    assert found["MINE"] == "1"
    assert {"SECRET_OF_THE_TEST", "PYTHONPATH", "HOME"}.isdisjoint(found)


def test_the_function_sees_its_own_folder_the_worker_and_the_standard_library_only(app):
    function = app(_HTTP % "json.dumps([sys.path, os.getcwd()])")
    path, folder = seen(function)
    assert path[0] == folder == str(function.root)
    assert not [entry for entry in path if "site-packages" in entry]
    assert not list(function.root.rglob("*.pyc"))


def test_a_function_that_raises_answers_500_with_nothing_of_it_and_the_log_says_what(app):
    function = app(_HTTP % "1 / int(req.params['x'])")
    reply = function.call(HttpRequest("GET", "/?x=0")).reply
    assert (reply.status, reply.body) == (500, b"")
    assert "division by zero" in function.logs()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import no_such_module\n", "No module named 'no_such_module'"),
        ("raise RuntimeError('the model is missing')\n", "the model is missing"),
        ("x = 1\n", "Could not find top level function app instances in function_app.py"),
        ("import azure.functions as func\napp = func.FunctionApp()\n", "the app has no functions"),
        ("import os\nos._exit(7)\n", "exit status 7"),
    ],
)
def test_an_app_that_cannot_be_indexed_says_why(app, source, message):
    with pytest.raises(EmulateError, match=message):
        app(source)


def test_a_bundle_that_cannot_work_says_why(tmp_path):
    folder = write_app(tmp_path / "function")
    (folder / "coldpress.json").unlink()
    with pytest.raises(EmulateError, match=r"coldpress\.json cannot be read"):
        AzureFunction(folder, python=sys.executable)


def test_a_start_that_takes_too_long_is_ended(app):
    with pytest.raises(EmulateError, match="not ready after 1 s"):
        app("import time\ntime.sleep(60)\n", init_timeout_s=1)


def test_an_answer_that_takes_too_long_ends_the_process(app):
    function = app(_HTTP % "__import__('time').sleep(60)", timeout_s=0.3)
    pid = function.pid
    with pytest.raises(EmulateError, match=r"did not answer within its time limit of 0\.3 s"):
        function.call(HttpRequest())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_process_that_ends_while_it_answers_is_named(app):
    function = app(_HTTP % "os._exit(9)")
    with pytest.raises(EmulateError, match="exit status 9"):
        function.call(HttpRequest())


def test_there_are_no_other_doors_and_no_other_functions(tiny):
    with pytest.raises(EmulateError, match="takes HTTP requests alone"):
        tiny.call(HttpRequest(), "rest")
    with pytest.raises(EmulateError, match="has no function score_upload, only answer"):
        tiny.trigger("score_upload", b"", {})


@pytest.mark.parametrize("function", ["answer", "nope", ""])
@pytest.mark.parametrize("headers", [None, {"x-functions-key": "guess"}])
def test_nobody_else_runs_functions_by_name(tiny, function, headers):
    reply = tiny.call(HttpRequest("POST", f"/admin/functions/{function}", headers, b"{")).reply
    assert (reply.status, reply.body) == (401, b"")


@pytest.fixture(scope="module")
def store():
    if why := why_not():
        pytest.skip(f"no Azurite: {why}")
    with Azurite() as azurite:
        yield azurite


@pytest.fixture
def container(store):
    """A container of this test's own."""
    name = f"c{uuid.uuid4().hex}"
    store.make_container(name)
    return name


@pytest.fixture
def watcher(bundle, container):
    """The tiny model, watching that container."""
    with start(bundle, python=sys.executable, environment={"COLDPRESS_UPLOADS": container}) as function:
        yield function


@pytest.mark.parametrize("name", ["a.json", "deep/er/b", "ä b#?%25.json", "no-ending"])
def test_what_is_uploaded_is_scored_beside_it(store, container, watcher, name):
    store.put(container, f"uploads/{name}", _BODY)
    assert deliver(store, watcher, blob_created(store, container, f"uploads/{name}")) == [f"scores/{name}.json"]
    _, body = store.get(container, f"scores/{name}.json")
    assert json.loads(body) == _ANSWER


def test_the_same_event_twice_changes_nothing(store, container, watcher):
    store.put(container, "uploads/a.json", _BODY)
    event = blob_created(store, container, "uploads/a.json")
    deliver(store, watcher, event)
    before = store.names(container), store.get(container, "scores/a.json.json")[1]
    deliver(store, watcher, event)
    assert (store.names(container), store.get(container, "scores/a.json.json")[1]) == before
    assert before[0] == ["scores/a.json.json", "uploads/a.json"]


@pytest.mark.parametrize(
    ("body", "content_type", "said"),
    [(b"{", "application/json", "not JSON"), (b"\x89PNG", "image/png", "Content-Type is")],
)
def test_what_cannot_be_scored_is_said_beside_it_once(store, container, watcher, body, content_type, said):
    store.put(container, "uploads/a", body, content_type)
    assert deliver(store, watcher, blob_created(store, container, "uploads/a")) == ["scores/a.error.json"]
    assert said in json.loads(store.get(container, "scores/a.error.json")[1])["error"]


def test_a_blob_of_no_stated_type_is_taken_for_json(store, container, watcher):
    store.put(container, "uploads/a", _BODY, "application/octet-stream")
    assert deliver(store, watcher, blob_created(store, container, "uploads/a")) == ["scores/a.json"]


@pytest.mark.parametrize("name", ["uploads/empty", "scores/a.json", "elsewhere/a.json", "uploads"])
def test_what_is_not_to_be_scored_leaves_nothing(store, container, watcher, name):
    store.put(container, name, b"" if name.endswith("empty") else _BODY)
    assert deliver(store, watcher, blob_created(store, container, name)) == []
    assert store.names(container) == [name]


def test_a_blob_that_is_gone_when_its_event_comes_is_nothing(store, container, watcher):
    store.put(container, "uploads/a", _BODY)
    event = blob_created(store, container, "uploads/a")
    store.ask("DELETE", f"/{container}/uploads/a")
    assert deliver(store, watcher, event) == []


def test_the_host_is_told_to_try_again_when_the_function_fails(tmp_path, store, container):
    folder = write_app(tmp_path / "function", "def preprocess(request):\n    raise ValueError('secret')\n")
    with start(folder, python=sys.executable, environment={"COLDPRESS_UPLOADS": container}) as function:
        store.put(container, "uploads/a", _BODY)
        with pytest.raises(EmulateError, match="score_upload failed"):
            deliver(store, function, blob_created(store, container, "uploads/a"))
        assert store.names(container) == ["uploads/a"]
