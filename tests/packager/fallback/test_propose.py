import dataclasses

import pytest

from coldpress.fallback.cascade import Cascade, Point
from coldpress.fallback.propose import Measured, propose
from coldpress.fallback_config import FallbackConfig, check_fallback
from coldpress_runtime.fallback.settings import read_rule

POINT = Point(0.61, 0.1, 0.98, 0.001, 0.004, "pass", "accuracy drops by 0.001, at most 0.004 with 95 % confidence.")
CASCADE = Cascade(
    "pass", "With 10.0% of rows …", "accuracy", "higher", "p", 900, 0.9, 0.98, 0.01, 0.2, (POINT,), POINT, None
)  # fmt: skip


def rules(**measured):
    return [each.rule for each in propose(Measured(**measured)) if each.rule]


def test_what_does_not_fit_goes_out_whole():
    (found,) = propose(Measured(over="The bundle is 300 MB unzipped and AWS Lambda takes 262 MB.", cascade=CASCADE))
    assert found.rule == "does-not-fit"
    assert found.reason.endswith("because the bundle is 300 MB unzipped and AWS Lambda takes 262 MB.")


def test_a_fitted_threshold_and_errors_go_out():
    assert rules(cascade=CASCADE) == ["confidence < 0.61", "error"]


@pytest.mark.parametrize(
    ("measured", "why"),
    [
        ({"identical": True, "cascade": CASCADE}, "bit for bit"),
        ({"no_cascade": "There are no samples."}, "there are no samples"),
        ({"cascade": dataclasses.replace(CASCADE, chosen=None, note="About 4,000 samples would tell.")}, "4,000"),
    ],
)
def test_without_a_threshold_the_reason_is_told(measured, why):
    found = propose(Measured(**measured))
    assert [each.rule for each in found] == ["", "error"]
    assert why in found[0].reason


def test_rows_that_take_too_long_go_out():
    found = rules(identical=True, ms_a_row=10.0, timeout_s=30, row_bytes=100, request_bytes=1_000_000)
    assert found == ["batch > 2400", "time > 0.8", "error"]


def test_no_rule_by_time_where_the_largest_request_is_done():
    found = propose(Measured(identical=True, ms_a_row=0.05, timeout_s=30, row_bytes=100, request_bytes=1_000_000))
    assert "batch" not in " ".join(each.rule for each in found)
    assert any("even the largest request" in each.reason for each in found)


def test_a_row_that_takes_longer_than_there_is_goes_out_always():
    assert rules(identical=True, ms_a_row=60_000, timeout_s=30, row_bytes=10)[0] == "batch > 0"


def test_every_proposed_rule_is_one_that_settings_and_manifest_take():
    proposed = rules(cascade=CASCADE, ms_a_row=10.0, row_bytes=100)
    check_fallback(FallbackConfig(url="https://gpu.example", when=tuple(proposed)))
    assert [read_rule(rule, "when").name for rule in proposed] == ["confidence", "batch", "time", "error"]
