"""Cold starts measured over fresh processes, with an empty function beside them; and the two commands around them."""

import argparse
import json
import struct
import sys

import pytest

from coldpress.cli import bench, invoke
from coldpress.emulate.http import HttpRequest
from coldpress.emulate.requests import request_from_file, warmup_request
from coldpress.errors import ConfigError, EmulateError
from coldpress.measure import Spread, empty_function, init_steps, measure, sample
from coldpress_runtime.manifest import Manifest

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="awslambdaric is for Linux")

SLOW = """
import json, time
time.sleep(0.2)
print(json.dumps({"init": {"import_ms": 1.5, "session_ms": 200.0, "total_ms": 201.5}}))
calls = 0
def handler(event, context):
    global calls
    calls += 1
    time.sleep(0.05 if calls == 1 else 0.01)
    return {"statusCode": 200, "headers": {"x-calls": str(calls)}, "body": json.dumps(event), "isBase64Encoded": False}
"""


@pytest.fixture
def slow(tmp_path):
    folder = tmp_path / "slow"
    folder.mkdir()
    (folder / "app.py").write_text(SLOW)
    return folder


def test_a_sample_tells_start_first_answer_and_warm_answers_apart(slow):
    one = sample(slow, HttpRequest(), python=sys.executable, warm_calls=5)
    assert one.init_ms >= 200
    assert 50 <= one.first_ms < one.init_ms
    assert 10 <= one.warm_ms < one.first_ms
    assert 5 < one.peak_mb < 200
    assert one.steps == {"import_ms": 1.5, "session_ms": 200.0, "total_ms": 201.5}


def test_peak_memory_is_that_of_the_function_not_of_this_process(slow, tmp_path):
    big = tmp_path / "big"
    big.mkdir()
    (big / "app.py").write_text("x = bytearray(80_000_000)\n" + SLOW)
    small, large = (sample(each, HttpRequest(), python=sys.executable, warm_calls=1).peak_mb for each in (slow, big))
    assert 75 < large - small < 85


def test_measuring_gives_medians_ranges_steps_and_the_empty_function(slow):
    result = measure(slow, HttpRequest(), rounds=2, python=sys.executable)
    assert result.rounds == 2
    assert result.init_ms.low <= result.init_ms.median <= result.init_ms.high
    assert result.floor["init_ms"].median < 200 <= result.init_ms.median
    assert result.floor["warm_ms"].median < 10
    assert set(result.steps) == {"interpreter_ms", "import_ms", "session_ms"}
    assert result.steps["interpreter_ms"] == pytest.approx(result.init_ms.median - 201.5, abs=0.02)
    assert json.loads(json.dumps(result.to_json()))["floor"]["init_ms"]["median"] > 0


def test_a_wrong_answer_stops_the_measurement(slow):
    def check(reply):
        raise EmulateError(f"wrong: {reply.status}")

    with pytest.raises(EmulateError, match="wrong: 200"):
        measure(slow, HttpRequest(), rounds=1, python=sys.executable, check=check)


def test_a_handler_that_raises_stops_the_measurement_with_its_message(tmp_path):
    (tmp_path / "app.py").write_text("def handler(e, c):\n    raise KeyError('pixels')\n")
    with pytest.raises(EmulateError, match="KeyError: 'pixels'"):
        sample(tmp_path, HttpRequest(), python=sys.executable)


def test_the_empty_function_answers():
    with empty_function("aws") as folder:
        one = sample(folder, HttpRequest(), python=sys.executable, warm_calls=3)
    assert one.steps == {}
    assert 0 < one.warm_ms < one.init_ms


def test_a_spread_is_median_and_range():
    assert Spread.of([3.0, 1.0, 2.0, 9.0]) == Spread(2.5, 1.0, 9.0)


@pytest.mark.parametrize("logs", ["", "plain text", "{not json", "[1]", '{"init": 3}', '{"other": {}}'])
def test_logs_without_an_account_of_the_start_have_no_steps(logs):
    assert init_steps(logs) == {}


def manifest(tmp_path, inputs, data=None):
    """Write a manifest whose warm-up is `inputs`, and read it."""
    record = {
        "path": "model.onnx",
        "sha256": "0" * 64,
        "optimization": "all",
        "mapped": False,
        "prepacking": True,
        "cpu": [],
    }
    if data is not None:
        (tmp_path / "warmup.bin").write_bytes(data)
    return Manifest.parse(
        {
            "format": 1,
            "name": "m",
            "version": "1",
            "engine": {"library": "lib.so", "version": "1", "sha256": "0" * 64},
            "model": record,
            "portable": None,
            "threads": 1,
            "warmup": {"inputs": inputs, "data": None if data is None else "warmup.bin"},
            "hooks": None,
            "limits": {"request_bytes": 6291456, "response_bytes": 6291456},
            "function": {"memory_mb": 1024, "timeout_s": 30},
            "batch": None,
            "fallback": None,
            "weights": None,
        }
    )


X = {"name": "x", "datatype": "FP32", "shape": [1, 2]}
WORDS = {"name": "words", "datatype": "BYTES", "shape": [2]}


def split(request):
    length = int(request.headers["inference-header-content-length"])
    return json.loads(request.body[:length]), request.body[length:]


def test_a_request_is_made_of_the_warm_up_inputs_with_their_data(tmp_path):
    texts = b"".join(struct.pack("<I", len(word)) + word for word in (b"a", b"bcd"))
    data = texts + struct.pack("<2f", 1, 2)
    request = warmup_request(tmp_path, manifest(tmp_path, [WORDS, X], data))
    head, tail = split(request)
    assert (request.method, request.path) == ("POST", "/v2/models/m/infer")
    assert tail == data
    assert [each["parameters"]["binary_data_size"] for each in head["inputs"]] == [len(texts), 8]
    assert [each["name"] for each in head["inputs"]] == ["words", "x"]


def test_without_data_the_warm_up_inputs_are_zeros_and_empty_texts(tmp_path):
    _, tail = split(warmup_request(tmp_path, manifest(tmp_path, [X, WORDS])))
    assert tail == bytes(8 + 8)


@pytest.mark.parametrize("data", [b"", bytes(7), bytes(9)])
def test_warm_up_data_of_the_wrong_length_is_refused(tmp_path, data):
    with pytest.raises(EmulateError, match="its shapes ask for"):
        warmup_request(tmp_path, manifest(tmp_path, [X], data))


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ('{"inputs": [{"name": "x"}]}', "/v2/models/m/infer"),
        ('{"inputs": {"x": [1]}}', "/predict"),
        ('{"instances": [1]}', "/predict"),
        ("not json", "/predict"),
        ("[]", "/predict"),
    ],
)
def test_the_path_follows_from_the_body(tmp_path, body, path):
    file = tmp_path / "request.json"
    file.write_text(body)
    request = request_from_file(file, manifest(tmp_path, [X]))
    assert (request.method, request.path, request.body) == ("POST", path, body.encode())


def test_a_missing_request_file_is_one_sentence(tmp_path):
    with pytest.raises(EmulateError, match=r"gone\.json cannot be read"):
        request_from_file(tmp_path / "gone.json", None)


def command(module, *words):
    """Parse `words` as the command line of one command, and run it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    module.add_parser(parser.add_subparsers())
    args = parser.parse_args([str(word) for word in words])
    return args.run(args)


def test_invoke_prints_the_body_and_reports_status_and_timing_beside_it(slow, tmp_path, capsys):
    file = tmp_path / "request.json"
    file.write_text('{"instances": [[1]]}')
    code = command(invoke, "invoke", slow, file, "--python", sys.executable, "--header", "X-Mine: 7")
    out, err = capsys.readouterr()
    event = json.loads(out)
    assert code == 0
    assert event["rawPath"] == "/predict"
    assert event["body"] == '{"instances": [[1]]}'
    assert event["headers"]["x-mine"] == "7"
    assert "POST /predict -> 200" in err


def test_invoke_in_json_is_one_object(slow, capsys):
    code = command(
        invoke, "--json", "invoke", slow, "--path", "/openapi.json", "--event", "rest", "--python", sys.executable
    )
    document = json.loads(capsys.readouterr().out)
    assert code == 0
    assert document["status"] == 200
    assert json.loads(document["body"])["httpMethod"] == "GET"
    assert document["steps"]["session_ms"] == 200.0
    assert document["init_ms"] >= 200


def test_invoke_fails_for_an_answer_outside_2xx_and_still_prints_it(tmp_path, capsys):
    (tmp_path / "app.py").write_text("def handler(e, c):\n    return {'statusCode': 404, 'body': 'nothing there'}\n")
    assert command(invoke, "invoke", tmp_path, "--python", sys.executable) == 1
    assert capsys.readouterr().out == "nothing there\n"


def test_invoke_says_what_the_handler_raised(tmp_path):
    (tmp_path / "app.py").write_text("def handler(e, c):\n    raise ValueError('bad day')\n")
    with pytest.raises(EmulateError, match="ValueError: bad day"):
        command(invoke, "invoke", tmp_path, "--python", sys.executable)


def test_a_header_without_a_colon_is_refused(slow):
    with pytest.raises(ConfigError, match="NAME:VALUE"):
        command(invoke, "invoke", slow, "--header", "oops")


def test_bench_prints_a_table_and_in_json_one_object(slow, tmp_path, capsys):
    file = tmp_path / "request.json"
    file.write_text("{}")
    words = ("bench", slow, "--rounds", 1, "--request", file, "--python", sys.executable)
    assert command(bench, *words) == 0
    table = capsys.readouterr().out
    assert "init_ms" in table
    assert "session" in table
    assert command(bench, "--json", *words) == 0
    document = json.loads(capsys.readouterr().out)
    assert {"init_ms", "first_ms", "warm_ms", "peak_mb", "floor", "steps", "rounds"} <= set(document)


def test_bench_refuses_to_measure_an_error_page(tmp_path):
    (tmp_path / "app.py").write_text("def handler(e, c):\n    return {'statusCode': 400, 'body': 'no such input'}\n")
    (tmp_path / "request.json").write_text("{}")
    words = ("bench", tmp_path, "--request", tmp_path / "request.json", "--rounds", 1, "--python", sys.executable)
    with pytest.raises(EmulateError, match=r"answered 400 .*no such input"):
        command(bench, *words)


def test_bench_without_a_manifest_or_a_request_says_so(slow):
    with pytest.raises(EmulateError, match="--request"):
        command(bench, "bench", slow)


def test_bench_refuses_less_than_one_round(slow):
    with pytest.raises(ConfigError, match="1 or more"):
        command(bench, "bench", slow, "--rounds", 0)
