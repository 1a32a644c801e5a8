"""What samples must be to tell right from wrong, and what the gate says where they cannot."""

import numpy as np
import pytest
from onnx import TensorProto, load, numpy_helper, save

from coldpress.errors import SamplesError
from coldpress.samples.load import SampleSet
from tests.support import models, tiny
from tests.support.graphs import model, node, tensor, value
from tests.support.judging import UNTIMED, changed, checks_of, digits_gate, digits_rows, gate_of, noise

ROWS, LABELS = digits_rows()
RANDOM = SampleSet(tuple({"x": row} for row in np.random.default_rng(0).standard_normal((30, 1, 2), np.float32)))


def _added(number):
    return model(
        [node("Add", ["x", "a"], ["y"])], [value("x", ("n", 2))], [value("y", ("n", 2))], [tensor("a", number)]
    )


def test_few_samples_leave_it_open_and_their_number_is_told(tmp_path):
    verdict = digits_gate(count=60).judge(changed(tmp_path / "c.onnx", noise(1e-3)))
    assert (verdict.verdict, verdict.drop, verdict.samples_needed) == ("inconclusive", 0, 268)
    assert "about 268 samples would tell" in verdict.why_not


def test_one_sample_or_the_same_one_again_tells_nothing(tmp_path):
    candidate = changed(tmp_path / "c.onnx", noise(1e-3))
    original = models.fetch("digits_mlp")
    row = {"X": ROWS[:1]}
    one = gate_of(original, SampleSet((row,))).judge(candidate)
    assert (one.verdict, one.samples_needed) == ("inconclusive", None)
    assert "There is one sample" in one.why_not
    same = gate_of(original, SampleSet((row,) * 40)).judge(candidate)
    assert same.verdict == "inconclusive"
    assert "All 40 samples are the same one" in same.why_not


def test_labels_of_one_class_tell_nothing(tmp_path):
    samples = SampleSet(tuple({"X": row[None]} for row in ROWS[LABELS == 3]), LABELS[LABELS == 3])
    verdict = gate_of(models.fetch("digits_mlp"), samples, "accuracy").judge(changed(tmp_path / "c.onnx", noise(1e-3)))
    assert verdict.verdict == "inconclusive"
    assert "All labels are 3" in verdict.why_not


def test_an_original_that_answers_nan_is_told_so_unless_nothing_changed(tmp_path):
    save(_added(np.nan), tmp_path / "m.onnx")
    gate = gate_of(tmp_path / "m.onnx", RANDOM)
    assert gate.judge(tmp_path / "m.onnx").identical
    save(_added(0.1), tmp_path / "c.onnx")
    with pytest.raises(SamplesError, match=r"m\.onnx already fails on its own samples: it answers NaN to 30 of 30"):
        gate.judge(tmp_path / "c.onnx")
    with pytest.raises(SamplesError, match="already fails"):
        gate.check_samples()


def test_an_original_that_answers_nothing_to_all_samples_is_told_so(tmp_path):
    nodes = [node("NonZero", ["x"], ["y"])]
    save(model(nodes, [value("x", ["N", 4])], [value("y", [2, "K"], TensorProto.INT64)]), tmp_path / "m.onnx")
    nothing = {"x": np.zeros((1, 4), np.float32)}
    with pytest.raises(SamplesError, match="answers nothing to all 2 samples"):
        gate_of(tmp_path / "m.onnx", SampleSet((nothing, nothing))).check_samples()
    gate_of(tmp_path / "m.onnx", SampleSet((nothing, {"x": np.ones((1, 4), np.float32)}))).check_samples()


def test_an_original_that_does_not_run_on_its_samples_is_told_so(tmp_path):
    save(tiny.lookup(), tmp_path / "m.onnx")
    with pytest.raises(SamplesError, match=r"m\.onnx does not run on its own samples: .*out of data bounds"):
        gate_of(tmp_path / "m.onnx", SampleSet(({"index": np.array([99])},)))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.full(30, 7), "label 7 is no class: output 'y' scores 2 classes"),
        (np.ones(3), "3 labels and the model gives 30"),
    ],
)
def test_labels_that_are_not_the_models_are_refused_before_any_candidate_is_made(labels, message, tmp_path):
    save(_added(0.1), tmp_path / "m.onnx")
    with pytest.raises(SamplesError, match=message):
        gate_of(tmp_path / "m.onnx", SampleSet(RANDOM.requests, labels), "accuracy").check_samples()


def test_no_samples_are_refused():
    with pytest.raises(SamplesError, match="no samples to judge on"):
        gate_of(models.fetch("digits_mlp"), SampleSet(()))


@pytest.mark.models
def test_a_stateful_model_is_judged_on_whole_recordings(tmp_path):
    path = models.fetch("silero")
    random = np.random.default_rng(0)
    feeds = models.feeds("silero")
    requests, sequence = [], []
    for recording in range(8):  # every other one near silence
        for step in range(40):
            noisy = random.normal(0, 0.3 if recording % 2 else 1e-3, (1, 576))
            tone = feeds["input"] * np.sin(step / 3) if recording % 2 else 0
            requests.append({**feeds, "input": (noisy + tone).astype(np.float32)})
            sequence.append(recording)
    samples = SampleSet(tuple(requests), states={"state": "stateN"}, sequence=tuple(sequence))
    gate = gate_of(path, samples, "cosine")
    same = _weights_times(1 + 1e-6, path, tmp_path / "same.onnx")
    weak = _weights_times(0.3, path, tmp_path / "weak.onnx")
    verdict = gate.judge(same)
    assert (verdict.verdict, verdict.identical, verdict.samples) == ("pass", False, 320), verdict.why_not
    assert checks_of(gate.judge(weak))["quality"].verdict == "fail"
    # No frame of this is speech: a model that never hears any would agree.
    deaf = gate_of(path, samples, "agreement", UNTIMED).judge(weak)
    assert deaf.agreement == 1
    assert "decides the same on all samples" in checks_of(deaf)["quality"].note


def _weights_times(factor, path, place):
    proto = load(path)
    for weight in _inner_tensors(proto.graph):
        array = numpy_helper.to_array(weight)
        if array.dtype == np.float32 and array.size > 1000:
            weight.CopyFrom(numpy_helper.from_array((array * factor).astype(np.float32), weight.name))
    save(proto, place)
    return place


def _inner_tensors(graph):
    for each in graph.node:
        for attribute in each.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            if attribute.HasField("g"):
                yield from _inner_tensors(attribute.g)
