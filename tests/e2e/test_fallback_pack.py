"""``coldpress pack`` with ``[fallback]``: the endpoint's folder, the manifest, and a function without a model."""

import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from coldpress.emulate.function import start
from coldpress.emulate.http import HttpRequest
from coldpress.reference import Reference
from coldpress_runtime.manifest import Manifest
from tests.support.packing import coldpress

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="providers run functions on Linux")

_SETTINGS = """
[model]
source = {model}
name = "digits"

[samples]
evaluation = {samples}

[fallback]
{fallback}
"""


def packed(tmp_path, digits, fallback, *words):
    (tmp_path / "coldpress.toml").write_text(
        _SETTINGS.format(
            model=json.dumps(str(digits / "model.onnx")),
            samples=json.dumps(str(digits / "evaluation.npz")),
            fallback=fallback,
        )
    )
    return coldpress("pack", "--out", "out", *words, cwd=tmp_path)


def manifest_of(folder):
    with zipfile.ZipFile(folder / "function.zip") as archive:
        return Manifest.parse(json.loads(archive.read("coldpress.json"))), set(archive.namelist())


def test_an_endpoint_lies_beside_the_function_that_asks_it(tmp_path, digits):
    run = packed(tmp_path, digits, 'endpoint = "sagemaker-async"\nwaking = "queue"\nwhen = ["batch > 8"]', "--json")
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout)
    assert told["verification"]["equal"] is True
    assert told["fallback"]["when"] == ["batch > 8"]
    assert told["fallback"]["name"] == "coldpress-digits-endpoint"
    assert any("0.736 USD an hour" in sentence for sentence in told["fallback"]["costs"])
    assert any("deploy it first" in note for note in told["notes"])
    manifest, names = manifest_of(tmp_path / "out")
    assert manifest.fallback.endpoint.kind == "sagemaker-async"
    assert manifest.fallback.waking == "queue"
    assert "coldpress_runtime/fallback/door.py" in names
    endpoint = tmp_path / "out" / "endpoint"
    served = endpoint / "models" / "digits" / "1" / "model.onnx"
    assert served.stat().st_size < (digits / "model.onnx").stat().st_size
    samples = np.load(digits / "evaluation.npz")
    pixels = {"pixels": samples["pixels"][:20]}
    ours, theirs = Reference(served).run(pixels), Reference(digits / "model.onnx").run(pixels)
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)
    assert (endpoint / "coldpress_endpoint" / "__main__.py").is_file()
    assert (endpoint / "coldpress_runtime" / "errors.py").is_file()
    assert not list(endpoint.rglob("__pycache__"))
    assert (endpoint / "deploy.sh").stat().st_mode & 0o100
    check = [sys.executable, "-c", "import coldpress_endpoint.settings, coldpress_runtime.errors"]
    subprocess.run(check, cwd=endpoint, check=True)


def test_a_function_that_is_the_door_alone_has_no_model_and_no_engine(tmp_path, digits):
    fallback = 'url = "https://gpu.example"\nauth = "bearer"\nwhen = ["does-not-fit"]'
    run = packed(tmp_path, digits, fallback, "--json")
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout)
    assert (told["shrink"], told["form"], told["fit"]["verdict"]) == (None, None, "fits")
    assert told["artifact"]["unzipped_bytes"] < 3_000_000
    manifest, names = manifest_of(tmp_path / "out")
    assert (manifest.model, manifest.engine, manifest.warmup) == (None, None, None)
    assert manifest.fallback.waking == "refuse"
    assert not [name for name in names if name.startswith(("lib/", "model/"))]
    with start(tmp_path / "out", environment={"COLDPRESS_FALLBACK_TOKEN": "x"}) as function:
        said = json.loads(function.call(HttpRequest("GET", "/v2/models/digits")).reply.body)
        assert [item["name"] for item in said["inputs"]] == ["pixels"]
    assert not (tmp_path / "out" / "endpoint").exists()


@pytest.mark.parametrize(
    ("fallback", "words", "said"),
    [
        ('endpoint = "vertex"', (), "the target is aws; expected one of http"),
        ('endpoint = "sagemaker"\nmodel = "gone.onnx"', (), "which is named as the endpoint's model"),
        ('endpoint = "sagemaker"\nwaking = "queue"', (), "sagemaker keeps no queue"),
        ('endpoint = "cloud-run-gpu"\nregion = "europe-north1"', ("--target", "gcp"), "where Cloud Run has no L4"),
        ('url = "https://gpu.example"', ("--target", "alibaba"), "set internet to true"),
        ('url = "https://gpu.example"\n[shrink]\ntokenizer = "coldpress.toml"', (), "numbers the tokens anew"),
        ('endpoint = "sagemaker"\nwhen = ["does-not-fit"]\n[batch]', (), "[batch] is set and `fallback.when`"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_built(tmp_path, digits, fallback, words, said):
    run = packed(tmp_path, digits, fallback, *words)
    assert run.returncode == 1
    assert said in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_dry_run_names_the_endpoint_and_writes_nothing(tmp_path, digits):
    run = packed(tmp_path, digits, 'endpoint = "sagemaker"\nwhen = ["error"]', "--dry-run")
    plan = json.loads(run.stdout)
    assert plan["endpoint"]["kind"] == "sagemaker"
    assert plan["fallback"]["when"] == ["error"]
    assert not (tmp_path / "out").exists()
