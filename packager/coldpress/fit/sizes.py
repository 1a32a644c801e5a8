"""Whose bytes a bundle's bytes are: every file of the zip, and what kind of thing it is."""

import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from coldpress.errors import BundleError
from coldpress.targets import TARGETS

__all__ = ["KINDS", "Entry", "Sizes", "kind_of", "measure_sizes"]

KINDS = {
    "runtime": "the code that answers requests, and its manifest",
    "bytecode": "the same, compiled",
    "engine": "ONNX Runtime's library",
    "model": "the model",
    "hooks": "your hooks",
    "packages": "what your hooks import, a container's server, what batches need; bytecode included",
    "licences": "licences and notices",
    "inventory": "the bill of materials",
}
_YOURS = ("model", "hooks", "packages")
_FIRST = {"lib": "engine", "model": "model", "licenses": "licences", "coldpress_runtime": "runtime"}
_STUBS = (name for target in TARGETS.values() for name in (*target.files, target.batch) if name)
_ROOT = dict.fromkeys(_STUBS, "runtime") | {
    "coldpress.json": "runtime",
    "hooks.py": "hooks",
    "bom.cdx.json": "inventory",
}


@dataclass(frozen=True)
class Entry:
    """One file: its path in the bundle, its bytes unzipped and zipped, and its kind (a key of ``KINDS``)."""

    path: str
    bytes: int
    zip_bytes: int
    kind: str


@dataclass(frozen=True)
class Sizes:
    """Every file of a bundle, and the bytes of its zip as a whole (with its directory), None while there is none."""

    entries: tuple[Entry, ...]
    zip_bytes: int | None

    @property
    def unzipped_bytes(self) -> int:
        """Return the bytes of all files, unzipped."""
        return sum(entry.bytes for entry in self.entries)

    @property
    def model_bytes(self) -> int:
        """Return the bytes of everything below ``model/``."""
        return self.of("model").bytes

    @property
    def runtime_bytes(self) -> int:
        """Return the bytes, unzipped, of all that is neither model nor hooks nor their packages."""
        return sum(entry.bytes for entry in self.entries if entry.kind not in _YOURS)

    @property
    def runtime_zip_bytes(self) -> int:
        """Return the same bytes as they are in the zip."""
        return sum(entry.zip_bytes for entry in self.entries if entry.kind not in _YOURS)

    def of(self, kind: str) -> Entry:
        """Return the sum over one kind, as an entry whose path is the kind."""
        mine = [entry for entry in self.entries if entry.kind == kind]
        return Entry(kind, sum(e.bytes for e in mine), sum(e.zip_bytes for e in mine), kind)

    def largest(self, count: int = 10) -> tuple[Entry, ...]:
        """Return the ``count`` largest files; a package counts as one, under the name of its folder."""
        grouped: dict[str, Entry] = {}
        for entry in self.entries:
            path = entry.path.split("/", 1)[0] + "/" if entry.kind == "packages" and "/" in entry.path else entry.path
            old = grouped.get(path, Entry(path, 0, 0, entry.kind))
            grouped[path] = Entry(path, old.bytes + entry.bytes, old.zip_bytes + entry.zip_bytes, entry.kind)
        return tuple(sorted(grouped.values(), key=lambda entry: (-entry.bytes, entry.path))[:count])

    def to_json(self) -> dict[str, dict[str, int]]:
        """Return bytes by kind; once zipped, ``archive`` is what the zip format itself takes."""
        kinds = {kind: {"bytes": self.of(kind).bytes, "zip_bytes": self.of(kind).zip_bytes} for kind in KINDS}
        if self.zip_bytes is None:
            return {kind: {"bytes": of["bytes"]} for kind, of in kinds.items()}
        directory = self.zip_bytes - sum(entry.zip_bytes for entry in self.entries)
        return {**kinds, "archive": {"bytes": 0, "zip_bytes": directory}}


def kind_of(path: str) -> str:
    """Return the kind of a file by its path in the bundle."""
    head, _, rest = path.partition("/")
    if not rest:
        return _ROOT.get(path, "packages")
    if head == "__pycache__":
        module = rest.split(".", 1)[0] + ".py"
        return "bytecode" if _ROOT.get(module) == "runtime" else _ROOT.get(module, "packages")
    kind = _FIRST.get(head, "packages")
    return "bytecode" if kind == "runtime" and "/__pycache__/" in path else kind


def measure_sizes(archive: Path) -> Sizes:
    """Return the sizes of a bundle: of its zip, read from the zip's directory, or of its folder.

    Raises:
        BundleError: it is neither a folder nor a zip.
    """
    if archive.is_dir():
        found = sorted((path.relative_to(archive).as_posix(), path) for path in archive.rglob("*") if path.is_file())
        return Sizes(tuple(Entry(name, path.stat().st_size, 0, kind_of(name)) for name, path in found), None)
    try:
        with zipfile.ZipFile(archive) as source:
            files: Iterable[zipfile.ZipInfo] = [info for info in source.infolist() if not info.is_dir()]
    except (zipfile.BadZipFile, OSError) as error:
        raise BundleError(f"{archive} cannot be read ({error}): expected a bundle's zip; pack again.") from error
    entries = tuple(Entry(f.filename, f.file_size, f.compress_size, kind_of(f.filename)) for f in files)
    return Sizes(entries, archive.stat().st_size)
