"""Images, WAV files and others: each is a record, whose bytes go to ``preprocess`` with their content type.

They come in a zip or tar archive, or one by one. Folders in it are no records, nor are hidden files and what systems
leave behind (``.DS_Store``, ``__MACOSX/``, ``Thumbs.db``), nor links. Nothing is ever written to a disk.

A chunk holds, one after the other, a line of JSON with a file's name, its size and why it is not read, and its bytes.
"""

from __future__ import annotations

import json
import posixpath
import tarfile
import zipfile
from typing import TYPE_CHECKING, NamedTuple

from coldpress_runtime.batch.chunks import RAW_BYTES, Chunk, Position, Reject, Rows
from coldpress_runtime.batch.reading import buffered, read_fully, refusing_damage
from coldpress_runtime.errors import InputError
from coldpress_runtime.http import Request
from coldpress_runtime.json_text import describe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coldpress_runtime.batch.chunks import Sizes, Stream
    from coldpress_runtime.batch.features import Signature

__all__ = ["FileFormat", "TarFormat", "ZipFormat", "is_record"]

_TYPES = {
    ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".gif": "image/gif", ".bmp": "image/bmp",
    ".webp": "image/webp", ".tif": "image/tiff", ".tiff": "image/tiff", ".wav": "audio/wav", ".txt": "text/plain",
    ".csv": "text/csv", ".json": "application/json",
}  # fmt: skip
_LEFT_BEHIND = {"__macosx", "thumbs.db", "desktop.ini"}
_MOST_RECORDS = 32  # in a chunk: decoded, they are many times as large
_MOST_GROWTH = 100  # of an archive, once it is over _FREE_BYTES
_FREE_BYTES = 1 << 30
_BLOCK = 512  # of tar


def is_record(name: str) -> bool:
    """Whether a file of that name is one to be scored."""
    return not any(part.startswith(".") and part.strip(".") for part in name.split("/")) and not (
        set(name.lower().split("/")) & _LEFT_BEHIND
    )


class _Files:
    """What the three have in common.

    Args:
        signature: what the model takes.

    Raises:
        InputError: there is no ``preprocess``.
    """

    seeks = False

    def __init__(self, signature: Signature) -> None:
        if not signature.preprocess:
            raise InputError(
                "Files such as images are no tensors: pack the model with a hooks.py that defines preprocess(request)."
            )
        self._signature = signature

    def rows(self, chunk: Chunk) -> Rows:
        """Return what ``preprocess`` makes of files; what it refuses is a reject, with the file's name."""
        files = _unpack(chunk)
        good = [file for file in files if not file.reason]
        requests = (Request("POST", "/predict", {"content-type": _type(file.name)}, file.data) for file in good)
        rows = self._signature.preprocessed([file.number for file in good], requests)
        names = {file.number: file.name for file in files}
        rejects = [Reject(file.number, file.reason, b"") for file in files if file.reason]
        rejects = [reject._replace(raw=_raw(names[reject.row])) for reject in sorted([*rejects, *rows.rejects])]
        return Rows(rows.numbers, rows.columns, rejects, [names[number] for number in rows.numbers.tolist()])

    def singles(self, chunk: Chunk) -> Iterator[Chunk]:
        """Yield the files of a chunk, each as a chunk of its own."""
        for file in _unpack(chunk):
            yield Chunk(file.number, 1, _packed(file.name, file.data, file.reason), chunk.end)

    def record(self, chunk: Chunk, row: int) -> bytes:
        """Return the name of a file of a chunk."""
        return _raw(_unpack(chunk)[row - chunk.first].name)


class FileFormat(_Files):
    """One file, which is one record.

    Args:
        signature: what the model takes.
        name: the file's.
    """

    def __init__(self, signature: Signature, name: str) -> None:
        super().__init__(signature)
        self._name = posixpath.basename(name)

    def chunks(self, stream: Stream, start: Position, sizes: Sizes) -> Iterator[Chunk]:
        """Yield the file; none when it is empty."""
        if start.row:
            return
        data = read_fully(stream, sizes.record_bytes + 1)
        if data:
            pending = _Pending(start)
            reason = _too_long(len(data), sizes)
            pending.add(self._name, b"" if reason else data, reason)
            yield from pending.take(Position(len(data), 1))


class TarFormat(_Files):
    """The files in a tar archive, read forward."""

    def chunks(self, stream: Stream, start: Position, sizes: Sizes) -> Iterator[Chunk]:
        """Yield chunks of whole files; raises InputError where the archive is damaged, behind what is before that."""
        source = _Forward(stream, start.offset)
        pending = _Pending(start)
        try:
            with refusing_damage("The archive is damaged"):
                for member, archive in _members(source):
                    if not member.isreg() or not is_record(member.name):
                        continue
                    if pending.full(member.size, sizes):
                        yield from pending.take(Position(member.offset, pending.next))
                    reason = _too_long(member.size, sizes) or _outside(member.name) or _sparse(member)
                    file = None if reason else archive.extractfile(member)
                    pending.add(member.name, b"" if file is None else file.read(), reason)
        except InputError:
            yield from pending.take(Position(source.position, pending.next))
            raise
        yield from pending.take(Position(source.position, pending.next))


class ZipFormat(_Files):
    """The files in a zip archive, in the order in which they lie there."""

    seeks = True

    def chunks(self, stream: Stream, start: Position, sizes: Sizes) -> Iterator[Chunk]:
        """Yield chunks of whole files; raises InputError for what is no archive, or one that grows out of bounds."""
        with buffered(stream) as file:
            with refusing_damage("The file is no zip archive that can be read"):
                archive = zipfile.ZipFile(file)
            with archive:
                members = [
                    member for member in archive.infolist() if not member.is_dir() and is_record(member.filename)
                ]
                _refuse_bomb(members)
                members.sort(key=lambda member: member.header_offset)
                pending = _Pending(start)
                for member in members[start.row :]:
                    if pending.full(member.file_size, sizes):
                        yield from pending.take(Position(row=pending.next))
                    reason = _too_long(member.file_size, sizes) or _outside(member.filename)
                    data = b""
                    if not reason:
                        try:
                            with refusing_damage("The file cannot be read from the archive"):
                                data = archive.read(member)
                        except InputError as error:
                            reason = str(error)
                    pending.add(member.filename, data, reason)
                yield from pending.take(Position(row=pending.next))


class _Pending:
    """Files that are to become chunks."""

    def __init__(self, start: Position) -> None:
        self._first = start.row
        self._offset = start.offset
        self._files: list[tuple[str, bytes, str]] = []
        self._size = 0

    @property
    def next(self) -> int:
        """The number of the record that is added next."""
        return self._first + len(self._files)

    def full(self, size: int, sizes: Sizes) -> bool:
        """Whether a file of that size is one too many."""
        return bool(self._files) and (
            self._size + size > sizes.bytes or len(self._files) >= min(sizes.rows, _MOST_RECORDS)
        )

    def add(self, name: str, data: bytes, reason: str) -> None:
        """Take a file, or the reason why it is not read."""
        self._files.append((name, data, reason))
        self._size += len(data)

    def take(self, end: Position) -> Iterator[Chunk]:
        """Yield the chunk of what was added, if anything was."""
        if self._files:
            data = b"".join(_packed(*file) for file in self._files)
            if len(data) == end.offset - self._offset:
                data = b" " + data  # or it would look as if it were what lies in the input
            yield Chunk(self._first, len(self._files), data, end)
        self._first, self._offset, self._files, self._size = self.next, end.offset, [], 0


class _File(NamedTuple):
    number: int
    name: str
    data: bytes
    reason: str


def _packed(name: str, data: bytes, reason: str) -> bytes:
    return json.dumps([name, len(data), reason]).encode() + b"\n" + data  # escapes keep names that are no UTF-8


def _unpack(chunk: Chunk) -> list[_File]:
    files, at = [], 0
    for number in range(chunk.first, chunk.first + chunk.records):
        end = chunk.data.index(b"\n", at)
        name, size, reason = json.loads(chunk.data[at:end])
        at = end + 1 + size
        files.append(_File(number, name, chunk.data[end + 1 : at], reason))
    return files


class _Forward:
    """A stream as the file that tarfile wants, which may only go forward.

    Attributes:
        position: bytes from the archive's beginning.
        last: what was read last.
    """

    def __init__(self, stream: Stream, position: int) -> None:
        self.position = position
        self.last = b""
        self._stream = stream

    def read(self, size: int) -> bytes:
        self.last = read_fully(self._stream, size)
        self.position += len(self.last)
        return self.last

    def tell(self) -> int:
        return self.position

    def seek(self, position: int) -> None:
        while self.position < position and self.read(min(position - self.position, 1 << 20)):
            pass


def _members(source: _Forward) -> Iterator[tuple[tarfile.TarInfo, tarfile.TarFile]]:
    """Yield what is in a tar archive; raises TarError where it is damaged."""
    try:
        archive = tarfile.TarFile(fileobj=source, mode="r")  # type: ignore[arg-type]
    except tarfile.ReadError:
        if not source.position:
            return  # an empty file
        raise
    while (member := archive.next()) is not None:
        archive.members.clear()  # type: ignore[attr-defined]  # or all that ever were would stay in memory
        yield member, archive
    if source.last.strip(b"\0"):  # tarfile takes any damage behind the first header for the end
        raise tarfile.ReadError("found no header, expected one")


def _type(name: str) -> str:
    return _TYPES.get(posixpath.splitext(name.lower())[1], "application/octet-stream")


def _raw(name: str) -> bytes:
    return name.encode("utf-8", "replace")[:RAW_BYTES]


def _too_long(size: int, sizes: Sizes) -> str:
    if size <= sizes.record_bytes:
        return ""
    return f"The file is over {sizes.record_bytes} bytes long, which is more than is read as one."


def _outside(name: str) -> str:
    if name.startswith("/") or ".." in name.split("/"):
        return f"The name {describe(name)} leads out of the archive."
    return ""


def _sparse(member: tarfile.TarInfo) -> str:
    return (
        "The file is a sparse one of GNU tar, whose gaps are not read; pack it as it is." if member.issparse() else ""
    )


def _refuse_bomb(members: list[zipfile.ZipInfo]) -> None:
    packed, whole = sum(member.compress_size for member in members), sum(member.file_size for member in members)
    if whole > max(_FREE_BYTES, _MOST_GROWTH * packed):
        raise InputError(
            f"The archive has {packed} bytes and would grow to {whole}, over {_MOST_GROWTH} times as many; is it a zip "
            "bomb?"
        )
