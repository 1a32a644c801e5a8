"""Models run in fresh processes: the answers of the plain binding, states handed on, and figures taken in turn."""

from pathlib import Path

import numpy as np
import pytest
from onnx import save

from coldpress.errors import ModelError
from coldpress.gate.run import Engine
from coldpress.reference import Reference, compare_outputs
from coldpress.samples.load import SampleSet
from coldpress.samples.states import answers
from coldpress_runtime.library import find_library
from tests.support import tiny
from tests.support.graphs import model, node, value


def _running_sum():
    """Adds its input to its state, and hands that on."""
    return model(
        [node("Add", ["x", "state"], ["next"]), node("Identity", ["next"], ["y"])],
        [value("x", ("n", 2)), value("state", ("n", 2))],
        [value("y", ("n", 2)), value("next", ("n", 2))],
    )


@pytest.fixture
def summed(tmp_path):
    save(_running_sum(), tmp_path / "m.onnx")
    requests = tuple({"x": np.full((1, 2), i, np.float32), "state": np.zeros((1, 2), np.float32)} for i in range(6))
    return tmp_path / "m.onnx", requests


def _answer(path, samples, tmp_path):
    engine = Engine(samples, tmp_path, Path(find_library()), threads=1)
    return engine.answer(path, "answers", path.stat().st_size)


def test_states_are_handed_on_within_a_sequence_and_not_beyond(summed, tmp_path):
    path, requests = summed
    samples = SampleSet(requests, states={"state": "next"}, sequence=(0, 1, 0, 1, 0, 2))
    found = _answer(path, samples, tmp_path)
    assert [float(answer["y"][0, 0]) for answer in found] == [0, 1, 2, 4, 6, 5]
    for got, expected in zip(found, answers(Reference(path).run, samples), strict=True):
        assert compare_outputs(expected, got).equal


def test_without_sequences_every_request_stands_alone(summed, tmp_path):
    path, requests = summed
    found = _answer(path, SampleSet(requests, states={"state": "next"}), tmp_path)
    assert [float(answer["y"][0, 0]) for answer in found] == [0, 1, 2, 3, 4, 5]


def test_answers_can_be_read_again_and_again(summed, tmp_path):
    path, requests = summed
    found = _answer(path, SampleSet(requests), tmp_path)
    assert len(list(found)) == len(list(found)) == 6


@pytest.mark.parametrize("name", ["mlp", "zipmap", "bf16", "fp16", "bytes", "bool", "sequences"])
def test_answers_are_the_plain_bindings_whatever_their_type(name, tmp_path):
    path = tmp_path / "m.onnx"
    save(tiny.MODELS[name](), path)
    reference = Reference(path)
    request = _request(reference)
    (got,) = _answer(path, SampleSet((request,)), tmp_path)
    assert compare_outputs(reference.run(request), got).equal


def _request(reference):
    import ml_dtypes

    made = {}
    for port in reference.signature.inputs:
        if port.kind == "seq":
            made[port.name] = [np.ones(2, np.float32), np.zeros(3, np.float32)]
        elif port.datatype == "BYTES":
            made[port.name] = np.array([["a", "b"]], object)
        else:
            dtype = ml_dtypes.bfloat16 if port.datatype == "BF16" else port.numpy
            shape = [size if isinstance(size, int) else 3 for size in port.shape]
            made[port.name] = np.linspace(0, 1, int(np.prod(shape))).reshape(shape).astype(dtype)
    return made


def test_a_race_takes_every_figure_of_both(tmp_path):
    path = tmp_path / "m.onnx"
    save(tiny.mlp(), path)
    samples = SampleSet(tuple({"x": np.ones((1, 64), np.float32)} for _ in range(2)))
    engine = Engine(samples, tmp_path, Path(find_library()), threads=1)
    race = engine.race(path, path, max_slowdown=1)
    assert race.rounds >= 3
    assert race.within  # what is too little to be felt is no slowdown
    assert not engine.race(path, path, max_slowdown=0.1).within  # but no gain either, where one is asked for
    for trial in (race.original, race.candidate):
        assert 0 < trial.warm_ms <= trial.first_ms < trial.cold_ms
        assert 0 < trial.warm_wall_ms < trial.cold_wall_ms


def test_a_model_that_refuses_its_requests_is_an_error_in_words(tmp_path):
    path = tmp_path / "m.onnx"
    save(tiny.lookup(), path)
    with pytest.raises(ModelError, match="indices element out of data bounds"):
        _answer(path, SampleSet(({"index": np.array([99])},)), tmp_path)
