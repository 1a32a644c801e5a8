"""The ONNX project's own conformance cases, as Debian packages them: models with inputs and expected outputs.

Debian `libonnx-testdata` 1.12.0-2, 1,072 cases, MIT. Fetched with apt-get into the cache; nothing of it is committed.
"""

import getpass
import hashlib
import io
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

from coldpress.cache import cache_dir
from tests.support.models import locked

__all__ = ["COUNT", "MissingError", "cases"]

COUNT = 1072
_PACKAGE = "libonnx-testdata=1.12.0-2"
_SHA256 = "7dc0912e02f79ece102331411a751b091bc0e191c9fb1287f8cdfbe5530f6027"
_KINDS = ("node", "pytorch-converted", "pytorch-operator", "simple")


class MissingError(Exception):
    """This machine cannot fetch the cases; the message says what it lacks."""


def cases() -> list[Path]:
    """Return the folders of all cases, in order, fetched the first time.

    Raises:
        MissingError: there is no apt-get here, or it finds no such package.
    """
    data = cache_dir("conformance") / f"data-{_SHA256[:12]}"
    with locked("libonnx-testdata"):
        if not data.exists():
            _unpack(_download(), data)
    found = sorted(path.parent for kind in _KINDS for path in (data / kind).rglob("model.onnx"))
    if len(found) != COUNT:
        message = f"{_PACKAGE} holds {len(found)} cases, expected {COUNT}"
        raise RuntimeError(message)
    return found


def _download() -> bytes:
    if shutil.which("apt-get") is None:
        message = f"apt-get, which fetches Debian's {_PACKAGE}, is not on this machine"
        raise MissingError(message)
    root = cache_dir("conformance", "apt")
    for folder in ("state/lists/partial", "cache/archives/partial"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    # Lists of our own: no need to be root, nor for the machine to have any.
    apt = [
        "apt-get",
        "-qq",
        f"-o=Dir::State={root / 'state'}",
        f"-o=Dir::Cache={root / 'cache'}",
        "-o=Dir::State::status=/dev/null",
        "-o=Debug::NoLocking=1",
        f"-o=APT::Sandbox::User={getpass.getuser()}",
    ]
    try:
        for step in (["update"], ["download", _PACKAGE]):
            done = subprocess.run([*apt, *step], cwd=root, capture_output=True, text=True, check=False, timeout=300)
            if done.returncode:
                message = f"apt-get {step[0]} failed for {_PACKAGE}: {done.stderr.strip()[-500:]}"
                raise MissingError(message)
        (package,) = root.glob("libonnx-testdata_*.deb")
        content = package.read_bytes()
    finally:
        shutil.rmtree(root)
    if (digest := hashlib.sha256(content).hexdigest()) != _SHA256:
        message = f"{_PACKAGE} has sha256 {digest}, expected {_SHA256}"
        raise RuntimeError(message)
    return content


def _unpack(package: bytes, target: Path) -> None:
    """Unpack the cases out of a .deb: an ar archive that holds data.tar.xz."""
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    with tarfile.open(fileobj=io.BytesIO(_member(package, b"data.tar.xz"))) as tar:
        for member in tar:
            inside = member.name.partition("libonnx-testdata/data/")[2]
            if member.isfile() and inside.startswith(_KINDS):
                path = beside / inside
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(tar.extractfile(member).read())
    beside.rename(target)


def _member(archive: bytes, wanted: bytes) -> bytes:
    at = 8  # after "!<arch>\n": 60-byte headers, contents padded to even length
    while at < len(archive):
        name, size = archive[at : at + 16].strip(b" /"), int(archive[at + 48 : at + 58])
        if name == wanted:
            return archive[at + 60 : at + 60 + size]
        at += 60 + size + size % 2
    raise KeyError(wanted)
