"""What the benchmark of the door makes of its figures."""

import numpy as np
import pytest

from benchmarks.fallback.arms import TITLES, Asked
from benchmarks.fallback.doors import question, right, rows
from benchmarks.fallback.report import markdown, summary
from benchmarks.fallback.report import rows as figures_of
from benchmarks.serve.arms import Server


def spread(median):
    return {"median": median, "low": 0.9 * median, "high": 1.1 * median}


def servers(title, threads, **rates):
    arms = {
        name: {
            "title": TITLES[name],
            "per_second": spread(rate),
            "p50_ms": spread(3.0),
            "p99_ms": spread(9.0),
            "memory_mb": 90.0,
        }
        for name, rate in rates.items()
    }
    return {"title": title, "clients": 16, "threads": threads, "arms": arms, "missing": {}}


def batching(worth):
    arm = servers("", 1, coldpress=100.0)["arms"]["coldpress"]
    arms = {"one by one": arm, "batches": arm | {"per_second": spread(100.0 * worth)}}
    return {"title": "MiniLM", "clients": 32, "arms": arms}


def document(**parts):
    rates = {"coldpress": 4000.0, "fastapi": 3800.0, "litserve": 900.0, "bentoml": 400.0, "mlserver": 1300.0}
    good = {
        "door": {"added_ms": spread(0.4), "added_p99_ms": spread(1.0)},
        "digits": servers("digits", 1, **rates),
        "magika": servers("magika", 2, coldpress=200.0, fastapi=95.0, mlserver=90.0),
        "batching": batching(1.8),
        "cascade": {
            "samples": 5000,
            "small": 0.93,
            "large": 0.955,
            "cascade": 0.954,
            "escalated": 0.11,
            "small_bytes": 62_000,
            "large_bytes": 815_000,
        },
        "faults": {
            "questions": 10_000,
            "seconds": 30.0,
            "outcomes": {"answered 200": 9000, "DoorError 502": 1000},
            "wrong": 0,
            "latest_ms_after_deadline": 20.0,
            "late_ms_allowed": 250.0,
            "opened": 3,
            "falls": 2,
            "closed_again": True,
            "reached_while_down": 100,
            "may_reach_while_down": 190,
            "asked_while_down": 2000,
        },
        "weights": {
            "weights_mb": 201.0,
            "parts": 8,
            "moto": {"plain_mb_s": 300, "read_mb_s": 290, "share": 0.95},
            "sendfile": {"plain_mb_s": 1500, "read_mb_s": 1300, "share": 0.87},
            "digest_mb_s": 1400,
            "engine_mb": 60.0,
            "peak_mb": 265.0,
            "peak_ratio": 1.02,
        },
    }
    return {
        "date": "2026-11-21",
        "machine": {"cpu": "a processor", "cores": 2},
        "python": "3.13.1",
        "engine": "1.31.1",
        "gpu": None,
        "parts": good | parts,
    }


def test_good_figures_are_all_met():
    found = figures_of(document())
    assert all(row.met for row in found), [row for row in found if not row.met]
    assert len(found) == 18


@pytest.mark.parametrize(
    ("part", "change", "figure"),
    [
        ("door", {"added_ms": spread(1.6)}, "median"),
        ("door", {"added_p99_ms": spread(4.2)}, "99th percentile"),
        ("digits", servers("d", 1, coldpress=3000.0, fastapi=3800.0), "of the hand-written"),
        ("digits", servers("d", 1, coldpress=3000.0, bentoml=800.0), "BentoML"),
        ("digits", servers("d", 1, coldpress=3000.0, mlserver=1300.0), "MLServer"),
        ("magika", servers("m", 2, coldpress=150.0, fastapi=95.0), "2 threads"),
        ("batching", batching(1.4), "batching"),
        ("cascade", {"cascade": 0.952}, "points"),
        ("cascade", {"escalated": 0.21}, "escalated"),
        ("faults", {"wrong": 1}, "wrong answers"),
        ("faults", {"outcomes": {"crash": 2}}, "crashes"),
        ("faults", {"latest_ms_after_deadline": 300.0}, "deadline"),
        ("faults", {"opened": 1}, "breaker"),
        ("faults", {"closed_again": False}, "breaker"),
        ("faults", {"reached_while_down": 900}, "breaker"),
        ("weights", {"sendfile": {"plain_mb_s": 9, "read_mb_s": 7, "share": 0.79}}, "plain rate"),
        ("weights", {"peak_ratio": 1.2}, "peak memory"),
    ],
)
def test_each_figure_can_be_missed(part, change, figure):
    changed = document()
    changed["parts"][part] = changed["parts"][part] | change
    missed = [row.figure for row in figures_of(changed) if not row.met]
    assert len(missed) == 1
    assert figure in missed[0]


def test_a_peer_that_is_not_there_is_named_with_the_reason():
    changed = document()
    changed["parts"]["digits"]["missing"] = {"LitServe": "requirements/bench-serve.txt could not be installed"}
    assert "LitServe is not among them: requirements/bench-serve.txt could not be installed." in markdown(changed)


def test_figures_of_a_gpu_are_skipped_or_shown():
    assert "were skipped: there was none" in markdown(document())
    model = {"provider": "cuda", "off": 0.001, "bytes": 90_000_000, "rows_a_second": {"1": 300.0, "8": 2000.0}}
    gpu = {"device": "a GPU", "models": {"minilm": model}, "batching": batching(6.0)}
    shown = document() | {"gpu": gpu}
    assert "minilm on a GPU, rows a second by rows in a batch: 1: 300, 8: 2,000." in markdown(shown)
    assert [row.met for row in figures_of(shown)][-2:] == [True, True]
    slow = document() | {"gpu": gpu | {"batching": batching(4.0)}}
    assert [row.met for row in figures_of(slow)][-2:] == [False, True]


def test_the_readme_has_every_figure_and_where_the_rest_is():
    shown = summary(document())
    assert shown.count("| met |") == 18
    assert "`make bench-fallback`" in shown


@pytest.mark.parametrize(
    "content",
    [
        b'{"outputs":{"y":[[1.5,2.0]]}}',
        b'{"outputs":[{"name":"y","datatype":"FP32","shape":[1,2],"data":[1.5,2.0]}]}',
        b'{"outputs":[{"name":"y","datatype":"FP32","shape":[1,2],"parameters":{"binary_data_size":8}}]}'
        + np.array([1.5, 2.0], np.float32).tobytes(),
    ],
    ids=["plain", "protocol", "binary"],
)
def test_answers_of_every_server_are_read(content):
    like = {"y": np.zeros((1, 2), np.float32)}
    found = Asked(Server("any", (), None), "/", b"").read(content, like)
    assert found["y"].tolist() == [[1.5, 2.0]]


def test_a_wrong_answer_is_told_from_a_right_one():
    assert question(rows()[0]).path == "/v2/models/digits/infer"
    content = b'{"outputs":[{"name":"label","data":[3]},{"name":"p","data":[0.1,0.9]}]}'
    assert right(content, {"label": [3], "p": [0.1, 0.9]})
    assert not right(content, {"label": [4], "p": [0.1, 0.9]})
    assert not right(content, {"label": [3], "p": [0.1, 0.8]})
    assert not right(content, {"label": [3]})
