"""Azure's adapter with requests and blobs as its SDK makes them, and with odd ones."""

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
from coldpress.emulate.clients import client
from coldpress_runtime.azure_functions import make_app
from coldpress_runtime.errors import ColdpressError, ManifestError
from tests.support.tiny import write_bundle

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Azure's worker library is for Linux")

_CONTEXT = SimpleNamespace(invocation_id="52fdfc07-2182-154f-163f-5f0f9a621d72")
_ANSWER = {"outputs": {"y": [[1.5, -2.0]]}}
_BODY = b'{"inputs": {"x": [[1.5, -2.0]]}}'


@pytest.fixture(scope="module")
def azure():
    """Microsoft's SDK for functions, from where the emulation has it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path, str(client("azure", sys.executable, "3.13"))])
        import azure.functions

        yield azure.functions


@pytest.fixture(scope="module")
def start(azure, tmp_path_factory):
    """Make an app around a bundle; return its functions by name."""

    def start(*bundle, environment=(), **changes):
        root = write_bundle(tmp_path_factory.mktemp("bundle") / "b", *bundle, **changes)
        with pytest.MonkeyPatch.context() as patch:
            for name, value in dict(environment).items():
                patch.setenv(name, value)
            functions = make_app(str(root)).get_functions()
        return {function.get_function_name(): function for function in functions}

    return start


@pytest.fixture(scope="module")
def answer(start):
    return start("fp32")["answer"].get_user_function()


@pytest.fixture
def request_of(azure):
    def make(method="POST", url="https://m.azurewebsites.net/predict", body=_BODY, headers=()):
        return azure.HttpRequest(method, url, headers=dict(headers), body=body)

    return make


def document(reply):
    return json.loads(reply.get_body())


def test_a_request_is_answered(answer, request_of):
    reply = answer(request_of(), _CONTEXT)
    assert (reply.status_code, document(reply)) == (200, _ANSWER)
    assert dict(reply.headers) == {"Content-Type": "application/json"}


def test_one_function_takes_every_path_and_asks_for_a_key(start):
    functions = start("fp32")
    assert list(functions) == ["answer"]
    trigger = functions["answer"].get_trigger().get_dict_repr()
    assert trigger["route"] == "{*path}"
    assert trigger["authLevel"].name == "FUNCTION"
    assert "methods" not in trigger


def test_who_may_call_is_a_setting(start):
    functions = start("fp32", environment={"COLDPRESS_AUTH_LEVEL": "ANONYMOUS"})
    assert functions["answer"].get_trigger().get_dict_repr()["authLevel"].name == "ANONYMOUS"


@pytest.mark.parametrize(
    ("method", "place", "status"),
    [
        ("GET", "/v2/health/live", 200),
        ("GET", "/v2/health/ready?probe=1", 200),
        ("GET", "/v2/models/tiny", 200),
        ("GET", "/v2/models/t%69ny", 200),
        ("GET", "/openapi.json", 200),
        ("POST", "/predict/", 200),
        ("HEAD", "/v2/health/live", 200),
        ("OPTIONS", "/predict", 204),
        ("GET", "/predict", 405),
        ("BREW", "/predict", 405),
        ("GET", "", 404),
        ("GET", "/", 404),
        ("GET", "?a=1", 404),
        ("GET", "//", 404),
        ("GET", "/api/v2/health/live", 404),
        ("GET", "/n%C3%BC", 404),
        ("GET", "/a%2Fb", 404),
        ("GET", "/%", 404),
        ("GET", "/v2/models/caf%C3%A9", 404),
        ("GET", "/x://y/z", 404),
    ],
)
def test_paths(answer, request_of, method, place, status):
    body = _BODY if method == "POST" else b""
    reply = answer(request_of(method, "https://m.azurewebsites.net" + place, body), _CONTEXT)
    assert reply.status_code == status
    assert bool(reply.get_body()) == (method != "HEAD" and status != 204)


def test_a_model_with_a_name_beyond_ascii_is_found_by_its_escapes(start, request_of):
    answer = start("fp32", name="café")["answer"].get_user_function()
    assert answer(request_of("GET", "https://m/v2/models/caf%C3%A9", b""), _CONTEXT).status_code == 200


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({}, _BODY, 200),
        ({"content-type": "application/json; charset=utf-8"}, _BODY, 200),
        ({"CONTENT-TYPE": "image/png"}, _BODY, 415),
        ({"content-type": ""}, _BODY, 200),
        ({"content-encoding": "gzip"}, gzip.compress(_BODY, mtime=0), 200),
        ({"content-encoding": "gzip"}, _BODY, 400),
        ({"content-encoding": "br"}, _BODY, 415),
        ({}, b"", 400),
        ({}, b"{", 400),
        ({}, b"\xff\xfe", 400),
        ({}, b"eyJpbnB1dHMiOiB7fX0=", 400),
        ({}, b" " * 6291457, 413),
    ],
)
def test_headers_and_bodies(answer, request_of, headers, body, status):
    reply = answer(request_of(headers=headers, body=body), _CONTEXT)
    assert reply.status_code == status
    assert status == 200 or "error" in document(reply)


def test_binary_tensors_in_and_out(answer, request_of):
    text = json.dumps(
        {
            "inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "parameters": {"binary_data_size": 8}}],
            "parameters": {"binary_data_output": True},
        }
    ).encode()
    tail = b"\0\0\x80?\0\0\0@"
    headers = {"Inference-Header-Content-Length": str(len(text))}
    reply = answer(request_of("POST", "https://m/v2/models/tiny/infer", text + tail, headers), _CONTEXT)
    assert reply.status_code == 200
    assert reply.get_body().endswith(tail)


def test_a_hook_gets_the_query_as_it_was_sent(start, request_of):
    hooks = """
def preprocess(request):
    global query
    query = request.query
    return {"x": [[1, 2]]}

def postprocess(outputs):
    return query
"""
    answer = start("fp32", hooks)["answer"].get_user_function()
    query = "a=b%26c&a=&a=%C3%A9&?&b"
    assert document(answer(request_of(url=f"https://m/predict?{query}"), _CONTEXT)) == query


@pytest.mark.parametrize(
    ("headers", "sent"),
    [
        ({}, {"content-type": ""}),
        ({"content-type": "image/png"}, {"Content-Type": "image/png"}),
        ({"Content-Type": "a/b", "X-Digit": "f\xfcnf", "X-Empty": ""}, {"X-Digit": "f?nf", "X-Empty": ""}),
    ],
)
def test_headers_of_a_hook_are_such_as_the_host_can_send(start, request_of, headers, sent):
    hooks = f"""
from coldpress_runtime.http import Response

def postprocess(outputs):
    return Response(200, {headers!r}, b"x")
"""
    reply = start("fp32", hooks)["answer"].get_user_function()(request_of(), _CONTEXT)
    assert {name: reply.headers[name] for name in sent} == sent


def test_a_hook_that_fails_shows_the_caller_nothing(start, request_of):
    answer = start("fp32", "def preprocess(request):\n    raise ValueError('secret')\n")["answer"].get_user_function()
    with contextlib.redirect_stderr(io.StringIO()):
        reply = answer(request_of(), _CONTEXT)
    assert reply.status_code == 500
    assert b"secret" not in reply.get_body()


def test_one_log_line_an_invocation_and_no_metrics_of_another_cloud(start, request_of):
    answer = start("fp32")["answer"].get_user_function()
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        answer(request_of(), _CONTEXT)
        answer(request_of("GET", "https://m/nope", b""), _CONTEXT)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line["status"] for line in lines] == [200, 404]
    assert [line["cold_start"] for line in lines] == [True, False]
    assert {line["request_id"] for line in lines} == {_CONTEXT.invocation_id}
    assert lines[0]["init"].keys() >= {"import_ms", "session_ms", "warmup_ms", "total_ms"}


def test_a_bundle_that_cannot_work_fails_its_indexing(azure, tmp_path):
    with pytest.raises(ManifestError, match="cannot be read"):
        make_app(str(tmp_path))


class _Out:
    """An output binding, as the worker hands one in."""

    def __init__(self):
        self.value = None

    def set(self, value):
        self.value = value


@pytest.fixture
def upload(azure):
    """Hand a blob to the function that scores them; return what it wrote as scores and as errors."""
    from azure.functions.blob import InputStream

    def upload(functions, body=_BODY, name="data/uploads/a/b.json", properties=None):
        blob = InputStream(data=body, name=name, uri=f"https://u/{name}", length=len(body), blob_properties=properties)
        scores, errors = _Out(), _Out()
        functions["score_upload"].get_user_function()(blob, scores, errors, _CONTEXT)
        return scores.value, errors.value

    return upload


@pytest.fixture(scope="module")
def watcher(start):
    return start("fp32", environment={"COLDPRESS_UPLOADS": "data"})


def test_uploads_are_told_of_by_event_grid_and_answered_beside_them(watcher):
    bindings = {binding.name: binding.get_dict_repr() for binding in watcher["score_upload"].get_bindings()}
    assert {name: binding["path"] for name, binding in bindings.items()} == {
        "blob": "data/uploads/{name}",
        "scores": "data/scores/{name}.json",
        "errors": "data/scores/{name}.error.json",
    }
    assert {binding["connection"] for binding in bindings.values()} == {"UPLOADS"}
    assert bindings["blob"]["source"] == "EventGrid"


def test_prefixes_are_settings(start):
    environment = {"COLDPRESS_UPLOADS": "c", "COLDPRESS_INPUT_PREFIX": "in/", "COLDPRESS_OUTPUT_PREFIX": "out/"}
    bindings = start("fp32", environment=environment)["score_upload"].get_bindings()
    paths = {binding.get_dict_repr()["path"] for binding in bindings}
    assert paths == {"c/in/{name}", "c/out/{name}.json", "c/out/{name}.error.json"}


def test_an_upload_is_scored_and_twice_the_same(watcher, upload):
    first, second = upload(watcher), upload(watcher, properties={"ContentType": "application/json", "ETag": "1"})
    assert json.loads(first[0]) == _ANSWER
    assert first == second
    assert first[1] is None


def test_a_blob_that_is_kept_compressed_is_scored(watcher, upload):
    properties = {"ContentType": "application/json", "ContentEncoding": "gzip"}
    assert json.loads(upload(watcher, gzip.compress(_BODY, mtime=0), properties=properties)[0]) == _ANSWER


@pytest.mark.parametrize(
    ("body", "properties"),
    [(b"{", None), (b"\x89PNG", {"ContentType": "image/png"}), (b" " * 6291457, {}), (b"[]", {"ContentType": None})],
)
def test_what_the_sender_must_mend_becomes_an_error_beside_the_scores(watcher, upload, body, properties):
    scores, errors = upload(watcher, body, properties=properties)
    assert scores is None
    assert "error" in json.loads(errors)


@pytest.mark.parametrize(("name", "body"), [("data/uploads/a", b""), ("data/scores/a.json", _BODY), ("data/a", _BODY)])
def test_what_is_not_to_be_scored_leaves_nothing(watcher, upload, name, body, capsys):
    assert upload(watcher, body, name) == (None, None)
    assert "is not scored" in capsys.readouterr().err


def test_a_name_beyond_ascii_is_a_name(watcher, upload):
    assert json.loads(upload(watcher, name="data/uploads/ä b#?%.json")[0]) == _ANSWER


def test_what_may_do_better_later_is_raised_so_that_the_host_tries_again(start, upload, capsys):
    hooks = "def preprocess(request):\n    raise ValueError('secret')\n"
    functions = start("fp32", hooks, environment={"COLDPRESS_UPLOADS": "data"})
    with pytest.raises(ColdpressError):
        upload(functions)


_FRESH = """
import json, sys
before = set(sys.modules)
import coldpress_runtime.azure_functions
imported = sorted(set(sys.modules) - before)
import azure.functions
before = set(sys.modules)
app = coldpress_runtime.azure_functions.make_app(sys.argv[1])
json.dump([imported, sorted(set(sys.modules) - before)], sys.stderr)
"""


def test_a_fresh_process_loads_nothing_but_the_standard_library_and_the_sdk_that_is_there(tmp_path):
    paths = [str(Path(coldpress_runtime.__file__).parent.parent), str(client("azure", sys.executable, "3.13"))]
    done = subprocess.run(
        [sys.executable, "-S", "-c", _FRESH, str(write_bundle(tmp_path / "b", "fp32"))],
        env={"PYTHONPATH": os.pathsep.join(paths), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    imported, made = json.loads(done.stderr)
    for loaded in (imported, made):
        tops = {name.partition(".")[0] for name in loaded}
        assert tops <= set(sys.stdlib_module_names) | {"coldpress_runtime"}
    assert not {"numpy", "asyncio", "logging", "socket", "typing", "inspect", "threading"} & set(imported)
    assert "coldpress_runtime.uploads" not in made
