"""A function behind an HTTP server of its own: ready, asked from several threads, late, broken, gone."""

import sys
import threading
import zipfile

import pytest

from coldpress.emulate.function import start, target_of
from coldpress.emulate.http import HttpRequest
from coldpress.emulate.process import CLEAN
from coldpress.emulate.server import ServerProcess, free_port
from coldpress.errors import EmulateError
from coldpress.targets import ENTRIES

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="providers run functions on Linux")

SERVER = """
import os, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        if self.path == "/die":
            print("good bye", flush=True)
            os._exit(3)
        if self.path == "/late":
            time.sleep(60)
        body = self.rfile.read(int(self.headers.get("content-length") or 0)) or repr(sorted(os.environ)).encode()
        self.send_response(404 if self.path == "/none" else 200)
        self.send_header("X-Many", "a")
        self.send_header("X-Many", "b")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_POST = do_GET
    def log_message(self, *args):
        print(*args, flush=True)

ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


class Plain(ServerProcess):
    """The simplest provider: it runs server.py with a port."""

    def _begin(self, environment):
        port = free_port()
        return self._serve([self.python, "-I", "-S", "-B", self.root / "server.py", port], CLEAN | environment, port)


@pytest.fixture
def plain(tmp_path):
    """Start a server's source; it is closed at the end."""
    started = []

    def begin(source=SERVER, **options):
        (tmp_path / "server.py").write_text(source)
        started.append(Plain(tmp_path, python=sys.executable, **options))
        return started[-1]

    yield begin
    for each in started:
        each.close()


def test_a_free_port_is_not_one_that_the_system_gives_to_others():
    lowest = 32_768  # of Linux's own, unless told otherwise; other systems begin above it
    assert all(free_port() < lowest for _ in range(100))


def test_a_request_goes_out_as_it_is_and_the_reply_comes_back_whole(plain):
    function = plain()
    call = function.call(HttpRequest("POST", "/none", body=b"\x00\xff"))
    assert (call.reply.status, call.reply.body) == (404, b"\x00\xff")
    assert call.reply.headers["x-many"] == "a, b"
    assert call.ms > 0
    assert function.init_ms > 0
    assert function.peak_mb > 1


def test_the_process_sees_the_clean_variables_and_those_that_were_asked_for(plain, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_TEST", "1")
    seen = plain(environment={"MINE": "1"}).call(HttpRequest()).reply.body.decode()
    assert "MINE" in seen
    assert "SECRET_OF_THE_TEST" not in seen


def test_several_threads_call_at_once_each_over_a_connection_of_its_own(plain):
    function = plain()
    got = {}

    def ask(number):
        got[number] = [function.call(HttpRequest("POST", "/", body=b"%d" % number)).reply.body for _ in range(20)]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == {number: [b"%d" % number] * 20 for number in range(8)}


def test_a_server_that_cannot_start_says_why_in_its_own_words(plain):
    with pytest.raises(EmulateError, match=r"failed while starting: .*exit status 1.*No module named 'no_such_module'"):
        plain("import no_such_module\n")


def test_a_server_that_never_listens_is_ended(plain):
    with pytest.raises(EmulateError, match="not ready after 1 s"):
        plain("import time\ntime.sleep(60)\n", init_timeout_s=1)


def test_a_process_that_dies_over_a_request_is_an_error_with_its_last_words(plain):
    function = plain()
    with pytest.raises(EmulateError, match=r"exit status 3.*good bye"):
        function.call(HttpRequest("GET", "/die"))


def test_an_answer_that_takes_too_long_ends_the_process(plain):
    function = plain(timeout_s=0.3)
    with pytest.raises(EmulateError, match=r"time limit of 0\.3 s"):
        function.call(HttpRequest("GET", "/late"))
    with pytest.raises(EmulateError, match="closed"):
        function.call(HttpRequest())


def test_a_door_of_another_provider_is_refused(plain):
    with pytest.raises(EmulateError, match="HTTP requests alone, not the event alb"):
        plain().call(HttpRequest(), "alb")


def test_what_the_server_prints_is_kept(plain):
    function = plain()
    function.call(HttpRequest("GET", "/none"))
    assert "404" in function.logs()


@pytest.mark.parametrize(("entry", "target"), ENTRIES.items())
def test_a_function_is_known_by_its_entry_point_in_a_folder_a_build_and_a_zip(tmp_path, entry, target):
    (tmp_path / "function").mkdir()
    (tmp_path / "function" / entry).write_text("")
    assert target_of(tmp_path) == target_of(tmp_path / "function") == target
    with zipfile.ZipFile(tmp_path / "any.zip", "w") as archive:
        archive.write(tmp_path / "function" / entry, entry)
    assert target_of(tmp_path / "any.zip") == target


def test_a_zip_without_an_entry_point_is_not_a_function(tmp_path):
    with zipfile.ZipFile(tmp_path / "any.zip", "w") as archive:
        archive.writestr("model.onnx", b"")
    with pytest.raises(EmulateError, match=r"is not a built function: expected one of app\.py"):
        target_of(tmp_path / "any.zip")
    with pytest.raises(EmulateError, match="there is nothing there"):
        start(tmp_path / "gone")
