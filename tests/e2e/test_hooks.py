"""Hooks and what they import: resolved for the target, trimmed, proven by running."""

import json
import zipfile
from pathlib import Path

import pytest

from coldpress.interpreters import find_interpreter
from tests.support.packing import coldpress

HOOKS = Path(__file__).parent / "hooks" / "grey_levels.py"
PYTHON = next((minor for minor in ("3.13", "3.14", "3.12") if find_interpreter(minor)), None)

needs_interpreter = pytest.mark.skipif(
    PYTHON is None, reason="numpy is compiled for one Python; none of 3.12, 3.13 and 3.14 is on this machine to run it"
)


@pytest.fixture(scope="module")
def hooked(digits, tmp_path_factory):
    out = tmp_path_factory.mktemp("hooked") / "aws"
    run = coldpress("pack", digits / "model.onnx", "--hooks", HOOKS, "--requirement", "numpy", "--python", PYTHON,
                    "--out", out, "--json")  # fmt: skip
    assert run.returncode == 0, run.stderr
    return out, json.loads(run.stdout)


@needs_interpreter
def test_hooks_run_with_the_packages_they_import(hooked, digits, tmp_path):
    pixels = json.loads((digits / "request.json").read_text())["instances"][0]
    body = tmp_path / "request.json"
    body.write_text(json.dumps({"image": [pixels[i : i + 8] for i in range(0, 64, 8)]}))
    run = coldpress("invoke", hooked[0], body)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["label"] == json.loads((digits / "expected.json").read_text())["label"]


@needs_interpreter
def test_a_hook_refuses_a_request_with_its_own_sentence(hooked, tmp_path):
    body = tmp_path / "request.json"
    body.write_text('{"picture": 1}')
    run = coldpress("invoke", hooked[0], body)
    assert run.returncode == 1
    assert "8x8 list of grey levels" in json.loads(run.stdout)["error"]


@needs_interpreter
def test_packages_are_trimmed_imported_and_counted_as_the_users(hooked):
    out, report = hooked
    names = zipfile.ZipFile(out / "function.zip").namelist()
    assert not [name for name in names if name.startswith("numpy/_core/tests/test_")]
    assert "numpy" in report["verification"]["imported"]
    assert report["fit"]["bytes"]["packages"]["bytes"] > 10_000_000
    assert report["artifact"]["runtime_bytes"] <= 31_000_000


def test_hooks_that_are_not_python_are_refused_before_anything_is_written(digits, tmp_path):
    hooks = tmp_path / "hooks.py"
    hooks.write_text("def preprocess(request:\n")
    run = coldpress("pack", digits / "model.onnx", "--hooks", hooks, "--out", tmp_path / "aws")
    assert run.returncode == 1
    assert "hooks.py" in run.stderr
    assert "Traceback" not in run.stderr
    assert not (tmp_path / "aws").exists()


def test_hooks_without_either_function_are_refused(digits, tmp_path):
    hooks = tmp_path / "hooks.py"
    hooks.write_text("x = 1\n")
    run = coldpress("pack", digits / "model.onnx", "--hooks", hooks, "--out", tmp_path / "aws")
    assert run.returncode == 1
    assert "preprocess" in run.stderr
    assert "Traceback" not in run.stderr


def test_an_arm64_bundle_is_built_and_says_that_it_was_not_started(digits, tmp_path):
    run = coldpress("pack", digits / "model.onnx", "--architecture", "arm64", "--out", tmp_path / "aws", "--json")
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)
    assert report["artifact"]["runtime_bytes"] <= 31_000_000
    assert any("arm64" in note for note in report["verification"]["notes"])
    library = zipfile.ZipFile(tmp_path / "aws" / "function.zip").read("lib/libonnxruntime.so.1.31.1")
    assert int.from_bytes(library[18:20], "little") == 183  # EM_AARCH64
