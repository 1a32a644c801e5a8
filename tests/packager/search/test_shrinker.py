"""What a shrink decides by itself, on a small model: what is searched, what ships, and what is said."""

import platform
from dataclasses import replace

import numpy as np
import onnx
import pytest

from coldpress.bundle.wheels import Engine
from coldpress.config import load_config
from coldpress.errors import SamplesError, ShrinkError
from coldpress.search.inputs import Inputs, read_inputs
from coldpress.search.shrinker import shrink
from coldpress.search.task import make_task
from coldpress.shrink.lossless import strip_exactly
from coldpress_runtime.library import find_library
from tests.support.graphs import graph, model, node, tensor, value

ELSEWHERE = "x86_64" if platform.machine() in {"arm64", "aarch64"} else "arm64"
ROWS = np.random.default_rng(1).normal(size=(40, 64)).astype(np.float32)


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    monkeypatch.setenv("COLDPRESS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def run(tmp_path):
    """Shrink a perceptron, or a model given, on 40 rows; settings by their dotted names.

    ``spoil`` changes what strip made before it is judged.
    """

    def run_(proto=None, library=None, samples=True, rows=ROWS, spoil=lambda stripped: stripped, **settings):
        onnx.save(proto or perceptron(), tmp_path / "model.onnx")
        np.savez(tmp_path / "samples.npz", x=rows)
        given = {"shrink.allow": ["strip", "int8-storage"], "shrink.max_slowdown": 1000.0} | settings
        if samples:
            given["samples.evaluation"] = str(tmp_path / "samples.npz")
        task = make_task(load_config(None, given))
        inputs: Inputs = read_inputs(task, tmp_path / "model.onnx")
        stripped = strip_exactly(
            inputs.path, inputs.model, inputs.reference, inputs.samples, tmp_path / "stripped.onnx",
            wanted="strip" in task.passes,
        )  # fmt: skip
        engine = Engine(library or tmp_path / "library", "1", "0" * 64, ())
        return shrink(task, inputs, spoil(stripped), engine, tmp_path)

    return run_


def perceptron(wide=256):
    draw = np.random.default_rng(0)
    weights = [tensor("A", draw.normal(size=(64, wide)) / 8), tensor("B", draw.normal(size=(wide, 10)) / 16)]
    nodes = [node("MatMul", ["x", "A"], ["h"]), node("Relu", ["h"], ["r"]), node("MatMul", ["r", "B"], ["y"])]
    return model(nodes, [value("x", ["N", 64])], [value("y", ["N", 10])], weights)


def test_for_another_machine_the_installed_engine_judges(run):
    shrunk = run(**{"function.architecture": ELSEWHERE})
    assert shrunk.record["recipe"] == ["strip", "int8-storage"]
    assert shrunk.quality["verdict"] == "pass"


def test_what_was_found_once_is_found_again_without_an_engine(run, tmp_path):
    here = {"function.architecture": "arm64" if ELSEWHERE == "x86_64" else "x86_64"}
    first = run(library=find_library(), **here)
    (tmp_path / "library").unlink(missing_ok=True)
    again = run(library=tmp_path / "library", **here)
    assert again.record == first.record
    assert again.path.read_bytes() == first.path.read_bytes()
    assert (again.notes, again.weights, again.quality) == (first.notes, first.weights, first.quality)


def test_without_strip_the_model_is_encoded_as_it_came(run):
    shrunk = run(library=find_library(), **{"shrink.allow": ["int8-storage"]})
    assert shrunk.record["recipe"] == ["int8-storage"]
    first = shrunk.record["candidates"][0]
    assert (first["recipe"], first["bytes"]) == ([], shrunk.record["original_bytes"])


def test_a_budget_beyond_reach_is_refused_with_what_comes_nearest(run):
    with pytest.raises(
        ShrinkError, match=r"at most 100 bytes is still right; the nearest tried that is right is int8-storage"
    ):
        run(library=find_library(), **{"shrink.max_bytes": 100})


def wrong(stripped):
    """What a lossless pass would leave that is none."""
    spoilt = onnx.ModelProto()
    spoilt.CopyFrom(stripped.model)
    for weight in spoilt.graph.initializer:
        weight.CopyFrom(tensor(weight.name, -onnx.numpy_helper.to_array(weight)))
    onnx.save(spoilt, stripped.path)
    return replace(stripped, model=spoilt)


def test_the_original_ships_where_the_stripped_model_answers_otherwise(run, tmp_path):
    shrunk = run(library=find_library(), spoil=wrong, **{"shrink.allow": ["strip"]})
    assert [(c["name"], c["accepted"]) for c in shrunk.record["candidates"]] == [("strip", False), ("untouched", True)]
    assert shrunk.record["recipe"] == []
    assert shrunk.path.read_bytes() == (tmp_path / "model.onnx").read_bytes()
    assert shrunk.quality["verdict"] == "pass"
    assert any(note.startswith("Strip was left out: ") for note in shrunk.notes)


def test_the_search_goes_on_from_the_original_where_the_stripped_model_is_refused(run):
    shrunk = run(library=find_library(), spoil=wrong)
    assert shrunk.record["recipe"] == ["int8-storage"]
    assert [c["name"] for c in shrunk.record["candidates"]][:2] == ["strip", "untouched"]


def test_an_original_over_the_budget_is_not_judged(run):
    with pytest.raises(ShrinkError, match="the smallest tried is strip with"):
        run(library=find_library(), spoil=wrong, **{"shrink.allow": ["strip"], "shrink.max_bytes": 100})


def trained():
    """The perceptron, with training information that names one of its weights."""
    proto = perceptron()
    proto.training_info.add().algorithm.CopyFrom(graph([node("Neg", ["A"], ["g"])], [], [value("g", (64, 256))]))
    return proto


@pytest.mark.parametrize("allow", [["strip", "int8-storage"], ["int8-storage"]], ids=["strip", "no strip"])
@pytest.mark.parametrize("samples", [True, False], ids=["samples", "unmeasured"])
def test_a_model_with_training_information_stays_as_it_is_and_the_reason_is_said(run, tmp_path, allow, samples):
    settings = {"shrink.allow": allow, "shrink.allow_unmeasured": True}
    shrunk = run(trained(), library=find_library(), samples=samples, **settings)
    assert shrunk.record["recipe"] == []
    assert len(shrunk.record["candidates"]) == 1
    assert shrunk.path.read_bytes() == (tmp_path / "model.onnx").read_bytes()
    assert shrunk.notes[0] == (
        "Nothing was encoded: the model carries training information, which names values of its graph."
    )
    assert [note.partition(":")[0] for note in shrunk.notes[1:]] == ["Strip was left out"] * ("strip" in allow)


def deep(layers=8):
    draw = np.random.default_rng(0)
    weights = [tensor(f"W{k}", draw.normal(size=(64, 64)) / 8) for k in range(layers)]
    names = ["x", *(f"h{k}" for k in range(layers - 1)), "y"]
    nodes = [node("MatMul", [names[k], f"W{k}"], [names[k + 1]]) for k in range(layers)]
    return model(nodes, [value("x", ["N", 64])], [value("y", ["N", 64])], weights)


@pytest.mark.parametrize("budget", [26_000, 31_300, 36_600])
def test_a_budget_between_what_encodings_give_is_met_and_used(run, budget):
    allow = {"shrink.allow": ["strip", "int8-storage", "int4-storage"], "samples.max_drop": 1.0}
    shrunk = run(deep(), library=find_library(), **allow, **{"shrink.max_bytes": budget})
    assert budget - 2500 <= shrunk.record["shrunk_bytes"] <= budget


def test_without_samples_a_budget_that_lossless_passes_miss_is_refused(run):
    with pytest.raises(ShrinkError, match=r"at most 100 bytes is still right; the smallest tried is strip .*--samples"):
        run(samples=False, **{"shrink.max_bytes": 100})


def test_without_samples_the_more_faithful_storage_that_fits_is_taken(run):
    allow = {"shrink.allow": ["strip", "fp16-storage", "int8-storage"], "shrink.allow_unmeasured": True}
    assert run(samples=False, **allow).record["recipe"] == ["strip", "fp16-storage"]
    assert run(samples=False, **allow, **{"shrink.max_bytes": 30_000}).record["recipe"] == ["strip", "int8-storage"]


def test_samples_that_prove_nothing_leave_a_note_of_what_may_be_right(run):
    shrunk = run(library=find_library(), rows=ROWS[:2])
    assert shrunk.record["recipe"] == ["strip"]
    (note,) = shrunk.notes
    assert "may be right as well, which these samples do not prove: There is one sample" in note


def test_samples_that_the_metric_cannot_take_stop_it_before_anything_is_tried(run):
    proto = perceptron()
    proto.graph.node.insert(0, node("Log", ["raw"], ["x"]))
    proto.graph.input[0].name = "x"
    proto.graph.node[0].input[0], proto.graph.node[0].output[0] = "x", "logs"
    proto.graph.node[1].input[0] = "logs"
    with pytest.raises(SamplesError, match="answers NaN to 30 of 30"):
        run(proto, library=find_library())
