"""Weights in a file beside the model: the same model, mapped instead of copied."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from coldpress.forms.weights_apart import WEIGHTS, put_apart
from coldpress.model.files import model_files, read_model
from tests.support.graphs import answers, model, node, tensor, value
from tests.support.models import feeds, fetch


def apart(made, folder):
    moved = put_apart(made, folder / WEIGHTS)
    (folder / "model.onnx").write_bytes(made.SerializeToString(deterministic=True))
    return moved, folder / "model.onnx"


def run(path, inputs):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"]).run(None, inputs)


def made(*sizes):
    names = [f"w{number}" for number in range(len(sizes))]
    nodes = [node("ReduceSum", [name], [f"s{name}"], keepdims=0) for name in names]
    nodes.append(node("Sum", [f"s{name}" for name in names], ["y"]))
    rng = np.random.default_rng(0)
    weights = [tensor(name, rng.random(size)) for name, size in zip(names, sizes, strict=True)]
    return model(nodes, [], [value("y", ())], weights)


def test_large_weights_move_aligned_and_small_ones_stay(tmp_path):
    whole = made(300, 5, 1001, 256)
    expected = answers(whole, {})
    moved, path = apart(whole, tmp_path)
    assert moved == 3
    written = onnx.load(path, load_external_data=False)
    places = [
        {entry.key: entry.value for entry in each.external_data}
        for each in written.graph.initializer
        if each.external_data
    ]
    assert {each["location"] for each in places} == {WEIGHTS}
    assert all(int(each["offset"]) % 64 == 0 for each in places)
    assert [int(each["length"]) for each in places] == [1200, 4004, 1024]
    assert run(path, {}) == expected
    assert [file.name for file in model_files(path)] == ["model.onnx", WEIGHTS]


def test_reading_both_files_gives_the_model_back(tmp_path):
    whole = made(300, 5)
    before = [onnx.numpy_helper.to_array(each) for each in whole.graph.initializer]
    _, path = apart(whole, tmp_path)
    after = [onnx.numpy_helper.to_array(each) for each in read_model(path).graph.initializer]
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)


def test_without_large_weights_the_file_is_empty_and_the_model_as_it_was(tmp_path):
    whole = made(5)
    before = whole.SerializeToString()
    moved, _ = apart(whole, tmp_path)
    assert moved == 0
    assert (tmp_path / WEIGHTS).read_bytes() == b""
    assert whole.SerializeToString() == before


@pytest.mark.models
@pytest.mark.parametrize("name", ["minilm_int8", "magika", "lac", "atspm_phase"])
def test_real_models_answer_bit_for_bit_as_before(tmp_path, name):
    expected = run(fetch(name), feeds(name))
    _, path = apart(onnx.load(fetch(name)), tmp_path)
    for got, want in zip(run(path, feeds(name)), expected, strict=True):
        np.testing.assert_array_equal(got, want)
