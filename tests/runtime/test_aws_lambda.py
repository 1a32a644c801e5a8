"""Each way in which AWS calls a function, with events as AWS sends them."""

import base64
import contextlib
import gzip
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import snapshot_restore_py

import coldpress_runtime
from coldpress_runtime.aws_lambda import make_handler
from coldpress_runtime.errors import ManifestError, NotFoundError, RequestError
from tests.support.tiny import write_bundle

_EVENTS = Path(__file__).parent.parent / "events" / "aws"
_CONTEXT = SimpleNamespace(aws_request_id="52fdfc07-2182-154f-163f-5f0f9a621d72")
_ANSWER = {"outputs": {"y": [[1.5, -2.0]]}}
_HTTP = ("http_api", "http_api_stage", "http_api_custom_domain", "function_url", "rest_api",
         "rest_api_custom_domain", "alb", "alb_multi_value")  # fmt: skip


def _event(name):
    return json.loads((_EVENTS / f"{name}.json").read_text())


@pytest.fixture(scope="module")
def handler(tmp_path_factory):
    return make_handler(str(write_bundle(tmp_path_factory.mktemp("bundle") / "b", "fp32")))


@pytest.fixture(scope="module")
def expander(tmp_path_factory):
    return make_handler(str(write_bundle(tmp_path_factory.mktemp("bundle") / "b", "expand")))


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    """A model with a route's name."""
    return make_handler(str(write_bundle(tmp_path_factory.mktemp("bundle") / "b", "fp32", name="predict")))


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
    reply = handler(_event(name), _CONTEXT)
    assert reply["statusCode"] == 200
    assert json.loads(reply["body"]) == _ANSWER
    assert reply["isBase64Encoded"] is False
    json.dumps(reply)


@pytest.mark.parametrize("name", [name for name in _HTTP if not name.startswith("alb")])
def test_api_gateway_gets_status_headers_and_body_only(handler, name):
    reply = handler(_event(name), _CONTEXT)
    assert reply.keys() == {"statusCode", "headers", "body", "isBase64Encoded"}
    assert reply["headers"] == {"Content-Type": "application/json"}


def test_load_balancers_get_a_status_description(handler):
    assert handler(_event("alb"), _CONTEXT)["statusDescription"] == "200 OK"
    assert handler(_event("alb") | {"path": "/nope"}, _CONTEXT)["statusDescription"] == "404 Not Found"
    assert handler(_event("alb_health_check"), _CONTEXT)["statusCode"] == 200


def test_load_balancers_with_multi_value_headers_get_lists(handler):
    reply = handler(_event("alb_multi_value"), _CONTEXT)
    assert reply["multiValueHeaders"] == {"Content-Type": ["application/json"]}
    assert "headers" not in reply


def test_options(handler):
    event = _event("http_api_get")
    event["requestContext"]["http"]["method"] = "OPTIONS"
    reply = handler(event, _CONTEXT)
    assert reply == {
        "statusCode": 204,
        "headers": {"Allow": "GET, HEAD, OPTIONS"},
        "body": "",
        "isBase64Encoded": False,
    }


def test_a_get(handler):
    assert json.loads(handler(_event("http_api_get"), _CONTEXT)["body"]) == {"live": True}


@pytest.mark.parametrize(
    ("stage", "path", "status"),
    [
        ("prod", "/prod/predict", 200),
        ("prod", "/predict", 200),
        ("prod", "/production/predict", 404),
        ("predict", "/predict/predict", 200),
        ("$default", "/prod/predict", 404),
        ("prod", "/prod", 404),
    ],
)
def test_stages(handler, stage, path, status):
    event = _event("http_api_stage")
    event["rawPath"] = path
    event["requestContext"]["stage"] = stage
    assert handler(event, _CONTEXT)["statusCode"] == status


@pytest.mark.parametrize("stage", ["$default", "v2", "predict"])
@pytest.mark.parametrize("base", ["", "/v1", "/a/b", "/v2", "/api/v2", "/predict"])
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/predict", 200),
        ("/predict/", 200),
        ("/v2/models/predict/infer", 400),
        ("/v2/models/predict", 405),
        ("/v2/health/live", 405),
        ("/v2", 405),
        ("/openapi.json", 405),
        ("/nope", 404),
    ],
)
def test_base_paths_of_custom_domains(predictor, base, path, status, stage):
    event = _event("http_api_custom_domain") | {"rawPath": base + path}
    event["requestContext"]["stage"] = stage
    assert predictor(event, _CONTEXT)["statusCode"] == status


def test_header_names_in_any_case(handler):
    event = _event("http_api")
    event["headers"] = {name.title(): value for name, value in event["headers"].items()}
    event["headers"]["Content-Encoding"] = "gzip"
    event |= {"body": base64.b64encode(gzip.compress(event["body"].encode())).decode(), "isBase64Encoded": True}
    assert json.loads(handler(event, _CONTEXT)["body"]) == _ANSWER


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("rest_api", {"a": ["b&c=d", "%"], "é": ["1 2"]}),
        ("alb", {"a": ["b%26c%3Dd", "%25"], "%C3%A9": ["1%202"]}),
        ("http_api", None),
    ],
)
def test_a_hook_gets_the_query_as_it_was_sent(echo, name, values):
    query = "a=b%26c%3Dd&a=%25&%C3%A9=1%202"
    event = _event(name) | {"rawQueryString": query, "multiValueQueryStringParameters": values}
    assert json.loads(echo(event, _CONTEXT)["body"]) == query


def test_a_rest_route_without_a_proxy(handler):
    event = _event("rest_api") | {"resource": "/predict", "pathParameters": None}
    assert handler(event, _CONTEXT)["statusCode"] == 200
    event = _event("rest_api") | {
        "resource": "/v2/models/{model}/infer",
        "pathParameters": {"model": "tiny"},
    }
    assert "inputs is an object" in handler(event, _CONTEXT)["body"]


@pytest.mark.parametrize("name", _HTTP)
def test_base64_bodies_in_and_out(handler, name):
    text = json.dumps(
        {
            "inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "parameters": {"binary_data_size": 8}}],
            "parameters": {"binary_data_output": True},
        }
    )
    event = _event(name)
    for key in ("path", "rawPath"):
        if key in event:
            event[key] = "/v2/models/tiny/infer"
    if "stage" in name:
        event["rawPath"] = "/prod/v2/models/tiny/infer"
    if "pathParameters" in event:
        event["pathParameters"] = {"proxy": "v2/models/tiny/infer"}
    header = "Inference-Header-Content-Length"
    if "headers" in event:
        event["headers"][header] = str(len(text))
    if "multiValueHeaders" in event:
        event["multiValueHeaders"][header] = [str(len(text))]
    tail = b"\0\0\x80?\0\0\0@"
    event["body"] = base64.b64encode(text.encode() + tail).decode()
    event["isBase64Encoded"] = True
    if name.startswith(("http", "function")):
        event["headers"] = {key.lower(): value for key, value in event["headers"].items()}
    reply = handler(event, _CONTEXT)
    assert reply["statusCode"] == 200
    assert reply["isBase64Encoded"] is True
    assert base64.b64decode(reply["body"]).endswith(tail)


@pytest.mark.parametrize("name", _HTTP)
@pytest.mark.parametrize("body", ["!", "abc", "ü", "YQ==YQ=="])
def test_a_body_that_is_not_base64(handler, name, body):
    reply = handler(_event(name) | {"body": body, "isBase64Encoded": True}, _CONTEXT)
    assert reply["statusCode"] == 400
    assert "not valid base64" in reply["body"]


@pytest.mark.parametrize("name", _HTTP)
@pytest.mark.parametrize(
    "key", ["body", "headers", "multiValueHeaders", "requestContext", "rawPath", "path", "httpMethod"]
)
@pytest.mark.parametrize("value", [None, 3, [], "x", {}, {"a": None}, {"a": [None]}])
def test_events_with_a_field_of_another_kind_are_never_a_crash(handler, name, key, value):
    try:
        reply = handler(_event(name) | {key: value}, _CONTEXT)
    except RequestError:
        return  # what looks like no gateway's event is taken as a direct call
    assert reply.get("statusCode", 200) < 500


def test_direct_invocation_with_a_body(handler):
    assert handler(_event("direct"), _CONTEXT) == _ANSWER
    assert handler({"instances": [[1, 2]]}, None) == {"predictions": [[1.0, 2.0]]}
    protocol = _event("direct_path")["body"]
    assert handler(protocol, _CONTEXT)["outputs"][0]["data"] == [1.5, -2.0]


def test_direct_invocation_with_a_path(handler):
    event = _event("direct_path")
    assert handler(event, _CONTEXT)["outputs"][0]["data"] == [1.5, -2.0]
    assert handler(event | {"body": json.dumps(event["body"])}, _CONTEXT)["outputs"][0]["data"] == [1.5, -2.0]
    assert handler({"path": "/v2/health/live"}, _CONTEXT) == {"live": True}
    binary = event["body"] | {"parameters": {"binary_data_output": True}}
    reply = handler(event | {"body": binary}, _CONTEXT)
    assert reply["isBase64Encoded"]
    assert base64.b64decode(reply["body"]).endswith(b"\0\0\xc0?\0\0\0\xc0")


def test_direct_invocation_asking_for_a_head(handler):
    reply = handler({"path": "/v2/health/live", "method": "HEAD"}, _CONTEXT)
    assert (reply["statusCode"], reply["body"]) == (200, "")
    with pytest.raises(NotFoundError):
        handler({"path": "/nope", "method": "HEAD"}, _CONTEXT)


@pytest.mark.parametrize(
    ("kind", "body"),
    [("text/plain; charset=latin-1", b"\xe9"), ("application/json", b"{"), ("application/json", b"\xff")],
)
@pytest.mark.parametrize("name", [*_HTTP, "direct"])
def test_what_a_hook_says_is_text_and_is_not(tmp_path, name, kind, body):
    hooks = f"""
from coldpress_runtime.http import Response

def postprocess(outputs):
    return Response(200, {{"Content-Type": {kind!r}}}, {body!r})
"""
    reply = make_handler(str(write_bundle(tmp_path / "b", "fp32", hooks)))(_event(name), _CONTEXT)
    assert reply["statusCode"] == 200
    assert (base64.b64decode(reply["body"]) if reply["isBase64Encoded"] else reply["body"].encode()) == body


def test_an_event_of_another_service_is_no_ping(handler):
    with pytest.raises(RequestError):
        handler({"source": "aws.s3", "detail-type": "Object Created", "detail": {}}, _CONTEXT)


@pytest.mark.parametrize(
    "event", [None, [], "x", 7, {}, {"Records": []}, {"inputs": {"z": 1}}, {"path": "/predict", "body": "{"}]
)
def test_a_direct_call_that_is_wrong_raises_one_clean_error(handler, event):
    with pytest.raises(RequestError) as caught:
        handler(event, _CONTEXT)
    assert caught.value.__cause__ is None
    assert len(caught.traceback) == 2  # this test and the handler
    assert handler(_event("direct"), _CONTEXT) == _ANSWER


def test_a_direct_call_names_the_kind_of_error(handler):
    with pytest.raises(NotFoundError):
        handler({"path": "/nope"}, _CONTEXT)


@pytest.mark.parametrize(
    "event",
    [
        _event("scheduled"),
        {"coldpress": "ping"},
        {"warmer": True, "concurrency": 3},
        {"source": "serverless-plugin-warmup"},
    ],
)
def test_pings_only_keep_the_function_warm(handler, event):
    assert handler(event, _CONTEXT) == {"warm": True}


def test_an_answer_that_aws_would_not_take(expander):
    event = _event("rest_api") | {"body": json.dumps({"inputs": {"x": [[0.123]] * 600}})}
    assert expander(event, _CONTEXT)["statusCode"] == 413  # the service's own limit
    event = _event("alb") | {"body": json.dumps({"inputs": {"x": [[0.123]] * 100}})}
    reply = expander(event, _CONTEXT)
    assert reply["statusCode"] == 413
    assert "bytes that AWS takes" in reply["body"]
    assert expander(_event("http_api") | {"body": event["body"]}, _CONTEXT)["statusCode"] == 200


def test_a_text_that_only_its_escapes_make_too_large(tmp_path):
    hooks = """
from coldpress_runtime.http import Response

def postprocess(outputs):
    return Response(200, {"Content-Type": "text/plain"}, bytes(1_500_000))
"""
    handler = make_handler(str(write_bundle(tmp_path / "b", "fp32", hooks)))
    assert handler(_event("http_api"), _CONTEXT)["statusCode"] == 413


def test_a_binary_answer_that_only_base64_makes_too_large(expander):
    inputs = [{"name": "x", "shape": [1400, 1], "datatype": "FP32", "data": [0.5] * 1400}]
    body = {"inputs": inputs, "parameters": {"binary_data_output": True}}
    event = _event("http_api") | {"rawPath": "/v2/models/tiny/infer", "body": json.dumps(body)}
    assert expander(event, _CONTEXT)["statusCode"] == 413


def test_one_log_line_and_one_metric_line_an_invocation(tmp_path):
    handler = make_handler(str(write_bundle(tmp_path / "b", "fp32")))
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        handler(_event("http_api"), _CONTEXT)
        handler(_event("http_api") | {"rawPath": "/nope"}, _CONTEXT)
        handler(_event("scheduled"), _CONTEXT)
        handler(_event("http_api") | {"isBase64Encoded": True, "body": "!"}, _CONTEXT)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert len(lines) == 8
    logs, metrics = lines[::2], lines[1::2]
    assert [log["status"] for log in logs] == [200, 404, 200, 400]
    assert [log["cold_start"] for log in logs] == [True, False, False, False]
    assert all("_aws" in line for line in metrics)
    assert {line["request_id"] for line in lines} == {_CONTEXT.aws_request_id}
    assert logs[0]["path"] == "/predict"
    assert logs[0]["init"].keys() >= {"import_ms", "session_ms", "warmup_ms", "total_ms"}
    assert "init" not in logs[1]
    assert logs[1]["error"]["type"] == "NotFoundError"


def test_a_bundle_that_cannot_work_fails_its_init(tmp_path):
    with pytest.raises(ManifestError, match="cannot be read"):
        make_handler(str(tmp_path))


_FRESH = """
import json, sys
before = set(sys.modules)
from coldpress_runtime.aws_lambda import make_handler
handler = make_handler(sys.argv[1])
answer = handler({"inputs": {"x": [[1.5, -2.0]]}}, None)
json.dump({"loaded": sorted(set(sys.modules) - before), "answer": answer}, sys.stderr)
"""
_BANNED = {
    "numpy", "onnxruntime", "typing", "dataclasses", "inspect", "logging", "pathlib", "asyncio", "socket", "urllib",
    "email", "http", "ssl", "subprocess", "tempfile", "threading", "concurrent", "traceback", "importlib.util",
    "importlib.metadata", "base64", "zlib", "random", "datetime", "shutil", "hashlib", "decimal",
}  # fmt: skip


def _fresh(root, code=_FRESH, **env):
    paths = [str(Path(coldpress_runtime.__file__).parent.parent)]
    paths += [str(package) for package in env.pop("packages", [])]
    done = subprocess.run(
        [sys.executable, "-S", "-c", code, str(root)],
        env={"PYTHONPATH": os.pathsep.join(paths), "PATH": os.environ["PATH"]} | env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


def test_a_fresh_process_starts_and_answers_on_the_standard_library_alone(tmp_path):
    found = json.loads(_fresh(write_bundle(tmp_path / "b", "fp32")).stderr)
    assert found["answer"] == _ANSWER
    tops = {name.partition(".")[0] for name in found["loaded"]}
    assert tops <= set(sys.stdlib_module_names) | {"coldpress_runtime"}
    # What ctypes itself brings is the interpreter's business: since Python 3.14 that includes threading.
    code = "import ctypes, json, sys; print(json.dumps([*sys.modules]))"
    given = set(json.loads(subprocess.check_output([sys.executable, "-S", "-c", code])))
    banned = {name for name in found["loaded"] if name in _BANNED or name.partition(".")[0] in _BANNED - {"importlib"}}
    assert not banned - given
    lazy = {"openapi", "metadata", "hooks", "inflate", "json_composites", "narrow"}
    assert not {f"coldpress_runtime.{name}" for name in lazy} & set(found["loaded"])


_SNAPSHOT = """
import json, sys
from types import SimpleNamespace
from coldpress_runtime.aws_lambda import make_handler
import snapshot_restore_py as snap
handler = make_handler(sys.argv[1])
answer = lambda: handler({"inputs": {"x": [[1, 2]]}}, None)
answer(); answer()
for function, args, kwargs in snap.get_before_snapshot(): function(*args, **kwargs)
for function, args, kwargs in snap.get_after_restore(): function(*args, **kwargs)
answer(); answer()
sys.stderr.write(f"{len(snap.get_before_snapshot())} {len(snap.get_after_restore())}")
"""


def test_snap_start_makes_the_first_invocation_after_a_restore_cold(tmp_path):
    packages = tmp_path / "packages"  # AWS's own module and no other, as the managed runtime brings it
    packages.mkdir()
    shutil.copy(snapshot_restore_py.__file__, packages)
    root = write_bundle(tmp_path / "b", "fp32")
    done = _fresh(root, _SNAPSHOT, packages=[packages], AWS_LAMBDA_INITIALIZATION_TYPE="snap-start")
    assert done.stderr == "1 1"
    logs = [json.loads(line) for line in done.stdout.splitlines()][::2]
    assert [log["cold_start"] for log in logs] == [True, False, True, False]
    done = _fresh(root, _SNAPSHOT, packages=[packages], AWS_LAMBDA_INITIALIZATION_TYPE="on-demand")
    assert done.stderr == "0 0"
