"""One model on every target: packed from the same folder, started as the provider starts it, the same answer."""

import json
import shutil
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path

import pytest

from coldpress.emulate.function import start, target_of
from coldpress.emulate.http import HttpRequest
from coldpress.emulate.process import unpacked
from coldpress.fit.sizes import measure_sizes
from coldpress.targets import ENTRIES, TARGETS
from tests.support.packing import ROOT, coldpress, shared
from tests.support.serving import serve

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="providers run functions on Linux")


@pytest.fixture(scope="session")
def project(tmp_path_factory, digits):
    """The example as it is after training: settings, model and samples in one folder."""

    def make(folder):
        shutil.copytree(digits, folder)
        shutil.copy(ROOT / "examples" / "digits" / "coldpress.toml", folder)

    return shared(tmp_path_factory, "project", make)


@pytest.fixture(scope="session", params=TARGETS)
def built(request, tmp_path_factory, project):
    """The target, and the folder that ``coldpress pack FOLDER --target TARGET`` made."""

    def make(folder):
        run = coldpress("pack", project, "--target", request.param, "--out", folder / "out", "--json")
        assert run.returncode == 0, run.stderr
        (folder / "report.json").write_text(run.stdout)

    return request.param, shared(tmp_path_factory, f"built-{request.param}", make)


def test_pack_proves_the_bundle_under_the_providers_runtime_and_invoke_answers_the_digit(built, project):
    target, folder = built
    report = json.loads((folder / "report.json").read_text())
    assert (report["target"], report["name"]) == (target, "digits")
    assert report["verification"]["equal"] is True
    assert report["quality"]["verdict"] == "pass"
    run = coldpress("invoke", folder / "out", project / "request.json")
    assert run.returncode == 0, run.stderr
    expected = json.loads((project / "expected.json").read_text())
    assert json.loads(run.stdout)["predictions"][0]["label"] == expected["label"]


def test_serve_answers_through_the_providers_runtime_and_says_where_the_time_goes(built, project):
    target, folder = built
    body = (project / "request.json").read_bytes()
    with serve(folder / "out") as running:
        asked = urllib.request.Request(f"{running.url}/predict", body, {"content-type": "application/json"})
        with urllib.request.urlopen(asked, timeout=60) as answer:
            label = json.load(answer)["predictions"][0]["label"]
            steps = [step.partition(";")[0] for step in answer.headers["server-timing"].split(", ")]
        with urllib.request.urlopen(f"{running.url}/playground/about.json", timeout=60) as about:
            assert json.load(about)["runs_on"] == TARGETS[target].title
    assert label == json.loads((project / "expected.json").read_text())["label"]
    assert steps == ["decode", "run", "encode", "function"]


def test_a_build_is_known_by_the_one_entry_point_in_it(built):
    target, folder = built
    assert target_of(folder / "out") == target
    with unpacked(folder / "out") as function:
        assert [entry for entry in ENTRIES if (function / entry).is_file()] == [TARGETS[target].entry]


def test_every_target_ships_the_same_runtime_engine_and_model(built, digits_bundle):
    _, folder = built
    artifact = json.loads((folder / "report.json").read_text())["artifact"]
    assert abs(artifact["zip_bytes"] - digits_bundle[1]["artifact"]["zip_bytes"]) < 1_000_000
    with unpacked(folder / "out") as function, zipfile.ZipFile(digits_bundle[0] / "function.zip") as aws:
        for name in aws.namelist():
            ours = name.startswith(("coldpress_runtime/", "lib/", "model/", "licenses/"))
            if ours and not name.endswith(".pyc") and "/aws_" not in name:
                assert (function / name).read_bytes() == aws.read(name), name
        ours = measure_sizes(function)
    plain = measure_sizes(digits_bundle[0] / "function.zip")
    assert abs(ours.runtime_bytes - plain.runtime_bytes) < 1_000_000


def test_the_folder_holds_what_to_do_next_and_no_hole_unfilled(built):
    _, folder = built
    texts = [path for path in (folder / "out").rglob("*") if path.suffix in {".md", ".yaml", ".yml", ".sh", ".tf"}]
    assert any(path.name == "README.md" for path in texts)
    assert not [path.name for path in texts if "@{" in path.read_text()]
    for script in (folder / "out").glob("*.sh"):
        subprocess.run(["sh", "-n", script], check=True)
        assert script.stat().st_mode & 0o100


def test_a_function_that_is_called_again_and_again_stays_ready(built, project):
    _, folder = built
    body = (project / "request.json").read_bytes()
    with start(folder / "out") as function:
        answers = {function.call(HttpRequest("POST", "/predict", body=body)).reply.body for _ in range(5)}
        assert len(answers) == 1
        assert function.call(HttpRequest("GET", "/v2/health/live")).reply.status == 200
        assert function.peak_mb > 10


def test_bench_measures_it_beside_the_providers_own_empty_function(built):
    _, folder = built
    run = coldpress("bench", folder / "out", "--rounds", "1", "--json")
    assert run.returncode == 0, run.stderr
    result = json.loads(run.stdout)
    assert result["floor"]["init_ms"]["median"] > 0
    assert result["steps"]["interpreter_ms"] > 0


@pytest.mark.parametrize(
    ("target", "words", "says"),
    [
        ("azure", ("--memory-mb", "1000"), "512"),
        ("azure", ("--architecture", "arm64"), "x86_64"),
        ("alibaba", ("--python", "3.13"), "3.12"),
        ("container", ("--timeout-s", "100000"), "600"),
        ("gcp", ("--memory-mb", "64000"), "32,768"),
        ("aws", ("--auth", "everybody"), "iam"),
    ],
)
def test_what_a_provider_does_not_offer_is_said_before_anything_is_built(project, tmp_path, target, words, says):
    run = coldpress("pack", project, "--target", target, "--out", tmp_path / "out", *words)
    assert run.returncode == 1
    assert says in run.stderr
    assert "Traceback" not in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_an_unknown_target_is_told_which_ones_there_are(project):
    run = coldpress("pack", project, "--target", "heroku")
    assert run.returncode == 2
    assert all(target in run.stderr for target in TARGETS)


def test_a_folder_with_no_model_or_several_is_told_what_to_name(tmp_path):
    assert "no model" in coldpress("pack", tmp_path).stderr
    for name in ("a.onnx", "b.onnx"):
        Path(tmp_path, name).write_bytes(b"")
    assert "2 models" in coldpress("pack", tmp_path).stderr


def test_what_a_providers_tool_wrote_into_the_folder_survives_the_next_pack(project, tmp_path):
    out = tmp_path / "out"
    words = ("pack", project / "model.onnx", "--target", "azure", "--out", out)
    assert coldpress(*words).returncode == 0
    (out / ".azure" / "prod").mkdir(parents=True)
    (out / ".azure" / "prod" / ".env").write_text("AZURE_LOCATION=westeurope\n")
    assert coldpress(*words).returncode == 0
    assert "westeurope" in (out / ".azure" / "prod" / ".env").read_text()
