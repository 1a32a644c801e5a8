"""The memory that opening a model takes, told from the file, beside what it took in fresh processes."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from coldpress.inspecting.memory import ENGINE_BYTES, load_memory
from tests.support import models
from tests.support.graphs import graph, model, node, tensor, value

PEAKS = {
    "magika": 14.4, "silero": 16.2, "silero_ifless": 6.4, "ocr_det": 15.4, "ocr_rec": 30.4, "ocr_cls": 3.6,
    "opennsfw": 65.7, "nudenet": 29.5, "basic_pitch": 2.3, "minilm_int8": 211.6, "lac": 61.0, "atspm_phase": 26.5,
    "atspm_function": 35.1, "atspm_pair": 1.7, "blazeface_front": 2.4, "blazeface_back": 3.4, "digits_mlp": 0.6,
    "digits_rf_zipmap": 19.7, "digits_lgbm": 14.8, "cancer_xgb": 0.6,
}  # fmt: skip
"""MB (10^6 bytes) of VmHWM over an engine with a model of one node, onnxruntime 1.31.1 on x86-64, one thread."""
LIGHT_PEAKS = {
    "light_bvlc_alexnet": 401.5, "light_densenet121": 84.4, "light_inception_v1": 62.2, "light_inception_v2": 113.1,
    "light_resnet50": 257.7, "light_shufflenet": 10.9, "light_squeezenet": 15.0, "light_vgg19": 925.0,
    "light_zfnet512": 642.1,
}  # fmt: skip


def error(predicted, measured_mb):
    """How far the memory of the whole process is predicted wrong, as a share of it."""
    return abs(predicted.bytes - 1e6 * measured_mb) / (1e6 * measured_mb + ENGINE_BYTES)


@pytest.mark.models
@pytest.mark.parametrize("name", PEAKS)
def test_real_models(name):
    assert error(load_memory(onnx.load(models.fetch(name))), PEAKS[name]) < 0.12


@pytest.mark.parametrize("name", LIGHT_PEAKS)
def test_models_that_make_their_weights_themselves(name):
    path = Path(onnx.__file__).parent / "backend/test/data/light" / f"{name}.onnx"
    found = load_memory(onnx.load(path))
    assert path.stat().st_size < 300_000
    assert found.unknown == 0
    assert error(found, LIGHT_PEAKS[name]) < 0.12


def test_a_few_bytes_that_ask_for_gigabytes_are_found_without_making_them():
    made = model(
        [node("ConstantOfShape", ["s"], ["big"]), node("MatMul", ["x", "big"], ["y"])],
        [value("x", (1, 100_000))], [value("y", None)], [tensor("s", [100_000, 50_000], np.int64)],
    )  # fmt: skip
    assert load_memory(made).computed == 4 * 100_000 * 50_000


def test_weights_in_branches_are_kept_more_often():
    w = tensor("w", np.zeros((100, 100)))
    flat = model([node("MatMul", ["x", "w"], ["y"])], [value("x", (1, 100))], [value("y", None)], [w])
    inner = graph([node("MatMul", ["x", "w"], ["t"])], [], [value("t", None)], [w])
    other = graph([node("Neg", ["x"], ["e"])], [], [value("e", None)])
    nested = model([node("If", ["c"], ["y"], then_branch=inner, else_branch=other)],
                   [value("x", (1, 100)), value("c", (), TensorProto.BOOL)], [value("y", None)])  # fmt: skip
    assert load_memory(nested).weights > 2 * load_memory(flat).weights > 2 * 40_000


def test_small_storage_is_counted_as_what_it_is_expanded_to():
    made = model(
        [node("Cast", ["q"], ["f"], to=1), node("MatMul", ["x", "f"], ["y"])],
        [value("x", (1, 200))], [value("y", None)], [tensor("q", np.ones((200, 300)), np.int8)],
    )  # fmt: skip
    assert load_memory(made).computed == 4 * 200 * 300


def test_a_default_that_callers_may_override_is_no_constant():
    made = model(
        [node("ConstantOfShape", ["s"], ["w"]), node("Add", ["x", "w"], ["y"])],
        [value("x", (1,)), value("s", (1,), TensorProto.INT64)], [value("y", None)], [tensor("s", [100_000], np.int64)],
    )  # fmt: skip
    assert load_memory(made).computed == 0
    made.ir_version = 3  # where every weight had to be an input, too
    assert load_memory(made).computed == 400_000


def test_what_draws_is_not_computed_beforehand():
    made = model([node("RandomNormal", [], ["r"], shape=[1000]), node("Add", ["x", "r"], ["y"])], [value("x", (1000,))],
                 [value("y", None)])  # fmt: skip
    assert load_memory(made).computed == 0
