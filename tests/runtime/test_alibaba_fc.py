"""Each way in which Function Compute calls a function, with events as it sends them."""

import base64
import contextlib
import gzip
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import coldpress_runtime
from coldpress_runtime.alibaba_fc import make_handler
from coldpress_runtime.errors import ManifestError, NotFoundError, RequestError
from tests.support.tiny import write_bundle

_EVENTS = Path(__file__).parent.parent / "events" / "alibaba"
_CONTEXT = SimpleNamespace(request_id="1-64f6cd87-xmpl4d8a54fa3d0b2e6d", region="cn-shanghai")
_ANSWER = {"outputs": {"y": [[1.5, -2.0]]}}
_HTTP = ("http", "http_base64", "http_custom_domain")


def _event(name):
    return json.loads((_EVENTS / f"{name}.json").read_text())


def _call(handler, event, context=_CONTEXT):
    return handler(event if isinstance(event, bytes) else json.dumps(event).encode(), context)


@pytest.fixture(scope="module")
def handler(tmp_path_factory):
    return make_handler(str(write_bundle(tmp_path_factory.mktemp("bundle") / "b", "fp32")))


@pytest.fixture(scope="module")
def echo(tmp_path_factory):
    """A function that answers with its query."""
    hooks = """
def preprocess(request):
    global query
    query = request.query
    return {"x": [[1, 2]]}

def postprocess(outputs):
    return query
"""
    return make_handler(str(write_bundle(tmp_path_factory.mktemp("bundle") / "b", "fp32", hooks)))


@pytest.mark.parametrize("name", _HTTP)
def test_http_events_are_answered(handler, name):
    reply = _call(handler, _event(name))
    assert reply == {
        "statusCode": 200,
        "headers": {"Content-Type": "application/json"},
        "body": json.dumps(_ANSWER, separators=(",", ":")),
        "isBase64Encoded": False,
    }
    json.dumps(reply)


def test_a_get(handler):
    assert json.loads(_call(handler, _event("http_get"))["body"]) == {"live": True}


def test_options_and_head(handler):
    event = _event("http_get")
    event["requestContext"]["http"]["method"] = "OPTIONS"
    assert _call(handler, event) == {
        "statusCode": 204,
        "headers": {"Allow": "GET, HEAD, OPTIONS"},
        "body": "",
        "isBase64Encoded": False,
    }
    event["requestContext"]["http"]["method"] = "HEAD"
    reply = _call(handler, event)
    assert (reply["statusCode"], reply["body"]) == (200, "")


def test_header_names_in_any_case(handler):
    event = _event("http")
    event["headers"] = {name.upper(): value for name, value in event["headers"].items()} | {"CONTENT-ENCODING": "gzip"}
    event |= {"body": base64.b64encode(gzip.compress(event["body"].encode())).decode(), "isBase64Encoded": True}
    assert json.loads(_call(handler, event)["body"]) == _ANSWER


@pytest.mark.parametrize(
    ("parameters", "query"),
    [
        ({"a": "b&c=d", "é": "1 2"}, "a=b%26c%3Dd&%C3%A9=1%202"),
        ({"a": "1,2"}, "a=1%2C2"),
        ({}, ""),
        (None, ""),
    ],
)
def test_a_hook_gets_the_query_escaped_again(echo, parameters, query):
    assert json.loads(_call(echo, _event("http") | {"queryParameters": parameters})["body"]) == query


@pytest.mark.parametrize(
    ("path", "status"),
    [("/predict", 200), ("/predict/", 200), ("/%70redict", 200), ("/v2/predict", 404), ("/%E4%BD%A0%E5%A5%BD", 404),
     ("/", 404), ("", 404)],
)  # fmt: skip
def test_paths_come_escaped(handler, path, status):
    assert _call(handler, _event("http") | {"rawPath": path})["statusCode"] == status


def test_a_path_that_nobody_escaped(handler):
    reply = _call(handler, json.dumps(_event("http") | {"rawPath": "/你好"}, ensure_ascii=False).encode())
    assert reply["statusCode"] == 404


@pytest.mark.parametrize("name", _HTTP)
def test_binary_tensors_in_and_out(handler, name):
    text = json.dumps(
        {
            "inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "parameters": {"binary_data_size": 8}}],
            "parameters": {"binary_data_output": True},
        }
    )
    tail = b"\0\0\x80?\0\0\0@"
    event = _event(name)
    event["rawPath"] = "/api/v2/models/tiny/infer" if "domain" in name else "/v2/models/tiny/infer"
    event["headers"]["Inference-Header-Content-Length"] = str(len(text))
    event |= {"body": base64.b64encode(text.encode() + tail).decode(), "isBase64Encoded": True}
    reply = _call(handler, event)
    assert (reply["statusCode"], reply["isBase64Encoded"]) == (200, True)
    assert base64.b64decode(reply["body"]).endswith(tail)


@pytest.mark.parametrize("body", ["!", "abc", "ü", "YQ==YQ=="])
def test_a_body_that_is_not_base64(handler, body):
    reply = _call(handler, _event("http") | {"body": body, "isBase64Encoded": True})
    assert reply["statusCode"] == 400
    assert "not valid base64" in reply["body"]


@pytest.mark.parametrize(
    "change", [{"body": ""}, {"body": None}, {"body": "", "isBase64Encoded": True}, {"headers": {}}]
)
def test_what_may_be_missing_is_taken_as_empty(handler, change):
    reply = _call(handler, _event("http") | change)
    assert reply["statusCode"] == (200 if "headers" in change else 400)


def test_an_event_without_headers_and_query(handler):
    event = _event("http")
    del event["headers"], event["queryParameters"]
    assert _call(handler, event)["statusCode"] == 200


def test_a_wrong_content_type(handler):
    event = _event("http")
    event["headers"]["Content-Type"] = "image/png"
    assert _call(handler, event)["statusCode"] == 415


@pytest.mark.parametrize("name", [*_HTTP, "oss_put"])
@pytest.mark.parametrize(
    "key", ["body", "headers", "queryParameters", "requestContext", "rawPath", "isBase64Encoded", "events"]
)
@pytest.mark.parametrize("value", [None, 3, [], "x", {}, {"a": None}, {"a": [None]}, [{}], [{"oss": {}}]])
def test_events_with_a_field_of_another_kind_are_never_a_crash(handler, name, key, value):
    try:
        reply = _call(handler, _event(name) | {key: value})
    except (RequestError, OSError):
        return  # what looks like no trigger's event is taken as a direct call; and there is no OSS here
    assert reply.get("statusCode", 200) < 500


@pytest.mark.parametrize(
    "place", [("oss", "bucket", "name"), ("oss", "object", "key"), ("oss", "object", "size"),
              ("oss", "object", "eTag"), ("oss", "object", "objectMeta", "mimeType"), ("region",)],
    ids=".".join,
)  # fmt: skip
@pytest.mark.parametrize("value", [None, "", True, [], ["a"], {"a": 1}, -1, 10**30], ids=repr)
def test_an_upload_of_which_a_field_is_of_another_kind_is_no_crash(handler, place, value):
    event = _event("oss_put")
    table = event["events"][0]
    for name in place[:-1]:
        table = table[name]
    table[place[-1]] = value
    try:
        written = _call(handler, event)["written"]
    except (RequestError, OSError):
        return  # there is no OSS here
    assert written in ([None], ["scores/one.json.error.json"])


def test_direct_invocation(handler):
    assert _call(handler, _event("direct")) == _ANSWER
    assert _call(handler, {"instances": [[1, 2]]}, None) == {"predictions": [[1.0, 2.0]]}
    event = _event("direct_path")
    assert _call(handler, event)["outputs"][0]["data"] == [1.5, -2.0]
    assert _call(handler, event["body"])["outputs"][0]["data"] == [1.5, -2.0]
    assert _call(handler, {"path": "/v2/health/live"}) == {"live": True}


@pytest.mark.parametrize(
    "event",
    [
        b"", b"{", b"\xff", b"null", b"[]", b"7",
        {}, {"inputs": {"z": 1}}, {"path": "/predict", "body": "{"}, {"path": "/predict", "method": 3},
        {"events": []}, {"events": [{"eventName": "LogFileCreated", "eventSource": "cdn"}]},
        {"Records": []}, {"parameter": {}, "source": {}, "jobName": "x"},
    ],
)  # fmt: skip
def test_a_direct_call_that_is_wrong_and_an_unknown_trigger_raise_one_clean_error(handler, event):
    with pytest.raises(RequestError) as caught:
        _call(handler, event)
    assert caught.value.__cause__ is None
    assert len(caught.traceback) == 3  # this test, its helper and the handler
    assert _call(handler, _event("direct")) == _ANSWER


def test_a_direct_call_names_the_kind_of_error(handler):
    with pytest.raises(NotFoundError):
        _call(handler, {"path": "/nope"})


@pytest.mark.parametrize(
    "event", [_event("timer"), {"coldpress": "ping"}, {"warmer": True}, {"source": "serverless-plugin-warmup"}]
)
def test_timers_and_pings_only_keep_the_function_warm(handler, event):
    assert _call(handler, event) == {"warm": True}


def test_one_log_line_an_invocation(tmp_path, monkeypatch):
    monkeypatch.setenv("FC_FUNCTION_VERSION", "7")
    handler = make_handler(str(write_bundle(tmp_path / "b", "fp32")))
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        _call(handler, _event("http"))
        _call(handler, _event("http") | {"rawPath": "/nope"})
        _call(handler, _event("timer"))
        with pytest.raises(RequestError):
            _call(handler, b"{")
    logs = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [log["status"] for log in logs] == [200, 404, 200, 400]
    assert [log["cold_start"] for log in logs] == [True, False, False, False]
    assert {log["request_id"] for log in logs} == {_CONTEXT.request_id}
    assert {log["function_version"] for log in logs} == {"7"}
    assert logs[0]["init"].keys() >= {"import_ms", "session_ms", "warmup_ms", "total_ms"}


def test_a_bundle_that_cannot_work_fails_its_start(tmp_path):
    with pytest.raises(ManifestError, match="cannot be read"):
        make_handler(str(tmp_path))


_FRESH = """
import json, sys
before = set(sys.modules)
from coldpress_runtime.alibaba_fc import make_handler
handler = make_handler(sys.argv[1])
answer = handler(b'{"inputs": {"x": [[1.5, -2.0]]}}', None)
json.dump({"loaded": sorted(set(sys.modules) - before), "answer": answer}, sys.stderr)
"""
_BANNED = {
    "numpy", "onnxruntime", "typing", "dataclasses", "inspect", "logging", "pathlib", "asyncio", "socket", "urllib",
    "email", "http", "ssl", "subprocess", "tempfile", "threading", "concurrent", "traceback", "base64", "zlib",
    "random", "datetime", "shutil", "hashlib", "hmac", "decimal",
}  # fmt: skip


def test_a_fresh_process_starts_and_answers_on_the_standard_library_alone(tmp_path):
    root = write_bundle(tmp_path / "b", "fp32")
    done = subprocess.run(
        [sys.executable, "-S", "-c", _FRESH, str(root)],
        env={"PYTHONPATH": str(Path(coldpress_runtime.__file__).parent.parent), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stderr)
    assert found["answer"] == _ANSWER
    tops = {name.partition(".")[0] for name in found["loaded"]}
    assert tops <= set(sys.stdlib_module_names) | {"coldpress_runtime"}
    # What ctypes itself brings is the interpreter's business: since Python 3.14 that includes threading.
    code = "import ctypes, json, sys; print(json.dumps([*sys.modules]))"
    given = set(json.loads(subprocess.check_output([sys.executable, "-S", "-c", code])))
    assert not {name for name in found["loaded"] if name.partition(".")[0] in _BANNED} - given
    lazy = {"openapi", "metadata", "hooks", "inflate", "json_composites", "narrow", "oss", "uploads", "aws_events"}
    assert not {f"coldpress_runtime.{name}" for name in lazy} & set(found["loaded"])
