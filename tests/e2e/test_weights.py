"""A model that does not travel in the package: packed, tried from the build's folder, and read from three stores."""

import json
import shutil
import subprocess
import urllib.request
import zipfile

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from coldpress.emulate.aws import LambdaFunction
from coldpress.emulate.azure import AzureFunction
from coldpress.emulate.gcp import FrameworkFunction
from coldpress.emulate.http import HttpRequest
from coldpress.errors import EmulateError
from tests.support.local_aws import LocalAws
from tests.support.local_azure.azurite import Azurite, why_not
from tests.support.local_gcp import LocalStorage, python
from tests.support.packing import coldpress, shared

pytestmark = pytest.mark.xdist_group("weights")

_SIDE = 1024
_SETTINGS = """
[targets.aws]
weights = "s3://models/digits/"
[targets.gcp]
weights = "gs://models/digits/"
[targets.azure]
weights = "az://devstoreaccount1/models/digits/"
"""
_QUESTION = HttpRequest("POST", "/predict", body=json.dumps({"inputs": {"x": [[0.5] * _SIDE]}}).encode())


def _model():
    """Four layers, 16 MB: read in two ranges."""
    rng = np.random.default_rng(0)
    nodes, weights, last = [], [], "x"
    for layer in range(4):
        weights.append(numpy_helper.from_array(rng.standard_normal((_SIDE, _SIDE), np.float32) * 0.03, f"w{layer}"))
        nodes.append(helper.make_node("MatMul", [last, f"w{layer}"], [f"h{layer}"]))
        nodes.append(helper.make_node("Relu", [f"h{layer}"], [f"r{layer}"]))
        last = f"r{layer}"
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", _SIDE]) for name in ("x", last)]
    graph = helper.make_graph(nodes, "layers", ports[:1], ports[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


@pytest.fixture(scope="module")
def builds(tmp_path_factory):
    """One folder a target, and what ``pack --json`` said of each."""

    def make(folder):
        folder.mkdir()
        onnx.save(_model(), folder / "big.onnx")
        (folder / "coldpress.toml").write_text(_SETTINGS)
        for target in ("aws", "gcp", "azure"):
            run = coldpress("pack", "big.onnx", "--target", target, "--json", cwd=folder)
            assert run.returncode == 0, run.stderr
            (folder / f"{target}.json").write_text(run.stdout)

    return shared(tmp_path_factory, "weights-builds", make)


def _names(build):
    if (build / "function").is_dir():
        return {path.relative_to(build / "function").as_posix() for path in (build / "function").rglob("*")}
    with zipfile.ZipFile(build / "function.zip") as archive:
        return set(archive.namelist())


def _manifest(build):
    if (build / "function").is_dir():
        return json.loads((build / "function" / "coldpress.json").read_text())
    with zipfile.ZipFile(build / "function.zip") as archive:
        return json.loads(archive.read("coldpress.json"))


@pytest.mark.parametrize(("target", "module"), [("aws", "s3"), ("gcp", "gcs"), ("azure", "blob")])
def test_the_model_lies_beside_the_function(builds, target, module):
    build, said = builds / "build" / target, json.loads((builds / f"{target}.json").read_text())
    record = _manifest(build)["weights"]
    (file,) = (build / "weights").iterdir()
    assert file.name == f"{record['sha256']}.ort"
    assert file.stat().st_size == record["bytes"] == said["weights"]["bytes"]
    assert record["url"] == said["weights"]["url"]
    assert said["fit"]["verdict"] == "fits"
    assert said["fit"]["bytes"]["model"]["bytes"] == 0
    assert said["verification"]["samples"] > 0
    names = _names(build)
    assert not any(name.endswith((".ort", ".onnx")) for name in names)
    sources = {name for name in names if name.startswith("coldpress_runtime/weights/") and name.endswith(".py")}
    own = {"__init__", "address", "mounted", "objects", "read", "settings", "stream", "tokens", module}
    assert sources == {f"coldpress_runtime/weights/{name}.py" for name in own}


def test_a_bundle_with_its_model_brings_nothing_of_this(digits_bundle):
    assert not any("weights" in name for name in _names(digits_bundle[0]))


@pytest.mark.parametrize("target", ["aws", "gcp", "azure"])
def test_a_build_answers_here_without_any_store(builds, target):
    request = builds / "request.json"
    request.write_bytes(_QUESTION.body)
    run = coldpress("invoke", f"build/{target}", "request.json", cwd=builds)
    assert run.returncode == 0, run.stderr
    assert len(json.loads(run.stdout)["outputs"]["r3"][0]) == _SIDE


def test_a_build_is_measured_without_any_store(builds):
    run = coldpress("bench", "build/aws", "--rounds", "1", "--json", cwd=builds)
    assert run.returncode == 0, run.stderr


def _answer(function):
    with function:
        reply = function.call(_QUESTION).reply
        assert reply.status == 200, reply.body
        return json.loads(reply.body)["outputs"]["r3"][0], function.logs()


def _without_weights(builds, target, folder):
    """A build as it is deployed: nothing beside the function."""
    shutil.copytree(builds / "build" / target, folder)
    shutil.rmtree(folder / "weights")
    (weights,) = (builds / "build" / target / "weights").iterdir()
    return folder, weights


@pytest.fixture(scope="module")
def expected(builds):
    """The answer, up to the order in which numbers are added up."""
    return pytest.approx(_answer(LambdaFunction(builds / "build" / "aws"))[0], rel=1e-4, abs=1e-6)


@pytest.fixture(scope="module")
def aws():
    with LocalAws() as running:
        yield running


def test_from_s3(aws, builds, expected, tmp_path):
    build, weights = _without_weights(builds, "aws", tmp_path / "aws")
    environment = {name: value for name, value in aws.environment().items() if name.startswith("AWS_")}
    environment["COLDPRESS_WEIGHTS"] = f"s3://by-hand/digits/{weights.name}"
    with pytest.raises(EmulateError, match=r"There is no s3://by-hand/digits/.* \(404 NoSuchBucket\); upload"):
        LambdaFunction(build, environment=environment)
    _put(aws, "/by-hand", b"")
    with pytest.raises(EmulateError, match=r"There is no s3://by-hand/digits/.* \(404 NoSuchKey\); upload"):
        LambdaFunction(build, environment=environment)
    _put(aws, f"/by-hand/digits/{weights.name}", weights.read_bytes())
    answers, log = _answer(LambdaFunction(build, environment=environment))
    assert answers == expected
    assert "coldpress: read 16.8 MB from s3://by-hand/digits/" in log
    assert "testing" not in log


def _put(aws, path, body):
    scope = "testing/20260101/us-east-1/s3/aws4_request"
    signed = {
        "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0",
        "Content-Type": "application/octet-stream",
    }
    request = urllib.request.Request(aws.endpoint + path, body, signed, method="PUT")
    with urllib.request.urlopen(request, timeout=60) as reply:
        assert reply.status == 200


@pytest.mark.skipif(not python().exists(), reason="`make tools` has not made .tools/gcp")
def test_from_cloud_storage(builds, expected, tmp_path):
    build, weights = _without_weights(builds, "gcp", tmp_path / "gcp")
    with LocalStorage() as store:
        store.make_bucket("models")
        store.upload("models", f"digits/{weights.name}", weights.read_bytes(), "application/octet-stream")
        environment = {"STORAGE_EMULATOR_HOST": f"http://{store.host}"}
        answers, log = _answer(FrameworkFunction(build, environment=environment))
    assert answers == expected
    assert "coldpress: read 16.8 MB from gs://models/digits/" in log


@pytest.mark.skipif(bool(why_not()), reason=why_not())
def test_from_blob_storage(builds, expected, tmp_path):
    build, weights = _without_weights(builds, "azure", tmp_path / "azure")
    with Azurite() as store:
        store.make_container("models")
        store.put("models", f"digits/{weights.name}", weights.read_bytes(), "application/octet-stream")
        environment = {"AZURE_STORAGE_CONNECTION_STRING": store.connection_string}
        answers, log = _answer(AzureFunction(build, environment=environment))
    assert answers == expected
    assert "coldpress: read 16.8 MB from az://devstoreaccount1/models/digits/" in log


def test_from_a_mounted_folder(builds, expected, tmp_path):
    build, weights = _without_weights(builds, "aws", tmp_path / "aws")
    place = tmp_path / "mounted.ort"
    shutil.copyfile(weights, place)
    assert _answer(LambdaFunction(build, environment={"COLDPRESS_WEIGHTS": str(place)}))[0] == expected


def test_without_its_model_a_function_says_so(builds, tmp_path):
    build, _ = _without_weights(builds, "aws", tmp_path / "aws")
    with pytest.raises(EmulateError, match="There are no credentials to read s3://models/digits/"):
        LambdaFunction(build)


@pytest.mark.skipif(shutil.which("aws") is None, reason="AWS's command line is not on this machine")
def test_the_script_uploads_what_the_function_reads(aws, builds, expected, tmp_path):
    """As a user does it: the script, twice, and then the function with the address that is in its package."""
    _put(aws, "/models", b"")
    for _ in range(2):
        subprocess.run([builds / "build" / "aws" / "weights.sh"], env=aws.environment(), check=True)
    build, _ = _without_weights(builds, "aws", tmp_path / "aws")
    environment = {name: value for name, value in aws.environment().items() if name.startswith("AWS_")}
    assert _answer(LambdaFunction(build, environment=environment))[0] == expected


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ('[targets.aws]\nweights = "s3://models/digits"\n', "end it with a slash"),
        ('[targets.aws]\nweights = "gs://models/"\n', "targets.aws.weights is 'gs://models/'; expected s3://"),
        ('[targets.aws]\nweights = "s3://models/"\n[batch]\n', "leave one out"),
        ('[function]\nmemory_mb = 128\n[targets.aws]\nweights = "s3://m/"\n', ""),
    ],
    ids=["a-file", "another-store", "rows", "little-memory"],
)
def test_settings_that_cannot_be(builds, tmp_path, settings, said):
    (tmp_path / "coldpress.toml").write_text(settings)
    run = coldpress("pack", builds / "big.onnx", "--dry-run", cwd=tmp_path)
    assert (run.returncode != 0) == bool(said)
    assert said in run.stderr


def test_a_form_that_would_be_copied_is_refused(builds, tmp_path):
    run = coldpress("pack", "big.onnx", "--form", "onnx", "--out", tmp_path / "out", cwd=builds)
    assert run.returncode != 0
    assert "for which they must be ort-mapped or ort-mapped-unpacked" in run.stderr
