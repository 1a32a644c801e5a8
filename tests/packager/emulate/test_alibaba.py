"""A function under the contract of Function Compute's runtime: what it sees, what it says, how it ends."""

import base64
import json
import re
import sys
import time
from pathlib import Path

import pytest

from coldpress.emulate.alibaba import ComputeFunction
from coldpress.emulate.alibaba_events import make_event, oss_event, read_reply
from coldpress.emulate.function import start, target_of
from coldpress.emulate.http import HttpRequest
from coldpress.errors import EmulateError
from tests.support.tiny import write_bundle

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc")

ECHO = "import json\ndef handler(event, context):\n    return json.loads(event)\n"
_RECORDED = Path(__file__).resolve().parents[2] / "events" / "alibaba"


@pytest.fixture
def function(tmp_path):
    """Write index.py into a folder and start it, with the interpreter of these tests."""
    started = []

    def run(source, **options):
        folder = tmp_path / f"task{len(started)}"
        folder.mkdir()
        (folder / "index.py").write_text(source)
        started.append(ComputeFunction(folder, **{"python": sys.executable} | options))
        return started[-1]

    yield run
    for each in started:
        each.close()


def _seen(started):
    return json.loads(started.invoke(b"{}").payload)


def test_an_event_is_bytes_and_what_the_handler_returns_is_json_or_as_it_is(function):
    assert json.loads(function(ECHO).invoke('{"a": ["ü", null, 1.5]}'.encode()).payload) == {"a": ["ü", None, 1.5]}
    kind = function("def handler(event, context):\n    return type(event).__name__\n")
    assert kind.invoke(b"").payload == b"bytes"
    assert function("def handler(event, context):\n    return event[::-1]\n").invoke(b"\xff\x00").payload == b"\x00\xff"
    assert kind.init_ms > 0
    assert kind.peak_mb > 1


def test_the_module_is_loaded_once_and_the_initializer_called_once(function):
    source = (
        "count = {'load': 1}\n"
        "def initializer(context):\n    count['init'] = count.get('init', 0) + 1\n"
        "def handler(event, context):\n    count['call'] = count.get('call', 0) + 1\n    return count\n"
    )
    started = function(source, initializer="index.initializer")
    assert [_seen(started) for _ in range(2)][-1] == {"load": 1, "init": 1, "call": 2}


def test_the_function_sees_the_platforms_variables_and_nothing_of_this_process(function, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_TEST", "1")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    source = "import os\ndef handler(e, c):\n    return dict(os.environ)\n"
    seen = _seen(function(source, memory_mb=640, environment={"MINE": "yes"}))
    assert (seen["FC_FUNCTION_MEMORY_SIZE"], seen["FC_FUNCTION_HANDLER"], seen["MINE"]) == (
        "640",
        "index.handler",
        "yes",
    )
    assert {"SECRET_OF_THE_TEST", "PYTHONPATH", "HOME"}.isdisjoint(seen)
    assert not [name for name in seen if name.startswith("ALIBABA_CLOUD_")]  # a function without a role has none


def test_the_function_sees_its_own_folder_and_the_standard_library_only(function):
    source = (
        "import importlib.util as u, os, sys\n"
        "def handler(e, c):\n"
        "    ours = ('coldpress', 'coldpress_runtime', 'numpy', 'onnxruntime', 'pip')\n"
        "    return [sys.path, os.getcwd(), [name for name in ours if u.find_spec(name)]]\n"
    )
    started = function(source)
    path, folder, found = _seen(started)
    assert path[0] == folder == str(started.root)
    assert not [entry for entry in path if "site-packages" in entry]
    assert found == []
    assert not list(started.root.rglob("*.pyc"))


def test_the_context_has_the_documented_fields_of_python_3_12(function):
    source = (
        "def handler(e, c):\n"
        "    c.getLogger().warning('said %s', 'so')\n"
        "    f = c.function\n"
        "    return [c.request_id, c.region, c.account_id, f.name, f.handler, f.memory, f.timeout, f.version_id,\n"
        "            f.qualifier, hasattr(c, 'credentials'), hasattr(c, 'service')]\n"
    )
    started = function(source, timeout_s=9)
    done = started.invoke(b"", "1-xmpl")
    assert json.loads(done.payload) == [
        "1-xmpl", "cn-shanghai", "123456789012345", "function", "index.handler", 1024, 9, "LATEST", "LATEST",
        False, False,
    ]  # fmt: skip
    assert "said so" in started.logs()


def test_a_handler_that_raises_is_reported_as_the_platform_does_and_answers_the_next_event(function):
    started = function("import json\ndef handler(e, c):\n    return 1 / json.loads(e)['x']\n")
    error = started.invoke(b'{"x": 0}').error
    assert (error["errorType"], error["errorMessage"]) == ("ZeroDivisionError", "division by zero")
    assert error["stackTrace"][-1][2] == "in handler"
    assert started.invoke(b'{"x": 2}').payload == b"0.5"
    with pytest.raises(EmulateError, match="handler raised KeyError"):
        started.call(HttpRequest("GET", "/"))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import no_such_module\n", "No module named 'no_such_module'"),
        ("raise RuntimeError('the model is missing')\n", "RuntimeError: the model is missing"),
        ("def other(e, c): pass\n", "has no attribute 'handler'"),
        ("import os\nos._exit(7)\n", "exit status 7"),
        ("import os, signal\nprint('bye', flush=True)\nos.kill(os.getpid(), signal.SIGSEGV)\n", "SIGSEGV.*bye"),
    ],
)
def test_a_function_that_fails_to_start_says_why(function, source, message):
    with pytest.raises(EmulateError, match=f"failed while starting: .*{message}"):
        function(source)


def test_an_initializer_that_fails_fails_the_start(function):
    source = "def initializer(c):\n    raise OSError('no network')\ndef handler(e, c):\n    pass\n"
    with pytest.raises(EmulateError, match="OSError: no network"):
        function(source, initializer="index.initializer")


def test_a_start_that_takes_too_long_is_ended(function):
    with pytest.raises(EmulateError, match="not ready after 1 s"):
        function("import time\ntime.sleep(60)\n", init_timeout_s=1)


def test_an_answer_that_takes_too_long_ends_the_process(function):
    started = function("import time\ndef handler(e, c):\n    time.sleep(60)\n", timeout_s=0.3)
    with pytest.raises(EmulateError, match=r"time limit of 0\.3 s"):
        started.invoke(b"")
    with pytest.raises(EmulateError, match="closed"):
        started.invoke(b"")


def test_a_process_that_dies_in_an_invocation_is_an_error_with_its_last_words(function):
    started = function("import os\ndef handler(e, c):\n    print('bang', flush=True)\n    os._exit(3)\n")
    with pytest.raises(EmulateError, match=r"exit status 3.*bang"):
        started.invoke(b"")


@pytest.mark.parametrize("said", ["100, b'half of it'", "0xffffffff, b''"], ids=["some of it", "none of it"])
def test_an_answer_that_was_cut_short_is_none(function, said):
    source = f"""
import os, sys
def handler(event, context):
    def send(size, content):
        os.write(int(sys.argv[2]), size.to_bytes(4, "big") + content)
    send(2, b"{{}}")
    send({said})
    os._exit(3)
"""
    with pytest.raises(EmulateError, match="exit status 3"):
        function(source).invoke(b"")


def test_large_events_and_answers_pass_whole(function):
    started = function("def handler(e, c):\n    return e + e\n")
    assert started.invoke(bytes(20_000_000)).payload == bytes(40_000_000)


POST = HttpRequest("POST", "/predict?a=1&b=x%20y&a=2&c=", {"X-One": "1"}, b'{"inputs": {}}')


def test_an_http_event_is_shaped_like_the_recorded_one():
    event, recorded = json.loads(make_event("http", POST, "1-x")), json.loads((_RECORDED / "http.json").read_text())

    def shape(value):
        return {name: shape(item) for name, item in value.items()} if isinstance(value, dict) else type(value)

    assert shape(event | {"headers": 0, "queryParameters": 0}) == shape(recorded | {"headers": 0, "queryParameters": 0})
    assert event["headers"].items() >= {"X-One": "1", "Content-Type": "application/json"}.items()
    assert not [name for name in event["headers"] if not re.fullmatch(r"[A-Z0-9][a-z0-9]*(-[A-Z0-9][a-z0-9]*)*", name)]
    assert event["queryParameters"] == {"a": "1,2", "b": "x y", "c": ""}
    assert event["requestContext"]["http"]["method"] == "POST"
    assert (event["body"], event["isBase64Encoded"]) == ('{"inputs": {}}', False)


@pytest.mark.parametrize(
    ("path", "raw", "plain"),
    [
        ("/v2/models/ä b", "/v2/models/%C3%A4%20b", "/v2/models/ä b"),
        ("/a%2Fb?c=%2F", "/a%2Fb", "/a/b"),
        ("/", "/", "/"),
    ],
)
def test_the_raw_path_keeps_its_escapes_and_the_contexts_path_has_none(path, raw, plain):
    event = json.loads(make_event("http", HttpRequest("GET", path), "1-x"))
    assert (event["rawPath"], event["requestContext"]["http"]["path"]) == (raw, plain)
    assert (event["body"], event["isBase64Encoded"]) == ("", False)


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"content-type": "application/octet-stream"}, b"\x00\xff"),
        ({"content-encoding": "gzip"}, b"x"),
        (None, b"\xff"),
    ],
)
def test_bytes_that_are_not_text_travel_in_base64(headers, body):
    event = json.loads(make_event("http", HttpRequest("POST", "/x", headers, body), "1-x"))
    assert (event["isBase64Encoded"], event["body"]) == (True, base64.b64encode(body).decode())


def test_an_oss_event_is_shaped_like_the_recorded_one():
    event = json.loads(oss_event("bucket", [("uploads/ä", 3, "E")]))["events"][0]
    recorded = json.loads((_RECORDED / "oss_put.json").read_text())["events"][0]
    assert event.keys() == recorded.keys()
    assert event["oss"].keys() == recorded["oss"].keys()
    assert event["oss"]["object"] == {"deltaSize": 3, "eTag": "E", "key": "uploads/ä", "size": 3}


def test_an_unknown_door_is_named():
    with pytest.raises(EmulateError, match="has no event 'alb'; expected one of http, direct"):
        make_event("alb", POST, "1-x")


def test_replies_are_read_and_what_has_no_status_is_the_body_of_a_200():
    document = {"statusCode": 201, "headers": {"X-One": "1"}, "body": "AP8=", "isBase64Encoded": True}
    reply = read_reply("http", json.dumps(document).encode())
    assert (reply.status, reply.headers, reply.body) == (201, {"x-one": "1"}, b"\x00\xff")
    for payload in (b'{"y": 1}', b"[1]", b"not json"):
        assert read_reply("http", payload).body == payload
    assert read_reply("direct", json.dumps(document).encode()).status == 200


@pytest.mark.parametrize(
    "change",
    [{"statusCode": "200"}, {"statusCode": 99}, {"body": 7}, {"body": {"a": 1}}, {"headers": {"a": 1}}, {"headers": []},
     {"headers": "x"}, {"body": "!", "isBase64Encoded": True}],
)  # fmt: skip
def test_a_malformed_reply_is_an_error(change):
    payload = json.dumps({"statusCode": 200, "headers": {"a": "b"}, "body": ""} | change).encode()
    if change == {"headers": []}:
        assert read_reply("http", payload).headers == {}  # none, as null is
        return
    with pytest.raises(EmulateError, match="not a reply that an HTTP trigger takes"):
        read_reply("http", payload)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A bundle for Function Compute, as pack lays it out."""
    root = write_bundle(tmp_path_factory.mktemp("tiny") / "function", "fp32")
    repository = Path(__file__).resolve().parents[3]
    (root / "coldpress_runtime").symlink_to(repository / "handlers" / "coldpress_runtime")
    (root / "index.py").write_text((repository / "templates" / "alibaba" / "index.py").read_text())
    return root


def test_a_build_is_known_by_its_entry_and_answers_like_any_other(tiny):
    assert target_of(tiny) == "alibaba"
    with start(tiny, python=sys.executable) as running:
        call = running.call(HttpRequest("POST", "/predict", None, b'{"inputs": {"x": [[1.5, -2.0]]}}'))
        assert (call.reply.status, json.loads(call.reply.body)) == (200, {"outputs": {"y": [[1.5, -2.0]]}})
        assert call.reply.headers["content-type"] == "application/json"
        assert running.call(HttpRequest("POST", "/predict", None, b"{")).reply.status == 400
        direct = running.call(HttpRequest("POST", "/", None, b'{"inputs": {"x": [[1, 2]]}}'), "direct")
        assert json.loads(direct.reply.body) == {"outputs": {"y": [[1.0, 2.0]]}}
        with pytest.raises(EmulateError, match="RequestError"):
            running.call(HttpRequest("POST", "/", None, b"{"), "direct")
        assert json.loads(running.logs().splitlines()[0])["cold_start"] is True


def test_closing_ends_what_the_function_started_too(function):
    source = "import subprocess\nchild = subprocess.Popen(['sleep', '60'])\ndef handler(e, c):\n    return child.pid\n"
    started = function(source)
    child = int(started.invoke(b"").payload)
    started.close()
    deadline = time.monotonic() + 5
    while _alive(child) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _alive(child)


def _alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
