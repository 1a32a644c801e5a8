"""The server as callers meet it: the function's own answers to whatever they send, and a page beside them."""

import base64
import contextlib
import gzip
import hashlib
import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.support.packing import coldpress
from tests.support.serving import serve, write_function
from tests.support.tiny import mlp

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="awslambdaric is for Linux")

ROWS = {"inputs": {"x": [[0.0] * 64]}}
ECHO = """
import os, sys
from coldpress_runtime.errors import RequestError

seen = {}

def preprocess(request):
    if request.body == b"die":
        print("going", flush=True)
        os._exit(3)
    if request.body == b"hang":
        print("hang", flush=True)
        import time
        time.sleep(60)
    if request.body == b"refuse":
        raise RequestError("This is not for me.")
    seen.clear()
    seen.update(headers=request.headers, query=request.query, path=request.path, bytes=len(request.body))
    return {"x": [[0.0] * 64]}

def postprocess(outputs):
    return seen
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    root = write_function(tmp_path_factory.mktemp("plain") / "function", "mlp", warmup=WARM)
    with serve(root) as running:
        yield running


@pytest.fixture(scope="module")
def echo(tmp_path_factory):
    limits = {"request_bytes": 1000, "response_bytes": 100_000}
    function = {"memory_mb": 512, "timeout_s": 2}
    root = write_function(tmp_path_factory.mktemp("echo") / "function", "mlp", ECHO, limits=limits, function=function)
    with serve(root) as running:
        yield running


WARM = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 64]}], "data": None}


def ask(running, method, path, body=None, headers=None):
    connection = http.client.HTTPConnection(running.address, timeout=60)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


def post(running, body, path="/predict", **headers):
    document = body if isinstance(body, bytes) else json.dumps(body).encode()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    status, _, content = ask(running, "POST", path, document, {"content-type": "application/json"} | names)
    return status, json.loads(content)


def raw(running, content, *, end=False):
    """Send bytes as they are, and nothing more when ``end``; returns all that comes back."""
    host, _, port = running.address.partition(":")
    with socket.create_connection((host, int(port)), 30) as connection:
        connection.sendall(content)
        if end:
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    return answer


def test_the_page_carries_its_own_style_and_script_and_allows_no_other(server):
    status, headers, content = ask(server, "GET", "/")
    assert status == 200
    assert headers["content-type"].startswith("text/html")
    text = content.decode()
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    for tag, directive in (("style", "style-src"), ("script", "script-src")):
        (inline,) = re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy
    assert not re.findall(r"https?://|(?:src|href)=\"(?!data:)", text)


def test_the_page_is_told_of_the_function(server):
    post(server, ROWS)  # with its first answer it says how it started
    status, _, content = ask(server, "GET", "/playground/about.json")
    told = json.loads(content)
    assert status == 200
    assert (told["model"], told["runs_on"], told["log"]) == ("tiny", "AWS Lambda", True)
    assert told["init_ms"] > 0
    assert told["examples"] == [
        {"name": "x", "datatype": "FP32", "shape": [1, 64], "values": [[0.0] * 64], "data": None}
    ]
    assert "session_ms" in told["steps"]
    assert ask(server, "GET", "/playground/log")[2].startswith(b"{")


def test_every_other_path_is_the_functions_own(server):
    status, answer = post(server, ROWS)
    assert status == 200
    assert set(answer["outputs"]) == {"label", "probabilities"}
    assert json.loads(ask(server, "GET", "/v2/models/tiny")[2])["name"] == "tiny"
    assert json.loads(ask(server, "GET", "/openapi.json")[2])["info"]["title"] == "tiny"
    assert ask(server, "GET", "/docs")[0] == 404


def test_an_answer_says_how_long_its_parts_took(server):
    header = ask(server, "POST", "/predict", json.dumps(ROWS).encode(), {"content-type": "application/json"})[1]
    steps = dict(item.split(";dur=") for item in header["server-timing"].split(", "))
    assert list(steps) == ["decode", "run", "encode", "function"]
    assert sum(float(steps[name]) for name in ("decode", "run", "encode")) < float(steps["function"])


def test_tritons_client_works_unchanged(server):
    triton = pytest.importorskip("tritonclient.http")
    client = triton.InferenceServerClient(server.address)
    assert client.is_server_ready()
    x = triton.InferInput("x", [2, 64], "FP32")
    x.set_data_from_numpy(np.ones((2, 64), np.float32))
    assert client.infer("tiny", [x]).as_numpy("probabilities").shape == (2, 10)


def test_refusals_keep_the_functions_words_and_headers(server):
    status, answer = post(server, b"{")
    assert status == 400
    assert answer["error"].startswith("The body is not JSON")
    status, headers, _ = ask(server, "DELETE", "/predict")
    assert (status, headers["allow"]) == (405, "POST, OPTIONS")
    assert "There is nothing at" in post(server, b"", "/nothing")[1]["error"]
    status, headers, content = ask(server, "OPTIONS", "/predict")
    assert (status, content) == (204, b"")
    assert "content-length" not in headers


def test_head_has_no_body(server):
    assert ask(server, "HEAD", "/v2/health/ready")[::2] == (200, b"")


def test_a_compressed_body_arrives_compressed(server):
    assert post(server, gzip.compress(json.dumps(ROWS).encode()), content_encoding="gzip")[0] == 200


def test_headers_and_query_arrive_as_they_were_sent(echo):
    body = b"POST /predict?a=1&a=%C3%BC&b HTTP/1.1\r\nHost: localhost\r\nX-Two: a\r\nX-Two: b\r\nX-Empty:\r\n"
    body += b"Connection: close, X-Two\r\nKeep-Alive: 5\r\nContent-Length: 1\r\n\r\nx"
    seen = json.loads(raw(echo, body).partition(b"\r\n\r\n")[2])
    assert seen["query"] == "a=1&a=%C3%BC&b"
    assert seen["headers"]["x-two"] == "a,b"
    assert seen["headers"]["x-empty"] == ""
    assert {"connection", "keep-alive"}.isdisjoint(seen["headers"])


@pytest.mark.parametrize("path", ["/%70redict", "/predict/", "/predict?%"])
def test_odd_spellings_of_a_path_reach_the_function(echo, path):
    assert post(echo, b"x", path)[0] == 200


@pytest.mark.parametrize("path", ["/pr%C3%A9dict", "//predict", "/predict/../x", "/%00", "/%ff", "/a%2Fb"])
def test_paths_that_lead_nowhere_are_refused_by_the_function(echo, path):
    status, answer = post(echo, b"x", path)
    assert status == 404
    assert "There is nothing at" in answer["error"]


def test_a_body_sent_in_chunks_arrives_whole(echo):
    connection = http.client.HTTPConnection(echo.address, timeout=60)
    connection.request("POST", "/predict", iter([b"a" * 10, b"b" * 20]), {"content-type": "image/png"})
    assert json.loads(connection.getresponse().read())["bytes"] == 30
    connection.close()


def test_a_body_over_the_limit_is_refused_in_the_functions_words(echo):
    status, answer = post(echo, b"x" * 1001)
    assert status == 413
    assert "The body has 1001 bytes and this function takes at most 1000" in answer["error"]


def test_a_body_far_over_the_limit_is_refused_before_it_is_kept(echo):
    status, answer = post(echo, bytes(17 << 20))
    assert status == 413
    assert "far above this function's limit" in answer["error"]
    assert post(echo, b"x")[0] == 200


def test_a_hook_refuses_in_its_own_words(echo):
    assert post(echo, b"refuse") == (400, {"error": "This is not for me."})


def test_a_function_that_ends_is_said_to_have_ended_and_is_started_again(echo):
    status, answer = post(echo, b"die")
    assert status == 502
    assert "exit status 3" in answer["error"]
    assert "going" in answer["error"]
    assert b"going" in ask(echo, "GET", "/playground/log")[2]
    assert post(echo, b"x")[0] == 200


def test_a_function_that_takes_too_long_is_ended_and_started_again(echo):
    status, answer = post(echo, b"hang")
    assert status == 502
    assert "time limit of 2 s" in answer["error"]
    assert post(echo, b"x")[0] == 200


def test_many_callers_at_once_are_all_answered(server):
    with ThreadPoolExecutor(16) as threads:
        assert {status for status, _ in threads.map(lambda _: post(server, ROWS), range(64))} == {200}


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:1", "[::1]:8000", "[::1]"])
def test_it_answers_to_the_names_of_this_machine(server, host):
    assert ask(server, "GET", "/v2/health/live", headers={"host": host})[0] == 200


@pytest.mark.parametrize("host", ["example.org", "localhost.example.org", "192.0.2.1:8000", "", "localhost:x"])
@pytest.mark.parametrize("path", ["/", "/playground/log", "/predict"])
def test_a_page_elsewhere_cannot_pass_for_this_machine(server, host, path):
    status, _, content = ask(server, "GET", path, headers={"host": host})
    assert status == 421
    assert "answers to localhost alone" in json.loads(content)["error"]


@pytest.mark.parametrize(
    "request_",
    [
        b"garbage\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nfive.",
        b"GET /\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"",
    ],
)
def test_what_is_no_request_ends_a_connection_and_no_more(server, request_):
    raw(server, request_, end=True)
    assert post(server, ROWS)[0] == 200


def test_a_request_for_a_websocket_is_answered_as_http(server):
    upgrade = b"GET /predict HTTP/1.1\r\nHost: localhost\r\nConnection: close, Upgrade\r\nUpgrade: websocket\r\n"
    upgrade += b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    assert raw(server, upgrade).startswith(b"HTTP/1.1 405 ")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_cleanly_and_ends_the_function(tmp_path, how):
    with serve(write_function(tmp_path / "function", "mlp")) as running:
        assert post(running, ROWS)[0] == 200
        children = running_below(running.process.pid)
        assert children
        code, said = running.stop(how)
    assert code == 0
    assert said.endswith("Stopped.\n")
    assert "Traceback" not in said
    assert not [pid for pid in children if Path("/proc", pid).exists()]


def test_it_stops_while_a_request_is_under_way(tmp_path):
    with serve(write_function(tmp_path / "function", "mlp", ECHO)) as running:
        held = threading.Thread(target=lambda: ask_and_forget(running, b"hang"))
        held.start()
        while b"hang" not in sent_to(running):
            pass
        code, said = running.stop()
        held.join()
    assert code == 0
    assert "Traceback" not in said


def test_a_model_is_served_without_being_packed(tmp_path):
    (tmp_path / "my model.onnx").write_bytes(mlp().SerializeToString())
    with serve(tmp_path / "my model.onnx") as running:
        assert post(running, ROWS)[0] == 200
        told = json.loads(ask(running, "GET", "/playground/about.json")[2])
        assert (told["model"], told["runs_on"], told["log"]) == ("my-model", "ONNX Runtime", False)
        header = ask(running, "POST", "/predict", json.dumps(ROWS).encode(), {"content-type": "application/json"})[1]
        assert "run;dur=" in header["server-timing"]


def test_listening_to_the_network_is_said_and_answers_to_any_name(tmp_path):
    (tmp_path / "model.onnx").write_bytes(mlp().SerializeToString())
    with serve(tmp_path / "model.onnx", "--host", "0.0.0.0") as running:
        assert ask(running, "GET", "/v2/health/live", headers={"host": "example.org"})[0] == 200
        assert ask(running, "GET", "/playground/log")[0] == 404
        assert "Everybody who reaches this machine" in running.stop()[1]


def test_a_port_in_use_is_one_sentence_before_anything_starts(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = coldpress("serve", tmp_path / "nothing", "--port", port)
    assert (run.returncode, run.stdout) == (1, "")
    assert (
        run.stderr == f"coldpress: Port {port} of 127.0.0.1 is in use; stop what listens there, or choose --port 0.\n"
    )


@pytest.mark.parametrize(
    ("name", "says"),
    [("missing.onnx", "there is nothing there"), ("missing", "there is nothing there"), ("empty", "holds neither"),
     ("bad.onnx", "bad.onnx"), ("text.txt", "not a built function"), ("bare", "holds no coldpress.json")],
)  # fmt: skip
def test_what_cannot_be_served_is_one_sentence(tmp_path, name, says):
    (tmp_path / "empty").mkdir()
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "app.py").write_text("handler = print\n")
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    (tmp_path / "text.txt").write_text("hello")
    run = coldpress("serve", tmp_path / name, "--port", 0)
    assert (run.returncode, run.stdout) == (1, "")
    assert says in run.stderr
    assert run.stderr.count("\n") == 1
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize(
    ("flags", "code", "says"),
    [
        (["--port", "70000"], 2, "0 to 65535"),
        (["--port", "x"], 2, "0 to 65535"),
        (["--host", "no.such.host.invalid"], 1, "is no address"),
        (["--host", "a" * 64], 1, "is no address"),
        (["--host", "192.0.2.1"], 1, "is no address of this machine"),
    ],
)
def test_an_address_that_cannot_be_had_is_one_sentence(tmp_path, flags, code, says):
    run = coldpress("serve", tmp_path, *flags)
    assert run.returncode == code
    assert says in run.stderr
    assert "Traceback" not in run.stderr


def test_without_fastapi_it_says_what_to_install(tmp_path):
    hide = (
        "import sys; from importlib.machinery import PathFinder; find = PathFinder.find_spec\n"
        "PathFinder.find_spec = lambda name, *more: None if name == 'fastapi' else find(name, *more)\n"
        "from coldpress.cli import main; sys.exit(main(['serve', 'build']))"
    )
    run = subprocess.run([sys.executable, "-c", hide], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert run.returncode == 1
    assert run.stderr == (
        "coldpress: fastapi cannot be imported, which serve needs; run `pip install 'coldpress[serve]'`.\n"
    )


def running_below(pid):
    """Process ids of the children of a process."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [child for task in tasks for child in (task / "children").read_text().split()]


def sent_to(running):
    """What the function's log holds so far."""
    return ask(running, "GET", "/playground/log")[2]


def ask_and_forget(running, body):
    with contextlib.suppress(OSError, http.client.HTTPException):
        post(running, body)
