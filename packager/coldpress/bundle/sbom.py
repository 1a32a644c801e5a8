"""What is inside a bundle, as a CycloneDX 1.6 document: the runtime, the engine, the model and the hooks' packages.

Nothing in it depends on the clock or the machine: the serial number is made of the contents.
"""

import json
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from coldpress import __version__
from coldpress.bundle.wheels import Engine, Wheel, sha256_of, wheel_metadata

__all__ = ["bill_of_materials"]

_NAMESPACE = uuid.UUID("7b0a4c3e-2f0e-5d0e-9a55-6d1f4f6d1c0b")  # of the serial numbers, drawn once


def bill_of_materials(
    manifest: Mapping[str, Any], engine: Engine | None, models: Mapping[str, Path], packages: Iterable[Wheel]
) -> str:
    """Return the document as JSON.

    Args:
        manifest: ``coldpress.json``, for the function's name and version.
        engine: ONNX Runtime's library; None where there is no model.
        models: path in the bundle to the file, each listed with its SHA-256.
        packages: the wheels that are unpacked in the bundle.
    """
    from cyclonedx.model import HashAlgorithm, HashType  # noqa: PLC0415  (400 ms that `coldpress --help` can do without)
    from cyclonedx.model.bom import Bom, BomMetaData  # noqa: PLC0415
    from cyclonedx.model.component import Component, ComponentType  # noqa: PLC0415
    from cyclonedx.model.license import DisjunctiveLicense, License, LicenseExpression  # noqa: PLC0415
    from cyclonedx.output import make_outputter  # noqa: PLC0415
    from cyclonedx.schema import OutputFormat, SchemaVersion  # noqa: PLC0415
    from packageurl import PackageURL  # noqa: PLC0415

    def pypi(name: str, version: str, licence: License, digest: str | None = None, **more: Any) -> Component:
        purl = PackageURL("pypi", name=name, version=version)
        hashes = [HashType(alg=HashAlgorithm.SHA_256, content=digest)] if digest else []
        return Component(
            name=name, version=version, purl=purl, bom_ref=str(purl), licenses=[licence], hashes=hashes, **more
        )

    function = Component(
        type=ComponentType.APPLICATION, name=manifest["name"], version=manifest["version"], bom_ref="function"
    )
    parts = [
        pypi(
            "coldpress", __version__, LicenseExpression("Apache-2.0"), description="the runtime that answers requests"
        ),
    ]
    if engine is not None:
        name = f"the C library {engine.path.name}; the hash is this file's"
        parts.append(pypi("onnxruntime", engine.version, LicenseExpression("MIT"), engine.sha256, description=name))
    parts += [
        Component(
            type=ComponentType.MACHINE_LEARNING_MODEL if path.endswith((".onnx", ".ort")) else ComponentType.DATA,
            name=path,
            version=manifest["version"],
            bom_ref=path,
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=sha256_of(place))],
        )
        for path, place in models.items()
    ]
    if weights := manifest.get("weights"):
        parts.append(
            Component(
                type=ComponentType.MACHINE_LEARNING_MODEL,
                name=manifest["model"]["path"],
                version=manifest["version"],
                bom_ref=manifest["model"]["path"],
                hashes=[HashType(alg=HashAlgorithm.SHA_256, content=weights["sha256"])],
                description="read from elsewhere while the function starts",
            )
        )
    for wheel in packages:
        expression, text = _licence(wheel)
        licence = LicenseExpression(expression) if expression else DisjunctiveLicense(name=text)
        parts.append(pypi(wheel.name, wheel.version, licence, wheel.sha256, description=wheel.filename))
    bom = Bom(components=parts, metadata=BomMetaData(component=function))
    bom.register_dependency(function, parts)
    identity = [(str(p.bom_ref), p.version, sorted(h.content for h in p.hashes)) for p in parts]
    bom.serial_number = uuid.uuid5(_NAMESPACE, repr((function.name, function.version, sorted(identity))))
    document = json.loads(make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string())
    del document["metadata"]["timestamp"]  # optional, and the one thing that two builds of the same would differ in
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _licence(wheel: Wheel) -> tuple[str | None, str]:
    """Return the licence of a wheel as an SPDX expression (PEP 639), else None, and what it says in its own words."""
    metadata = wheel_metadata(wheel)
    if expression := metadata.get("License-Expression"):
        return str(expression), str(expression)
    classifiers = [str(c) for c in metadata.get_all("Classifier") or [] if str(c).startswith("License :: ")]
    words = str(metadata.get("License") or "").strip().splitlines()
    return None, (classifiers[0].split(" :: ")[-1] if classifiers else words[0] if words else "not stated")
