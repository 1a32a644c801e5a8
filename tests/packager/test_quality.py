"""The gate on the user's own samples."""

import numpy as np
import pytest

from coldpress.errors import VerifyError
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
