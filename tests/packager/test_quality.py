"""The gate on the user's own samples."""

import numpy as np
import pytest

from coldpress.errors import SamplesError, VerifyError
from coldpress.quality import Quality, measure_quality

REQUESTS = ({"x": np.zeros(2, np.float32)},) * 3


def _shifted(by):
    return lambda request: {"y": request["x"] + np.float32(by)}


def test_one_answer_that_is_not_the_originals_is_refused():
    quality = measure_quality(REQUESTS, None, _shifted(1), _shifted(1.5), None)
    assert quality.verdict == "fail"
    with pytest.raises(VerifyError, match=r"does not answer like model\.onnx on your samples.*--no-strip"):
        quality.check("model.onnx")


def test_equal_answers_and_no_samples_pass_the_gate():
    same = measure_quality(REQUESTS, None, _shifted(1), _shifted(1), None)
    assert (same.verdict, same.samples, same.shrunk) == ("pass", 3, 1.0)
    same.check("model.onnx")
    Quality().check("model.onnx")


def test_what_depends_on_chance_is_compared_in_kind_alone():
    quality = measure_quality(REQUESTS, None, _shifted(1), _shifted(2), None, frozenset({"y"}))
    assert quality.verdict == "pass"
    other = measure_quality(REQUESTS, None, _shifted(1), lambda _: {"y": np.zeros(2)}, None, frozenset({"y"}))
    assert other.verdict == "fail"


DIGITS = [{"x": np.array([[i]], dtype=np.float32)} for i in range(4)]


def scores(request):
    """Two classes: the second one wins when x is above 1."""
    x = float(request["x"][0, 0])
    return {"scores": np.array([[1.5, x]], dtype=np.float32)}


def labels_out(request):
    return {"label": np.array([int(request["x"][0, 0] > 1.5)], dtype=np.int64)}


@pytest.mark.parametrize("model", [scores, labels_out])
@pytest.mark.parametrize("labels", [[0, 0, 1, 0], [0.0, 0.0, 1.0, 0.0], ["0", "0", "1", "0"]])
def test_accuracy_is_the_share_of_labels_met_whatever_type_they_are_written_in(model, labels):
    quality = measure_quality(DIGITS, np.array(labels), model, model, None)
    assert (quality.metric, quality.original, quality.shrunk, quality.samples) == ("accuracy", 0.75, 0.75, 4)
    assert quality.verdict == "pass"


def test_accuracy_without_labels_says_what_is_missing():
    with pytest.raises(SamplesError, match="no `label`"):
        measure_quality(DIGITS, None, scores, scores, "accuracy")


def test_accuracy_of_a_model_without_labels_or_scores_says_to_use_cosine():
    def image(request):
        return {"y": np.zeros((1, 3, 2, 2), dtype=np.float32)}

    with pytest.raises(SamplesError, match="cosine"):
        measure_quality(DIGITS, np.zeros(4), image, image, "accuracy")


def test_a_label_too_few_is_counted():
    with pytest.raises(SamplesError, match="3 labels and the model gives 4"):
        measure_quality(DIGITS, np.zeros(3), scores, scores, "accuracy")
