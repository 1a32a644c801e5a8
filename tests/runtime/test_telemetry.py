import contextlib
import json
import os
import re

import pytest
from aws_lambda_powertools.metrics import Metrics, MetricUnit

from coldpress_runtime.errors import NotFoundError
from coldpress_runtime.http import Request, Response
from coldpress_runtime.telemetry import METRICS, NAMESPACE, Telemetry


def _lines(*responses, model="digits", function_name="fn", path="/predict", request_id="id"):
    written = []
    telemetry = Telemetry(model, {"session_ms": 12.3456, "total_ms": 20.0}, written.append, function_name)
    for response in responses:
        telemetry.record(request_id, Request("POST", path, {}, b"abc"), response, 1.5)
    return [json.loads(line) for text in written for line in text.splitlines()]


def _response(status=200, error=None):
    response = Response(status, {}, b"abcd", error)
    response.timings.decode_ms, response.timings.run_ms, response.timings.encode_ms = 0.25, 0.5, 0.125
    return response


def test_the_log_line_says_what_happened():
    log, _ = _lines(_response())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", log.pop("timestamp"))
    assert log == {
        "level": "INFO",
        "request_id": "id",
        "message": "answered",
        "model": "digits",
        "method": "POST",
        "path": "/predict",
        "status": 200,
        "cold_start": True,
        "decode_ms": 0.25,
        "run_ms": 0.5,
        "encode_ms": 0.125,
        "total_ms": 1.5,
        "request_bytes": 3,
        "response_bytes": 4,
        "init": {"session_ms": 12.346, "total_ms": 20.0},
        "coldpress": log["coldpress"],
    }


@pytest.mark.parametrize("version", ["7", "$LATEST", '"', "\udc80"])
def test_the_log_line_names_the_version_that_wrote_it(monkeypatch, version):
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_VERSION", version)
    log, metric = _lines(_response(500))
    assert log["function_version"] == version
    assert "function_version" not in metric  # a metric a version would be a new one, and billed, at each release


@pytest.mark.parametrize("version", [None, ""])
def test_outside_of_lambda_there_is_no_function_version(monkeypatch, version):
    if version is None:
        monkeypatch.delenv("AWS_LAMBDA_FUNCTION_VERSION", raising=False)
    else:
        monkeypatch.setenv("AWS_LAMBDA_FUNCTION_VERSION", version)
    log, _ = _lines(_response())
    assert "function_version" not in log


@pytest.mark.parametrize(("status", "level", "errors"), [(200, "INFO", 0), (404, "WARNING", 0), (500, "ERROR", 1)])
def test_levels_and_errors(status, level, errors):
    log, metric = _lines(_response(status, NotFoundError("There is nothing.") if status >= 400 else None))
    assert log["level"] == level
    assert metric["Errors"] == errors
    assert log.get("error") == ({"type": "NotFoundError", "message": "There is nothing."} if status >= 400 else None)


def test_only_the_first_invocation_is_cold():
    lines = _lines(_response(), _response())
    assert [line["cold_start"] for line in lines[::2]] == [True, False]
    assert [line["ColdStart"] for line in lines[1::2]] == [1, 0]
    assert "init" not in lines[2]


@pytest.mark.parametrize("text", ['"', "\\", "\n", "\ud800", "ü", "\0", "}"])
def test_any_text_keeps_the_lines_whole(text):
    lines = _lines(_response(400, NotFoundError(text)), model=text, path=text, request_id=text, function_name=text)
    assert len(lines) == 2
    assert lines[0]["path"] == lines[0]["request_id"] == lines[1]["model"] == lines[1]["function_name"] == text


def test_the_metric_line_keeps_the_rules_of_emf():
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html"""
    _, record = _lines(_response())
    assert isinstance(record["_aws"]["Timestamp"], int)
    (directive,) = record["_aws"]["CloudWatchMetrics"]
    assert directive.keys() == {"Namespace", "Dimensions", "Metrics"}
    assert directive["Namespace"] == NAMESPACE
    for dimensions in directive["Dimensions"]:
        assert 0 < len(dimensions) <= 30
        assert all(isinstance(record[name], str) and record[name] for name in dimensions)
    for metric in directive["Metrics"]:
        assert isinstance(record[metric["Name"]], int | float)
        assert metric["Unit"] in {unit.value for unit in MetricUnit}


def test_the_metric_line_is_what_powertools_would_write():
    _, ours = _lines(_response())
    powertools = Metrics(namespace=NAMESPACE, service=None)
    powertools.clear_metrics()
    for name, unit in METRICS:
        powertools.add_metric(name, unit, ours[name])
    powertools.add_dimension("function_name", "fn")
    powertools.add_dimension("model", "digits")
    powertools.add_metadata("request_id", "id")
    theirs = powertools.serialize_metric_set()
    powertools.clear_metrics()
    # Powertools wraps each value in a list and may add its own service dimension.
    values = {key: value[0] if isinstance(value, list) else value for key, value in theirs.items()}
    values.pop("service", None)
    (directive,) = values["_aws"]["CloudWatchMetrics"]
    directive["Dimensions"] = [[name for name in names if name != "service"] for names in directive["Dimensions"]]
    values["_aws"]["Timestamp"] = ours["_aws"]["Timestamp"]
    assert values == ours


@pytest.mark.parametrize("closed", [True, False])
def test_a_stdout_that_nobody_reads_costs_no_answer(monkeypatch, closed):
    reader, writer = os.pipe()
    os.close(reader)
    stream = os.fdopen(writer, "w")
    if closed:
        stream.close()
    monkeypatch.setattr("sys.stdout", stream)
    Telemetry("digits", {}).record("id", Request("GET", "/"), _response(), 1.0)
    with contextlib.suppress(BrokenPipeError):
        stream.close()


def test_outside_of_lambda_there_is_no_function_name(monkeypatch):
    monkeypatch.delenv("AWS_LAMBDA_FUNCTION_NAME", raising=False)
    _, record = _lines(_response(), function_name=None)
    assert record["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["model"]]
    assert "function_name" not in record
