"""Cloud Run's requests, odd ones too, as functions-framework's own server hands them to the adapter.

The framework is what a deployment installs, fetched by its lock; requests are written by hand where a client would
tidy them up.
"""

import gzip
import json
import socket
import struct
import subprocess
import sys
from types import SimpleNamespace

import pytest

from coldpress.emulate.gcp import FrameworkFunction
from coldpress.emulate.http import HttpRequest
from coldpress_runtime.cloud_functions import upload_of
from tests.support.functions import write_function

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="functions are started on Linux only")
_BODY = b'{"inputs": {"x": [[1.5, -2.0]]}}'
_ANSWER = {"outputs": {"y": [[1.5, -2.0]]}}
_HOOKS = """
import os
opened_in = os.getpid()

def preprocess(request):
    global seen
    seen = {"method": request.method, "path": request.path, "query": request.query, "body": len(request.body)}
    seen["headers"] = request.headers
    seen["opened here"] = opened_in == os.getpid()
    return {"x": [[1, 2]]}

def postprocess(outputs):
    return seen
"""


@pytest.fixture(scope="module")
def function(tmp_path_factory):
    root = write_function(tmp_path_factory.mktemp("function") / "f", "gcp", "fp32",
                          limits={"request_bytes": 10_000, "response_bytes": 10_000})  # fmt: skip
    with FrameworkFunction(root, python=sys.executable) as started:
        yield started


@pytest.fixture(scope="module")
def echo(tmp_path_factory):
    """A function with two threads that answers with what it was asked."""
    root = write_function(tmp_path_factory.mktemp("function") / "f", "gcp", "fp32", _HOOKS, threads=2)
    with FrameworkFunction(root, python=sys.executable) as started:
        yield started


def ask(function, method="POST", path="/predict", body=b"", **headers):
    reply = function.call(HttpRequest(method, path, headers, body)).reply
    return reply.status, json.loads(reply.body) if reply.body else None


def send(function, text):
    """Send bytes as they are; return the status and the body of the reply."""
    with socket.create_connection(("127.0.0.1", function.port), 30) as connection:
        connection.sendall(text)
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


@linux
def test_a_request_is_answered(function):
    assert ask(function, body=_BODY) == (200, _ANSWER)
    assert ask(function, "GET", "/v2/health/live") == (200, {"live": True})


@linux
@pytest.mark.parametrize("head", [b"", b"Content-Type: \r\n", b"content-type:application/json\r\nHost: \r\n"])
def test_headers_may_be_missing(function, head):
    sent = b"POST /predict HTTP/1.0\r\n%bContent-Length: %d\r\n\r\n%b" % (head, len(_BODY), _BODY)
    status, body = send(function, sent)
    assert (status, json.loads(body)) == (200, _ANSWER)


@linux
@pytest.mark.parametrize("head", [b"", b"Content-Length: 0\r\n", b"Content-Type: application/json\r\n"])
def test_an_empty_body_is_said(function, head):
    status, body = send(function, b"POST /predict HTTP/1.1\r\nHost: f\r\nConnection: close\r\n" + head + b"\r\n")
    assert status == 400
    assert json.loads(body) == {"error": "The body is empty; send a JSON object."}


@linux
def test_a_wrong_content_type_is_said(function):
    status, document = ask(function, body=_BODY, **{"content-type": "image/png"})
    assert (status, document) == (415, {"error": 'Content-Type is "image/png", expected application/json.'})


@linux
def test_a_form_is_not_taken_apart(function):
    assert ask(function, body=_BODY, **{"content-type": "application/x-www-form-urlencoded"}) == (200, _ANSWER)


@linux
@pytest.mark.parametrize(
    "path", ["/n%C3%A4he/%F0%9F", "//predict", "/predict//x", "/a/../predict", "/%2e%2e/x", "/%", "/%zz?%"]
)
def test_a_path_stays_as_it_was_sent(function, path):
    status, document = ask(function, "GET", path)
    assert status == 404
    assert json.dumps(path.partition("?")[0]) in document["error"]


@linux
def test_an_escaped_route_and_a_whole_url_are_found(function):
    assert ask(function, path="/predic%74", body=_BODY) == (200, _ANSWER)
    sent = b"GET http://f.example/v2/health/live?x HTTP/1.1\r\nHost: f.example\r\nConnection: close\r\n\r\n"
    assert send(function, sent) == (200, b'{"live":true}')


@linux
def test_a_query_arrives_as_it_was_sent(echo):
    query = "x=1&x=2&y=%C3%A4+b&z&=&x="
    assert ask(echo, path=f"/predict?{query}", body=b"{}")[1]["query"] == query


@linux
def test_several_headers_of_one_name_are_joined(echo):
    sent = b"POST /predict HTTP/1.1\r\nHost: f\r\nConnection: close\r\nX-Many: a\r\nx-many: b\r\n\r\n"
    status, body = send(echo, sent)
    assert status == 200
    assert json.loads(body)["headers"]["x-many"].replace(" ", "") == "a,b"


@linux
def test_a_chunked_body_arrives_whole(echo):
    sent = b"POST /predict HTTP/1.1\r\nHost: f\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    status, body = send(echo, sent + b"3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n")
    assert status == 200
    assert json.loads(body)["body"] == 7


@linux
def test_the_process_that_answers_has_opened_the_bundle_itself(echo):
    """Threads of the engine do not survive the fork between the server's master and its worker."""
    assert ask(echo, body=b"{}")[1]["opened here"] is True


@linux
def test_hooks_may_fork_while_they_are_imported(tmp_path):
    """As multiprocessing does; what is forked then must not wait for the opening that it interrupts."""
    hooks = """
import os, signal
child = os.fork()
if child == 0:
    os._exit(0)
signal.signal(signal.SIGALRM, lambda *_: os.kill(child, signal.SIGKILL))
signal.alarm(10)
status = os.waitpid(child, 0)[1]

def postprocess(outputs):
    return status
"""
    root = write_function(tmp_path / "f", "gcp", "fp32", hooks)
    with FrameworkFunction(root, python=sys.executable) as forking:
        assert ask(forking, body=_BODY) == (200, 0)


@linux
def test_a_compressed_body_is_inflated(function):
    assert ask(function, body=gzip.compress(_BODY), **{"content-encoding": "gzip"}) == (200, _ANSWER)


@linux
def test_binary_tensors_come_and_go(function):
    data = struct.pack("<2f", 1.5, -2.0)
    head = {
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "parameters": {"binary_data_size": 8}}],
        "outputs": [{"name": "y", "parameters": {"binary_data": True}}],
    }
    text = json.dumps(head).encode()
    headers = {"content-type": "application/octet-stream", "inference-header-content-length": str(len(text))}
    reply = function.call(HttpRequest("POST", "/v2/models/tiny/infer", headers, text + data)).reply
    assert reply.status == 200
    assert reply.body.endswith(data)
    assert reply.headers["content-type"] == "application/octet-stream"


@linux
def test_a_body_over_the_limit_is_refused_in_words(function):
    status, document = ask(function, body=b" " * 10_001)
    assert status == 413
    assert "The body has 10001 bytes and this function takes at most 10000" in document["error"]


@linux
def test_other_methods(function):
    reply = function.call(HttpRequest("OPTIONS", "/predict")).reply
    assert (reply.status, reply.body, reply.headers["allow"]) == (204, b"", "POST, OPTIONS")
    assert "content-type" not in reply.headers
    reply = function.call(HttpRequest("HEAD", "/v2/health/ready")).reply
    assert (reply.status, reply.body) == (200, b"")
    assert ask(function, "BREW")[0] == 405


@linux
def test_the_log_has_a_line_a_request_in_cloud_loggings_terms(function):
    ask(function, "GET", "/nope", **{"x-cloud-trace-context": "105445aa7843bc8bf206b12000100000/1;o=1"})
    lines = [json.loads(line) for line in function.logs().splitlines() if "105445aa7843bc8bf206b12000100000" in line]
    assert [(line["severity"], line["status"], line["path"]) for line in lines] == [("WARNING", 404, "/nope")]
    assert lines[0]["request_id"] == "105445aa7843bc8bf206b12000100000"
    assert lines[0]["function_version"] == "function-00001-abc"
    assert '"_aws"' not in function.logs()


def test_importing_the_adapter_loads_the_standard_library_alone_and_nothing_heavy():
    code = "import sys\nsys.path[:0] = sys.argv[1:]\nimport coldpress_runtime.cloud_functions\nprint(*sys.modules)"
    root = write_root()
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code, root], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert {name.partition(".")[0] for name in loaded} <= {*sys.stdlib_module_names, "coldpress_runtime", "__main__"}
    late = {"uploads", "gcs", "hooks", "openapi", "metadata"}
    assert not loaded & {f"coldpress_runtime.{name}" for name in late}
    assert not loaded & {"http.client", "urllib.request", "logging", "ssl"}


def write_root():
    import coldpress_runtime

    return coldpress_runtime.__path__[0].rpartition("/")[0]


class Event(SimpleNamespace):
    """A CloudEvent: attributes by name, and data."""

    def __getitem__(self, name):
        return getattr(self, name)


_FINALIZED = "google.cloud.storage.object.v1.finalized"
_OBJECT = {"bucket": "b", "name": "uploads/a", "generation": "17", "size": "3", "contentType": "image/png"}


def test_an_event_becomes_an_upload():
    upload = upload_of(Event(type=_FINALIZED, data=_OBJECT))
    found = {name: getattr(upload, name) for name in upload.__slots__}
    expected = {"bucket": "b", "key": "uploads/a", "content_type": "image/png", "size": 3, "version": "17"}
    assert found == expected | {"encoding": ""}


@pytest.mark.parametrize("kind", ["google.cloud.storage.object.v1.deleted", "google.cloud.audit.log.v1.written", ""])
def test_other_events_are_none(kind):
    assert upload_of(Event(type=kind, data=_OBJECT)) is None


@pytest.mark.parametrize(
    "data",
    [
        None, b"", "text", [], 3, {},
        _OBJECT | {"bucket": ""},
        _OBJECT | {"name": None, "generation": None},
        _OBJECT | {"generation": "seventeen"},
        _OBJECT | {"size": "-1"},
        {name: value for name, value in _OBJECT.items() if name != "size"},
    ],
)  # fmt: skip
def test_an_event_without_what_it_needs_is_none(data):
    assert upload_of(Event(type=_FINALIZED, data=data)) is None
