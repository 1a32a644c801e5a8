import json

import pytest

from coldpress_runtime.errors import ManifestError
from coldpress_runtime.manifest import Manifest
from tests.support.tiny import manifest

_MODEL = manifest()["model"]
_INPUT = {"name": "x", "datatype": "FP32", "shape": [1, 64]}
_BATCH = {
    "input": "uploads/",
    "output": "scores/",
    "format": "jsonl",
    "columns": [],
    "outputs": [],
    "max_rejects": 0.1,
}


def test_what_is_read_is_what_is_written_again():
    document = manifest(
        model=_MODEL | {"cpu": ["avx2", "fma"]},
        portable=_MODEL | {"path": "model/portable.onnx"},
        warmup={"inputs": [_INPUT], "data": "model/warmup.bin"},
        hooks="hooks.py",
        batch=_BATCH | {"columns": ["a", "b"]},
    )
    read = Manifest.parse(document)
    assert read.to_dict() == document
    assert Manifest.parse(read.to_dict()) == read
    assert json.loads(json.dumps(read.to_dict())) == document


def test_fields_are_records():
    read = Manifest.parse(manifest(portable=_MODEL, warmup={"inputs": [_INPUT], "data": None}))
    assert read.portable == read.model
    assert read.warmup.inputs[0].shape == (1, 64)
    assert hash(read) == hash(Manifest.parse(read.to_dict()))
    assert "Manifest(format=1, name='tiny'" in repr(read)


def test_records_are_frozen():
    read = Manifest.parse(manifest())
    with pytest.raises(AttributeError, match="frozen"):
        read.name = "other"
    with pytest.raises(AttributeError, match="frozen"):
        del read.model.path
    with pytest.raises(AttributeError):
        read.model.colour = "red"


@pytest.mark.parametrize(
    ("changes", "where", "expected"),
    [
        ({"format": 2}, "format", "1, the layout"),
        ({"format": True}, "format", "1, the layout"),
        ({"name": ""}, "name", "printable"),
        ({"name": "a\nb"}, "name", "printable"),
        ({"name": 3}, "name", "printable"),
        ({"colour": "red"}, "colour", "unknown"),
        ({"engine": None}, "engine", "an object"),
        ({"engine": {"library": "lib/x.so", "version": "1"}}, "engine", "'sha256' is missing"),
        ({"engine": {"library": "/lib/x.so", "version": "1", "sha256": "0" * 64}}, "engine.library", "inside"),
        ({"engine": {"library": "lib/x.so", "version": "1", "sha256": "0" * 63}}, "engine.sha256", "SHA-256"),
        ({"model": _MODEL | {"path": "../model.onnx"}}, "model.path", "inside the bundle"),
        ({"model": _MODEL | {"path": "model/../../x"}}, "model.path", "inside the bundle"),
        ({"model": _MODEL | {"path": "C:/x"}}, "model.path", "inside the bundle"),
        ({"model": _MODEL | {"path": "a\\b"}}, "model.path", "inside the bundle"),
        ({"model": _MODEL | {"path": "a//b"}}, "model.path", "inside the bundle"),
        ({"model": _MODEL | {"path": "a\0b"}}, "model.path", "printable"),
        ({"model": _MODEL | {"optimization": "most"}}, "model.optimization", "one of all, extended"),
        ({"model": _MODEL | {"optimization": ["all"]}}, "model.optimization", "one of all, extended"),
        ({"model": _MODEL | {"mapped": 1}}, "model.mapped", "true or false"),
        ({"model": _MODEL | {"cpu": "avx2"}}, "model.cpu", "a list"),
        ({"model": _MODEL | {"cpu": [2]}}, "model.cpu[0]", "printable"),
        ({"model": _MODEL | {"extra": 1}}, "model", "'extra' is unknown"),
        ({"portable": _MODEL | {"cpu": ["avx2"]}}, "portable.cpu", "nothing stands behind it"),
        ({"threads": 0}, "threads", "from 1 to"),
        ({"threads": True}, "threads", "from 1 to"),
        ({"threads": 1.0}, "threads", "from 1 to"),
        ({"warmup": {"inputs": [_INPUT, _INPUT], "data": None}}, "warmup.inputs", "each input once"),
        ({"warmup": {"inputs": [_INPUT | {"shape": [-1]}], "data": None}}, "warmup.inputs[0].shape[0]", "from 0"),
        ({"warmup": {"inputs": [_INPUT | {"name": None}], "data": None}}, "warmup.inputs[0].name", "a text"),
        ({"warmup": {"inputs": [], "data": "/etc/passwd"}}, "warmup.data", "inside the bundle"),
        ({"hooks": "../hooks.py"}, "hooks", "inside the bundle"),
        ({"limits": {"request_bytes": 0, "response_bytes": 1}}, "limits.request_bytes", "from 1"),
        ({"function": {"memory_mb": 1024, "timeout_s": 0.5}}, "function.timeout_s", "whole number"),
        ({"batch": {}}, "batch", "'input' is missing"),
        ({"batch": _BATCH | {"format": "xml"}}, "batch.format", "one of jsonl, csv"),
        ({"batch": _BATCH | {"output": "uploads/scores/"}}, "batch.output", "does not lie below 'uploads/'"),
        ({"batch": _BATCH | {"max_rejects": 2}}, "batch.max_rejects", "from 0 to 1"),
        ({"batch": _BATCH | {"max_rejects": True}}, "batch.max_rejects", "from 0 to 1"),
    ],
)
def test_what_cannot_be_right_is_named(changes, where, expected):
    with pytest.raises(ManifestError) as caught:
        Manifest.parse(manifest(**changes))
    assert where in str(caught.value)
    assert expected in str(caught.value)
    assert "pack the function again" in str(caught.value)


@pytest.mark.parametrize("document", [None, [], "x", 1])
def test_a_manifest_is_an_object(document):
    with pytest.raises(ManifestError, match="expected an object"):
        Manifest.parse(document)


def test_a_long_wrong_value_is_cut_short():
    with pytest.raises(ManifestError) as caught:
        Manifest.parse(manifest(threads="9" * 10_000))
    assert len(str(caught.value)) < 200


def test_loading_a_file(tmp_path):
    path = tmp_path / "coldpress.json"
    with pytest.raises(ManifestError, match="cannot be read"):
        Manifest.load(str(path))
    path.write_text("{")
    with pytest.raises(ManifestError, match="not JSON"):
        Manifest.load(str(path))
    path.write_bytes(b"\xff")
    with pytest.raises(ManifestError, match="not JSON"):
        Manifest.load(str(path))
    path.write_text("[" * 200_000)
    with pytest.raises(ManifestError, match="not JSON"):
        Manifest.load(str(path))
    path.write_text(json.dumps(manifest()))
    assert Manifest.load(str(path)) == Manifest.parse(manifest())
