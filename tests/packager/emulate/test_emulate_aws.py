"""A function under AWS's own runtime client: what it sees, what it says, how it ends."""

import json
import os
import stat
import sys
import time
import zipfile
from pathlib import Path

import pytest

from coldpress.emulate.aws import LambdaFunction
from coldpress.emulate.clients import client
from coldpress.emulate.events import EVENTS, make_event, read_reply
from coldpress.emulate.http import HttpRequest
from coldpress.emulate.process import locate, target_minor, unpack
from coldpress.errors import EmulateError, ResolveError

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="awslambdaric is for Linux")

ECHO = "def handler(event, context):\n    return event\n"


@pytest.fixture
def function(tmp_path):
    """Write app.py into a folder and start it, with the interpreter of these tests."""
    started = []

    def start(source, **options):
        folder = tmp_path / f"task{len(started)}"
        folder.mkdir()
        (folder / "app.py").write_text(source)
        started.append(LambdaFunction(folder, **{"python": sys.executable} | options))
        return started[-1]

    yield start
    for each in started:
        each.close()


def test_an_event_comes_back_as_the_handler_returns_it(function):
    echo = function(ECHO)
    assert echo.invoke({"a": ["ü", None, 1.5]}).json() == {"a": ["ü", None, 1.5]}
    assert echo.invoke(b'[1,2,"x"]').json() == [1, 2, "x"]
    assert echo.init_ms > 0
    assert echo.peak_mb > 1


def test_the_function_sees_lambdas_variables_and_nothing_of_this_process(function, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_TEST", "1")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    seen = function("import os\ndef handler(e, c):\n    return dict(os.environ)\n", memory_mb=640).invoke({}).json()
    assert seen["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "640"
    assert seen["_HANDLER"] == "app.handler"
    assert {"SECRET_OF_THE_TEST", "PYTHONPATH", "HOME"}.isdisjoint(seen)


def test_the_function_sees_its_own_folder_the_runtime_client_and_the_standard_library_only(function):
    source = (
        "import importlib.util as u, os, sys\n"
        "def handler(e, c):\n"
        "    ours = ('coldpress', 'coldpress_runtime', 'numpy', 'onnxruntime', 'pip')\n"
        "    return [sys.path, os.getcwd(), [name for name in ours if u.find_spec(name)]]\n"
    )
    started = function(source)
    path, folder, found = started.invoke({}).json()
    assert path[0] == folder == str(started.root)
    assert not [entry for entry in path if "site-packages" in entry]
    assert found == []


def test_no_bytecode_is_written_as_on_lambdas_read_only_disk(function):
    started = function(ECHO)
    assert not list(started.root.rglob("*.pyc"))


def test_the_context_holds_arn_request_id_and_the_time_that_is_left(function):
    source = (
        "def handler(e, c):\n"
        "    left = c.get_remaining_time_in_millis()\n"
        "    return [c.invoked_function_arn, c.aws_request_id, left, c.memory_limit_in_mb]\n"
    )
    arn, request_id, left, memory = function(source, timeout_s=9).invoke({}).json()
    assert arn.startswith("arn:aws:lambda:")
    assert len(request_id) == 36
    assert 0 < left <= 9000
    assert memory == "1024"


def test_a_handler_that_raises_is_reported_and_answers_the_next_event(function):
    started = function("def handler(e, c):\n    return 1 / e['x']\n")
    assert started.invoke({"x": 0}).error["errorType"] == "ZeroDivisionError"
    assert started.invoke({"x": 2}).json() == 0.5


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import no_such_module\n", "No module named 'no_such_module'"),
        ("raise RuntimeError('the model is missing')\n", "RuntimeError: the model is missing"),
        ("def other(e, c): pass\n", "Handler 'handler' missing on module 'app'"),
        ("import os\nos._exit(7)\n", "exit status 7"),
        (
            "import os, signal\nprint('good', 'bye', flush=True)\nos.kill(os.getpid(), signal.SIGSEGV)\n",
            "SIGSEGV.*good bye",
        ),
    ],
)
def test_a_function_that_fails_to_start_says_why(function, source, message):
    with pytest.raises(EmulateError, match=message):
        function(source)


def test_a_start_that_takes_too_long_is_ended(function):
    with pytest.raises(EmulateError, match="not ready after 1 s"):
        function("import time\ntime.sleep(60)\n", init_timeout_s=1)


def test_an_answer_that_takes_too_long_ends_the_process(function):
    started = function("import time\ndef handler(e, c):\n    time.sleep(60)\n", timeout_s=0.3)
    pid = started.pid
    with pytest.raises(EmulateError, match=r"time limit of 0\.3 s"):
        started.invoke({})
    assert not alive(pid)
    with pytest.raises(EmulateError, match="closed"):
        started.invoke({})


def test_a_process_that_dies_in_an_invocation_is_an_error_with_its_last_words(function):
    started = function("import os\ndef handler(e, c):\n    print('bang', flush=True)\n    os._exit(3)\n")
    with pytest.raises(EmulateError, match=r"exit status 3.*bang"):
        started.invoke({})


def test_closing_ends_what_the_function_started_too(function):
    source = "import subprocess\nchild = subprocess.Popen(['sleep', '60'])\ndef handler(e, c):\n    return child.pid\n"
    started = function(source)
    child = started.invoke({}).json()
    assert alive(child)
    started.close()
    deadline = time.monotonic() + 5
    while alive(child) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not alive(child)


def test_what_the_function_prints_is_kept(function):
    started = function("import sys\nprint('starting')\ndef handler(e, c):\n    print('oops', file=sys.stderr)\n")
    started.invoke({})
    assert started.logs().splitlines() == ["starting", "oops"]


def test_further_variables_reach_the_function(function):
    started = function("import os\ndef handler(e, c):\n    return os.environ['MINE']\n", environment={"MINE": "yes"})
    assert started.invoke({}).json() == "yes"


def test_a_zip_is_unpacked_with_its_modes_and_removed_at_the_end(tmp_path):
    with zipfile.ZipFile(tmp_path / "function.zip", "w") as archive:
        archive.writestr("app.py", ECHO)
        tool = zipfile.ZipInfo("tool.sh")
        tool.external_attr = (stat.S_IFREG | 0o755) << 16
        archive.writestr(tool, "#!/bin/sh\n")
    with LambdaFunction(tmp_path, python=sys.executable) as started:
        assert started.invoke({"x": 1}).json() == {"x": 1}
        assert os.access(started.root / "tool.sh", os.X_OK)
        root = started.root
    assert not root.exists()


@pytest.mark.parametrize("name", ["../evil.py", "/evil.py", "a/../../evil.py", "..\\evil.py", "C:/evil.py"])
def test_a_zip_entry_that_leaves_the_folder_is_refused(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), "x")
    with pytest.raises(EmulateError, match="leaves its folder"):
        unpack(tmp_path / "bad.zip", tmp_path / "out")
    assert not list(tmp_path.rglob("evil.py"))


def test_a_link_in_a_zip_is_refused(tmp_path):
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(EmulateError, match="leaves its folder"):
        unpack(tmp_path / "bad.zip", tmp_path / "out")


def test_a_damaged_zip_is_one_sentence(tmp_path):
    with zipfile.ZipFile(tmp_path / "good.zip", "w") as archive:
        archive.writestr("app.py", ECHO * 100)
    content = bytearray((tmp_path / "good.zip").read_bytes())
    content[60:80] = bytes(20)
    (tmp_path / "bad.zip").write_bytes(content)
    with pytest.raises(EmulateError, match="not a whole zip"):
        unpack(tmp_path / "bad.zip", tmp_path / "out")


def test_what_is_not_a_built_function_is_refused(tmp_path):
    with pytest.raises(EmulateError, match="there is nothing there"):
        locate(tmp_path / "nowhere")
    with pytest.raises(EmulateError, match=r"neither function\.zip nor function/ nor one of app\.py"):
        locate(tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"x")
    with pytest.raises(EmulateError, match="not a built function"):
        locate(tmp_path / "model.onnx")


def test_the_target_python_is_read_from_compiled_modules_then_from_bytecode(tmp_path):
    assert target_minor(tmp_path) is None
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "app.cpython-312.pyc").write_bytes(b"")
    assert target_minor(tmp_path) == "3.12"
    (tmp_path / "_fast.cpython-314-x86_64-linux-gnu.so").write_bytes(b"")
    assert target_minor(tmp_path) == "3.14"


def test_compiled_modules_for_another_python_are_said_to_need_it(tmp_path):
    (tmp_path / "app.py").write_text(ECHO)
    (tmp_path / "_fast.cpython-399-x86_64-linux-gnu.so").write_bytes(b"")
    with pytest.raises(EmulateError, match=r"compiled for Python 3\.99 .*install Python 3\.99"):
        LambdaFunction(tmp_path, python=sys.executable)


def test_an_interpreter_that_does_not_run_is_one_sentence(tmp_path):
    (tmp_path / "app.py").write_text(ECHO)
    with pytest.raises(EmulateError, match="does not run"):
        LambdaFunction(tmp_path, python=tmp_path / "no-python")


def test_the_runtime_client_is_kept_compiled_in_a_folder_of_its_own():
    home = client("aws", sys.executable)
    assert client("aws", sys.executable) == home
    sources, compiled = list(home.glob("awslambdaric/*.py")), list(home.glob("awslambdaric/__pycache__/*.pyc"))
    assert sources
    assert len(sources) == len(compiled)
    assert not list(home.parent.glob(".new-*/tree/awslambdaric"))


def test_a_runtime_client_that_cannot_be_downloaded_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("COLDPRESS_CACHE", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(ResolveError, match="could not be downloaded"):
        client("aws", sys.executable)
    assert not list((tmp_path / "clients" / "aws").iterdir())


POST = HttpRequest("POST", "/predict?a=1&b=x%20y&a=2", {"X-One": "1"}, b'{"inputs": {}}')


@pytest.mark.parametrize("kind", sorted(EVENTS))
def test_every_gateways_event_is_json_and_carries_method_path_headers_and_body(kind):
    event = json.loads(json.dumps(make_event(kind, POST)))
    assert event["headers"]["x-one"] == "1"
    assert event["headers"]["content-type"] == "application/json"
    assert event["body"] == '{"inputs": {}}'
    assert event["isBase64Encoded"] is False
    if kind in {"http-api", "url"}:
        assert event["version"] == "2.0"
        assert event["rawPath"] == event["requestContext"]["http"]["path"] == "/predict"
        assert event["requestContext"]["http"]["method"] == "POST"
        assert event["rawQueryString"] == "a=1&b=x%20y&a=2"
        assert event["queryStringParameters"] == {"a": "1,2", "b": "x y"}
    else:
        assert (event["httpMethod"], event["path"]) == ("POST", "/predict")
        assert event["queryStringParameters"]["a"] == "2"


@pytest.mark.parametrize("kind", sorted(EVENTS))
def test_bytes_that_are_not_text_travel_in_base64(kind):
    binary = HttpRequest("POST", "/x", {"content-type": "application/octet-stream"}, b"\x00\xff")
    event = make_event(kind, binary)
    assert (event["isBase64Encoded"], event["body"]) == (True, "AP8=")


def test_a_direct_invocation_is_the_body_itself_and_must_be_json():
    assert make_event("direct", POST) == b'{"inputs": {}}'
    with pytest.raises(EmulateError, match="must be JSON"):
        make_event("direct", HttpRequest("POST", "/", None, b"\xff"))


def test_replies_are_read_with_base64_and_several_values_of_a_header():
    payload = json.dumps(
        {"statusCode": 200, "multiValueHeaders": {"Via": ["a", "b"]}, "body": "AP8=", "isBase64Encoded": True}
    ).encode()
    reply = read_reply("alb", payload)
    assert (reply.status, reply.headers, reply.body) == (200, {"via": "a, b"}, b"\x00\xff")
    assert read_reply("direct", b'{"y": 1}').body == b'{"y": 1}'


@pytest.mark.parametrize("payload", [b"{}", b"[]", b"null", b"not json", b'{"statusCode": 200, "body": 7}'])
def test_a_reply_that_the_gateway_would_refuse_is_an_error(payload):
    with pytest.raises(EmulateError, match="not a reply that http-api takes"):
        read_reply("http-api", payload)


def alive(pid):
    """Whether a process runs; a zombie, which only waits for its parent, does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
