"""What a report says of the original: the gate's figures of it, and nothing that was not measured."""

import numpy as np
import onnx
import pytest

from coldpress.config import load_config
from coldpress.fit.sizes import Entry, Sizes
from coldpress.fit.verdict import check_fit
from coldpress.gate.verdict import Figures, Verdict
from coldpress.report import render_report
from coldpress.report.assemble import assemble
from coldpress.report.document import read_document
from coldpress.search.account import Shrunk
from coldpress.search.task import make_task
from coldpress.search.vocabulary_step import TRIMMED
from tests.support.reports import candidate
from tests.support.tiny import mlp

COSTS = ("zip_bytes", "cold_ms", "first_ms", "warm_ms", "peak_mb")


@pytest.fixture
def told(tmp_path):
    """Assemble a document from candidates, given as names and verdicts; the last one ships."""

    def told_(*judged, recipe=("strip",), memory_mb=1024, **more):
        path = tmp_path / "model.onnx"
        onnx.save(mlp(), path)
        np.savez(tmp_path / "samples.npz", x=np.zeros((2, 64), np.float32))
        given = {"samples.evaluation": str(tmp_path / "samples.npz"), "function.memory_mb": memory_mb}
        record = {
            "recipe": list(recipe),
            "samples": {"calibration": 90, "evaluation": 270, "origin": "samples.npz"},
            "candidates": [
                candidate(name, 9000, 0.0, accepted=True, chosen=name == judged[-1][0], verdict=v and v.to_json())
                for name, v in judged
            ],
        }
        quality = judged[-1][1].to_json() if judged and judged[-1][1] else {"metric": None}
        return assemble("model", path, make_task(load_config(None, given)), Shrunk(path, record, quality), **more)

    return told_


def judged(warm_ms, **more):
    now = Figures(bytes=9000, zip_bytes=8000, cold_ms=30.0, first_ms=4.0, warm_ms=warm_ms * 2, peak_mb=40.0)
    was = Figures(bytes=9500, zip_bytes=8500, cold_ms=24.0, first_ms=3.0, warm_ms=warm_ms, peak_mb=38.0)
    return Verdict("accuracy", **{"original": 0.97, "shrunk": 0.96, "samples": 270, "figures": now} | more | {
        "original_figures": more.get("original_figures", was)
    })  # fmt: skip


def untimed():
    return judged(1.0, figures=Figures(bytes=9000), original_figures=Figures(bytes=9500))


def test_the_original_has_the_figures_it_had_beside_what_ships(told):
    first, *_ = told(("strip", judged(1.0)), ("int8", judged(2.0)))["candidates"]
    assert first["name"] == "original"
    assert [first["verdict"][cost] for cost in COSTS] == [8500, 24.0, 3.0, 2.0, 38.0]
    assert (first["verdict"]["original"], first["verdict"]["shrunk"]) == (0.97, 0.97)
    assert (first["verdict"]["slowdown"], first["zip_bytes"]) == (1.0, 8500)


def test_where_what_ships_was_not_timed_another_candidate_tells(told):
    document = told(("int8", judged(2.0)), ("strip", untimed()))
    assert document["candidates"][0]["verdict"]["warm_ms"] == 2.0
    assert document["model_start"] is None


def test_nothing_is_said_of_an_original_that_nothing_was_judged_against(told):
    document = told(("strip", None))
    assert document["candidates"][0]["verdict"] is None
    assert document["model_start"] is None
    assert '<h2 id="cold">' not in render_report(document)


def test_costs_that_were_not_measured_stay_unknown(told):
    verdict = told(("strip", untimed()))["candidates"][0]["verdict"]
    assert [verdict[cost] for cost in (*COSTS, "slowdown")] == [None] * 6
    assert verdict["shrunk"] == 0.97


def test_a_trimmed_models_costs_are_not_passed_off_as_the_originals(told):
    document = told(("strip", judged(1.0)), recipe=(TRIMMED, "strip"))
    verdict = document["candidates"][0]["verdict"]
    assert [verdict[cost] for cost in COSTS] == [None] * 5
    assert verdict["shrunk"] == 0.97
    assert document["model_start"]["original"] is None
    page = render_report(document)
    assert "with the original this was not measured" in page
    assert "before" not in page.split("warm answer</bdi></dt>")[1].split("</div>")[0]


@pytest.mark.parametrize(("memory_mb", "clock"), [(1024, "processor"), (3538, "wall")])
def test_both_models_starts_are_told_by_the_gates_clock(told, memory_mb, clock):
    start = told(("strip", judged(1.0)), memory_mb=memory_mb)["model_start"]
    assert start == {
        "steps": {"engine_and_model_ms": 26.0, "first_answer_ms": 4.0},
        "original": {"engine_and_model_ms": 21.0, "first_answer_ms": 3.0},
        "clock": clock,
    }


def test_a_bundles_start_with_the_original_is_said_not_to_be_measured(told):
    document = told(("strip", judged(1.0)), steps={"interpreter_ms": 40.0, "session_ms": 20.0})
    assert document["cold_start"] == {
        "steps": {"interpreter_ms": 40.0, "session_ms": 20.0}, "original": None, "clock": "wall",
    }  # fmt: skip
    page = render_report(document)
    assert "The bundle takes 60.0 ms from nothing to ready; with the original model in it this was not measured" in page
    assert "30.0 ms of the processor" in page
    assert "24.0 ms with the original, timed in turn" in page


def test_a_bundle_whose_start_and_answers_were_timed_has_a_price(told):
    sizes = Sizes((Entry("model/model.onnx", 9000, 0, "model"),), None)
    fit = check_fit("aws", sizes, python="3.13", architecture="x86_64", memory_mb=1769, timeout_s=30)
    document = told(("strip", judged(25.0)), fit=fit, steps={"interpreter_ms": 40.0, "session_ms": 60.0})
    # Warm 50 ms, a hundredth cold with 50 + 100 ms: 0.99 * 50 + 0.01 * 150 = 51 ms each.
    wanted = 51_000 * 1769 / 1024 * 0.0000166667 + 0.20
    assert document["fit"][0]["price"] == {
        "per_million": pytest.approx(wanted), "currency": "USD", "region": "us-east-1", "memory_mb": 1769,
        "as_of": "2026-09-28",
    }  # fmt: skip
    assert "<b>1.67</b> <bdi>USD</bdi>" in render_report(document)
    assert told(("strip", judged(25.0)), fit=fit)["fit"][0]["price"] is None
    assert told(("strip", untimed()), fit=fit, steps={"session_ms": 60.0})["fit"][0]["price"] is None


def test_a_container_has_no_price(told):
    sizes = Sizes((Entry("model/model.onnx", 9000, 0, "model"),), None)
    fit = check_fit("container", sizes, python="3.13", architecture="x86_64", memory_mb=1024, timeout_s=30)
    document = told(("strip", judged(25.0)), fit=fit, steps={"session_ms": 60.0})
    assert document["fit"][0]["price"] is None
    assert "a million requests" not in render_report(document)


def test_the_page_shows_the_original_beside_the_others(told):
    document = told(("strip", judged(1.0)), ("int8", judged(2.0)))
    assert read_document(document).candidates[0].state == "original"
    row = render_report(document).split('id="candidate-0"')[1].split('id="candidate-1"')[0]
    for text in ("0.9700", "2.00 ms", "24.0 ms", "38.0 MB", "8.50 kB zipped"):
        assert text in row
    assert "as long" not in row


def test_a_note_that_both_give_is_told_once(told):
    document = told(("strip", judged(1.0)), notes=("One.", "Two.", "One."))
    assert document["notes"] == ["One.", "Two."]
