"""Results that are kept: found again for the same inputs alone, whole or not at all."""

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import pytest

from coldpress.cache import cache_dir
from coldpress.config import load_config
from coldpress.samples.sample_set import SampleSet
from coldpress.search.kept import read_result, result_key, write_result
from coldpress.search.task import make_task
from tests.support.graphs import model, node, tensor

RECORD = {"record": {"recipe": ["strip"]}, "quality": {}, "notes": [], "weights": []}


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLDPRESS_CACHE", str(tmp_path / "cache"))


def added(number, **external):
    proto = model([node("Add", ["x", "W"], ["y"])], weights=[tensor("W", np.full((2, 3), number))])
    onnx.save(proto, "model.onnx", **external)


def key(rows=1.0, labels=None, models=("model.onnx",), engine="e", **changed):
    samples = SampleSet(({"x": np.full((2, 3), rows, np.float32)},), labels)
    task = dataclasses.replace(make_task(load_config(None, {})), **changed)
    return result_key([Path(name) for name in models], task, (samples, None), engine)


def test_the_same_inputs_have_the_same_key():
    added(1.0)
    assert key() == key()


@pytest.mark.parametrize(
    "other",
    [{"rows": 2.0}, {"labels": np.array([1])}, {"engine": "f"}, {"max_drop": 0.02}, {"max_bytes": 5}, {"passes": ()}],
    ids=str,
)
def test_other_samples_labels_engines_and_settings_have_other_keys(other):
    added(1.0)
    assert key(**other) != key()


def test_another_model_has_another_key():
    added(1.0)
    before = key()
    added(2.0)
    assert key() != before


def test_a_metric_that_was_mended_is_measured_anew(tmp_path, monkeypatch):
    added(1.0)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "kept_metric.py").write_text("def score(answers, labels): return 1.0\n")
    before = key(metric="kept_metric:score")
    (tmp_path / "kept_metric.py").write_text("def score(answers, labels): return 0.5\n")
    assert key(metric="kept_metric:score") != before


def test_what_is_kept_comes_back_and_anything_else_does_not(tmp_path):
    added(1.0)
    write_result("k", tmp_path / "model.onnx", RECORD)
    found = read_result("k", tmp_path / "there" / "back.onnx")
    assert found is not None
    assert {name: found[name] for name in RECORD} == RECORD
    assert (tmp_path / "there" / "back.onnx").read_bytes() == (tmp_path / "model.onnx").read_bytes()
    assert read_result("other", tmp_path / "back.onnx") is None


@pytest.mark.parametrize("file", ["model.onnx", "record.json"])
@pytest.mark.parametrize("content", [b"", b"{}", None])
def test_what_is_damaged_is_as_if_it_were_not_there(file, content, tmp_path):
    added(1.0)
    write_result("k", tmp_path / "model.onnx", RECORD)
    place = cache_dir("shrunk") / "k" / file
    place.unlink() if content is None else place.write_bytes(content)
    assert read_result("k", tmp_path / "back.onnx") is None


def test_what_is_kept_is_replaced_whole(tmp_path):
    for number in (1.0, 2.0):
        added(number)
        write_result("k", tmp_path / "model.onnx", RECORD | {"notes": [str(number)]})
    found = read_result("k", tmp_path / "back.onnx")
    assert found is not None
    assert found["notes"] == ["2.0"]
    assert [path.name for path in cache_dir("shrunk").iterdir()] == ["k"]


def test_a_model_of_several_files_is_not_kept(tmp_path):
    added(1.0, save_as_external_data=True, location="weights", size_threshold=0)
    write_result("k", tmp_path / "model.onnx", RECORD)
    assert read_result("k", tmp_path / "back.onnx") is None
