"""Which kind of file an input is: what the job says, else its name, else how it begins."""

from __future__ import annotations

import posixpath
from io import BytesIO
from typing import TYPE_CHECKING

from coldpress_runtime.errors import InputError
from coldpress_runtime.json_text import describe

if TYPE_CHECKING:
    from coldpress_runtime.batch.chunks import Format
    from coldpress_runtime.batch.features import Signature
    from coldpress_runtime.batch.options import Options

__all__ = ["EXTENSIONS", "KINDS", "START_BYTES", "is_single", "kind_of", "open_format", "says_kind"]

KINDS = ("jsonl", "csv", "parquet", "npy", "files")
START_BYTES = 256 << 10  # the header of a table of 20,000 columns is among them

_ZIP, _USTAR = b"PK", b"ustar"
_TARS = (".tar", ".tgz")
_COMPRESSED = (".gz", ".gzip", ".zst", ".zstd")
_BY_NAME = {
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl",
    ".csv": "csv", ".tsv": "csv",
    ".parquet": "parquet", ".pq": "parquet",
    ".npy": "npy", ".npz": "npy",
    ".zip": "files", ".tar": "files", ".tgz": "files", ".jpg": "files", ".jpeg": "files", ".png": "files",
    ".gif": "files", ".bmp": "files", ".webp": "files", ".tif": "files", ".tiff": "files", ".wav": "files",
}  # fmt: skip
_ARCHIVES = (".zip", ".tar", ".tgz")
EXTENSIONS = tuple(_BY_NAME)
_BY_START = {
    b"PAR1": "parquet", b"\x93NUMPY": "npy", b"PK\x03\x04": "files", b"\xff\xd8\xff": "files", b"\x89PNG": "files",
    b"GIF8": "files", b"BM": "files", b"RIFF": "files", b"II*\x00": "files", b"MM\x00*": "files",
    b"{": "jsonl", b"[": "jsonl",
}  # fmt: skip


def open_format(name: str, start: bytes, signature: Signature, options: Options) -> Format:
    """Return what reads an input.

    Args:
        name: its name or key; ``.gz`` and ``.zst`` at the end say nothing of what is within.
        start: its first bytes, decompressed: ``START_BYTES``, or all where there are fewer.
        signature: what the model takes.
        options: what the job is asked to do.

    Raises:
        InputError: it is of no kind that is read, or what reads it is not installed.
    """
    kind = options.input_format or kind_of(name, start)
    if kind == "jsonl":
        from coldpress_runtime.batch.jsonl_format import JsonLinesFormat  # noqa: PLC0415 - one of many

        return JsonLinesFormat(signature)
    if kind == "csv":
        from coldpress_runtime.batch.csv_format import CsvFormat  # noqa: PLC0415
        from coldpress_runtime.batch.csv_head import read_head  # noqa: PLC0415

        return CsvFormat(signature, read_head(BytesIO(start), signature.columns))
    if kind == "npy":
        from coldpress_runtime.batch.npy_format import NpyFormat, NpzFormat  # noqa: PLC0415

        return NpzFormat(signature) if start.startswith(_ZIP) else NpyFormat(signature, start)
    if kind == "parquet":
        from coldpress_runtime.batch.parquet_format import ParquetFormat  # noqa: PLC0415

        return ParquetFormat(signature)
    if kind == "files":
        from coldpress_runtime.batch.files_format import FileFormat, TarFormat, ZipFormat  # noqa: PLC0415

        if start.startswith(_ZIP):
            return ZipFormat(signature)
        if start[257:262] == _USTAR or _extension(name) in _TARS:  # one without files is all zeros
            return TarFormat(signature)
        return FileFormat(signature, name)
    raise InputError(f"The format {kind!r} is unknown, expected one of {', '.join(KINDS)}.")


def kind_of(name: str, start: bytes) -> str:
    """Return which of ``KINDS`` an input is, by its name or how it begins; raises InputError for none."""
    known = _BY_NAME.get(_extension(name))
    if known:
        return known
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n")
    for mark, kind in _BY_START.items():
        if start.startswith(mark) or (kind == "jsonl" and text.startswith(mark)):
            return kind
    if start[257:262] == _USTAR:
        return "files"
    if b"\x00" in start:
        raise InputError(
            f"{describe(posixpath.basename(name))} is of no kind that is scored; expected JSON Lines, CSV, Parquet, "
            "NumPy, or images and WAV files; say which with format."
        )
    return "csv"


def says_kind(name: str) -> bool:
    """Whether a name does not stand against its being scored: it has an extension that is known, or none."""
    return _extension(name) in ("", *EXTENSIONS)


def is_single(name: str, input_format: str = "") -> bool:
    """Whether a file of that name is one record, such as an image; ``input_format``: what it is said to be."""
    extension = _extension(name)
    return (input_format or _BY_NAME.get(extension)) == "files" and extension not in _ARCHIVES


def _extension(name: str) -> str:
    """The end of a name that says what is within, in lower case."""
    stem = name.lower()
    while stem.endswith(_COMPRESSED):
        stem = posixpath.splitext(stem)[0]
    return posixpath.splitext(stem)[1]
