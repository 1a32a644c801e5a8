"""The digits example, trained and packed once a test session, and the command line as a user calls it."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).parents[2]


def coldpress(*arguments, cwd=None):
    """Run the command as a user would; the completed process has returncode, stdout and stderr as text."""
    command = [sys.executable, "-m", "coldpress", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)


def shared(tmp_path_factory, name, make):
    """Make a folder once for all workers of a parallel test run."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if base.name.startswith("popen-") else base
    folder = base / name
    with FileLock(base / f"{name}.lock"):
        if not folder.is_dir():
            partial = base / f"{name}.partial"
            make(partial)
            partial.rename(folder)
    return folder


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """Folder with the trained digits model: model.onnx, evaluation.npz, request.json, expected.json."""
    spec = importlib.util.spec_from_file_location("train", ROOT / "examples" / "digits" / "train.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return shared(tmp_path_factory, "digits", module.train)


@pytest.fixture(scope="session")
def digits_bundle(tmp_path_factory, digits):
    """The packed digits model: the output folder, and what ``pack --json`` printed."""

    def make(folder):
        run = coldpress("pack", digits / "model.onnx", "--name", "digits", "--samples", digits / "evaluation.npz",
                        "--out", folder / "aws", "--json")  # fmt: skip
        assert run.returncode == 0, run.stderr
        (folder / "report.json").write_text(run.stdout)

    folder = shared(tmp_path_factory, "digits_bundle", make)
    return folder / "aws", json.loads((folder / "report.json").read_text())
