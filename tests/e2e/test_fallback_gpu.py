"""The endpoint around the models that no function holds, by every provider that this machine may have.

On the CPU these run everywhere. With a GPU the same questions are asked of it, and its answers are held against the
plain binding's on the CPU; without one, those say that they were skipped, and why.
"""

import json
import shutil

import numpy as np
import pytest

from benchmarks.fallback.gpu import TOLERANCE, why_not
from benchmarks.fallback.vgg import write_vgg
from coldpress.reference import Reference
from tests.support import minilm
from tests.support.endpoint_server import run_endpoint

PROVIDERS = [
    pytest.param("cpu", 1e-4),
    pytest.param("cuda", TOLERANCE, marks=pytest.mark.skipif(bool(why_not()), reason=why_not())),
    pytest.param("tensorrt,cuda", TOLERANCE, marks=pytest.mark.skipif(bool(why_not()), reason=why_not())),
]
_LENGTH = "inference-header-content-length"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Both models as the endpoint looks for them."""
    folder = tmp_path_factory.mktemp("models")
    for name in ("minilm", "vgg19"):
        (folder / name / "1").mkdir(parents=True)
    shutil.copy(minilm.model(), folder / "minilm" / "1" / "model.onnx")
    write_vgg(folder / "vgg19" / "1" / "model.onnx")
    yield folder
    shutil.rmtree(folder)


def infer(server, name, feeds):
    """Ask in the protocol's binary form; returns the first output."""
    datatypes = {"float32": "FP32", "int64": "INT64"}
    inputs = [
        {
            "name": each,
            "datatype": datatypes[str(value.dtype)],
            "shape": list(value.shape),
            "parameters": {"binary_data_size": value.nbytes},
        }
        for each, value in feeds.items()
    ]
    head = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    body = head + b"".join(np.ascontiguousarray(value).tobytes() for value in feeds.values())
    headers = {"content-type": "application/octet-stream", _LENGTH.replace("-", "_"): str(len(head))}
    status, told, content = server.ask("POST", f"/v2/models/{name}/infer", body, **headers)
    assert status == 200, content[:500]
    place = int(told[_LENGTH])
    output = json.loads(content[:place])["outputs"][0]
    return np.frombuffer(content[place:], np.float32).reshape(output["shape"])


@pytest.mark.models
@pytest.mark.parametrize(("providers", "tolerance"), PROVIDERS)
def test_large_models_answer_as_the_plain_binding_does(models, providers, tolerance):
    texts = minilm.encode(["The cat sat on the mat.", "A dog looked on."])
    pictures = {"image": np.random.default_rng(1).random((2, 3, 224, 224), np.float32)}
    with run_endpoint(models, COLDPRESS_PROVIDERS=providers, COLDPRESS_MAX_BATCH="1") as server:
        for name, feeds in (("minilm", texts), ("vgg19", pictures)):
            found = infer(server, name, feeds)
            want = next(iter(Reference(models / name / "1" / "model.onnx").run(feeds).values()))
            assert found.shape == want.shape
            assert np.abs(found - want).max() <= tolerance * np.abs(want).max(), name
            assert np.ptp(want) > 0
