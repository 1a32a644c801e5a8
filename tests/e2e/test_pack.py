"""`coldpress pack` from the outside: the command line, on real models, to a bundle that answers."""

import json
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest

from coldpress.targets import runtime_modules
from tests.support.models import feeds, fetch, names
from tests.support.packing import coldpress


def test_pack_prints_the_report_and_writes_a_folder_ready_for_sam_deploy(digits_bundle):
    out, report = digits_bundle
    assert report["target"] == "aws"
    assert report["fit"]["verdict"] == "fits"
    assert report["quality"]["verdict"] == "pass"
    assert report["quality"]["metric"] == "accuracy"
    assert report["quality"]["original"] == report["quality"]["shrunk"] > 0.95
    assert report["quality"]["samples"] == 360
    assert report["shrink"]["recipe"] == ["strip"]
    assert {path.name for path in out.iterdir()} >= {"function.zip", "template.yaml", "samconfig.toml", "README.md"}


def test_the_reported_sizes_are_those_of_the_zip(digits_bundle):
    out, report = digits_bundle
    artifact = report["artifact"]
    with zipfile.ZipFile(out / "function.zip") as archive:
        entries = archive.infolist()
    assert artifact["zip_bytes"] == (out / "function.zip").stat().st_size
    assert artifact["unzipped_bytes"] == sum(entry.file_size for entry in entries)
    assert artifact["files"] == len(entries)
    assert artifact["model_bytes"] + artifact["runtime_bytes"] == artifact["unzipped_bytes"]


def test_the_runtime_stays_within_its_budget(digits_bundle):
    _, report = digits_bundle
    assert report["artifact"]["runtime_bytes"] <= 31_000_000
    assert report["artifact"]["runtime_zip_bytes"] <= 11_500_000


def test_the_bundle_holds_the_runtime_byte_for_byte_and_no_numpy(digits_bundle):
    out, _ = digits_bundle
    source = Path(__file__).parents[2] / "handlers"
    with zipfile.ZipFile(out / "function.zip") as archive:
        names = set(archive.namelist())
        shipped = {n for n in names if n.startswith("coldpress_runtime/") and n.endswith(".py")}
        here = {p.relative_to(source).as_posix() for p in runtime_modules("aws") if p.suffix == ".py"}
        assert shipped == here
        assert all(archive.read(name) == (source / name).read_bytes() for name in shipped)
    assert not [name for name in names if name.startswith(("numpy", "onnxruntime/", "google"))]


def test_two_packs_of_the_same_inputs_give_the_same_bytes(digits_bundle, digits, tmp_path):
    out, report = digits_bundle
    again = coldpress("pack", digits / "model.onnx", "--name", "digits", "--samples", digits / "evaluation.npz",
                      "--out", tmp_path / "aws", "--json")  # fmt: skip
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["artifact"]["sha256"] == report["artifact"]["sha256"]
    for path in {*out.iterdir()} - {out / "report.html"}:  # which shows times
        assert (tmp_path / "aws" / path.name).read_bytes() == path.read_bytes(), path.name


def test_invoke_answers_with_the_prediction_on_stdout(digits_bundle, digits):
    out, _ = digits_bundle
    run = coldpress("invoke", out, digits / "request.json")
    assert run.returncode == 0, run.stderr
    expected = json.loads((digits / "expected.json").read_text())
    assert json.loads(run.stdout)["predictions"][0]["label"] == expected["label"]


def test_a_dry_run_prints_the_plan_and_touches_nothing(digits, tmp_path):
    run = coldpress("pack", digits / "model.onnx", "--out", tmp_path / "aws", "--dry-run", "--memory-mb", "3600")
    plan = json.loads(run.stdout)
    assert (plan["memory_mb"], plan["threads"], plan["target"]) == (3600, 2, "aws")
    assert not (tmp_path / "aws").exists()


def test_a_folder_that_coldpress_did_not_write_is_never_replaced(digits, tmp_path):
    (tmp_path / "precious.txt").write_text("mine")
    run = coldpress("pack", digits / "model.onnx", "--out", tmp_path)
    assert run.returncode == 1
    assert "did not write" in run.stderr
    assert (tmp_path / "precious.txt").read_text() == "mine"


def test_answers_to_sam_deploys_questions_survive_the_next_pack(digits, tmp_path):
    out = tmp_path / "aws"
    assert coldpress("pack", digits / "model.onnx", "--out", out).returncode == 0
    with (out / "samconfig.toml").open("a") as file:
        file.write("\n# saved by --guided\n")
    assert coldpress("pack", digits / "model.onnx", "--out", out).returncode == 0
    assert "saved by --guided" in (out / "samconfig.toml").read_text()


def test_terraforms_state_and_where_it_is_kept_survive_the_next_pack(digits, tmp_path):
    out = tmp_path / "gcp"
    pack = ("pack", digits / "model.onnx", "--target", "gcp", "--out", out)
    assert coldpress(*pack).returncode == 0
    mine = [
        out / "terraform.tfstate",
        out / "terraform.tfstate.d" / "staging" / "terraform.tfstate",
        out / "backend.tf",
    ]
    for file in mine:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("mine")
    assert coldpress(*pack).returncode == 0
    assert [file.read_text() for file in mine] == ["mine"] * 3


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("empty.onnx", b"", "empty"),
        ("text.onnx", b"this is not a model at all\n" * 9, "not"),
        ("missing.onnx", None, "no file"),
    ],
)
def test_a_bad_model_gets_one_sentence_and_exit_code_1(tmp_path, name, content, says):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    run = coldpress("pack", tmp_path / name, "--out", tmp_path / "aws")
    assert run.returncode == 1
    assert says in run.stderr
    assert "Traceback" not in run.stderr
    assert not (tmp_path / "aws").exists()


def test_a_failed_pack_leaves_the_last_good_build_untouched(digits, tmp_path):
    out = tmp_path / "aws"
    assert coldpress("pack", digits / "model.onnx", "--out", out).returncode == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    truncated = tmp_path / "model.onnx"
    truncated.write_bytes((digits / "model.onnx").read_bytes()[:-5000])
    run = coldpress("pack", truncated, "--out", out)
    assert run.returncode == 1
    assert "Traceback" not in run.stderr
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_a_cancelled_job_leave_the_last_good_build_and_no_litter(digits, tmp_path, stop):
    out = tmp_path / "aws"
    assert coldpress("pack", digits / "model.onnx", "--out", out).returncode == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    command = [sys.executable, "-m", "coldpress", "pack", str(digits / "model.onnx"), "--out", str(out)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | {"TMPDIR": str(scratch)})
    while "build the bundle" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(stop)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "stopped" in stderr
    assert "Traceback" not in stderr
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert not list(scratch.iterdir())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["aws", "scratch"]


def test_a_model_over_the_limit_is_told_so_without_trying_its_forms_and_leaves_the_last_good_build(digits, tmp_path):
    out = tmp_path / "aws"
    assert coldpress("pack", digits / "model.onnx", "--form", "onnx", "--out", out).returncode == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    run = coldpress("pack", _table(tmp_path, 270_000_000), "--out", out, "--json")
    report = json.loads(run.stdout)
    assert (run.returncode, report["fit"]["verdict"]) == (1, "needs-store")
    assert (report["artifact"]["zip_bytes"], report["verification"]) == (None, None)
    assert [row["name"] for row in report["form"]["candidates"]] == ["onnx"]
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def _table(folder, size):
    """Save a model that looks numbers up in a table of ``size`` bytes, kept as a sparse file beside it."""
    values = [
        onnx.helper.make_tensor_value_info("i", onnx.TensorProto.INT64, [1]),
        onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1]),
    ]
    table = onnx.TensorProto(name="t", data_type=onnx.TensorProto.FLOAT, dims=[size // 4])
    table.data_location = onnx.TensorProto.EXTERNAL
    table.external_data.add(key="location", value="table.bin")
    with (folder / "table.bin").open("wb") as file:
        file.write(np.float32(0.1).tobytes())  # which no narrower type holds
        file.truncate(size)
    lookup = onnx.helper.make_node("Gather", ["t", "i"], ["y"])
    graph = onnx.helper.make_graph([lookup], "g", values[:1], values[1:], [table])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    (folder / "table.onnx").write_bytes(model.SerializeToString())
    return folder / "table.onnx"


def test_a_read_only_output_folder_gets_one_sentence(digits):
    run = coldpress("pack", digits / "model.onnx", "--out", "/proc/coldpress")
    assert run.returncode == 1
    assert "Traceback" not in run.stderr


@pytest.mark.models
@pytest.mark.parametrize("name", names())
def test_a_real_model_packs_fits_and_answers_like_the_original(name, tmp_path):
    model = fetch(name)
    np.savez(tmp_path / "samples.npz", **feeds(name))
    run = coldpress("pack", model, "--out", tmp_path / "aws", "--json")
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)
    assert report["fit"]["verdict"] == "fits"
    assert report["artifact"]["runtime_bytes"] <= 31_000_000
    assert report["verification"]["equal"] is True
