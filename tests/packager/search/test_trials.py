"""Candidates are made and judged once each, by names of their own, and what the gate cannot judge stops nothing."""

import numpy as np
import onnx
import pytest

from coldpress.gate.gate import Limits
from coldpress.gate.metrics import resolve_metric
from coldpress.reference import Reference
from coldpress.samples.sample_set import SampleSet
from coldpress.search.calibration import Calibration
from coldpress.search.clock import Clock, OutOfTimeError
from coldpress.search.trials import Base, Trials, encoding_counts
from coldpress.search.workbench import KEEP, Workbench
from tests.support.graphs import model, node, tensor, value
from tests.support.judging import gate_of

DRAW = np.random.default_rng(0)
LINEAR = model(
    [node("MatMul", ["x", "W"], ["y"])],
    [value("x", ["N", 64])],
    [value("y", ["N", 128])],
    [tensor("W", DRAW.normal(size=(64, 128)))],
)
SAMPLES = SampleSet(tuple({"x": DRAW.normal(size=(1, 64)).astype(np.float32)} for _ in range(12)))
CHOICE = {"W": "int8-storage"}


@pytest.fixture
def trials(tmp_path):
    onnx.save(LINEAR, tmp_path / "model.onnx")

    def make(seconds=100, metric="cosine", steer=None):
        gate = gate_of(tmp_path / "model.onnx", SAMPLES, metric, Limits(max_slowdown=1000))
        return Trials(gate, steer, Clock(seconds), tmp_path, lambda _: None)

    return make


@pytest.fixture
def base():
    return Base(("strip",), Workbench(LINEAR))


def test_a_candidate_says_what_it_is_made_of_and_what_the_gate_found(trials, base):
    candidate = trials().judge(base, "small", CHOICE)
    assert (candidate.name, candidate.recipe) == ("small", ("strip", "int8-storage"))
    assert candidate.bytes == candidate.path.stat().st_size < 0.35 * 64 * 128 * 4
    assert candidate.passed, candidate.why_not
    assert candidate.encodings["int8-storage"]["tensors"] == 1


@pytest.fixture
def steer(tmp_path, trials):
    work = tmp_path / "steer"
    work.mkdir()
    return Calibration(Reference(tmp_path / "model.onnx"), SAMPLES, resolve_metric("cosine", labelled=False), work, 1)


def test_the_loss_is_measured_on_the_file_that_would_ship(trials, base, steer):
    candidate = trials(steer=steer).judge(base, "small", CHOICE)
    assert 0 < candidate.loss < 1e-3
    assert candidate.loss == steer.loss(candidate.path) == steer.loss(onnx.load(candidate.path))


def test_a_file_that_is_there_already_is_judged_as_it_is(trials, tmp_path, steer):
    candidate = trials(steer=steer).judge_file(tmp_path / "model.onnx", LINEAR, "strip", ())
    assert (candidate.path, candidate.loss, candidate.passed) == (tmp_path / "model.onnx", 0, True)


def test_a_file_that_does_not_open_has_no_loss_and_stops_nothing(trials, tmp_path, steer):
    (tmp_path / "odd.onnx").write_bytes(model([node("Nothing", ["x"], ["y"])]).SerializeToString())
    candidate = trials(steer=steer).judge_file(tmp_path / "odd.onnx", LINEAR, "odd", ())
    assert candidate.loss == float("inf")
    assert not candidate.passed
    assert candidate.why_not


def test_a_choice_is_judged_once_whatever_it_is_called(trials, base):
    judge = trials()
    first = judge.judge(base, "small", CHOICE)
    assert judge.judge(base, "again", CHOICE) is first
    assert len(judge.candidates) == 1


def test_two_candidates_of_one_name_are_told_apart(trials, base):
    judge = trials()
    names = [judge.judge(base, "mixed", choice).name for choice in (CHOICE, {"W": "fp16-storage"}, {"W": KEEP})]
    assert names == ["mixed", "mixed (2)", "mixed (3)"]
    assert len({candidate.path for candidate in judge.candidates}) == 3


def test_the_same_choice_on_another_base_is_another_candidate(trials, base):
    judge = trials()
    judge.judge(base, "one", CHOICE)
    assert judge.judge(Base((), Workbench(LINEAR)), "other", CHOICE).recipe == ("int8-storage",)


def test_nothing_new_is_begun_after_the_time_is_up(trials, base):
    judge = trials(seconds=0)
    with pytest.raises(OutOfTimeError):
        judge.judge(base, "late", CHOICE)
    assert judge.candidates == []


def test_bytes_are_counted_by_encoding_and_what_stays_is_not():
    bench = Workbench(LINEAR)
    assert encoding_counts(bench, {"W": KEEP}) == {}
    assert encoding_counts(bench, CHOICE) == {
        "int8-storage": {"tensors": 1, "bytes": bench.nbytes("W", "int8-storage")}
    }


def test_models_of_one_recipe_and_one_choice_are_told_apart_by_what_they_hold(trials, base):
    judge = trials()
    other = onnx.ModelProto()
    other.CopyFrom(LINEAR)
    other.graph.initializer[0].CopyFrom(tensor("W", 2 * onnx.numpy_helper.to_array(LINEAR.graph.initializer[0])))
    first = judge.judge(base, "one", CHOICE)
    assert judge.judge(Base(("strip",), Workbench(other)), "other", CHOICE) is not first
