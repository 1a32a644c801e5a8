"""What the benchmark of containers makes of its figures."""

import contextlib

import pytest

from benchmarks.serve.arms import TITLES, init_ms
from benchmarks.serve.load import callers, first_answer
from benchmarks.serve.report import markdown, rows, summary
from tests.support.http import serving
from tests.support.tiny import open_service


def _spread(median):
    return {"median": median, "low": median - 1, "high": median + 1}


def _document(**changes):
    figures = {"cold_ms": 100, "p50_ms": 0.3, "p99_ms": 1, "per_second": 4000, "p99_busy_ms": 9, "memory_mb": 50}
    arms = {name: {what: _spread(value) for what, value in figures.items()} for name in TITLES}
    arms["coldpress"]["opening_ms"] = _spread(30)
    arms["fastapi"]["cold_ms"] = _spread(400)
    arms["litserve"]["cold_ms"] = _spread(1000)
    arms["empty"]["cold_ms"] = _spread(60)
    for (name, what), value in changes.get("figures", {}).items():
        arms[name][what] = _spread(value)
    return {
        "date": "2026-11-21",
        "machine": {"cpu": "a processor", "cores": 2},
        "python": "3.13.1",
        "engine": "1.31.1",
        "clients": 16,
        "rounds": {"cold": 11, "warm": 5, "seconds": 4.0},
        "models": {
            "digits": {
                "title": "digits",
                "bare_answer_ms": 0.08,
                "arms": {name: {"title": TITLES[name]} | figures for name, figures in arms.items()},
            }
        },
    }


def test_every_figure_is_held_against_what_it_must_reach():
    assert [row.met for row in rows(_document())] == [True] * 5
    assert "5 of 5 figures met." in markdown(_document())


@pytest.mark.parametrize(
    ("changed", "value", "missed"),
    [
        (("fastapi", "cold_ms"), 200, 0),
        (("litserve", "cold_ms"), 400, 1),
        (("fastapi", "per_second"), 4100, 2),
        (("coldpress", "p50_ms"), 0.9, 3),
        (("empty", "cold_ms"), 50, 4),
    ],
)
def test_a_figure_that_is_not_reached_is_said_to_be_missed(changed, value, missed):
    document = _document(figures={changed: value})
    assert [place for place, row in enumerate(rows(document)) if not row.met] == [missed]
    assert markdown(document).count("**missed**") == 1


def test_the_readme_shows_every_server():
    assert all(title in summary(_document()) for title in TITLES.values())


def test_a_run_without_the_digits_has_no_figures_to_reach():
    document = _document()
    document["models"] = {"magika": document["models"]["digits"]}
    assert rows(document) == []
    assert markdown(document).startswith("**digits**")


def test_what_opening_took_is_read_from_the_log():
    assert init_ms('text\n{"level":"INFO"}\n{"init":{"total_ms":23.5}}\n') == 23.5
    assert init_ms("") == 0.0


def test_callers_count_whole_answers(tmp_path):
    body = b'{"inputs":{"x":[[1.5,-2.0]]}}'
    with contextlib.closing(open_service(tmp_path, "fp32")) as service, serving(service) as address:
        port = int(address.rpartition(":")[2])
        assert b"outputs" in first_answer(port, "/predict", body, 10)
        load = callers(port, "/predict", body, 4, 0.2)
        assert load.per_second > 0
        assert load.p99_ms >= load.p50_ms > 0
        with pytest.raises(ValueError, match="400"):
            callers(port, "/predict", b"{", 1, 0.2)
