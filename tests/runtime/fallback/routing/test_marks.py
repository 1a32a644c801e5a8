"""What a request that met an endpoint leaves in the log and among the metrics."""

import json

import pytest

from coldpress_runtime.errors import DoorAnswerError, DoorBusyError, DoorError, DoorLateError, WakingError
from coldpress_runtime.fallback.marks import METRICS, Marks, failure_name
from coldpress_runtime.http import Request, Response
from coldpress_runtime.telemetry import METRICS as ALWAYS
from coldpress_runtime.telemetry import Telemetry


def told(marks):
    """The lines that one invocation writes, parsed."""
    written = []
    telemetry = Telemetry('a "model"', {}, written.append, "")
    response = Response(200)
    response.marks = marks
    telemetry.record("id", Request("POST", "/predict"), response, 1.0)
    return [json.loads(line) for line in "".join(written).splitlines()]


def test_without_an_endpoint_there_are_two_lines_as_ever():
    log, record = told(None)
    assert not any("fallback" in name or "answered_by" in name for name in log)
    assert [metric["Name"] for metric in record["_aws"]["CloudWatchMetrics"][0]["Metrics"]] == [
        name for name, _ in ALWAYS
    ]


def test_an_answer_of_the_own_model_that_no_rule_met_is_said_and_not_counted():
    log, _ = told(Marks())
    assert log["answered_by"] == "function"
    assert "fallback" not in log


def test_a_request_that_went_out_is_said_and_counted():
    marks = Marks("confidence")
    marks.endpoint, marks.rows, marks.door_ms = True, 3, 12.5
    log, _, record = told(marks)
    assert (log["answered_by"], log["fallback"], log["fallback_rows"], log["door_ms"]) == (
        "endpoint", "confidence", 3, 12.5,
    )  # fmt: skip
    (directive,) = record["_aws"]["CloudWatchMetrics"]
    assert directive["Dimensions"] == [["fallback", "model"]]
    assert [(metric["Name"], metric["Unit"]) for metric in directive["Metrics"]] == list(METRICS)
    assert {name: record[name] for name, _ in METRICS} == {
        "Fallbacks": 1, "FallbackFailures": 0, "FallbackRows": 3, "FallbackMs": 12.5, "Shadows": 0,
        "ShadowDifferences": 0,
    }  # fmt: skip
    assert (record["fallback"], record["model"]) == ("confidence", 'a "model"')


def test_a_failure_is_said_and_counted():
    marks = Marks("batch")
    marks.failed = "late"
    log, _, record = told(marks)
    assert (log["answered_by"], log["fallback_failed"]) == ("function", "late")
    assert (record["Fallbacks"], record["FallbackFailures"]) == (1, 1)


@pytest.mark.parametrize("different", [True, False])
def test_a_shadow_is_counted_and_its_difference(different):
    marks = Marks()
    marks.different = different
    log, _, record = told(marks)
    assert log["shadow_different"] is different
    assert (record["fallback"], record["Fallbacks"], record["Shadows"]) == ("shadow", 0, 1)
    assert record["ShadowDifferences"] == int(different)


def test_a_shadow_that_failed_is_counted_as_such():
    marks = Marks()
    marks.failed = "late"
    _, _, record = told(marks)
    assert (record["Shadows"], record["FallbackFailures"]) == (0, 1)
    assert marks.headers() == {"Coldpress-Answered-By": "function"}, "no caller waits for a shadow"


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (DoorError(), "unreachable"),
        (DoorLateError(), "late"),
        (DoorBusyError(""), "busy"),
        (DoorAnswerError(), "answer"),
        (WakingError(""), "waking"),
    ],
)
def test_errors_of_the_door_have_a_word(error, word):
    assert failure_name(error) == word
