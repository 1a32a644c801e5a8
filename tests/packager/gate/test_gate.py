"""What the gate asks of a candidate, and what it says, on real models and samples."""

import gc
import json

import numpy as np
import pytest
from onnx import TensorProto, helper, load, save

from coldpress.gate.gate import Limits
from coldpress.samples.load import SampleSet
from tests.support import models, tiny
from tests.support.graphs import constant, model, node, tensor, value
from tests.support.judging import UNTIMED, changed, checks_of, digits_gate, gate_of, judged, noise


def test_the_original_itself_passes_without_statistics():
    verdict = digits_gate(count=3).judge(models.fetch("digits_mlp"))
    assert (verdict.verdict, verdict.identical, verdict.drop_bound, verdict.samples) == ("pass", True, 0, 3)
    assert verdict.why_not == ""


@pytest.mark.parametrize("metric", ["accuracy", "f1", "cosine", "agreement"])
def test_a_little_noise_passes_by_every_metric(metric, tmp_path):
    verdict = digits_gate(metric).judge(changed(tmp_path / "c.onnx", noise(1e-3)))
    assert (verdict.verdict, verdict.identical) == ("pass", False), verdict.why_not
    assert verdict.drop <= verdict.drop_bound <= 0.01
    assert verdict.agreement == 1
    assert 0.999 < verdict.cosine < 1
    assert 0 < verdict.max_rel < 0.1


def test_what_passes_has_every_figure_and_they_are_json(tmp_path):
    verdict = digits_gate().judge(changed(tmp_path / "c.onnx", noise(1e-3)))
    document = json.loads(json.dumps(verdict.to_json()))
    assert not {name for name, found in document.items() if found is None} - {"samples_needed"}
    for name in ("bytes", "zip_bytes", "cold_ms", "first_ms", "warm_ms", "peak_mb"):
        assert document[name] > 0
        assert document[f"original_{name}"] > 0
    assert document["bytes"] == document["original_bytes"] > document["original_zip_bytes"]
    assert {"metric", "original", "shrunk", "samples", "verdict"} <= set(document)
    assert {"name", "verdict", "found", "limit", "note"} == set(document["checks"][0])


def test_figures_that_are_not_finite_are_null_in_json(tmp_path):
    silent = _scaled(0.0)
    verdict = judged(silent, _scaled(1e-3), REQUESTS, tmp_path)
    assert verdict.max_rel == np.inf
    assert verdict.to_json()["max_rel"] is None
    json.dumps(verdict.to_json(), allow_nan=False)


@pytest.mark.parametrize("metric", ["accuracy", "f1", "agreement", "cosine"])
def test_a_ruined_model_fails_by_every_metric_and_is_not_timed(metric, tmp_path):
    verdict = digits_gate(metric).judge(changed(tmp_path / "c.onnx", noise(3)))
    assert verdict.verdict == "fail"
    assert checks_of(verdict)["quality"].verdict == "fail"
    assert "latency" not in checks_of(verdict)
    assert verdict.why_not


def test_a_drop_that_is_allowed_passes_and_else_fails(tmp_path):
    candidate = changed(tmp_path / "c.onnx", noise(0.7))
    verdict = digits_gate(limits=UNTIMED).judge(candidate)
    quality = checks_of(verdict)["quality"]
    assert quality.verdict == "fail"
    assert verdict.drop == pytest.approx(verdict.original - verdict.shrunk)
    assert verdict.drop < verdict.drop_bound == quality.found
    wide = Limits(max_drop=verdict.drop_bound + 1e-6, max_bytes=1)
    assert checks_of(digits_gate(limits=wide).judge(candidate))["quality"].verdict == "pass"


def test_a_larger_file_fails_whatever_it_answers(tmp_path):
    proto = load(models.fetch("digits_mlp"))
    proto.doc_string += "x" * 100
    save(proto, tmp_path / "c.onnx")
    verdict = digits_gate(count=3).judge(tmp_path / "c.onnx")
    assert verdict.identical
    assert "The file is larger" in verdict.why_not
    assert "than the original" in verdict.why_not
    budget = digits_gate(count=3, limits=Limits(max_bytes=1000))
    assert "than allowed, 1,000" in budget.judge(models.fetch("digits_mlp")).why_not


def test_more_memory_than_allowed_fails():
    verdict = digits_gate(count=3, limits=Limits(max_slowdown=1000, max_peak_mb=1)).judge(models.fetch("digits_mlp"))
    assert verdict.why_not.endswith("allowed are 1.")
    assert checks_of(verdict)["memory"].found > 1


def test_a_file_that_does_not_open_fails_with_what_onnx_runtime_says(tmp_path):
    made = tiny.mlp()
    made.graph.node[0].op_type = "NoSuchOperator"
    save(made, tmp_path / "c.onnx")
    verdict = digits_gate(count=3).judge(tmp_path / "c.onnx")
    assert verdict.verdict == "fail"
    assert "It does not run: " in verdict.why_not
    assert "NoSuchOperator" in verdict.why_not


def _renamed(proto):
    proto.graph.output[0].name = "z"
    proto.graph.node[-1].output[0] = "z"


def _without_metadata(proto):
    del proto.metadata_props[:]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (_renamed, "outputs are z FP32 instead of y FP32"),
        (_without_metadata, "metadata licence is lost or changed"),
    ],
)
def test_another_signature_and_lost_metadata_are_refused(change, why, tmp_path):
    proto = model([node("Relu", ["x"], ["y"])], [value("x", ("n", 2))], [value("y", ("n", 2))])
    helper.set_model_props(proto, {"licence": "MIT"})
    save(proto, tmp_path / "m.onnx")
    gate = gate_of(tmp_path / "m.onnx", SampleSet(({"x": np.ones((1, 2), np.float32)},)))
    change(proto)
    save(proto, tmp_path / "c.onnx")
    assert why in gate.judge(tmp_path / "c.onnx").why_not


def _scaled(by, add=0.0):
    weights = [tensor("by", by), tensor("add", add)]
    nodes = [node("Mul", ["x", "by"], ["m"]), node("Add", ["m", "add"], ["y"])]
    return model(nodes, [value("x", ("n", 2))], [value("y", ("n", 2))], weights)


RANDOM = np.random.default_rng(0).standard_normal((30, 1, 2)).astype(np.float32)
REQUESTS = tuple({"x": row} for row in RANDOM)


def test_answers_that_are_no_longer_finite_are_refused(tmp_path):
    verdict = judged(_scaled(1.0), _scaled(3e38), REQUESTS, tmp_path)
    assert "hold NaN or infinity where the original's are finite" in verdict.why_not


def test_infinity_where_the_original_has_it_is_no_fault(tmp_path):
    original = _scaled(1.0, -np.inf)
    verdict = judged(original, _scaled(1.001, -np.inf), REQUESTS, tmp_path, limits=UNTIMED)
    assert checks_of(verdict)["finite"].verdict == "pass"


def test_answers_that_point_elsewhere_are_refused_even_where_the_metric_is_content(tmp_path):
    def two_outputs(by):
        weights = [tensor("w", np.eye(2)), tensor("by", by)]
        nodes = [
            node("ArgMax", ["x"], ["label"], axis=1, keepdims=0),
            node("MatMul", ["x", "w"], ["h"]),
            node("Mul", ["h", "by"], ["embedding"]),
        ]
        outputs = [value("label", ("n",), TensorProto.INT64), value("embedding", ("n", 2))]
        return model(nodes, [value("x", ("n", 2))], outputs, weights)

    labels = RANDOM[:, 0].argmax(axis=1)
    verdict = judged(two_outputs([1, 1]), two_outputs([1, -1]), REQUESTS, tmp_path, metric="accuracy", labels=labels)
    assert verdict.shrunk == 1
    assert checks_of(verdict)["decisions"].verdict == "pass"
    assert "Answers are not like the original's" in verdict.why_not


def _kept(threshold):
    """As many numbers as are above the threshold: the answer's size depends on its values."""
    nodes = [
        constant("t", threshold),
        node("Greater", ["x", "t"], ["m"]),
        node("Compress", ["x", "m"], ["y"], axis=0),
    ]
    return model(nodes, [value("x", ("n",))], [value("y", ("k",))])


def test_answers_of_other_sizes_are_refused_unless_the_users_function_judges(tmp_path, monkeypatch):
    requests = [{"x": np.linspace(0, 1, 50, dtype=np.float32) + i / 1000} for i in range(30)]
    verdict = judged(_kept(0.5), _kept(0.505), requests, tmp_path, limits=UNTIMED)
    assert "answers have other sizes" in checks_of(verdict)["shapes"].note
    assert checks_of(verdict)["shapes"].verdict == "fail"
    (tmp_path / "count_boxes.py").write_text("def score(answers, labels):\n    return [len(a['y']) for a in answers]\n")
    monkeypatch.chdir(tmp_path)
    verdict = judged(_kept(0.5), _kept(0.505), requests, tmp_path, limits=UNTIMED, metric="count_boxes:score")
    assert checks_of(verdict)["shapes"].verdict == "pass"


def test_outputs_drawn_by_chance_are_compared_in_kind_alone(tmp_path):
    def drawn(add):
        nodes = [node("RandomUniformLike", ["x"], ["noise"]), node("Add", ["x", "a"], ["y"])]
        outputs = [value("noise", ("n", 2)), value("y", ("n", 2))]
        return model(nodes, [value("x", ("n", 2))], outputs, [tensor("a", add)])

    same = judged(drawn(0.0), drawn(0.0), REQUESTS, tmp_path, drawn={"noise"})
    assert same.identical
    assert same.verdict == "pass"
    near = judged(drawn(0.0), drawn(1e-4), REQUESTS, tmp_path, drawn={"noise"})
    assert near.verdict == "pass"
    assert near.cosine > 0.99


def _bytewise(weight):
    nodes = [
        node("DynamicQuantizeLinear", ["x"], ["q", "scale", "zero"]),
        node("MatMulInteger", ["q", "w", "zero"], ["sum"]),
        node("Cast", ["sum"], ["float"], to=TensorProto.FLOAT),
        node("Mul", ["float", "scale"], ["y"]),
    ]
    return model(nodes, [value("x", ("n", 2))], [value("y", ("n", 2))], [tensor("w", weight, np.int8)])


def test_a_candidate_whose_answer_depends_on_the_cpu_fails_on_x86_alone(tmp_path):
    wide, narrow = [[127, 0], [127, 127]], [[64, 0], [64, 64]]
    on_x86 = judged(_bytewise(narrow), _bytewise(wide), REQUESTS, tmp_path, limits=UNTIMED)
    assert checks_of(on_x86)["cpu"].verdict == "fail"
    assert "depends on the CPU: without VNNI, products of 1 weights of 8 bits (w)" in checks_of(on_x86)["cpu"].note
    assert (
        checks_of(judged(_bytewise(wide), _bytewise(narrow), REQUESTS, tmp_path, limits=UNTIMED))["cpu"].verdict
        == "pass"
    )
    assert "cpu" not in checks_of(
        judged(_bytewise(narrow), _bytewise(wide), REQUESTS, tmp_path, limits=UNTIMED, architecture="arm64")
    )
    already = judged(_bytewise(wide), _bytewise([[126, 0], [127, 127]]), REQUESTS, tmp_path, limits=UNTIMED)
    assert checks_of(already)["cpu"].verdict == "pass"


def test_the_folder_with_answers_goes_with_thedigits_gate(tmp_path):
    gate = gate_of(models.fetch("digits_mlp"), SampleSet(({"X": np.ones((1, 64), np.float32)},)))
    folder = gate._before.path.parent
    assert folder.is_dir()
    del gate
    gc.collect()
    assert not folder.exists()
