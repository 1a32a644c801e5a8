"""Each oracle passes the original and fails a model that is ruined; samples are what `coldpress` reads."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from benchmarks.shrink import metrics
from benchmarks.shrink.cases import CASES
from benchmarks.shrink.decode import MOST, detections, iou, read_line
from benchmarks.shrink.samples import write
from coldpress.reference import Reference
from coldpress.samples.load import SamplesOptions, load_samples

WEIGHTS = ("digits_mlp", "silero", "blazeface_front", "lac", "opennsfw", "nudenet", "ocr_cls", "ocr_det", "atspm_pair")


def ruined(model):
    """The model with much noise on every weight, wherever it is kept."""
    rng = np.random.default_rng(0)

    def ruin(graph):
        tensors = list(graph.initializer)
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.type == onnx.AttributeProto.GRAPH:
                    ruin(attribute.g)
                elif attribute.type == onnx.AttributeProto.TENSOR:
                    tensors.append(attribute.t)
        for tensor in tensors:
            if tensor.data_type == onnx.TensorProto.FLOAT and np.prod(tensor.dims) >= 256:
                value = numpy_helper.to_array(tensor)
                noisy = value + rng.normal(0, 2 * value.std() + 1e-6, value.shape).astype(np.float32)
                tensor.CopyFrom(numpy_helper.from_array(noisy, tensor.name))

    proto = onnx.load(model)
    ruin(proto.graph)
    return proto


@pytest.mark.models
@pytest.mark.parametrize("name", WEIGHTS)
def test_an_oracle_passes_the_original_and_fails_a_ruined_model(name, tmp_path):
    case = CASES[name]
    original = Reference(case.model())
    samples, _ = case.samples(original)
    onnx.save(ruined(case.model()), tmp_path / "ruined.onnx")
    before = samples.answers(original.run)
    after = samples.answers(Reference(tmp_path / "ruined.onnx").run)
    (goal,) = case.goals
    for check in goal.checks:
        value = check.measure(before, samples.labels)
        assert check.met(value, value)
        assert not check.met(check.measure(after, samples.labels), value)


@pytest.mark.models
@pytest.mark.parametrize("name", ["digits_rf_zipmap", "lac", "silero", "blazeface_front"])
def test_samples_are_read_as_they_were_made(name, tmp_path):
    case = CASES[name]
    original = Reference(case.model())
    evaluation, _ = case.samples(original)
    path = write(evaluation, tmp_path, "evaluation")
    options = SamplesOptions()
    if case.settings:
        options = SamplesOptions(
            rate=16000, window=512, context=64, constants={"sr": 16000}, states={"state": "stateN"}
        )
    read = load_samples(path, original.signature, options)
    for mine, theirs in zip(evaluation.requests[:300], read.requests[:300], strict=True):
        for key, value in mine.items():
            assert value.dtype == theirs[key].dtype
            np.testing.assert_allclose(theirs[key], value, atol=1e-6)
    if read.labels is not None:
        assert len(read.labels) == len(evaluation.requests)


@pytest.mark.models
@pytest.mark.parametrize("name", ["digits_mlp", "lac", "silero", "blazeface_front", "nudenet", "ocr_cls", "atspm_pair"])
def test_no_sample_comes_twice_and_none_is_calibrated_with(name):
    case = CASES[name]
    evaluation, calibration = (
        [b"".join(value.tobytes() for value in row.values()) for row in samples.requests]
        for samples in case.samples(Reference(case.model()))
    )
    assert len(set(evaluation)) == len(evaluation)
    assert not set(evaluation) & set(calibration)


def box(kind, score, left, size):
    return [kind, score, left, 10, left + size, 10 + size]


def yolo(*boxes):
    """YOLOv8's output [1, 4 + 3 classes, n] for boxes as `detections` gives them."""
    rows = np.zeros((len(boxes), 7), np.float32)
    for row, (kind, score, left, top, right, bottom) in zip(rows, boxes, strict=True):
        row[:4] = (left + right) / 2, (top + bottom) / 2, right - left, bottom - top
        row[4 + int(kind)] = score
    return rows.T[None]


def test_overlapping_boxes_are_one_detection_and_weak_ones_none():
    found = detections(yolo(box(1, 0.9, 10, 50), box(1, 0.8, 12, 50), box(2, 0.6, 200, 40), box(0, 0.2, 90, 30)))
    assert found.shape == (MOST, 6)
    assert found[:3, 1].tolist() == pytest.approx([0.9, 0.6, 0])
    np.testing.assert_allclose(found[0], box(1, 0.9, 10, 50), rtol=1e-5)


@pytest.mark.parametrize(
    ("boxes", "same"),
    [
        ([box(1, 0.86, 10, 100), box(2, 0.6, 200, 40)], True),
        ([box(1, 0.9, 11, 100), box(2, 0.6, 200, 40), box(0, 0.27, 90, 30)], True),
        ([box(1, 0.84, 10, 100), box(2, 0.6, 200, 40)], False),
        ([box(1, 0.9, 18, 100), box(2, 0.6, 200, 40)], False),
        ([box(0, 0.9, 10, 100), box(2, 0.6, 200, 40)], False),
        ([box(1, 0.9, 10, 100)], False),
        ([box(1, 0.9, 10, 100), box(2, 0.6, 200, 40), box(0, 0.5, 90, 30)], False),
    ],
)
def test_detections_are_the_same_by_class_box_and_score(boxes, same):
    label = detections(yolo(box(1, 0.9, 10, 100), box(2, 0.6, 200, 40)))
    assert metrics.same_detections([{"output0": yolo(*boxes)}], [label])[0] == same
    assert (metrics.detection_quality([{"output0": yolo(*boxes)}], [label])[0] > 0.9) >= same


def test_boxes_that_do_not_touch_overlap_by_nothing():
    assert iou(np.array([0, 0, 2, 2]), np.array([5, 5, 6, 6])) == 0
    assert iou(np.array([0, 0, 2, 2]), np.array([0, 1, 2, 3])) == pytest.approx(1 / 3)


def test_a_line_is_read_without_blanks_and_repeats():
    steps = [0, 1, 1, 0, 1, 2, 2, 3]
    assert read_line(np.eye(4)[steps][None], "ab") == "aab "


def test_a_sentence_keeps_its_neighbour_only_when_the_others_stay_in_place():
    vectors = np.array([[1, 0, 0], [0.9, 0.1, 0], [0, 1, 0], [0, 0.9, 0.1]], np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    answers = [{"y": np.stack([row, row])[None]} for row in vectors]
    assert metrics.neighbour_kept(answers, vectors).tolist() == [1, 1, 1, 1]
    assert metrics.sentence_cosine(answers, vectors) == pytest.approx(1)
    swapped = [answers[0], answers[2], answers[1], answers[3]]
    assert metrics.neighbour_kept(swapped, vectors).mean() < 1


def test_answers_that_are_no_numbers_never_count_as_right():
    nothing = [{"y": np.full((1, 2, 3), np.nan, np.float32)}]
    assert metrics.sentence_cosine(nothing, np.ones((1, 3))).tolist() == [-1]
    assert metrics.score_within([{"y": np.array([[np.nan, np.nan]])}], [0.5]).tolist() == [0]
    assert metrics.values_kept([{"y": np.array([np.nan])}], [[1.0]]).tolist() == [0]
