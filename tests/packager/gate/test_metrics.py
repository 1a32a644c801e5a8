"""Metrics: where labels are found in answers, what they say, and what they refuse."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from coldpress.errors import ConfigError, SamplesError
from coldpress.gate.metrics import macro_f1, resolve_metric

# Four requests of one row, two classes: the second wins for the third alone.
SCORES = [{"scores": np.array([[1.5, x]], np.float32)} for x in (0, 1, 2, 0)]
LABELS = [{"label": np.array([x], np.int64)} for x in (0, 0, 1, 0)]
NAMES = [{"name": np.array([x], object)} for x in ("0", "0", "1", "0")]
MAPS = [{"by_class": [{0: 1.5, 1: float(x)}]} for x in (0, 1, 2, 0)]
EVENTS = [{"chance": np.array([[x]], np.float32)} for x in (0.1, 0.4, 0.6, 0.2)]
ROWS = [{"scores": np.array([[1.5, 0], [1.5, 1]], np.float32)}, {"scores": np.array([[1.5, 2], [1.5, 0]], np.float32)}]


@pytest.mark.parametrize("answers", [SCORES, LABELS, MAPS, EVENTS])
@pytest.mark.parametrize("labels", [[0, 0, 1, 1], [0.0, 0.0, 1.0, 1.0]])
def test_accuracy_is_the_share_of_labels_met_wherever_a_label_is_found(answers, labels):
    assert resolve_metric("accuracy", labelled=True).value(answers, np.array(labels)) == 0.75


@pytest.mark.parametrize("answers", [LABELS, NAMES, MAPS])
def test_labels_that_are_text_are_compared_as_text(answers):
    assert resolve_metric("accuracy", labelled=True).value(answers, np.array(["0", "0", "1", "1"])) == 0.75


def test_every_row_of_a_batch_is_a_sample():
    metric = resolve_metric("accuracy", labelled=True)
    assert metric.scores(ROWS, np.array([[0, 0], [1, 1]])).tolist() == [1, 1, 1, 0]


def test_of_a_row_with_several_labels_the_share_that_is_met_counts():
    tags = [{"tags": np.array([[0, 1, 2]])}, {"tags": np.array([[2, 2, 2]])}]
    found = resolve_metric("accuracy", labelled=True).scores(tags, np.array([[0, 1, 1], [2, 2, 2]]))
    assert found == pytest.approx([2 / 3, 1])


def test_without_a_name_labels_decide_and_else_the_cosine():
    assert resolve_metric(None, labelled=True).name == "accuracy"
    assert resolve_metric(None, labelled=False).name == "cosine"


@pytest.mark.parametrize("name", ["accuracy", "f1", "mae"])
def test_a_metric_of_labels_without_labels_says_what_is_missing(name):
    with pytest.raises(SamplesError, match=f"metric is {name}, but the samples hold no `label`"):
        resolve_metric(name, labelled=False)
    with pytest.raises(SamplesError, match="no `label`"):
        resolve_metric(name, labelled=True).value(SCORES, None)


def test_a_metric_that_nobody_knows_is_refused_with_those_that_are():
    with pytest.raises(ConfigError, match=r"'recall'; expected one of accuracy, f1, mae, cosine, agreement"):
        resolve_metric("recall", labelled=True)


def test_a_model_without_labels_or_scores_is_told_what_else_there_is():
    image = [{"y": np.full((1, 3, 2, 2), 2.0, np.float32)}] * 4
    with pytest.raises(SamplesError, match=r"no output is a label.*cosine"):
        resolve_metric("accuracy", labelled=True).value(image, np.zeros(4))


def test_a_label_too_few_is_counted():
    with pytest.raises(SamplesError, match="3 labels and the model gives 4"):
        resolve_metric("accuracy", labelled=True).value(SCORES, np.zeros(3))


@pytest.mark.parametrize("wrong", [2, -1, 0.5])
def test_a_label_that_is_no_class_is_refused(wrong):
    with pytest.raises(SamplesError, match=r"label .* is no class: output 'scores' scores 2 classes, 0 to 1"):
        resolve_metric("accuracy", labelled=True).value(SCORES, np.array([0, 1, wrong, 0]))


def test_labels_in_words_for_scores_by_number_are_refused():
    with pytest.raises(SamplesError, match=r"labels are text, such as 'cat'.*0 to 1"):
        resolve_metric("f1", labelled=True).value(SCORES, np.array(["cat", "dog", "cat", "dog"]))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40))
def test_f1_is_scikit_learns(pairs):
    truth, predicted = np.array(pairs).T
    if set(truth) | set(predicted) <= {0, 1}:
        expected = f1_score(truth, predicted, zero_division=0)
    else:
        expected = f1_score(truth, predicted, average="macro", zero_division=0)
    assert macro_f1(predicted, truth) == pytest.approx(expected)


def test_f1_counts_a_class_that_only_the_candidate_names():
    metric = resolve_metric("f1", labelled=True)
    truth = np.array([0, 1, 2, 0])
    before = [{"label": np.array([x])} for x in (0, 1, 2, 0)]
    after = [{"label": np.array([x])} for x in (0, 1, 3, 0)]
    weighed = metric.weigh(before, after, truth)
    assert (weighed.original, weighed.shrunk) == (1, pytest.approx(metric.value(after, truth)))
    assert weighed.evidence.drop == pytest.approx(metric.drop(before, after, truth)) == pytest.approx(0.5)


def test_the_mean_absolute_error_drops_in_shares_of_what_there_is_to_know():
    metric = resolve_metric("mae", labelled=True)
    truth = np.array([0.0, 10.0, 20.0, 30.0])  # the best constant, 15, is off by 10 on average
    before = [{"y": np.array([[x]], np.float32)} for x in (1, 11, 21, 31)]
    after = [{"y": np.array([[x]], np.float32)} for x in (2, 12, 22, 32)]
    weighed = metric.weigh(before, after, truth)
    assert (weighed.original, weighed.shrunk) == (1, 2)
    assert weighed.evidence.drop == pytest.approx(0.1)
    scaled = metric.weigh(*([{"y": a["y"] * 1000} for a in part] for part in (before, after)), truth * 1000)
    assert scaled.evidence.bounds() == pytest.approx(weighed.evidence.bounds())
    assert metric.direction == "lower"


def test_several_numbers_a_request_are_one_sample():
    boxes = [{"box": np.array([[0.0, 2.0]])}, {"box": np.array([[1.0, 1.0]])}]
    assert resolve_metric("mae", labelled=True).scores(boxes, np.array([[0, 0], [1, 2]])).tolist() == [1, 0.5]


@pytest.mark.parametrize("name", ["accuracy", "f1", "mae"])
def test_labels_that_are_all_the_same_tell_nothing(name):
    answers = [{"y": np.array([1], np.int64)}] * 3
    weighed = resolve_metric(name, labelled=True).weigh(answers, answers, np.ones(3, np.int64))
    assert "All labels are 1" in weighed.problem


def test_an_original_that_meets_no_label_has_nothing_to_lose():
    weighed = resolve_metric("accuracy", labelled=True).weigh(LABELS, LABELS, np.array([1, 1, 0, 1]))
    assert "meets none of the 4 labels" in weighed.problem


def test_the_cosine_is_the_smallest_over_outputs_and_knows_signs():
    before = [{"a": np.array([1.0, 0.0]), "b": np.array([1.0, 1.0])}] * 2
    after = [{"a": np.array([1.0, 0.0]), "b": np.array([1.0, 0.0])}, {"a": np.array([-1.0, 0.0]), "b": np.ones(2)}]
    metric = resolve_metric("cosine", labelled=False)
    assert metric.scores(after, None, before) == pytest.approx([0.5**0.5, -1])
    assert metric.value(before, None) == 1
    assert metric.weigh(before, after, None).original == 1


def test_an_answer_that_is_next_to_nothing_must_stay_so_and_has_no_direction():
    metric = resolve_metric("cosine", labelled=False)
    before = [{"map": np.array([0.9, 0.8])}, {"map": np.array([1e-7, -1e-7])}]
    quiet = [{"map": np.array([0.9, 0.8])}, {"map": np.array([-1e-7, 1e-6])}]
    loud = [{"map": np.array([0.9, 0.8])}, {"map": np.array([0.5, 0.5])}]
    assert metric.scores(quiet, None, before).tolist() == [1, 1]
    assert metric.scores(loud, None, before).tolist() == [1, 0]


def test_a_single_number_counts_by_its_error_because_it_has_no_direction():
    metric = resolve_metric("cosine", labelled=False)
    before, after = ([{"y": np.array([[x]])} for x in part] for part in ((2.0, 0.0, 1.0), (1.9, 0.01, -1.0)))
    assert metric.scores(after, None, before) == pytest.approx([0.95, 0.995, 0])


def test_an_answer_of_another_size_or_of_none_is_not_alike():
    metric = resolve_metric("cosine", labelled=False)
    before = [{"y": np.ones(3)}, {"y": np.zeros(3)}]
    after = [{"y": np.ones(4)}, {"y": np.zeros(3)}]
    assert metric.scores(after, None, before).tolist() == [0, 1]


def test_where_no_output_holds_floats_the_answer_is_alike_or_not():
    metric = resolve_metric("cosine", labelled=False)
    assert metric.scores(LABELS[:2], None, LABELS[1:3]).tolist() == [1, 0]


def test_agreement_is_the_share_of_decisions_that_stay():
    after = [{"label": np.array([x], np.int64)} for x in (0, 1, 1, 0)]
    metric = resolve_metric("agreement", labelled=False)
    weighed = metric.weigh(LABELS, after, None)
    assert (weighed.original, weighed.shrunk, weighed.evidence.drop) == (1, 0.75, 0.25)
    assert metric.value(LABELS, None) == 1


def test_decisions_that_are_always_the_same_tell_nothing():
    metric = resolve_metric("agreement", labelled=False)
    quiet = [{"speech": np.array([[x]])} for x in (0.01, 0.02, 0.4)]
    assert "decides the same on all samples" in metric.weigh(quiet, quiet, None).problem
    assert metric.weigh(LABELS, LABELS, None).problem == ""


def test_agreement_of_a_model_that_decides_nothing_says_to_use_cosine():
    with pytest.raises(SamplesError, match=r"no output is a decision.*use cosine"):
        resolve_metric("agreement", labelled=False).value([{"y": np.array([[-3.0, 7.0]])}], None)
