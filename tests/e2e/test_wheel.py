"""What a user gets from the package registry: the wheel, installed somewhere else than a checkout."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return next(out.glob("*.whl"))


def test_the_wheel_holds_the_packages_the_templates_and_nothing_else(wheel):
    subprocess.run([sys.executable, "-m", "check_wheel_contents", str(wheel)], check=True, cwd=ROOT)
    names = zipfile.ZipFile(wheel).namelist()
    packages = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert packages == {"coldpress", "coldpress_endpoint", "coldpress_runtime"}
    assert "coldpress/_templates/aws/template.yaml" in names
    assert "coldpress/fit/limits.toml" in names
    assert "coldpress/bundle/engine.toml" in names


def test_a_model_packs_from_an_installed_wheel(wheel, digits, tmp_path):
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    # The checkout's editable install stays out: only the unpacked wheel is on the path before the dependencies.
    code = (
        "import sys; sys.path.insert(0, sys.argv.pop(1));"
        "import coldpress, coldpress_runtime;"
        "assert all(sys.path[0] in module.__file__ for module in (coldpress, coldpress_runtime));"
        "from coldpress.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [
        sys.executable,
        "-c",
        code,
        str(site),
        "pack",
        str(digits / "model.onnx"),
        "--out",
        str(tmp_path / "aws"),
    ]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "aws" / "function.zip").is_file()
