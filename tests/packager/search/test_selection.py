"""Which candidate ships: only one that passed, the smallest, and among about equals the fastest and lightest."""

from pathlib import Path

import pytest

from coldpress.gate.verdict import Check, Figures, Verdict
from coldpress.search.candidate import Candidate
from coldpress.search.selection import best, nearest


def candidate(name, size, *, loss=0.001, warm=10.0, peak=100.0, failed=(), zipped=None):
    checks = tuple(Check(check, "fail", note=f"{check} is off") for check in failed) or (Check("quality", "pass"),)
    verdict = Verdict(
        "cosine", figures=Figures(bytes=size, zip_bytes=zipped, warm_ms=warm, peak_mb=peak), checks=checks
    )
    return Candidate(name, (name,), Path(name), size, loss, verdict=verdict, why_not=verdict.why_not)


ORIGINAL = candidate("strip", 1000, loss=0.0)


def test_the_smallest_that_passed_ships():
    assert best([ORIGINAL, candidate("int8", 270), candidate("int4", 150)]).name == "int4"


def test_what_failed_never_ships_however_small():
    assert best([ORIGINAL, candidate("int8", 270), candidate("int4", 150, failed=["quality"])]).name == "int8"


def test_what_never_came_before_the_gate_never_ships():
    unjudged = Candidate("broken", ("int8",), Path("broken"), 10, 0.0)
    assert best([ORIGINAL, unjudged]).name == "strip"


def test_among_about_equal_sizes_the_faster_one_ships():
    assert best([ORIGINAL, candidate("storage", 319), candidate("static", 343, warm=4.0)]).name == "static"


def test_among_equal_sizes_and_speeds_the_one_with_less_memory_ships():
    assert best([ORIGINAL, candidate("storage", 240, peak=220), candidate("native", 247, peak=50)]).name == "native"


def test_beside_a_large_runtime_more_models_are_about_as_small():
    tried = [ORIGINAL, candidate("int4", 200), candidate("static", 400, warm=4.0)]
    assert best(tried).name == "int4"
    assert best(tried, beside=10_000).name == "static"


def test_by_zipped_size_what_is_small_in_a_zip_ships_beside_any_runtime():
    tried = [
        candidate("strip", 1000, loss=0.0, zipped=900),
        candidate("int8", 270, zipped=240, warm=5.0),
        candidate("zeros", 271, zipped=180),
    ]
    assert best(tried, beside=10_000).name == "int8"
    assert best(tried, beside=10_000, zipped=True).name == "zeros"


def test_by_zipped_size_a_change_must_make_the_zip_smaller():
    tried = [candidate("strip", 1000, loss=0.0, zipped=200), candidate("int8", 270, zipped=199)]
    assert best(tried).name == "int8"
    assert best(tried, zipped=True).name == "strip"


def test_a_gain_of_next_to_nothing_is_not_worth_a_changed_answer():
    assert best([ORIGINAL, candidate("fp16", 990)]).name == "strip"


def test_under_a_budget_the_most_faithful_that_fits_ships():
    tried = [ORIGINAL, candidate("fp16", 500, loss=1e-7), candidate("int8", 270, loss=1e-4), candidate("int4", 150)]
    assert best(tried, 600).name == "fp16"
    assert best(tried, 300).name == "int8"
    assert best(tried, 100) is None


def test_with_nothing_that_passed_nothing_ships():
    assert best([candidate("int8", 270, failed=["quality"])]) is None


def test_the_nearest_is_the_smallest_that_is_right_but_too_large():
    tried = [
        candidate("fp16", 500, failed=["bytes"]),
        candidate("int8", 270, failed=["bytes"]),
        candidate("int4", 150, failed=["bytes", "quality"]),
    ]
    assert nearest(tried, 100).name == "int8"
    assert nearest([candidate("int4", 90, failed=["quality"])], 100) is None


@pytest.mark.parametrize("order", [1, -1])
def test_the_order_of_trial_does_not_matter(order):
    tried = [ORIGINAL, candidate("a", 200), candidate("b", 205, warm=3.0), candidate("c", 900)]
    assert best(tried[::order]).name == "b"
