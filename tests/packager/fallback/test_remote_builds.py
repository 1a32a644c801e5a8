"""Functions whose model is at an endpoint: what needs a model says so."""

import pytest

from coldpress.emulate.function import start
from coldpress.emulate.http import HttpRequest
from coldpress.emulate.requests import warmup_request
from coldpress.errors import EmulateError, FitError
from coldpress.fit.subject import read_subject
from coldpress.score.function import prepared
from coldpress.serve.about import examples, warmup_data
from coldpress_runtime.manifest import Manifest
from tests.support.endpoint import fallback, small
from tests.support.functions import PYTHON, write_function


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """A function for AWS without a model or an engine; nobody listens where its endpoint should be."""
    root = tmp_path_factory.mktemp("build") / "function"
    document = fallback("http://127.0.0.1:1", "does-not-fit", connect_s=1.0, deadline_s=1.0)
    write_function(root, "aws", small(), fallback=document, engine=None, model=None, warmup=None)
    (root / "lib" / "libonnxruntime.so").unlink()
    (root / "model" / "model.onnx").unlink()
    return root


def test_a_function_without_a_model_starts_and_says_what_is_wrong(build):
    with start(build, python=PYTHON) as function:
        assert function.call(HttpRequest("GET", "/v2/models/tiny")).reply.status == 200
        reply = function.call(HttpRequest("POST", "/predict", None, b'{"instances":[[1,0,0]]}')).reply
    assert reply.status in {502, 503}
    assert b"Internal error" not in reply.body


def test_it_has_no_request_of_its_own(build):
    manifest = Manifest.load(str(build / "coldpress.json"))
    with pytest.raises(EmulateError, match="give a request"):
        warmup_request(build, manifest)
    assert examples(manifest, warmup_data(build, manifest)) == []


def test_nothing_is_measured_or_scored_without_a_model(build):
    with pytest.raises(FitError, match="has no model of its own"):
        read_subject(build)
    with pytest.raises(EmulateError, match="has no model of its own"), prepared(build):
        pass


def test_rows_of_files_are_scored_by_the_own_model_alone(tmp_path):
    root = write_function(tmp_path / "function", "aws", small(), fallback=fallback("", "batch > 0"))
    with prepared(root) as function:
        assert Manifest.load(str(function.root / "coldpress.json")).fallback is None
