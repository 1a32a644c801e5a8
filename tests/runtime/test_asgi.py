"""The ASGI application under uvicorn, inside FastAPI, under Mangum, and called as ASGI's specification says."""

import asyncio
import contextlib
import gzip
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
import uvicorn

import coldpress_runtime
from coldpress_runtime.asgi import make_app
from coldpress_runtime.asgi_messages import Bodies, decode
from coldpress_runtime.errors import BusyError, ColdpressError, LateError, ManifestError
from coldpress_runtime.http import Request, Response
from coldpress_runtime.offload import Offload
from coldpress_runtime.refusals import refusal
from tests.support.http import ask
from tests.support.tiny import open_service, write_bundle

_BODY = b'{"inputs":{"x":[[1.5,-2.0]]}}'
_ANSWER = {"outputs": {"y": [[1.5, -2.0]]}}
_LIMITS = {"limits": {"request_bytes": 1000, "response_bytes": 6291456}}
_EVENTS = Path(__file__).parent.parent / "events" / "aws"
_INFER = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}).encode()


@contextlib.contextmanager
def served(app, **options):
    """The port of a uvicorn that serves ``app``."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", ws="none", **options))
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def call(port, method, path, body=None, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return Response(response.status, dict(response.getheaders()), response.read())
    finally:
        connection.close()


def converse(app, scope, *messages):
    """Call the application itself with these messages to receive; return what it sent."""
    sent, waiting = [], list(messages)

    async def receive():
        return waiting.pop(0)

    async def send(message):
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    assert not waiting
    return sent


def http_scope(**changes):
    scope = {"type": "http", "method": "POST", "path": "/predict", "raw_path": b"/predict", "headers": []}
    return scope | {"query_string": b""} | changes


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return str(write_bundle(tmp_path_factory.mktemp("bundle") / "b", "fp32", **_LIMITS))


@pytest.fixture(scope="module")
def app(bundle):
    return make_app(bundle)


@pytest.fixture(scope="module", params=["h11", "httptools"])
def port(app, request):
    with served(app, http=request.param) as port:
        yield port


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/predict", _BODY),
        ("POST", "/predict?a=1&a=2", _BODY),
        ("POST", "/predict", b"{"),
        ("POST", "/predict", b""),
        ("POST", "/predict", b" " * 1001),
        ("POST", "/predict", b"\xff"),
        ("POST", "/v2/models/tiny/infer", _INFER),
        ("POST", "/v2/models/other/infer", _INFER),
        ("GET", "/v2", None),
        ("GET", "/v2/health/live", None),
        ("GET", "/v2/health/ready", None),
        ("GET", "/v2/models/tiny", None),
        ("GET", "/v2/models/%74iny/", None),
        ("GET", "/openapi.json", None),
        ("GET", "/predict", None),
        ("GET", "/nope%2F%C3%BC?x", None),
        ("PUT", "/predict", b"x"),
        ("OPTIONS", "/predict", None),
    ],
)
def test_every_answer_is_the_services_own(port, tmp_path, method, path, body):
    service = open_service(tmp_path, "fp32", **_LIMITS)
    expected = ask(service, method, path.partition("?")[0], body or b"", content_type="application/json")
    found = call(port, method, path, body, {"Content-Type": "application/json"})
    assert (found.status, found.body) == (expected.status, expected.body)
    assert {name: found.headers[name.lower()] for name in expected.headers} == expected.headers
    assert found.headers.get("content-length") == (str(len(expected.body)) if expected.status != 204 else None)


def test_one_connection_takes_many_requests(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for _ in range(5):
        connection.request("POST", "/predict", _BODY, {"Content-Type": "application/json"})
        assert json.loads(connection.getresponse().read()) == _ANSWER
    connection.close()


def test_head_has_headers_and_no_body(port):
    found = call(port, "HEAD", "/v2")
    assert (found.status, found.body, found.headers["content-type"]) == (200, b"", "application/json")


def test_a_body_in_pieces_is_put_together(port):
    found = call(port, "POST", "/predict", iter([_BODY[:7], _BODY[7:]]), {"Content-Type": "application/json"})
    assert json.loads(found.body) == _ANSWER


def test_a_body_that_is_announced_as_too_large_is_refused_before_it_is_sent(port):
    with socket.create_connection(("127.0.0.1", port)) as caller:
        caller.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999\r\n\r\n")
        answer = caller.recv(65536)
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_body_without_a_length_is_read_to_the_limit_and_no_further(app):
    pieces = [{"type": "http.request", "body": b" " * 600, "more_body": True} for _ in range(2)]
    start, body = converse(app, http_scope(), *pieces)  # asks for no third one
    assert start["status"] == 413
    assert b"1200 bytes" in body["body"]


@pytest.mark.parametrize("length", [b"9" * 5000, b"-1", b"x", "²".encode("latin-1")])
def test_an_absurd_length_is_no_reason_to_fail(app, length):
    messages = [] if length.startswith(b"9") else [{"type": "http.request", "body": _BODY}]
    start, _ = converse(app, http_scope(headers=[(b"content-length", length)]), *messages)
    assert start["status"] == (413 if length.startswith(b"9") else 200)


def test_values_of_a_repeated_header_are_joined():
    pairs = [(b"a", b"1"), (b"b", b"x"), (b"a", b"2")]
    assert decode(http_scope(headers=pairs)).headers == {"a": "1,2", "b": "x"}


@pytest.mark.parametrize(
    ("scope", "path"),
    [
        ({"path": "/a b", "raw_path": b"/a%20b"}, "/a%20b"),
        ({"path": "/a b", "raw_path": None}, "/a b"),
        ({"path": "/x/predict", "raw_path": b"/x/predict", "root_path": "/x"}, "/predict"),
        ({"path": "/x/predict", "raw_path": b"/x/predict", "root_path": "/x/"}, "/predict"),
        ({"path": "/x", "raw_path": b"/x", "root_path": "/x"}, "/"),
        ({"path": "/predict", "raw_path": b"/predict", "root_path": "/x"}, "/predict"),
        ({"path": "/xy/predict", "raw_path": b"/xy/predict", "root_path": "/x"}, "/xy/predict"),
        ({"path": "/ü/predict", "raw_path": b"/%C3%BC/predict", "root_path": "/ü"}, "/predict"),
        ({"path": "/predict/predict", "raw_path": b"/predict/predict", "root_path": "/predict"}, "/predict"),
    ],
)
def test_the_path_is_as_sent_and_without_the_mount_point(scope, path):
    assert decode(http_scope(**scope)).path == path


def test_a_caller_that_goes_while_it_sends_gets_nothing(app):
    first = {"type": "http.request", "body": b"{", "more_body": True}
    assert converse(app, http_scope(), first, {"type": "http.disconnect"}) == []


def test_a_caller_that_has_gone_when_the_answer_is_there_harms_nobody(app):
    async def receive():
        return {"type": "http.request", "body": _BODY}

    async def send(_message):
        raise BrokenPipeError

    asyncio.run(app(http_scope(), receive, send))


def _piece(size, *, more=True):
    return {"type": "http.request", "body": b" " * size, "more_body": more}


def _read(bodies, *messages):
    """Read a body that comes in these messages, and no more ever."""
    waiting = list(messages)

    async def receive():
        return waiting.pop(0) if waiting else await asyncio.Future()

    return asyncio.run(bodies.read(receive, ""))


def test_a_body_that_does_not_arrive_is_given_up_and_its_room_given_back():
    bodies = Bodies(limit=100, room=100, patience_s=0.01)
    for _ in range(3):
        with pytest.raises(LateError, match="not all here within"):
            _read(bodies, _piece(60))
    assert len(_read(bodies, _piece(100, more=False))) == 100


def test_a_body_that_comes_slowly_but_in_time_is_read():
    async def receive():
        await asyncio.sleep(0.01)
        return pieces.pop(0)

    pieces = [_piece(10), _piece(20), _piece(30, more=False)]
    assert len(asyncio.run(Bodies(limit=100, room=100).read(receive, ""))) == 60


def test_who_waits_for_a_body_can_be_stopped():
    bodies, ended = Bodies(limit=100, room=100), []

    async def receive():
        try:
            await asyncio.Future()
        finally:
            await asyncio.sleep(0.001)  # as a middleware that has to clear away
            ended.append(True)

    async def stop():
        reading = asyncio.create_task(bodies.read(receive, ""))
        await asyncio.sleep(0.01)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading

    asyncio.run(stop())
    assert ended == [True]


def test_what_breaks_while_a_body_is_waited_for_is_not_hidden():
    async def receive():
        await asyncio.sleep(0.001)
        raise OSError("reset")

    with pytest.raises(OSError, match="reset"):
        asyncio.run(Bodies(limit=100, room=100).read(receive, ""))


def test_a_caller_whose_body_is_late_is_told_so_and_is_hung_up_on():
    response = refusal(LateError("late"))
    assert (response.status, response.headers["Connection"]) == (408, "close")


def test_bodies_find_no_room_while_others_fill_it():
    bodies = Bodies(limit=100, room=150)
    first = _read(bodies, _piece(100, more=False))
    with pytest.raises(BusyError, match="no room for another body"):
        _read(bodies, _piece(30), _piece(30))
    second = _read(bodies, _piece(50, more=False))
    bodies.free(first)
    bodies.free(second)
    assert _read(bodies, _piece(50), {"type": "http.disconnect"}) is None
    assert len(_read(bodies, _piece(60), _piece(60))) == 120  # over the limit: only its length is kept
    assert len(_read(bodies, _piece(100, more=False))) == 100


def test_the_room_of_a_body_is_free_again_when_it_is_answered(bundle):
    app = make_app(bundle)
    compressed = gzip.compress(_BODY)
    for _ in range(3000):  # together more than a quarter of the memory
        start, _ = converse(app, http_scope(), {"type": "http.request", "body": b" " * 999 + b"x"})
        assert start["status"] == 400
    start, _ = converse(
        app, http_scope(headers=[(b"content-encoding", b"gzip")]), {"type": "http.request", "body": compressed}
    )
    assert start["status"] == 200


def test_the_servers_life_is_followed_and_may_begin_again(app):
    for _ in range(2):
        sent = converse(app, {"type": "lifespan"}, {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
        assert [each["type"] for each in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
        start, _ = converse(app, http_scope(), {"type": "http.request", "body": _BODY})
        assert start["status"] == 200


def test_a_websocket_is_refused(app):
    (sent,) = converse(app, {"type": "websocket", "path": "/predict", "headers": []}, {"type": "websocket.connect"})
    assert sent["type"] == "websocket.close"


def test_an_unknown_scope_is_an_error(app):
    with pytest.raises(ValueError, match="expected http or lifespan"):
        converse(app, {"type": "telepathy"})


@pytest.mark.parametrize("start", [b"", b"GET /v2", b"GET /v2 HTTP/1.1\r\n\r\nGET /"], ids=["new", "first", "second"])
def test_a_connection_on_which_no_request_comes_is_closed(app, start):
    with (
        served(app, http="coldpress_runtime.http_protocol:Protocol", timeout_keep_alive=0.2) as port,
        socket.create_connection(("127.0.0.1", port), 30) as caller,
    ):
        caller.sendall(start)
        while caller.recv(65536):
            pass


def test_fastapi_mounts_it(app):
    from fastapi import FastAPI

    api = FastAPI()
    api.get("/own")(lambda: {"own": True})
    api.mount("/models/tiny", app)
    with served(api) as port:
        assert json.loads(call(port, "POST", "/models/tiny/predict", _BODY).body) == _ANSWER
        assert call(port, "GET", "/models/tiny/v2/health/ready").status == 200
        assert call(port, "GET", "/models/tiny/nope").status == 404
        assert json.loads(call(port, "GET", "/own").body) == {"own": True}


def test_a_server_that_stands_behind_a_path_takes_it_away(app):
    with served(app, root_path="/behind") as port:
        assert json.loads(call(port, "POST", "/predict", _BODY).body) == _ANSWER


def test_mangum_takes_it_to_lambda(app):
    from mangum import Mangum

    with contextlib.closing(asyncio.new_event_loop()) as loop:
        asyncio.set_event_loop(loop)
        handler = Mangum(app, lifespan="auto")
        for name in ("http_api", "http_api", "rest_api"):
            event = json.loads((_EVENTS / f"{name}.json").read_text())
            reply = handler(event, SimpleNamespace(aws_request_id="1"))
            assert (reply["statusCode"], json.loads(reply["body"])) == (200, _ANSWER)
        asyncio.set_event_loop(None)


_WAITING = """
import os
def preprocess(request):
    with open(os.environ["GATE"], "rb") as gate:  # until somebody writes there
        gate.read()
    return {"x": [[1.5, -2.0]]}
"""


def test_health_is_answered_and_too_many_are_told_so_while_an_answer_takes_its_time(tmp_path, monkeypatch):
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    monkeypatch.setenv("GATE", str(gate))
    monkeypatch.setenv("COLDPRESS_CONCURRENCY", "1")
    app = make_app(str(write_bundle(tmp_path / "b", "fp32", _WAITING)))
    with served(app) as port:
        slow = []
        caller = threading.Thread(target=lambda: slow.append(call(port, "POST", "/predict", _BODY)))
        caller.start()
        with gate.open("wb"):  # opens when the hook reads, so from here on one request is being answered
            assert call(port, "GET", "/v2/health/live").status == 200
            busy = call(port, "POST", "/predict", _BODY)
            assert (busy.status, busy.headers["retry-after"]) == (429, "1")
            assert not slow
        caller.join()
        assert json.loads(slow[0].body) == _ANSWER


@pytest.mark.parametrize("value", ["", "0", "-1", "many"])
def test_a_concurrency_that_is_none_is_refused(bundle, monkeypatch, value):
    monkeypatch.setenv("COLDPRESS_CONCURRENCY", value)
    with pytest.raises(ColdpressError, match="COLDPRESS_CONCURRENCY"):
        make_app(bundle)


def test_a_bundle_that_cannot_work_fails_before_the_port_opens(tmp_path):
    with pytest.raises(ManifestError):
        make_app(str(tmp_path))


def test_hooks_cannot_break_the_framing_of_an_answer(tmp_path):
    hooks = """
from coldpress_runtime.http import Response
def postprocess(outputs):
    headers = {"Content-Length": "5", "Transfer-Encoding": "chunked", "X-Name": "Zoë \u2603"}
    headers["content-type"] = "text/plain"
    return Response(201, headers, "grün".encode())
"""
    with served(make_app(str(write_bundle(tmp_path / "b", "fp32", hooks)))) as port:
        found = call(port, "POST", "/predict", _BODY)
    assert (found.status, found.body.decode(), found.headers["x-name"]) == (201, "grün", "Zoë ?")
    assert found.headers["content-type"] == "text/plain"


def _logged(bundle, capfd, *paths):
    with served(make_app(bundle)) as port:
        for path in ("/v2/health/ready", *paths):
            call(port, "POST" if path == "/predict" else "GET", path, _BODY, {"X-Request-Id": "abc"})
    return [json.loads(line) for line in capfd.readouterr().out.splitlines() if line.startswith("{")]


def test_the_first_answer_and_those_that_went_wrong_are_logged_with_the_callers_id(bundle, capfd):
    first, wrong = _logged(bundle, capfd, "/predict", "/predict", "/nope", "/predict")
    assert (first["request_id"], first["path"], first["status"], first["cold_start"]) == ("abc", "/predict", 200, True)
    assert "import_ms" in first["init"]
    assert (wrong["path"], wrong["status"], wrong["cold_start"]) == ("/nope", 404, False)


def test_every_answer_is_logged_where_that_is_asked_for(bundle, capfd, monkeypatch):
    monkeypatch.setenv("COLDPRESS_LOG_ANSWERS", "1")
    assert len(_logged(bundle, capfd, "/predict", "/predict", "/nope")) == 4


class _Service:
    """Says on which thread it answers, and computes for as long as a request's query says, in milliseconds."""

    manifest = SimpleNamespace(hooks=None, fallback=None)
    timings = {"warmup_ms": 0.1}  # noqa: RUF012 - nobody changes it

    def answer(self, request):
        from time import thread_time

        until = thread_time() + float(request.query or 0) / 1e3
        while thread_time() < until:
            pass
        response = Response(200, {}, threading.current_thread().name.encode())
        response.timings.run_ms = float(request.query or 0)
        return response


def _threads(*requests):
    """Where each answer was made: on the ``loop`` or on a ``thread``."""
    offload = Offload(_Service())

    async def run():
        return [
            (await offload.answer(Request("POST", "/", {"content-encoding": "gzip"} if packed else {}, body, ms))).body
            for body, ms, *packed in requests
        ]

    return ["thread" if name.startswith(b"answer") else "loop" for name in asyncio.run(run())]


_QUICK, _SLOW, _LARGE = (b"", ""), (b"", "5"), (b" " * 65536, "")


def test_quick_answers_are_made_on_the_event_loop_and_large_bodies_read_on_a_thread():
    assert _threads(_QUICK, _LARGE, _QUICK) == ["loop", "thread", "loop"]


def test_a_compressed_body_is_read_on_a_thread_however_small_it_is():
    assert _threads(_QUICK, (b"", "", True), _QUICK) == ["loop", "thread", "loop"]
    assert _threads(_QUICK, (b"", "5", True), (b"", "5", True), _QUICK) == ["loop", "thread", "thread", "loop"]


def test_a_model_that_is_slow_twice_moves_to_a_thread():
    assert _threads(_QUICK, _SLOW, _QUICK, _SLOW, _SLOW, _SLOW) == ["loop"] * 5 + ["thread"]


def test_a_model_that_has_become_quick_comes_back_to_the_event_loop():
    *_, last = _threads(_SLOW, _SLOW, *[_QUICK] * 40)
    assert last == "loop"


def test_starting_loads_the_standard_library_alone_and_no_event_loop():
    script = "import sys; sys.path[:0] = [sys.argv[1]]; import coldpress_runtime.asgi; print(*sys.modules)"
    root = Path(coldpress_runtime.__file__).parents[1]
    done = subprocess.run([sys.executable, "-I", "-S", "-c", script, root], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert loaded <= {*sys.stdlib_module_names, "coldpress_runtime", "__main__"}
    assert not {"asyncio", "concurrent", "logging", "threading", "typing"} & loaded
