"""Weights kept outside the .onnx file: found only inside its folder, checked before a byte is read, carried along.

The format is ``onnx/docs/ExternalData.md``: a tensor names a ``location`` relative to the model, an ``offset`` and a
``length`` in bytes.
"""

from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from coldpress.errors import ModelError
from coldpress.model.tensors import declared_bytes, iter_tensors, stored_bytes

if TYPE_CHECKING:
    from onnx import ModelProto, TensorProto

__all__ = ["External", "external_of", "inline_external", "spill_to_sidecar"]

_SPILL_FROM = 1024
"""Tensors of at least this many bytes leave a model that is too large for one message; onnx's own default."""
_ALIGN = 4096
"""Offsets are multiples of a memory page, so that the runtime may map a tensor instead of reading it."""
_CHUNK = 2**24


class External(NamedTuple):
    """Where one tensor's bytes are: ``length`` bytes from ``offset`` of ``file``, which lies in ``folder``."""

    file: Path
    folder: Path
    offset: int
    length: int

    def read(self) -> bytes:
        """Return the bytes."""
        with self.file.open("rb") as stream:
            stream.seek(self.offset)
            return stream.read(self.length)


def external_of(tensor: "TensorProto", model_path: Path) -> External | None:
    """Return where ``tensor``'s data lies, or None when the model holds it; ``ModelError`` when it cannot be there."""
    if tensor.data_location != tensor.EXTERNAL:
        return None
    where = f"tensor {tensor.name!r} of {model_path.name}"
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    if not location:
        raise ModelError(f"{where} is external and names no file; export the model again.")
    folder = model_path.parent
    file = _inside(folder, location, model_path, where)
    size = file.stat().st_size
    expected = declared_bytes(tensor, where)
    if expected is None:
        raise ModelError(f"{where} holds strings outside the file, which ONNX does not allow; export it again.")
    offset = _number(entries, "offset", 0, where)
    length = _number(entries, "length", expected, where)
    if length != expected:
        raise ModelError(
            f"{where} has shape {list(tensor.dims)}, which is {expected} bytes, and gives length {length}; "
            "the model and its data file do not belong together: export them again."
        )
    if offset + length > size:
        raise ModelError(
            f"{where} ends at byte {offset + length} of {location!r}, which has {size}; "
            "the data file is truncated: download or export it again."
        )
    return External(file, folder, offset, length)


def inline_external(places: "list[tuple[TensorProto, External]]") -> None:
    """Read each tensor's bytes into the model and drop the reference to the file."""
    for tensor, place in places:
        tensor.raw_data = place.read()
        tensor.ClearField("external_data")
        tensor.ClearField("data_location")


def spill_to_sidecar(model: "ModelProto", file: Path, location: str) -> "ModelProto":
    """Return a copy of ``model`` with its large and its external tensors in ``file``, called ``location`` in it."""
    from onnx import ModelProto

    copy = ModelProto()
    copy.CopyFrom(model)
    with file.open("wb") as stream:
        for tensor in iter_tensors(copy):
            if tensor.data_location != tensor.EXTERNAL and not (
                tensor.HasField("raw_data") and stored_bytes(tensor) >= _SPILL_FROM
            ):
                continue
            stream.write(b"\0" * (-stream.tell() % _ALIGN))
            offset = stream.tell()
            if tensor.data_location == tensor.EXTERNAL:
                _copy_range(tensor, stream)
            else:
                stream.write(tensor.raw_data)
                tensor.ClearField("raw_data")
            length = stream.tell() - offset
            del tensor.external_data[:]
            tensor.data_location = tensor.EXTERNAL
            for key, value in (("location", location), ("offset", str(offset)), ("length", str(length))):
                tensor.external_data.add(key=key, value=value)
    return copy


def _copy_range(tensor: "TensorProto", stream: BinaryIO) -> None:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    if "basepath" not in entries:
        raise ModelError(f"tensor {tensor.name!r} is external to a model of unknown folder; read it with read_model.")
    place = external_of(tensor, Path(entries["basepath"]) / "model.onnx")
    if place is None:
        raise AssertionError
    with place.file.open("rb") as source:
        source.seek(place.offset)
        left = place.length
        while left:
            left -= stream.write(source.read(min(left, _CHUNK)))


def _inside(folder: Path, location: str, model_path: Path, where: str) -> Path:
    """Return the data file, refusing one that is missing, not a file, or outside the model's folder."""
    parts = location.replace("\\", "/").split("/")
    if Path(location).is_absolute() or ".." in parts or location[1:2] == ":":
        raise ModelError(
            f"{where} keeps its data at {location!r}, outside the model's folder; "
            "put the file beside the model and export again with a relative location."
        )
    file = folder / location
    if not file.exists():
        raise ModelError(f"{where} keeps its data in {location!r}, which is missing; put that file beside the model.")
    if not file.is_file():
        raise ModelError(f"{where} keeps its data in {location!r}, which is not a regular file; put the data there.")
    # A download cache may link the model and its data from one store: beside the model's real file is inside too.
    real = file.resolve()
    if not any(real.is_relative_to(root) for root in (folder.resolve(), model_path.resolve().parent)):
        raise ModelError(
            f"{where} keeps its data in {location!r}, a link that leads outside the model's folder; "
            "copy the file beside the model."
        )
    return file


def _number(entries: dict[str, str], key: str, default: int, where: str) -> int:
    text = entries.get(key, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit()) or len(text) > 18:
        raise ModelError(f"{where} gives {key} {text[:40]!r} of its external data, which is no size; export it again.")
    return int(text)
