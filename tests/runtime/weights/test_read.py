"""Weights from each store and from a path: read whole, opened where they lie, and never the wrong ones."""

import os

import pytest

from coldpress_runtime.errors import ManifestError, WeightsError
from coldpress_runtime.manifest import Manifest
from coldpress_runtime.service import Service
from coldpress_runtime.weights.read import read_weights
from coldpress_runtime.weights.s3 import S3Object
from coldpress_runtime.weights.stream import RANGE_BYTES
from tests.support.http import get, predict
from tests.support.tiny import manifest, write_bundle

_KEY = "models of mine/a+b=ü~/big.ort"


def _document(weights, **changes):
    model = {"path": "model/model.ort", "optimization": "disabled", "mapped": True, "prepacking": True, "cpu": []}
    return manifest(model=model | {"sha256": weights["sha256"]}, weights=weights, **changes)


def test_each_store_gives_the_same_bytes(store, weights_of):
    content = os.urandom(2 * RANGE_BYTES + 12345)
    url, variables = store(_KEY, content)
    parsed = Manifest.parse(_document(weights_of(url, content)))
    assert bytes(read_weights(parsed, variables)) == content


def test_each_store_says_what_is_missing(store, weights_of):
    url, variables = store(_KEY, b"some bytes")
    parsed = Manifest.parse(_document(weights_of(url + ".no", b"some bytes")))
    with pytest.raises(WeightsError, match=r"There is no \S.* \(404.*\); upload the build's weights"):
        read_weights(parsed, variables)


def test_each_store_says_what_has_another_size(store, weights_of):
    url, variables = store(_KEY, b"some bytes more")
    parsed = Manifest.parse(_document(weights_of(url, b"some bytes")))
    with pytest.raises(WeightsError, match="has 15 bytes, expected 10"):
        read_weights(parsed, variables)


@pytest.fixture
def bundle(tmp_path, ort_file, weights_of):
    """A bundle without its model, whose weights lie in a file at another place than it says."""
    document = _document(weights_of("s3://nowhere/at/all.ort", ort_file), warmup={"inputs": [], "data": None})
    write_bundle(tmp_path, "mlp", None, model=document["model"], weights=document["weights"])
    (tmp_path / "model" / "model.onnx").unlink()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "big.ort").write_bytes(ort_file)
    return tmp_path


def test_a_service_opens_from_memory_and_answers(bundle, monkeypatch, capsys, tmp_path_factory):
    monkeypatch.setenv("COLDPRESS_WEIGHTS", str(bundle / "elsewhere" / "big.ort"))
    whole = Service.open(str(write_bundle(tmp_path_factory.mktemp("whole"), "mlp")))
    service = Service.open(str(bundle))
    question = {"inputs": {"x": [[0.5] * 64]}}
    assert predict(service, question) == predict(whole, question)
    assert get(service, "/v2/models/tiny")["name"] == "tiny"
    service.close()
    whole.close()
    assert "read 0.0 MB from" in capsys.readouterr().err


def test_no_weights_no_service(bundle, monkeypatch):
    monkeypatch.setenv("COLDPRESS_WEIGHTS", str(bundle / "none.ort"))
    with pytest.raises(WeightsError, match=r"none\.ort cannot be read \(No such file"):
        Service.open(str(bundle))


def test_a_file_that_is_cut_or_changed(bundle, monkeypatch, ort_file):
    place = bundle / "elsewhere" / "big.ort"
    monkeypatch.setenv("COLDPRESS_WEIGHTS", str(place))
    place.write_bytes(ort_file[:-1])
    with pytest.raises(WeightsError, match=rf"has {len(ort_file) - 1:,} bytes, expected {len(ort_file):,}"):
        Service.open(str(bundle))
    place.write_bytes(ort_file[:-1] + bytes([ort_file[-1] ^ 1]))
    with pytest.raises(WeightsError, match="is not the file that was packed"):
        Service.open(str(bundle))


def test_the_signature_is_the_one_of_awss_own_example():
    """ "Authenticating Requests: Using the Authorization Header", GET Object, of the S3 API reference."""
    credentials = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "")
    subject = S3Object("https://examplebucket.s3.amazonaws.com", "/test.txt", "us-east-1", credentials)
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    headers = {"host": "examplebucket.s3.amazonaws.com", "range": "bytes=0-9", "x-amz-content-sha256": empty}
    signed = subject.signed(headers, "20130524T000000Z")
    assert signed["authorization"].endswith(
        "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"source": "disk"}, "weights.source: expected store or mount"),
        ({"url": "https://example.com/a"}, "weights.url: expected a URL that begins with s3://"),
        ({"source": "mount"}, "weights.url: expected an absolute path"),
        ({"bytes": 1 << 31}, "weights.bytes: expected a whole number"),
        ({"parts": 0}, "weights.parts: expected a whole number"),
        ({"sha256": "0" * 64}, "weights.sha256: expected the one of model"),
    ],
)
def test_what_a_manifest_may_not_say(changes, said, weights_of):
    right = weights_of("s3://bucket/key", b"content1")
    document = _document(right)
    with pytest.raises(ManifestError, match=said):
        Manifest.parse(document | {"weights": right | changes})


def test_only_what_is_used_where_it_lies_lies_elsewhere(weights_of):
    document = _document(weights_of("s3://bucket/key", b"content1"))
    assert Manifest.parse(document).to_dict() == document
    for changes in ({"mapped": False}, {"cpu": ["avx2"]}):
        with pytest.raises(ManifestError, match="weights: expected null, or a mapped model"):
            Manifest.parse(document | {"model": document["model"] | changes})
