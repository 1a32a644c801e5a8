"""A container's function under the server that it carries: how it starts, what it sees, how it ends."""

import contextlib
import json
import os
import socket
import sys
import threading
from pathlib import Path

import pytest

from coldpress._resources import template_root
from coldpress.bundle.packages import install
from coldpress.bundle.server import server_wheels
from coldpress.cache import cache_dir
from coldpress.emulate.container import ServerFunction
from coldpress.emulate.function import start, target_of
from coldpress.emulate.http import HttpRequest
from coldpress.errors import EmulateError, ResolveError
from coldpress.interpreters import find_interpreter
from coldpress.render.container import COMMAND
from coldpress.targets import TARGETS
from tests.support.tiny import write_bundle

_MINOR = next((minor for minor in ("3.13", "3.12", "3.14") if find_interpreter(minor)), None)
pytestmark = pytest.mark.skipif(_MINOR is None, reason="no Python on this machine that functions run on")

_BODY = b'{"inputs":{"x":[[1.5,-2.0]]}}'
_HOOKS = """
import os, sys
def preprocess(request):
    return {"x": [[1, 2]]}
def postprocess(outputs):
    return {"variables": dict(os.environ), "path": sys.path, "modules": sorted(sys.modules), "here": os.getcwd()}
"""


@pytest.fixture
def bundle(tmp_path):
    """Lay out a container's function: what ``pack`` puts into ``function/``, with a tiny model."""

    def make(hooks=None, **changes):
        folder = tmp_path / "function"
        install(
            server_wheels(_MINOR, {"aarch64": "arm64"}.get(os.uname().machine, "x86_64"), cache_dir("wheels")), folder
        )
        write_bundle(folder, "fp32", hooks, **changes)
        for name in TARGETS["container"].files:
            (folder / name).write_bytes((template_root() / "container" / name).read_bytes())
        (folder / "coldpress_runtime").symlink_to(Path(sys.modules["coldpress_runtime"].__file__).parent)
        return folder

    return make


def post(function, body=_BODY, path="/predict"):
    return function.call(HttpRequest("POST", path, None, body)).reply


def test_it_answers_from_the_moment_that_its_port_is_open(bundle):
    with ServerFunction(bundle()) as function:
        assert function.minor == _MINOR
        assert function.init_ms > 0
        assert function.peak_mb > 10
        reply = post(function)
        assert (reply.status, json.loads(reply.body)) == (200, {"outputs": {"y": [[1.5, -2.0]]}})
        assert function.call(HttpRequest("GET", "/v2/health/ready")).reply.status == 200
        (line,) = [json.loads(line) for line in function.logs().splitlines() if line.startswith("{")]
        assert line["cold_start"] is True


def test_it_is_known_by_its_entry_point(bundle):
    folder = bundle()
    assert target_of(folder) == "container"
    with start(folder.parent) as function:  # as `pack` leaves it: the folder with function/ in it
        assert isinstance(function, ServerFunction)
        assert post(function).status == 200


def test_it_sees_the_images_variables_its_own_folder_and_no_other_package(bundle, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_TEST", "1")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    folder = bundle(_HOOKS)
    with ServerFunction(folder, environment={"LEVEL": "1.0"}) as function:
        seen = json.loads(post(function).body)
    assert seen["variables"]["LEVEL"] == "1.0"
    assert {"SECRET_OF_THE_TEST", "PYTHONPATH", "HOME"}.isdisjoint(seen["variables"])
    assert seen["here"] == str(folder)
    assert not [place for place in seen["path"] if place.endswith("site-packages")]


def test_the_server_parses_in_c_and_loads_neither_h11_nor_websockets(bundle):
    with ServerFunction(bundle(_HOOKS)) as function:
        modules = set(json.loads(post(function).body)["modules"])
    assert "httptools" in modules
    assert {"h11", "websockets", "wsproto", "uvloop"}.isdisjoint(modules)


def test_the_image_runs_what_is_run_here():
    assert COMMAND[0] == "python"
    assert COMMAND[COMMAND.index("-m") + 1 :][:2] == ("uvicorn", "server:app")


def test_callers_at_once_are_all_answered(bundle):
    with ServerFunction(bundle()) as function:
        statuses = []
        callers = [
            threading.Thread(target=lambda: statuses.extend(post(function).status for _ in range(20))) for _ in range(8)
        ]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
    assert statuses == [200] * 160


def test_what_is_no_http_is_refused_and_harms_nobody(bundle):
    with ServerFunction(bundle()) as function:
        for junk in (
            b"\x16\x03\x01\x02\x00\x01",
            b"GET\r\n\r\n",
            b"POST /predict HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        ):
            with socket.create_connection(("127.0.0.1", function.port)) as caller:
                caller.sendall(junk)
                assert caller.recv(65536).startswith(b"HTTP/1.1 400")
        assert post(function).status == 200


def received(caller):
    """What the caller is sent until the connection ends."""
    answer = b""
    with contextlib.suppress(ConnectionResetError):  # where it is cut off in the middle of what it sends
        while piece := caller.recv(65536):
            answer += piece
    return answer


_OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAA\r\n"
_SIZED = b"POST /predict HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n" % (_OFFER, len(_BODY))
_CHUNKED = b"POST /predict HTTP/1.1\r\nHost: x\r\n%sTransfer-Encoding: chunked\r\n\r\n" % _OFFER
_CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (len(_BODY), _BODY)
_LAST = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    "pieces",
    [
        [_SIZED + _BODY, _LAST],
        [_SIZED, _BODY + _LAST],
        [_SIZED[:40], _SIZED[40:90], _SIZED[90:] + _BODY[:9], _BODY[9:], _LAST],
        [_CHUNKED + _CHUNKS, _LAST],
        [_CHUNKED, _CHUNKS, _LAST],
        [_SIZED + _BODY + _CHUNKED + _CHUNKS + _LAST],
    ],
    ids=["at once", "body later", "in pieces", "chunked", "chunks later", "several at once"],
)
def test_an_offer_to_change_the_protocol_costs_no_body(bundle, pieces):
    """Java's HTTP clients make it with every request to a plain port."""
    with ServerFunction(bundle()) as function, socket.create_connection(("127.0.0.1", function.port)) as caller:
        caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            caller.sendall(piece)
        answers = received(caller)
        assert answers.count(b"HTTP/1.1 200 ") == answers.count(b"HTTP/1.1 ") > 1
        assert answers.count(b'{"outputs":{"y":[[1.5,-2.0]]}}') == b"".join(pieces).count(_BODY)
        assert answers.endswith(b'{"live":true}')


def test_an_answer_is_sent_whole_and_one_without_a_body_too(bundle):
    with ServerFunction(bundle()) as function, socket.create_connection(("127.0.0.1", function.port)) as caller:
        for _ in range(20):
            caller.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(_BODY), _BODY))
            assert caller.recv(65536).endswith(b'\r\n\r\n{"outputs":{"y":[[1.5,-2.0]]}}')
        caller.sendall(b"HEAD /v2 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert caller.recv(65536).endswith(b"\r\n\r\n")
        caller.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 29\r\n\r\n")
        assert caller.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        caller.sendall(_BODY)
        assert caller.recv(65536).startswith(b"HTTP/1.1 200 OK")


def test_there_is_nothing_to_connect_to(bundle):
    with ServerFunction(bundle()) as function, socket.create_connection(("127.0.0.1", function.port)) as caller:
        caller.sendall(b"CONNECT elsewhere:443 HTTP/1.1\r\nHost: elsewhere\r\n\r\n")
        assert received(caller).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(
    "start",
    [
        b"GET /v2 HTTP/1.1\r\nX: ",
        b"GET /",
        b"POST /predict HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;",
        b"POST /predict HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ",
    ],
    ids=["header", "path", "extension of a chunk", "trailer"],
)
def test_what_does_not_end_is_cut_off_before_it_fills_the_memory(bundle, start):
    with ServerFunction(bundle()) as function:
        with socket.create_connection(("127.0.0.1", function.port)) as caller, contextlib.suppress(OSError):
            caller.sendall(start)
            for _ in range(1000):
                caller.sendall(b"a" * 65536)
            pytest.fail("64 MB were taken")
        assert function.peak_mb < 100
        assert post(function).status == 200


def test_a_bundle_that_cannot_work_says_why_it_does_not_start(bundle):
    folder = bundle()
    (folder / "coldpress.json").write_text("{}")
    with pytest.raises(EmulateError, match=r"coldpress\.json"):
        ServerFunction(folder)


def test_a_bundle_without_its_server_says_so(bundle):
    folder = bundle()
    (folder / "uvicorn").rename(folder / "elsewhere")
    with pytest.raises(EmulateError, match="No module named uvicorn"):
        ServerFunction(folder)


def test_it_knows_no_events(bundle):
    with ServerFunction(bundle()) as function, pytest.raises(EmulateError, match="leave --event out"):
        function.call(HttpRequest("GET", "/v2"), "alb")


@pytest.mark.parametrize(("python", "architecture"), [("3.10", "x86_64"), ("3.13", "riscv64")])
def test_a_target_that_the_server_is_not_pinned_for_is_refused(python, architecture, tmp_path):
    with pytest.raises(ResolveError, match=f"python is {python} on {architecture}"):
        server_wheels(python, architecture, tmp_path)
