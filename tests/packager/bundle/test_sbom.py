"""The bill of materials: valid CycloneDX, the same every time, with what a scanner needs to find what is inside."""

import hashlib
import json
from importlib.resources import files

import jsonschema_rs
import pytest

from coldpress import __version__
from coldpress.bundle.sbom import bill_of_materials
from coldpress.bundle.wheels import Wheel, engine_library, engine_pins, sha256_of
from coldpress.cache import cache_dir
from tests.support.wheels import make_wheel

MANIFEST = {"name": "digits", "version": "3"}


@pytest.fixture
def parts(tmp_path):
    model = tmp_path / "m.onnx"
    model.write_bytes(b"model")
    wheels = []
    for name, metadata in (
        ("spdx", ["License-Expression: MIT OR Apache-2.0"]),
        ("classified", ["Classifier: License :: OSI Approved :: BSD License"]),
        ("worded", ["License: The Very Own Licence"]),
        ("silent", []),
    ):
        path = make_wheel(tmp_path, name, metadata=metadata)
        wheels.append(Wheel(name, "1.0", path.name, path, sha256_of(path)))
    engine = engine_library("3.13", "x86_64", cache_dir("wheels"))
    return engine, {"model/model.onnx": model, "model/warmup.bin": model}, wheels


def _by_name(document):
    return {component["name"]: component for component in document["components"]}


def test_the_document_is_valid_cyclonedx_1_6(parts):
    folder = files("cyclonedx") / "schema" / "_res"
    load = lambda name: json.loads((folder / name).read_text())  # noqa: E731  (said once, used thrice)
    schema = load("bom-1.6.SNAPSHOT.schema.json")
    registry = jsonschema_rs.Registry(
        [
            (uri, load(name))
            for uri, name in (
                ("http://cyclonedx.org/schema/spdx.SNAPSHOT.schema.json", "spdx.SNAPSHOT.schema.json"),
                ("http://cyclonedx.org/schema/jsf-0.82.SNAPSHOT.schema.json", "jsf-0.82.SNAPSHOT.schema.json"),
            )
        ]
    )
    check = jsonschema_rs.validator_for(schema, registry=registry)
    document = json.loads(bill_of_materials(MANIFEST, *parts))
    check.validate(document)
    document["components"][0]["type"] = "no such type"
    assert not check.is_valid(document)


def test_it_is_the_same_every_time(parts):
    assert bill_of_materials(MANIFEST, *parts) == bill_of_materials(MANIFEST, *parts)


def test_another_model_gives_another_serial_number(parts):
    first = json.loads(bill_of_materials(MANIFEST, *parts))
    parts[1]["model/model.onnx"].write_bytes(b"other")
    second = json.loads(bill_of_materials(MANIFEST, *parts))
    assert first["serialNumber"] != second["serialNumber"]


def test_the_engine_is_named_with_its_hash_and_licence(parts):
    engine = _by_name(json.loads(bill_of_materials(MANIFEST, *parts)))["onnxruntime"]
    pins = engine_pins()
    assert engine["purl"] == f"pkg:pypi/onnxruntime@{pins['version']}"
    assert engine["hashes"] == [{"alg": "SHA-256", "content": pins["x86_64"]["sha256"]}]
    assert engine["licenses"] == [{"expression": "MIT"}]


def test_the_runtime_the_model_and_every_package_are_named(parts):
    document = json.loads(bill_of_materials(MANIFEST, *parts))
    found = _by_name(document)
    assert found["coldpress"]["version"] == __version__
    assert found["model/model.onnx"]["type"] == "machine-learning-model"
    assert found["model/model.onnx"]["hashes"][0]["content"] == hashlib.sha256(b"model").hexdigest()
    assert found["model/warmup.bin"]["type"] == "data"
    assert {wheel.sha256 for wheel in parts[2]} <= {
        digest["content"] for component in found.values() for digest in component.get("hashes", [])
    }
    assert document["metadata"]["component"]["name"] == "digits"
    needed = next(d["dependsOn"] for d in document["dependencies"] if d["ref"] == "function")
    assert sorted(needed) == sorted(component["bom-ref"] for component in found.values())


@pytest.mark.parametrize(
    ("name", "licence"),
    [
        ("spdx", {"expression": "MIT OR Apache-2.0"}),
        ("classified", {"license": {"name": "BSD License"}}),
        ("worded", {"license": {"name": "The Very Own Licence"}}),
        ("silent", {"license": {"name": "not stated"}}),
    ],
)
def test_a_packages_licence_is_what_its_metadata_says(parts, name, licence):
    found = _by_name(json.loads(bill_of_materials(MANIFEST, *parts)))
    assert found[name]["licenses"] == [licence]
