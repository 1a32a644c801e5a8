import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldpress.errors import SamplesError
from coldpress.fallback.cascade import fit_threshold, probabilities_of
from coldpress.gate.metrics import resolve_metric
from coldpress_runtime.fallback.settings import read_rule

CLASSES = 4


def answers(right, confidence, truth, *, rows=1):
    """Rows whose likeliest class is the truth where ``right``, with that confidence, as requests of ``rows`` rows."""
    table = np.repeat((1 - confidence)[:, None] / (CLASSES - 1), CLASSES, axis=1)
    label = np.where(right, truth, (truth + 1) % CLASSES)
    table[np.arange(len(truth)), label] = confidence
    table = table.astype(np.float32)
    return [
        {"label": label[i : i + rows].astype(np.int64), "probabilities": table[i : i + rows]}
        for i in range(0, len(truth), rows)
    ]


def two_models(count=1600, doubtful=0.1, rows=1):
    """A small model that errs in half of the tenth of rows where it is unsure, and a large one that never does."""
    random = np.random.default_rng(7)
    truth = random.integers(0, CLASSES, count)
    unsure = random.random(count) < doubtful
    confidence = np.where(unsure, random.uniform(0.3, 0.6, count), random.uniform(0.8, 0.999, count))
    right = ~unsure | (random.random(count) < 0.5)
    large = answers(np.ones(count, bool), np.full(count, 0.99), truth, rows=rows)
    return answers(right, confidence, truth, rows=rows), large, truth.reshape(-1, rows) if rows > 1 else truth


def fit(small, large, labels, metric=None, **options):
    return fit_threshold(small, large, labels, resolve_metric(metric, labels is not None), **options)


def test_the_doubtful_rows_alone_are_escalated():
    found = fit(*two_models())
    assert found.verdict == "pass"
    assert 0.7 * 0.1 < found.chosen.escalated < 0.13
    assert 0.3 < found.chosen.threshold < 0.81
    assert found.chosen.drop_bound <= 0.01
    assert found.rule == f"confidence < {found.chosen.threshold}"
    assert found.large == 1.0
    assert found.small == pytest.approx(0.95, abs=0.01)
    assert found.output == "probabilities"


def test_the_curve_rises_in_share_and_reaches_beyond_what_is_allowed():
    found = fit(*two_models(count=400))
    shares = [point.escalated for point in found.points]
    assert shares == sorted(set(shares))
    assert shares[0] == 0
    assert found.points[0].metric == found.small
    assert shares[-1] > 0.8
    assert found.to_json()["points"][0]["threshold"] == 0.0


def test_the_curve_as_lines_shows_what_ships():
    found = fit(*two_models(count=800))
    head, *lines = found.table()
    assert "accuracy" in head
    assert len({len(line.partition("  <-")[0]) for line in (head, *lines)}) == 1
    (chosen,) = [line for line in lines if line.endswith("<- ships")]
    assert f"{found.chosen.threshold:.6g}" in chosen
    assert f"{found.chosen.escalated:.1%}" in chosen
    assert 5 <= len(lines) <= 7


def test_rows_of_one_request_are_exchanged_one_by_one():
    single, together = fit(*two_models(count=800)), fit(*two_models(count=800, rows=8))
    assert [(p.threshold, p.escalated) for p in together.points] == [(p.threshold, p.escalated) for p in single.points]
    assert together.chosen.threshold == single.chosen.threshold


def test_a_request_whose_outputs_do_not_count_rows_goes_out_whole():
    small, large, labels = two_models(rows=4)
    for each in (*small, *large):
        each["total"] = np.array([4.0, 1.0, 2.0], np.float32)  # no row of it belongs to a row of the request
    found = fit(small, large, labels, max_escalated=0.6)
    assert found.samples == len(small)
    assert found.chosen.escalated > 0.25  # one doubtful row of four takes the others with it


def test_few_samples_are_inconclusive_and_say_how_many_would_do():
    found = fit(*two_models(count=80))
    assert found.verdict == "inconclusive"
    assert found.chosen is None
    assert found.rule is None
    assert found.samples_needed > 80
    assert f"{found.samples_needed:,}" in found.note


def test_a_model_that_errs_where_it_is_sure_fails_and_says_what_it_would_take():
    random = np.random.default_rng(1)
    truth = random.integers(0, CLASSES, 600)
    small = answers(random.random(600) < 0.5, random.uniform(0.3, 1.0, 600), truth)
    found = fit(small, answers(np.ones(600, bool), np.full(600, 0.9), truth), truth)
    assert found.verdict == "fail"
    assert found.rule is None
    assert "No share would do" in found.note


def test_more_doubt_than_is_allowed_says_what_it_would_take():
    found = fit(*two_models(count=1200, doubtful=0.4))
    assert found.verdict == "fail"
    assert "It would take" in found.note
    assert "20.0% are allowed" in found.note


def test_a_small_model_as_right_as_the_large_one_needs_no_second_opinion():
    truth = np.random.default_rng(2).integers(0, CLASSES, 500)
    both = answers(np.ones(500, bool), np.linspace(0.4, 0.99, 500), truth)
    found = fit(both, both, truth)
    assert (found.verdict, found.chosen.escalated, found.rule) == ("pass", 0, None)
    assert "no second opinion" in found.note


@pytest.mark.parametrize("metric", ["agreement", "f1"])
def test_other_metrics_judge_as_well(metric):
    small, large, labels = two_models(count=800)
    found = fit(small, large, None if metric == "agreement" else labels, metric, max_drop=0.03)
    assert found.verdict == "pass"
    assert found.metric == metric
    assert found.chosen.escalated <= 0.2


def test_luck_is_not_sold_as_truth():
    """Of fits on samples of a small model that is truly worse than allowed, few pass: the bound holds over the walk."""
    random = np.random.default_rng(5)
    passed = 0
    truth = random.integers(0, CLASSES, 600)
    large = answers(np.ones(600, bool), np.full(600, 0.9), truth, rows=600)
    for _ in range(100):
        right = random.random(600) >= 0.026  # wherever it is sure or not: 2 % remain after escalating a fifth
        small = answers(right, random.uniform(0.4, 1.0, 600), truth, rows=600)
        passed += fit(small, large, truth.reshape(1, -1), max_drop=0.02).chosen is not None
    assert passed <= 10


def test_a_list_of_maps_counts_rows_too():
    small, large, labels = two_models(count=400, rows=4)
    plain = fit(small, large, labels)
    for each in (*small, *large):
        each["maps"] = [dict(enumerate(row)) for row in each["probabilities"].tolist()]
    assert fit(small, large, labels).chosen == plain.chosen


def test_one_column_is_as_sure_of_no_as_of_yes():
    truth = np.tile([0, 1], 300)
    sure = np.where(truth == 1, 0.95, 0.05)
    sure[:30] = 0.45  # half of these are wrong
    small = [{"p": np.array([[each]], np.float32)} for each in sure]
    large = [{"p": np.array([[each]], np.float32)} for each in np.where(truth == 1, 0.99, 0.01)]
    found = fit(small, large, truth, max_drop=0.02)
    assert 0.02 < found.chosen.escalated <= 0.06


def test_what_holds_no_probabilities_is_said():
    logits = [{"scores": np.array([[3.0, -1.0]], np.float32)}] * 3
    with pytest.raises(SamplesError, match="add up to 1, and no output holds any: end the model with a Softmax"):
        probabilities_of(logits)
    both = [{"a": np.array([[0.5, 0.5]]), "b": np.array([[0.25, 0.75]])}]
    with pytest.raises(SamplesError, match="Several outputs"):
        probabilities_of(both)
    assert probabilities_of(both, "b") == "b"
    with pytest.raises(SamplesError, match="'c' holds none"):
        probabilities_of(both, "c")


def test_models_that_answer_unlike_each_other_are_refused():
    small, large, labels = two_models(count=20)
    with pytest.raises(SamplesError, match="20 answers and the large one 19"):
        fit(small, large[:-1], labels)
    for each in large:
        each["more"] = each["label"]
    with pytest.raises(SamplesError, match="a caller must not see who answered"):
        fit(small, large, labels)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(st.tuples(st.floats(0.3, 1.0), st.booleans(), st.booleans()), min_size=2, max_size=60),
    max_escalated=st.floats(0, 1),
    max_drop=st.floats(0, 0.5),
)
def test_whatever_the_models_say_the_rule_does_what_the_curve_says(rows, max_escalated, max_drop):
    sure, ours, theirs = (np.array(each) for each in zip(*rows, strict=True))
    truth = np.arange(len(rows)) % CLASSES
    small = answers(ours, sure, truth, rows=len(rows))
    large = answers(theirs, np.full(len(rows), 0.9), truth, rows=len(rows))
    found = fit(small, large, truth.reshape(1, -1), max_escalated=max_escalated, max_drop=max_drop)
    told = small[0]["probabilities"].max(axis=1).astype(np.float64)
    for point in found.points:
        doubtful = told < point.threshold
        assert point.escalated == doubtful.mean()
        assert point.metric == pytest.approx(np.where(doubtful, theirs, ours).mean())
    within = [point for point in found.points if point.escalated <= max_escalated]
    assert within[0].escalated == 0
    assert (found.verdict == "pass") == (found.chosen is not None) == (within[-1].verdict == "pass")
    if found.chosen:
        assert all(point.verdict == "pass" for point in within if point.escalated >= found.chosen.escalated)
        assert found.chosen.drop_bound <= max_drop
        below = [point for point in within if point.escalated < found.chosen.escalated]
        assert not below or below[-1].verdict != "pass"
    if found.rule:
        assert 0 < read_rule(found.rule, "when").bound == found.chosen.threshold
