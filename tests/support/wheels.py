"""Real wheels made on the spot: small, with the metadata a test asks for, and a folder that pip takes as its index."""

import base64
import hashlib
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["make_wheel", "only_from"]


def make_wheel(
    folder: Path,
    name: str,
    version: str = "1.0",
    files: Mapping[str, str | bytes] | None = None,
    *,
    requires: Sequence[str] = (),
    tag: str = "py3-none-any",
    metadata: Sequence[str] = (),
) -> Path:
    """Write a wheel that pip accepts: ``files`` by their path in it, besides ``<name>.dist-info``."""
    contents = {path: text.encode() if isinstance(text, str) else text for path, text in (files or {}).items()}
    if files is None:
        contents[f"{name}.py"] = f"VERSION = {version!r}\n".encode()
    info = f"{name}-{version}.dist-info"
    lines = ["Metadata-Version: 2.3", f"Name: {name}", f"Version: {version}", *metadata]
    lines += [f"Requires-Dist: {line}" for line in requires]
    contents[f"{info}/METADATA"] = ("\n".join(lines) + "\n").encode()
    contents[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: {tag}\n".encode()
    record = "".join(f"{path},sha256={_digest(data)},{len(data)}\n" for path, data in contents.items())
    contents[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for inside, data in contents.items():
            archive.writestr(inside, data)
    return path


def only_from(monkeypatch, folder: Path) -> None:
    """Let pip take wheels from ``folder`` and from nowhere else."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
