import json
import sys
import threading

import pytest

from coldpress_runtime.errors import HookError, LibraryError, LoadError, ManifestError
from coldpress_runtime.http import Request
from coldpress_runtime.service import Service
from coldpress_runtime.warmup import lacks
from tests.support.http import ask, infer, predict
from tests.support.tiny import manifest, mlp, open_service, write_bundle

_WARM = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 64]}], "data": None}
_GOOD = {"inputs": {"x": [[0.0] * 64]}}


def test_opening_says_what_it_cost(tmp_path):
    service = open_service(tmp_path / "b", "mlp", warmup=_WARM)
    assert {"manifest_ms", "library_ms", "session_ms", "hooks_ms", "warmup_ms", "total_ms"} <= service.timings.keys()
    assert 0 < service.timings["warmup_ms"] < service.timings["total_ms"]
    assert not service.portable


def test_answers_carry_their_timings(tmp_path):
    service = open_service(tmp_path / "b", "mlp")
    timings = ask(service, "POST", "/predict", json.dumps(_GOOD).encode()).timings
    assert timings.decode_ms > 0
    assert timings.run_ms > 0
    assert timings.encode_ms > 0
    assert ask(service, "POST", "/predict", b"x").timings.run_ms == 0


def test_callers_see_the_timings_only_where_they_are_asked_for(tmp_path, monkeypatch):
    quiet = open_service(tmp_path / "a", "mlp")
    assert "Server-Timing" not in ask(quiet, "POST", "/predict", json.dumps(_GOOD).encode()).headers
    monkeypatch.setenv("COLDPRESS_SERVER_TIMING", "1")
    service = open_service(tmp_path / "b", "mlp")
    response = ask(service, "POST", "/predict", json.dumps(_GOOD).encode())
    steps = dict(item.split(";dur=") for item in response.headers["Server-Timing"].split(", "))
    assert {name: float(ms) for name, ms in steps.items()} == {
        "decode": round(response.timings.decode_ms, 3),
        "run": round(response.timings.run_ms, 3),
        "encode": round(response.timings.encode_ms, 3),
    }
    assert "run;dur=0.000" in ask(service, "POST", "/predict", b"x").headers["Server-Timing"]


def test_the_manifest_is_looked_for_first(tmp_path):
    with pytest.raises(ManifestError, match="cannot be read"):
        Service.open(str(tmp_path))


def test_a_missing_library(tmp_path):
    root = write_bundle(tmp_path / "b", "mlp")
    (root / "lib" / "libonnxruntime.so").unlink()
    with pytest.raises(LibraryError):
        Service.open(str(root))


@pytest.mark.parametrize("content", [b"", b"no model", None])
def test_a_model_that_will_not_open(tmp_path, content):
    root = write_bundle(tmp_path / "b", "mlp")
    path = root / "model" / "model.onnx"
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    with pytest.raises(LoadError):
        Service.open(str(root))


def _with_portable(tmp_path, *, cpu, chosen):
    record = manifest()["model"]
    root = write_bundle(
        tmp_path / "b", "mlp", model=record | {"cpu": cpu}, portable=record | {"path": "model/portable.onnx"}
    )
    (root / "model" / "portable.onnx").write_bytes(mlp().SerializeToString())
    (root / "model" / "model.onnx").write_bytes(chosen)
    return Service.open(str(root))


def test_the_portable_model_is_opened_where_the_cpu_lacks_a_flag(tmp_path, capsys):
    service = _with_portable(tmp_path, cpu=["no-such-flag"], chosen=b"would not open")
    assert service.portable
    assert "lacks no-such-flag; opening the portable model" in capsys.readouterr().err
    assert predict(service, _GOOD)


def test_the_portable_model_is_opened_where_the_chosen_one_will_not(tmp_path, capsys):
    service = _with_portable(tmp_path, cpu=[], chosen=b"would not open")
    assert service.portable
    assert "Opening the portable model instead" in capsys.readouterr().err
    assert predict(service, _GOOD)


def test_without_a_portable_model_a_lacking_cpu_is_an_error(tmp_path):
    with pytest.raises(LoadError, match="optimised for CPUs with no-such-flag"):
        open_service(tmp_path / "b", "mlp", model=manifest()["model"] | {"cpu": ["no-such-flag"]})


def test_the_chosen_model_is_opened_where_it_suits(tmp_path):
    assert not _with_portable(tmp_path, cpu=[], chosen=mlp().SerializeToString()).portable


def test_cpu_flags_are_read_as_the_kernel_writes_them(tmp_path):
    x86, arm = tmp_path / "x86", tmp_path / "arm"
    x86.write_text("processor\t: 0\nflags\t\t: fpu avx2 fma\n\nprocessor\t: 1\nflags\t\t: fpu avx2 fma\n")
    arm.write_text("processor\t: 0\nFeatures\t: fp asimd asimddp\n")
    assert lacks(("avx2", "fma"), str(x86)) == []
    assert lacks(("avx2", "avx512f"), str(x86)) == ["avx512f"]
    assert lacks(("avx",), str(x86)) == ["avx"]
    assert lacks(("asimddp",), str(arm)) == []
    assert lacks(("avx2",), str(arm)) == ["avx2"]
    assert lacks(("avx2",), str(tmp_path / "none")) == ["avx2"]
    assert lacks((), str(tmp_path / "none")) == []


@pytest.mark.parametrize("data", [None, b"\0" * 256])
def test_warm_up_inputs(tmp_path, data, capsys):
    root = write_bundle(tmp_path / "b", "mlp", warmup=_WARM | {"data": "model/warmup.bin" if data else None})
    if data:
        (root / "model" / "warmup.bin").write_bytes(data)
    Service.open(str(root))
    assert capsys.readouterr().err == ""


def test_warm_up_with_texts(tmp_path, capsys):
    inputs = [{"name": "x", "datatype": "BYTES", "shape": [1, 2]}]
    root = write_bundle(tmp_path / "b", "bytes", warmup={"inputs": inputs, "data": "model/warmup.bin"})
    (root / "model" / "warmup.bin").write_bytes(b"\2\0\0\0ab\0\0\0\0")
    Service.open(str(root))
    (root / "model" / "warmup.bin").unlink()
    with pytest.raises(ManifestError, match=r"warmup\.data cannot be read"):
        Service.open(str(root))
    assert capsys.readouterr().err == ""


def test_warm_up_data_of_the_wrong_size(tmp_path):
    root = write_bundle(tmp_path / "b", "mlp", warmup=_WARM | {"data": "model/warmup.bin"})
    (root / "model" / "warmup.bin").write_bytes(b"\0" * 255)
    with pytest.raises(ManifestError, match=r"warmup\.data does not fit 'x'"):
        Service.open(str(root))


def test_a_warm_up_that_fails_is_only_logged(tmp_path, capsys):
    warmup = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 63]}], "data": None}
    service = open_service(tmp_path / "b", "mlp", warmup=warmup)
    assert "the warm-up run failed" in capsys.readouterr().err
    assert predict(service, _GOOD)


def test_model_names_in_paths_may_be_escaped(tmp_path):
    service = open_service(tmp_path / "b", "mlp", name="a/b c:ü")
    for path in (
        "/v2/models/a/b c:ü",
        "/v2/models/a%2Fb%20c%3A%C3%BC",
        "/v2/models/a%2fb c:ü/",
        "/v2/models/a/b c:ü/ready",
    ):
        assert ask(service, "GET", path).status == 200


def test_concurrent_requests(tmp_path):
    service = open_service(tmp_path / "b", "fp32")
    wrong = []

    def work(number):
        for step in range(50):
            value = float(number * 1000 + step)
            if predict(service, {"inputs": {"x": [[value, -value]]}}) != {"outputs": {"y": [[value, -value]]}}:
                wrong.append(value)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_what_nobody_foresaw_shows_the_caller_an_id_and_the_log_the_traceback(tmp_path, capsys):
    service = open_service(tmp_path / "b", "mlp")
    response = service.answer(Request("POST", "/predict", {"content-length": "3"}, None))  # an adapter's mistake
    assert response.status == 500
    message = json.loads(response.body)["error"]
    identity = message.split()[2].rstrip(";")
    assert message == f"Internal error {identity}; the function's log has the details."
    log = capsys.readouterr().err
    assert log.count("Traceback") == 1
    assert identity in log
    assert predict(service, _GOOD)


def test_preprocess_reads_raw_bytes(tmp_path):
    hooks = """
def preprocess(request):
    assert request.headers["content-type"] == "application/octet-stream"
    return {"x": [[byte / 255 for byte in request.body]]}
"""
    service = open_service(tmp_path / "b", "mlp", hooks)
    response = ask(service, "POST", "/predict", bytes(64), content_type="application/octet-stream")
    assert json.loads(response.body)["outputs"]["label"] == [0] or response.status == 200


def test_hooks_around_the_model(tmp_path):
    hooks = """
import numpy as np

def preprocess(request):
    return {"x": np.asarray(request.json()["pixels"])[None]}

def postprocess(outputs):
    return {"digit": outputs["label"].numpy()[0], "p": outputs["probabilities"]}
"""
    service = open_service(tmp_path / "b", "mlp", hooks)
    answer = predict(service, {"pixels": [0.5] * 64})
    assert isinstance(answer["digit"], int)
    assert len(answer["p"][0]) == 10
    assert predict(service, b"{", 400).startswith("The body is not JSON")


@pytest.mark.parametrize(
    ("model", "value", "expected"),
    [
        ("fp32", "[(1, float('inf'))]", [[1.0, "Infinity"]]),
        ("fp32", "[[numpy.float32(1.5), numpy.int64(2)]]", [[1.5, 2.0]]),
        ("fp32", "[numpy.ones(2)]", [[1.0, 1.0]]),
        ("fp32", "numpy.ones((2, 2)).T[::2]", [[1.0, 1.0]]),
        ("int8", "numpy.array([[1, 2]])", [[1, 2]]),
        ("int8", "numpy.array([[1, 2]], object)", [[1, 2]]),
        ("bytes", "numpy.array([['a', b'\\xff']], object)", [["a", {"b64": "/w=="}]]),
        ("bf16", "numpy.array([[1.5, 2]])", [[1.5, 2.0]]),
        ("bytes", "[['a', b'\\xff']]", [["a", {"b64": "/w=="}]]),
        ("bytes", "numpy.array([['a', 'b']])", [["a", "b"]]),
    ],
)
def test_what_preprocess_may_return(tmp_path, model, value, expected):
    hooks = f"import numpy\n\ndef preprocess(request):\n    return {{'x': {value}}}\n"
    assert predict(open_service(tmp_path / "b", model, hooks), {}) == {"outputs": {"y": expected}}


def test_hooks_do_not_touch_the_protocol(tmp_path):
    service = open_service(tmp_path / "b", "fp32", "def postprocess(outputs):\n    return 'changed'\n")
    assert predict(service, {"inputs": {"x": [[1, 2]]}}) == "changed"
    request = {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]}
    assert infer(service, request)["outputs"][0]["data"] == [1, 2]


def test_postprocess_may_choose_the_response(tmp_path):
    hooks = """
from coldpress_runtime.http import Response

def postprocess(outputs):
    return Response(201, {"content-type": "text/csv"}, bytearray(b"1,2"))
"""
    response = ask(open_service(tmp_path / "b", "fp32", hooks), "POST", "/predict", b'{"inputs":{"x":[[1,2]]}}')
    assert (response.status, response.headers, response.body) == (201, {"Content-Type": "text/csv"}, b"1,2")


def test_a_response_of_a_hook_leaves_its_framing_to_the_server(tmp_path):
    hooks = """
from coldpress_runtime.http import Response

def postprocess(outputs):
    return Response(204, {"content-length": "3", "Transfer-Encoding": "chunked", "X": "Zo\\xeb \\u2603"}, b"1,2")
"""
    response = ask(open_service(tmp_path / "b", "fp32", hooks), "POST", "/predict", b'{"inputs":{"x":[[1,2]]}}')
    assert (response.status, response.headers, response.body) == (204, {"X": "Zo\xeb ?"}, b"")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("'200', {}, b''", "a Response with status '200', expected a number"),
        ("0, {}, b''", "a Response with status 0, expected a number"),
        ("200, {'X': 1}, b''", "headers are not a dict of str to str"),
        ("200, [('X', 'y')], b''", "headers are not a dict of str to str"),
        ("200, {'X': 'a\\r\\nY: b'}, b''", 'header "X", whose name or value'),
        ("200, {'X Y': 'a'}, b''", 'header "X Y", whose name or value'),
        ("200, {'': 'a'}, b''", 'header "", whose name or value'),
        ("200, {}, 'text'", "body is a str, expected bytes"),
        ("200, {}, None", "body is a NoneType, expected bytes"),
    ],
)
def test_a_response_of_a_hook_must_be_one(tmp_path, arguments, message):
    hooks = (
        f"from coldpress_runtime.http import Response\n\ndef postprocess(outputs):\n    return Response({arguments})\n"
    )
    assert message in predict(open_service(tmp_path / "b", "fp32", hooks), {"inputs": {"x": [[1, 2]]}}, 500)


def test_what_a_hook_does_to_its_request_is_its_own_affair(tmp_path):
    hooks = """
def preprocess(request):
    request.method = request.path = request.body = None
    return {"x": [[1, 2]]}
"""
    request = Request("POST", "/predict", {}, b"raw")
    assert open_service(tmp_path / "b", "fp32", hooks).answer(request).status == 200
    assert (request.method, request.path, request.body) == ("POST", "/predict", b"raw")


def test_hooks_may_import_what_lies_beside_them(tmp_path):
    root = write_bundle(
        tmp_path / "b", "fp32", "import beside_the_hooks\n\ndef postprocess(o):\n    return beside_the_hooks.X\n"
    )
    (root / "beside_the_hooks.py").write_text("X = 7\n")
    try:
        assert predict(Service.open(str(root)), {"inputs": {"x": [[1, 2]]}}) == 7
    finally:
        sys.path.remove(str(root))


def test_a_hook_may_refuse(tmp_path, capsys):
    hooks = """
from coldpress_runtime.errors import RequestError, TooLargeError

def preprocess(request):
    if request.query == "large":
        raise TooLargeError("Too many pixels; send fewer.")
    raise RequestError("No face in the picture; send another.")
"""
    service = open_service(tmp_path / "b", "fp32", hooks)
    assert predict(service, {}, 400) == "No face in the picture; send another."
    assert service.answer(Request("POST", "/predict", {}, b"", "large")).status == 413
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise KeyError('secret')", "preprocess in hooks.py failed with KeyError; the log has the details."),
        ("raise SystemExit(1)", "preprocess in hooks.py failed with SystemExit"),
        ("raise KeyboardInterrupt", "preprocess in hooks.py failed with KeyboardInterrupt"),
        ("import asyncio; raise asyncio.CancelledError", "preprocess in hooks.py failed with CancelledError"),
        ("request.path = request.body = request.method = None; raise KeyError", "failed with KeyError"),
        ("import numpy; return {'x': numpy.array([[1, None]])}", "element 1 is null, expected a number"),
        ("return {'x': functools.reduce(lambda deep, _: [deep], range(50_000), 1)}", "a value that does not fit"),
        ("return [1]", "preprocess returned list, expected a dict with the inputs ['x']"),
        ("return {'z': 1}", "preprocess returned ['z'], expected a dict with the inputs ['x']"),
        ("return {'x': [1]}", "preprocess returned a value that does not fit: Input 'x' has shape [1]"),
        ("import numpy; return {'x': numpy.zeros((1, 3), 'f')}", "has shape [1, 3], expected [n, 2]"),
        ("import numpy; return {'x': numpy.array([['a', 'b']])}", "preprocess returned BYTES for input 'x'"),
        ("import numpy; return {'x': numpy.zeros((1, 2), complex)}", "preprocess returned a complex128 array"),
        ("from coldpress_runtime.tensor import Tensor; return {'x': Tensor('INT8', (1, 2), b'ab')}", "returned INT8"),
    ],
)
def test_a_failing_hook_is_a_500_with_one_sentence(tmp_path, capsys, body, message):
    service = open_service(tmp_path / "b", "fp32", f"import functools\n\ndef preprocess(request):\n    {body}\n")
    found = predict(service, {}, 500)
    assert message in found
    assert "secret" not in found
    log = capsys.readouterr().err
    assert "Traceback" in log


def test_no_line_of_a_traceback_passes_for_a_line_of_the_log(tmp_path, capsys):
    hooks = """
def preprocess(request):
    raise ValueError("no picture: " + request.body.decode())
"""
    service = open_service(tmp_path / "b", "fp32", hooks)
    forged = '{"_aws":{"Timestamp":1},"Errors":99}'
    assert "ValueError" in predict(service, f"x\n{forged}\n".encode(), 500)
    lines = capsys.readouterr().err.splitlines()
    assert any(forged in line for line in lines)
    assert not any(line.startswith("{") for line in lines)


def test_postprocess_must_return_json(tmp_path, capsys):
    hooks = "def postprocess(outputs):\n    return {'a': object()}\n"
    service = open_service(tmp_path / "b", "fp32", hooks)
    assert "postprocess returned what JSON cannot hold" in predict(service, {"inputs": {"x": [[1, 2]]}}, 500)
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("hooks", "message"),
    [
        ("import no_such_package_anywhere", "cannot be imported: ModuleNotFoundError"),
        ("def preprocess(", "cannot be imported: SyntaxError"),
        ("raise SystemExit", "cannot be imported: SystemExit"),
        ("x = 1", "defines neither"),
        ("preprocess = 3", "defines preprocess as a int"),
    ],
)
def test_hooks_that_cannot_be_used_fail_at_start(tmp_path, hooks, message):
    with pytest.raises(HookError, match=message):
        open_service(tmp_path / "b", "fp32", hooks)
