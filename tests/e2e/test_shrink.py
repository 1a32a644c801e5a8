"""`coldpress shrink` from the outside: a model and samples in, a smaller model and its proof out, or one sentence."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from coldpress.cli import main
from tests.support import models
from tests.support.graphs import model, node, tensor, value
from tests.support.packing import coldpress

BRIEF = ("--allow", "strip", "--allow", "int8-storage", "--max-slowdown", "1000")
"""One family and no race against the clock: what is asked here is not how small a model gets."""


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Folder with a digits classifier and its samples; what searches keep goes there, too."""
    folder = tmp_path_factory.mktemp("digits")
    (folder / "model.onnx").write_bytes(models.fetch("digits_mlp").read_bytes())
    _, _, x, y = models.digits()
    np.savez(folder / "samples.npz", X=x, label=y)
    return folder


@pytest.fixture(scope="module")
def shrunk(digits):
    """The finished process, and what it printed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLDPRESS_CACHE", str(digits / "cache"))
        run = coldpress("shrink", "model.onnx", "-o", "small.onnx", "--samples", "samples.npz", "--json",
                        "--report", "report.html", *BRIEF, cwd=digits)  # fmt: skip
    assert run.returncode == 0, run.stderr
    return run, json.loads(run.stdout)


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """Nothing kept by an earlier search answers for this one, and paths are those of the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLDPRESS_CACHE", str(tmp_path / "cache"))


def write(tmp_path, proto, **samples):
    onnx.save(proto, tmp_path / "model.onnx")
    np.savez(tmp_path / "samples.npz", **samples)


def perceptron(**rest):
    """64 inputs to 10 answers by way of 256, from weights drawn once."""
    draw = np.random.default_rng(0)
    weights = [tensor("A", draw.normal(size=(64, 256)) / 8), tensor("B", draw.normal(size=(256, 10)) / 16)]
    nodes = [node("MatMul", ["x", "A"], ["h"]), node("Relu", ["h"], ["r"]), node("MatMul", ["r", "B"], ["y"])]
    return model(nodes, [value("x", ["N", 64])], [value("y", ["N", 10])], weights, **rest)


def rows(count=40, seed=1):
    return np.random.default_rng(seed).normal(size=(count, 64)).astype(np.float32)


def predictions(path, x):
    return onnxruntime.InferenceSession(path).run(None, {"X": x})[0]


def test_the_smaller_model_is_written_and_answers_as_well_on_the_samples_it_was_proven_on(digits, shrunk):
    _, report = shrunk
    small = digits / "small.onnx"
    _, _, x, y = models.digits()
    was, becomes = (np.mean(predictions(path, x) == y) for path in (digits / "model.onnx", small))
    assert becomes >= was - 0.01
    assert small.stat().st_size == report["shrunk_bytes"] < 0.4 * report["original_bytes"]
    assert report["original_bytes"] == (digits / "model.onnx").stat().st_size
    assert report["recipe"] == ["strip", "int8-storage"]


def test_json_says_what_was_tried_what_ships_and_how_right_it_is(digits, shrunk):
    _, report = shrunk
    assert set(report) >= {"model", "out", "recipe", "original_bytes", "shrunk_bytes", "candidates", "quality", "notes"}
    assert [(c["name"], c["accepted"]) for c in report["candidates"]][:2] == [("strip", True), ("int8-storage", True)]
    (chosen,) = [c["name"] for c in report["candidates"] if c["chosen"]]
    assert chosen in {"int8-storage", "mixed-storage"}  # all weights alike, rounded to the nearest or by their inputs
    assert all(c["why_not"] or c["accepted"] for c in report["candidates"])
    assert all(c["verdict"]["verdict"] in {"pass", "fail", "inconclusive"} for c in report["candidates"])
    quality = report["quality"]
    assert (quality["metric"], quality["verdict"], quality["samples"]) == ("accuracy", "pass", 539)
    assert 0.9 < quality["shrunk"] <= 1
    assert quality["drop_bound"] <= 0.01
    assert report["samples"]["calibration"] + report["samples"]["evaluation"] == 719


def test_the_report_is_a_page_and_the_same_as_json(digits, shrunk):
    _, report = shrunk
    assert (digits / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    document = json.loads((digits / "report.json").read_text(encoding="utf-8"))
    assert [c["name"] for c in document["candidates"]] == ["original", *(c["name"] for c in report["candidates"])]
    assert document["samples"]["metric"] == "accuracy"


def test_the_same_inputs_give_the_same_bytes_and_the_same_words(digits, shrunk, monkeypatch, capsys):
    _, report = shrunk
    monkeypatch.setenv("COLDPRESS_CACHE", str(digits / "cache"))
    again = [str(digits / name) for name in ("model.onnx", "again.onnx", "samples.npz")]
    monkeypatch.chdir(digits)
    assert main(["shrink", "model.onnx", "-o", again[1], "--samples", "samples.npz", "--json", *BRIEF]) == 0
    assert (digits / "again.onnx").read_bytes() == (digits / "small.onnx").read_bytes()
    assert {**json.loads(capsys.readouterr().out), "out": report["out"]} == report


def test_people_are_told_what_was_tried_and_what_ships(digits, shrunk, monkeypatch, capsys):
    monkeypatch.setenv("COLDPRESS_CACHE", str(digits / "cache"))
    monkeypatch.chdir(digits)
    assert main(["shrink", "model.onnx", "-o", "shown.onnx", "--samples", "samples.npz", *BRIEF]) == 0
    told = capsys.readouterr()
    assert told.out == ""
    assert "→" in told.err
    assert "int8-storage" in told.err
    assert "on 539 samples: pass" in told.err


def test_without_samples_only_lossless_passes_run_and_a_note_says_what_more_takes(digits, capsys):
    assert main(["shrink", str(digits / "model.onnx"), "-o", "small.onnx", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["recipe"] == ["strip"]
    assert report["quality"]["verdict"] == "unmeasured"
    assert "--samples" in report["notes"][0]
    assert "--allow-unmeasured" in report["notes"][0]


@pytest.mark.models
def test_unmeasured_storage_is_used_where_it_is_asked_for_and_nothing_is_claimed(tmp_path, capsys):
    source = models.fetch("silero_ifless")
    assert main(["shrink", str(source), "-o", "small.onnx", "--allow-unmeasured", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["recipe"] == ["strip", "fp16-storage"]
    assert report["shrunk_bytes"] < 0.6 * report["original_bytes"]
    assert report["quality"]["verdict"] == "unmeasured"
    assert "No answer of the smaller model was measured" in report["notes"][0]
    onnxruntime.InferenceSession(tmp_path / "small.onnx")


def test_trees_are_only_stripped_and_the_reason_is_said(digits, capsys):
    source = models.fetch("digits_rf_zipmap")
    _, _, x, y = models.digits()
    np.savez("samples.npz", X=x[:40], label=y[:40])
    assert main(["shrink", str(source), "-o", "small.onnx", "--samples", "samples.npz", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["recipe"] == ["strip"]
    assert report["quality"]["verdict"] == "pass"
    assert "TreeEnsembleClassifier" in report["notes"][0]


def test_a_budget_that_nothing_right_meets_names_what_comes_nearest_and_writes_nothing(digits, tmp_path):
    run = coldpress("shrink", digits / "model.onnx", "-o", "small.onnx", "--samples", digits / "samples.npz",
                    "--max-bytes", "2000", *BRIEF, cwd=tmp_path)  # fmt: skip
    assert run.returncode == 1
    said = sentence(run.stderr)
    assert "No model of at most 2,000 bytes is still right" in said
    assert "int8-storage with " in said
    assert not list(tmp_path.glob("*.onnx"))


def test_under_a_budget_the_model_fits_it(digits, tmp_path, capsys):
    arguments = ["shrink", str(digits / "model.onnx"), "-o", "small.onnx", "--samples", str(digits / "samples.npz")]
    assert main([*arguments, "--max-bytes", "30kB", "--json", *BRIEF]) == 0
    assert (tmp_path / "small.onnx").stat().st_size == json.loads(capsys.readouterr().out)["shrunk_bytes"] <= 30_000


def test_at_the_time_limit_the_best_so_far_ships_and_a_note_says_so(digits, tmp_path, capsys):
    arguments = ["shrink", str(digits / "model.onnx"), "-o", "small.onnx", "--samples", str(digits / "samples.npz")]
    assert main([*arguments, "--time-limit", "1", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["shrunk_bytes"] == (tmp_path / "small.onnx").stat().st_size
    assert any("limit of 1 s" in note for note in report["notes"])


def test_ctrl_c_keeps_the_best_so_far(tmp_path):
    """A metric of the user's own tells when the search is on its way, and what it says of a hundred weights takes."""
    write(tmp_path, perceptron(), x=rows(120))
    (tmp_path / "slow.py").write_text(
        "import pathlib, time\n"
        "def score(answers, labels):\n"
        "    pathlib.Path('begun').open('a').write('.')\n"
        "    time.sleep(0.02)\n"
        "    return [1.0] * len(answers)\n"
    )
    command = [sys.executable, "-m", "coldpress", "shrink", "model.onnx", "-o", "small.onnx", "--samples",
               "samples.npz", "--metric", "slow:score", "--json"]  # fmt: skip
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               start_new_session=True)  # fmt: skip
    begun = tmp_path / "begun"
    while process.poll() is None and not (begun.exists() and begun.stat().st_size >= 4):
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does it: to the processes of the gate, too
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert any("stopped by hand" in note for note in json.loads(out)["notes"])
    assert (tmp_path / "small.onnx").is_file()


def sentence(text):
    """The one line that says what is wrong: progress aside there is no other, and no traceback."""
    assert "Traceback" not in text
    (said,) = [line for line in text.splitlines() if line.startswith("coldpress: ")]
    assert said.rstrip().endswith((".", "`")) or len(said) > 40
    return said


def refused(capsys, *arguments):
    assert main(["shrink", "model.onnx", "-o", "small.onnx", "--samples", "samples.npz", *arguments]) == 1
    return sentence(capsys.readouterr().err)


@pytest.mark.parametrize(
    ("samples", "says"),
    [
        ({"y": rows()}, "x"),
        ({"x": rows()[:, :60]}, "64"),
        ({"x": rows().astype("U8")}, "FP32"),
        ({"x": rows(), "label": np.full(40, 10)}, "label"),
        ({"x": rows(), "label": np.zeros(39, np.int64)}, "39"),
        ({"x": rows()[:0]}, "no sample"),
    ],
    ids=["names", "shapes", "types", "classes", "labels", "none"],
)
def test_samples_that_are_not_the_models_are_refused(samples, says, tmp_path, capsys):
    write(tmp_path, perceptron(), **samples)
    assert says in refused(capsys)
    assert not (tmp_path / "small.onnx").exists()


@pytest.mark.parametrize("x", [rows(1), np.repeat(rows(1), 40, axis=0)], ids=["one", "the same one"])
def test_samples_that_tell_nothing_leave_lossless_passes_alone(x, tmp_path, capsys):
    write(tmp_path, perceptron(), x=x)
    assert main(["shrink", "model.onnx", "-o", "small.onnx", "--samples", "samples.npz", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["recipe"] == ["strip"]
    assert "Only lossless passes ran" in report["notes"][0]


def test_samples_to_steer_by_and_to_judge_on_must_differ(tmp_path, capsys):
    write(tmp_path, perceptron(), x=rows())
    assert "calibrat" in refused(capsys, "--calibration", "samples.npz")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("raise ZeroDivisionError('no labels')", "raised ZeroDivisionError: no labels"),
        ("return float('nan')", "returned nan; expected finite numbers"),
        ("return [1.0] * (len(answers) + 1)", "expected one number, or"),
        ("return 'good'", "returned a str"),
    ],
    ids=["raises", "nan", "length", "text"],
)
def test_a_metric_that_cannot_be_used_is_refused_before_the_search(body, says, tmp_path, capsys, monkeypatch):
    write(tmp_path, perceptron(), x=rows())
    (tmp_path / "mine.py").write_text(f"def score(answers, labels):\n    {body}\n")
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    assert says in refused(capsys, "--metric", "mine:score")


def test_a_metric_whose_module_does_not_import_is_refused(tmp_path, capsys, monkeypatch):
    write(tmp_path, perceptron(), x=rows())
    (tmp_path / "broken.py").write_text("import nothing_of_that_name\n")
    monkeypatch.delitem(sys.modules, "broken", raising=False)
    assert "importing broken raised ModuleNotFoundError" in refused(capsys, "--metric", "broken:score")
    assert "there is no module absent" in refused(capsys, "--metric", "absent:score")


def test_a_model_that_fails_on_its_own_samples_is_refused(tmp_path, capsys):
    table = tensor("E", np.random.default_rng(0).normal(size=(100, 64)))
    index = [value("i", ["N"], TensorProto.INT64)]
    lookup = model([node("Gather", ["E", "i"], ["y"])], index, [value("y", ["N", 64])], [table])
    write(tmp_path, lookup, i=np.arange(60, 120))
    assert "does not run on its own samples" in refused(capsys)


def test_a_model_that_answers_nan_is_refused_though_smaller_ones_answer_nan_as_well(tmp_path, capsys):
    proto = perceptron()
    proto.graph.node.insert(0, node("Log", ["in"], ["x"]))
    proto.graph.input[0].name = "in"
    write(tmp_path, proto, **{"in": rows()})
    said = refused(capsys)
    assert "answers NaN" in said
    assert not (tmp_path / "small.onnx").exists()


def test_answers_that_all_depend_on_chance_prove_nothing(tmp_path, capsys):
    noise = [node("RandomNormalLike", ["x"], ["n"]), node("Add", ["x", "n"], ["z"]), node("MatMul", ["z", "A"], ["y"])]
    weight = tensor("A", np.random.default_rng(0).normal(size=(64, 64)))
    write(tmp_path, model(noise, [value("x", ["N", 64])], [value("y", ["N", 64])], [weight]), x=rows())
    assert main(["shrink", "model.onnx", "-o", "small.onnx", "--samples", "samples.npz", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["recipe"] == ["strip"]
    assert "depend on chance" in report["notes"][0]


def test_where_samples_are_too_few_to_prove_a_smaller_model_a_note_says_how_many_would(digits, capsys):
    _, _, x, y = models.digits()
    np.savez("samples.npz", X=x[:40], label=y[:40])
    arguments = ["shrink", str(digits / "model.onnx"), "-o", "small.onnx", "--samples", "samples.npz"]
    assert main([*arguments, "--json", *BRIEF]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["recipe"] == ["strip"]
    assert "int8-storage with" in report["notes"][0]
    assert "samples would tell" in report["notes"][0]


def test_what_is_read_is_not_written_over(tmp_path, capsys):
    write(tmp_path, perceptron(), x=rows())
    before = (tmp_path / "model.onnx").read_bytes()
    assert main(["shrink", "model.onnx", "-o", "./model.onnx", "--samples", "samples.npz"]) == 1
    assert "written over" in sentence(capsys.readouterr().err)
    assert (tmp_path / "model.onnx").read_bytes() == before


@pytest.mark.parametrize("names", [("small.onnx", "r.json"), ("r.html", "r.html"), ("r.json", "r.html"), ("a", ".")])
def test_a_report_is_neither_the_model_nor_its_own_json(names, tmp_path, capsys):
    write(tmp_path, perceptron(), x=rows())
    out, report = names
    assert main(["shrink", "model.onnx", "-o", out, "--report", report, "--samples", "samples.npz"]) == 1
    assert "written twice" in (said := sentence(capsys.readouterr().err)) or "is a folder" in said


def test_a_model_with_its_weights_in_another_file_becomes_one_file(tmp_path, capsys):
    proto = perceptron()
    np.savez(tmp_path / "samples.npz", x=rows())
    onnx.save(proto, tmp_path / "model.onnx", save_as_external_data=True, location="weights", size_threshold=0)
    assert main(["shrink", "model.onnx", "-o", "small.onnx", "--samples", "samples.npz", "--json", *BRIEF]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["original_bytes"] > 70_000
    assert report["shrunk_bytes"] < 30_000
    onnxruntime.InferenceSession(tmp_path / "small.onnx")
    assert {path.name for path in tmp_path.glob("*") if path.is_file()} == {
        "model.onnx", "weights", "samples.npz", "small.onnx"
    }  # fmt: skip


def test_weights_inside_branches_and_loops_are_encoded_too(tmp_path, capsys):
    draw = np.random.default_rng(0)
    branches = {
        name: helper.make_graph(
            [node("MatMul", ["x", f"W_{name}"], [name])], name, [], [value(name, ["N", 32])],
            [tensor(f"W_{name}", draw.normal(size=(64, 32)))],
        )
        for name in ("then_branch", "else_branch")
    }  # fmt: skip
    nodes = [
        node("ReduceSum", ["x"], ["s"], keepdims=0),
        node("Greater", ["s", "zero"], ["c"]),
        node("If", ["c"], ["y"], **branches),
    ]
    write(tmp_path, model(nodes, [value("x", ["N", 64])], [value("y", ["N", 32])], [tensor("zero", 0.0)]), x=rows())
    assert main(["shrink", "model.onnx", "-o", "small.onnx", "--samples", "samples.npz", "--json", *BRIEF]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["shrunk_bytes"] < 0.5 * report["original_bytes"]
