"""The server as a process: many at once, models that change, the end, limits, and the documents beside the models."""

import gzip
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading

import grpc
import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto as T
from onnx import helper

from tests.support.callers import calling, until
from tests.support.endpoint_server import HANDLERS, affine, expected, put_model, run_endpoint
from tests.support.tiny import every_type


def _rows(caller, count=1):
    return [[caller, row, 0.5, -1] for row in range(count)]


def _infer(rows):
    return {"inputs": [{"name": "x", "datatype": "FP32", "shape": [len(rows), 4], "data": rows}]}


def _metric(server, line):
    text = server.ask("GET", "/metrics")[2].decode()
    found = re.search("^" + re.escape(line) + r" (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else None


def slow():
    """``y = x``, after as many turns of a loop as the request says: a run as long as a test needs it."""
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["on"]),
            helper.make_node("MatMul", ["state", "w"], ["next"]),
        ],
        "turn",
        [value("turn", T.INT64, []), value("go", T.BOOL, []), value("state", T.FLOAT, [1, 64])],
        [value("on", T.BOOL, []), value("next", T.FLOAT, [1, 64])],
    )
    nodes = [helper.make_node("Loop", ["turns", "", "x"], ["y"], body=body)]
    weights = onnx.numpy_helper.from_array(np.eye(64, dtype=np.float32), "w")
    graph = helper.make_graph(
        nodes, "slow", [value("turns", T.INT64, []), value("x", T.FLOAT, [1, 64])], [value("y", T.FLOAT, [1, 64])],
        [weights],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    put_model(folder, "affine", "1", affine())
    put_model(folder, "every", "7", every_type())
    with run_endpoint(folder, COLDPRESS_MODEL="affine", COLDPRESS_MAX_BODY="100000") as server:
        yield server


def test_many_callers_each_get_their_own_rows(server):
    bodies = [{"inputs": {"x": _rows(caller, 1 + caller % 3)}} for caller in range(32)]
    with calling(server.port, "/predict", bodies) as callers:
        until(lambda: all(len(caller.answers) >= 20 for caller in callers))
    for body, caller in zip(bodies, callers, strict=True):
        assert caller.lost == []
        assert {status for status, _, _ in caller.answers} == {200}
        assert {text for _, _, text in caller.answers} == {caller.answers[0][2]}
        assert json.loads(caller.answers[0][2]) == {"outputs": {"y": expected(body["inputs"]["x"])}}


def test_a_new_version_takes_over_without_a_lost_request_and_a_broken_one_does_not(tmp_path):
    put_model(tmp_path, "affine", "9", affine())
    with run_endpoint(tmp_path, COLDPRESS_POLL_S="0.05") as server:
        bodies = [_infer(_rows(caller)) for caller in range(8)]
        with calling(server.port, "/v2/models/affine/infer", bodies) as callers:

            def last_answers():
                return [json.loads(caller.answers[-1][2])["model_version"] for caller in callers if caller.answers]

            until(lambda: last_answers() == ["9"] * 8)
            put_model(tmp_path, "affine", "10", affine(1.5))
            until(lambda: last_answers() == ["10"] * 8)
            (tmp_path / "affine" / "11").mkdir()
            (tmp_path / "affine" / "11" / "model.onnx").write_bytes(b"half a mo")
            told = until(lambda: server.json("GET", "/v2/models/affine/ready")[1].get("failed"))
            asked = [len(caller.answers) for caller in callers]
            until(lambda: all(len(caller.answers) > asked[place] for place, caller in enumerate(callers)))
        assert "model.onnx" in told["11"]
        assert str(tmp_path) not in told["11"]
        shifts = {"9": 0.5, "10": 1.5}
        for number, caller in enumerate(callers):
            assert caller.lost == []
            seen = []
            for status, _, text in caller.answers:
                assert status == 200
                document = json.loads(text)
                want = np.ravel(expected(_rows(number), shifts[document["model_version"]])).tolist()
                assert document["outputs"][0]["data"] == want
                seen.append(document["model_version"])
            assert seen == sorted(seen, key=int)
        status, document = server.json("GET", "/v2/models/affine/ready")
        assert (status, document["ready"]) == (200, True)
        assert _metric(server, 'coldpress_model_broken{model="affine",version="11"}') == 1
        assert _metric(server, 'coldpress_model_ready{model="affine",version="10"}') == 1
        assert _metric(server, 'coldpress_model_ready{model="affine",version="9"}') is None
        assert _metric(server, 'coldpress_reloads_total{model="affine",outcome="opened"}') == 1
        index = server.json("POST", "/v2/repository/index")[1]
        assert [(each["version"], each["state"]) for each in index] == [("10", "READY"), ("11", "UNAVAILABLE")]
        assert server.ask("GET", "/v2/models/affine/versions/9")[0] == 404
        put_model(tmp_path, "other", "1", affine())
        server.process.send_signal(signal.SIGHUP)
        until(lambda: server.ask("GET", "/v2/models/other")[0] == 200)


def test_the_end_loses_no_request(tmp_path):
    put_model(tmp_path, "affine", "1", affine())
    with run_endpoint(tmp_path) as server:
        with calling(server.port, "/predict", [{"inputs": {"x": _rows(caller)}} for caller in range(8)]) as callers:
            until(lambda: all(len(caller.answers) >= 20 for caller in callers))
            server.process.send_signal(signal.SIGTERM)
            until(lambda: all(caller.answers[-1][1].get("connection") == "close" for caller in callers))
            # A balancer that looks in the meantime is told, and what it sends before it has looked is answered.
            assert server.json("GET", "/v2/health/ready") == (503, {"ready": False})
            assert server.json("GET", "/v2/health/live") == (200, {"live": True})
            assert server.json("POST", "/predict", {"inputs": {"x": _rows(1)}})[0] == 200
        for caller in callers:
            assert caller.lost == []
            assert {status for status, _, _ in caller.answers} == {200}
        assert server.end() == (0, "")


def test_what_is_under_way_at_the_end_is_answered(tmp_path):
    put_model(tmp_path, "slow", "1", slow())
    with run_endpoint(tmp_path, COLDPRESS_THREADS="1", COLDPRESS_DRAIN_S="30") as server:
        body = {"inputs": {"turns": 100_000, "x": [[1.0] * 64]}}
        with calling(server.port, "/predict", [body] * 3) as callers:
            until(lambda: _metric(server, 'coldpress_queue{model="slow",version="1"}'))
            server.process.send_signal(signal.SIGTERM)
            until(lambda: all(caller.answers for caller in callers))
        assert [caller.lost for caller in callers] == [[], [], []]
        assert {status for caller in callers for status, _, _ in caller.answers} == {200}
        assert server.process.wait(60) == 0


def test_what_outlasts_the_limit_does_not_hold_the_end_up(tmp_path):
    put_model(tmp_path, "slow", "1", slow())
    with run_endpoint(tmp_path, COLDPRESS_THREADS="1", COLDPRESS_DRAIN_S="1") as server:
        body = {"inputs": {"turns": 10**12, "x": [[1.0] * 64]}}
        with calling(server.port, "/predict", [body] * 2):
            until(lambda: _metric(server, 'coldpress_queue{model="slow",version="1"}'))
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(60) == 0


def test_a_full_queue_and_a_late_request_are_refused_before_they_run(tmp_path):
    put_model(tmp_path, "slow", "1", slow())
    with run_endpoint(tmp_path, COLDPRESS_THREADS="1", COLDPRESS_QUEUE="2") as server:

        def waiting():
            return _metric(server, 'coldpress_queue{model="slow",version="1"}') == 1

        body = {"inputs": {"turns": 100_000, "x": [[1.0] * 64]}}
        quick = {"inputs": {"turns": 1, "x": [[1.0] * 64]}}
        with calling(server.port, "/predict", [body] * 2) as callers:
            until(waiting)
            for caller in callers:
                caller.stopped.set()
            late = [server.ask("POST", "/predict", quick, coldpress_deadline_ms="1")]  # told at once, and off the queue
            thread = threading.Thread(target=lambda: server.ask("POST", "/predict", quick))
            thread.start()
            until(lambda: _metric(server, 'coldpress_queue{model="slow",version="1"}') == 2)
            status, headers, text = server.ask("POST", "/predict", quick)
            thread.join()
        assert (status, headers["retry-after"]) == (429, "1")
        assert json.loads(text).keys() == {"error"}
        assert late[0][0] == 504
        assert "time was over" in json.loads(late[0][2])["error"]
        assert _metric(server, 'coldpress_requests_total{model="slow",outcome="busy",version="1"}') == 1
        assert _metric(server, 'coldpress_requests_total{model="slow",outcome="late",version="1"}') == 1
        assert {answer[0] for caller in callers for answer in caller.answers} == {200}


@pytest.mark.parametrize("text", ["soon", "-1", "1.5", "", "9" * 12])
def test_a_deadline_that_is_none_is_refused(server, text):
    status, document = server.json("POST", "/predict", {"inputs": {"x": _rows(1)}}, coldpress_deadline_ms=text)
    assert status == 400
    assert document["error"].startswith("Coldpress-Deadline-Ms is")


def test_a_body_over_the_limit_is_refused_before_it_is_read(server):
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(head + b"{")
        assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")


def test_a_body_that_inflates_over_the_limit_is_refused(server):
    small, bomb = (gzip.compress(json.dumps({"inputs": {"x": _rows(1, rows)}}).encode()) for rows in (2, 20_000))
    assert len(bomb) < 100_000
    assert server.ask("POST", "/predict", small, content_encoding="gzip")[0] == 200
    assert server.ask("POST", "/predict", bomb, content_encoding="gzip")[0] == 413


def test_inflated_bodies_and_grpc_messages_take_of_the_room_for_all(tmp_path):
    put_model(tmp_path, "slow", "1", slow())
    room = "1000000"
    with run_endpoint(tmp_path, COLDPRESS_MAX_BODY=room, COLDPRESS_BODIES=room) as server:
        endless = json.dumps({"inputs": {"turns": 10**12, "x": [[1.0] * 64]}}).encode()
        body = gzip.compress(endless + b" " * 900_000)
        assert len(body) < 10_000
        head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n"
        nothing = gzip.compress(b" " * 900_000)
        assert server.ask("POST", "/predict", nothing, content_encoding="gzip")[0] == 400
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
            connection.sendall(head.encode() + body)
            until(lambda: server.ask("POST", "/predict", nothing, content_encoding="gzip")[0] == 429)
            with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
                infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
                for size, code in ((200_000, "RESOURCE_EXHAUSTED"), (20_000, "INVALID_ARGUMENT")):
                    with pytest.raises(grpc.RpcError) as refused:
                        infer(b"\xff" * size)
                    assert refused.value.code().name == code
            server.process.kill()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/v2/models/../../etc/passwd", 404),
        ("GET", "/v2/models/%2e%2e%2f%2e%2e%2fetc", 404),
        ("GET", "/v2/models/affine/versions/..", 404),
        ("GET", "/v2/models/nobody", 404),
        ("POST", "/admin/reload", 404),
        ("GET", "/predict", 405),
        ("DELETE", "/v2/models/affine", 405),
        ("POST", "/v2/models/affine/versions/2/infer", 404),
        ("GET", "/v2/models/affine/", 200),
        ("GET", "/v2/models/%61ffine", 200),
        ("OPTIONS", "/predict", 204),
    ],
)
def test_paths(server, method, path, status):
    found, headers, text = server.ask(method, path)
    assert found == status
    if status == 405:
        assert "OPTIONS" in headers["allow"]
    if status >= 400:
        assert json.loads(text).keys() == {"error"}


_tokens = st.sampled_from(
    [
        b"{",
        b"}",
        b"[",
        b"]",
        b":",
        b",",
        b'"',
        b'"inputs"',
        b'"x"',
        b'"data"',
        b'"shape"',
        b"1",
        b"-1e9",
        b"1e999",
        b"NaN",
    ]
)


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    path=st.sampled_from(["/predict", "/v2/models/affine/infer", "/v2/models/every/infer", "/v2/repository/index"]),
    body=st.binary(max_size=64) | st.lists(_tokens, max_size=24).map(b"".join),
    headers=st.fixed_dictionaries(
        {},
        optional={
            "content_type": st.sampled_from(["application/json", "application/octet-stream", "text/csv", ";"]),
            "content_encoding": st.sampled_from(["gzip", "deflate", "br", "identity"]),
            "inference_header_content_length": st.sampled_from(["0", "3", "-1", "99999999999", "x"]),
            "coldpress_deadline_ms": st.sampled_from(["5000", "x"]),
        },
    ),
)
def test_whatever_is_sent_is_no_fault_of_the_server(server, path, body, headers):
    status, found, text = server.ask("POST", path, body, **headers)
    assert status < 500, text
    assert found["content-type"] == "application/json"
    json.loads(text)


def test_metadata_is_what_the_model_says(server):
    assert server.json("GET", "/v2/models/affine")[1] == {
        "name": "affine",
        "versions": ["1"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 3]}],
    }
    assert server.json("GET", "/v2/models/every/versions/7/ready")[1] == {"name": "every", "ready": True}


def test_the_documents_know_every_model(server):
    document = server.json("GET", "/openapi.json")[1]
    assert {"/predict", "/v2/models/affine/infer", "/v2/models/every/versions/7/infer", "/metrics"} <= set(
        document["paths"]
    )
    references = re.findall(r'"\$ref": "#/components/schemas/([^"]+)"', json.dumps(document))
    assert references
    assert set(references) <= set(document["components"]["schemas"])
    assert b"swagger" in server.ask("GET", "/docs")[2]


def test_a_default_model_that_is_not_there_is_said_at_the_start(tmp_path):
    put_model(tmp_path, "affine", "1", affine())
    with (
        pytest.raises(RuntimeError, match="COLDPRESS_MODEL is 'other'"),
        run_endpoint(tmp_path, COLDPRESS_MODEL="other"),
    ):
        pass


def test_a_folder_without_a_model_that_opens_is_no_endpoint(tmp_path):
    (tmp_path / "broken" / "1").mkdir(parents=True)
    (tmp_path / "broken" / "1" / "model.onnx").write_bytes(b"no model")
    said = r"version 1 of model broken does not open(.|\n)*No model in the folder opens"
    with pytest.raises(RuntimeError, match=said), run_endpoint(tmp_path):
        pass


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGTERM, 128 + signal.SIGTERM), (signal.SIGINT, 128 + signal.SIGINT), (signal.SIGHUP, 1)],
    ids=["term", "int", "hup"],
)
def test_a_signal_while_models_are_opened_is_obeyed_without_a_word(tmp_path, number, status):
    for version in range(2000):  # what is said of them is more than the pipe holds, so the server waits for its reader
        place = tmp_path / "broken" / str(version)
        place.mkdir(parents=True)
        (place / "model.onnx").write_bytes(b"no model")
    environ = os.environ | {
        "COLDPRESS_MODELS": str(tmp_path),
        "COLDPRESS_PROVIDERS": "cpu",
        "PYTHONPATH": str(HANDLERS),
    }
    command = [sys.executable, "-m", "coldpress_endpoint"]
    with subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True) as process:
        assert "does not open" in process.stderr.readline()
        process.send_signal(number)
        _, said = process.communicate(timeout=120)
    assert process.returncode == status
    assert "Traceback" not in said


@pytest.mark.parametrize(("argument", "status"), [("--help", 0), ("--port=80", 2)], ids=["help", "port"])
def test_arguments_start_no_server(argument, status):
    command = [sys.executable, "-m", "coldpress_endpoint", argument]
    found = subprocess.run(
        command,
        env=os.environ | {"PYTHONPATH": str(HANDLERS)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (found.returncode, found.stderr) == (status, "")
    assert "takes no arguments" in found.stdout
    assert "COLDPRESS_PORT" in found.stdout
