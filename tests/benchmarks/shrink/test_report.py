"""The table says met where a figure is met, missed where it is not, and nothing kinder."""

import copy

import pytest

from benchmarks.shrink.__main__ import joined
from benchmarks.shrink.report import failures, markdown, passes, rows

GOAL = {
    "name": "",
    "checks": [{"title": "accuracy", "metric": "label_met", "least": 0.01, "lost": True}],
    "max_mb": 0.5,
    "slowdown": 1.25,
    "above_floor_mb": 10,
    "seconds": 100,
}


def variant(size, accuracy=0.97, **more):
    return {
        "bytes": size,
        "seconds": 3.0,
        "error": "",
        "checks": {"accuracy": accuracy},
        "finite": True,
        "warm_ms": 2.0,
        "peak_mb": 45.0,
    } | more


@pytest.fixture
def document():
    return {
        "date": "2026-01-01",
        "machine": {"cpu": "a processor", "cores": 2, "instruction_sets": ["avx2"]},
        "engine": "1.0",
        "floor_mb": 36.0,
        "seconds": 60,
        "peers": {"one": "Tool one", "two": "Tool two"},
        "models": {
            "toy": {
                "title": "a toy",
                "samples": 100,
                "goals": [GOAL],
                "variants": {
                    "original": variant(1_000_000),
                    "coldpress": variant(400_000),
                    "one": variant(450_000),
                    "two": variant(300_000, accuracy=0.5),
                },
            }
        },
    }


def test_models_measured_again_take_the_place_of_their_earlier_results(document):
    document["models"] = dict.fromkeys(("magika", "nudenet"), document["models"]["toy"])
    again = copy.deepcopy(document) | {"models": {"magika": {"title": "again"}}, "date": "2026-02-02"}
    both = joined(document, again)
    assert list(both["models"]) == ["nudenet", "magika"]  # in the order of the cases
    assert both["models"]["magika"] == {"title": "again"}
    assert both["date"] == "2026-02-02"
    assert joined(document | {"engine": "0.9"}, again) == again


def row(document, figure):
    (found,) = [row for row in rows(document) if row.figure == figure]
    return found


def ours(document, **changes):
    changed = copy.deepcopy(document)
    changed["models"]["toy"]["variants"]["coldpress"] |= changes
    return changed


def test_every_figure_of_a_good_result_is_met(document):
    assert all(row.met for row in rows(document))
    assert "**missed**" not in markdown(document)
    assert "7 of 7 figures met" in markdown(document)


@pytest.mark.parametrize(
    ("figure", "changes"),
    [
        ("size", {"bytes": 500_001}),
        ("accuracy", {"checks": {"accuracy": 0.9599}}),
        ("finite answers", {"finite": False}),
        ("speed, in times of the original's", {"warm_ms": 2.51}),
        ("peak memory above the floor", {"peak_mb": 46.1}),
        ("time of the search", {"seconds": 100.1}),
        ("smaller than the best passing peer", {"bytes": 450_000}),
    ],
)
def test_each_figure_is_missed_by_what_is_just_beyond_its_limit(document, figure, changes):
    changed = ours(document, **changes)
    assert not row(changed, figure).met
    assert f"| {figure} | a toy |" in markdown(changed)
    assert "**missed**" in markdown(changed)


def test_where_there_is_no_model_every_figure_is_missed_and_says_why(document):
    broken = ours(document, error="it fell over", bytes=0)
    assert len(rows(broken)) == len(rows(document))
    assert not any(row.met for row in rows(broken))
    assert {row.measured for row in rows(broken)} == {"it fell over"}


def test_an_unchanged_model_needs_a_reason(document):
    same = ours(document, bytes=1_000_000)
    assert not row(same, "unchanged with a reason").met
    assert row(ours(same, notes=["Nothing to gain."]), "unchanged with a reason").met


def test_a_peer_passes_when_right_finite_and_not_larger_however_slow(document):
    original = document["models"]["toy"]["variants"]["original"]
    assert passes(GOAL, variant(900_000, warm_ms=100.0), original)
    for bad, why in (
        (variant(1_000_001), "larger"),
        (variant(900_000, finite=False), "not finite"),
        (variant(900_000, accuracy=0.9), "accuracy 0.9000"),
        (variant(0, error="TypeError: no"), "TypeError: no"),
    ):
        assert failures(GOAL, bad, original) == [why]


def test_a_wrong_peer_is_no_yardstick_however_small(document):
    assert "450,000 bytes (Tool one)" in row(document, "smaller than the best passing peer").must
    right = copy.deepcopy(document)
    right["models"]["toy"]["variants"]["two"] = variant(300_000)
    assert not row(right, "smaller than the best passing peer").met


def test_a_peer_that_fails_is_shown_with_what_it_said(document):
    document["models"]["toy"]["variants"]["one"] = variant(0, error="ValueError: a | b")
    text = markdown(document)
    assert "no: ValueError: a / b" in text
    widths = {line.count("|") for line in text.splitlines() if line.startswith(("| Tool", "| tool", "| original"))}
    assert len(widths) == 1
