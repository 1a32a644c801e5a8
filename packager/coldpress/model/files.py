"""ONNX files on disk: read with every size and path checked first, written whole or not at all."""

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from coldpress.errors import ModelError
from coldpress.model.engine_check import check_opens
from coldpress.model.external_data import External, external_of, inline_external, spill_to_sidecar
from coldpress.model.foreign import describe_foreign
from coldpress.model.packed import to_bytes
from coldpress.model.tensors import declared_bytes, iter_tensors, stored_bytes

if TYPE_CHECKING:
    from onnx import ModelProto, TensorProto

__all__ = [
    "MAX_IR",
    "MAX_OPSET",
    "PROTOBUF_LIMIT",
    "check_runs",
    "model_bytes",
    "model_files",
    "read_graph",
    "read_model",
    "write_model",
]

PROTOBUF_LIMIT = 2**31 - 1
"""Most bytes of one protobuf message, hence of an .onnx file without external data."""
MAX_IR = 13
"""Newest IR version that onnxruntime 1.31.1 opens (found by trying; IR 14 is refused)."""
MAX_OPSET = {"": 26, "ai.onnx.ml": 5}
"""Newest released opset per domain in onnxruntime 1.31.1 (found by trying; 27 is refused as under development)."""
INLINE_LIMIT = PROTOBUF_LIMIT - 64 * 2**20
"""External data is read into the model up to this many bytes, which leaves 64 MiB of the message for the graph."""


def read_model(path: str | os.PathLike[str]) -> "ModelProto":
    """Read the model at ``path``, refusing with ``ModelError`` what cannot be right.

    External data is read into the model where the whole then fits a protobuf message. Beyond that it stays in its
    files, and each such tensor carries the key ``basepath`` with the folder it is relative to, as in onnx's own
    helpers, so that ``write_model`` finds it.
    """
    path = Path(path)
    model = read_graph(path)
    _check_versions(model, path)
    total = 0
    external: list[tuple[TensorProto, External]] = []
    for tensor in iter_tensors(model):
        total += _check_size(tensor, path)
        if (place := external_of(tensor, path)) is not None:
            external.append((tensor, place))
    if total + sum(place.length for _, place in external) <= INLINE_LIMIT:
        inline_external(external)
    else:
        for tensor, place in external:
            tensor.external_data.add(key="basepath", value=str(place.folder))
    return model


def read_graph(path: Path) -> "ModelProto":
    """Read the model's own file and nothing else: external data is neither checked nor loaded."""
    from google.protobuf.message import DecodeError  # noqa: PLC0415  (heavy)
    from onnx import ModelProto

    data = _read_bytes(path)
    model = ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError:
        raise ModelError(f"{path.name} {describe_foreign(data, path.suffix)}.") from None
    # Any message type parses from bytes of another one now and then: fields that ONNX always has decide.
    if not model.ir_version and not model.HasField("graph"):
        raise ModelError(f"{path.name} {describe_foreign(data, path.suffix)}.")
    if not model.HasField("graph"):
        raise ModelError(f"{path.name} is an ONNX model without a graph; export it again.")
    if not model.ir_version:
        raise ModelError(
            f"{path.name} names no IR version, which every ONNX model must; "
            "run it through onnx.checker.check_model and export it again."
        )
    if not model.graph.output:
        raise ModelError(f"{path.name} has a graph without outputs; export it again with at least one.")
    return model


def check_runs(path: str | os.PathLike[str]) -> None:
    """Open the model in ONNX Runtime; ``ModelError`` with what it lacks, such as an operator, when it will not open."""
    path = Path(path)
    check_opens(read_graph(path), path)


def model_files(path: str | os.PathLike[str]) -> tuple[Path, ...]:
    """Return the model's file and every external data file it refers to, in order of first use."""
    path = Path(path)
    files = [path]
    for tensor in iter_tensors(read_graph(path)):
        place = external_of(tensor, path)
        if place is not None and place.file not in files:
            files.append(place.file)
    return tuple(files)


def model_bytes(path: str | os.PathLike[str]) -> int:
    """Return the bytes of the model's file and of all its external data."""
    return sum(file.stat().st_size for file in model_files(path))


def write_model(model: "ModelProto", path: str | os.PathLike[str]) -> None:
    """Write ``model`` to ``path`` beside its final name, then swap; the caller's object is left as it is.

    A model that fits one protobuf message is one file. Otherwise its large tensors go to ``<name>.data`` beside it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    sidecar = path.with_name(path.name + ".data")
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    sidecar_beside = path.with_name(f".{sidecar.name}.{os.getpid()}.tmp")
    held = sum(stored_bytes(tensor) for tensor in iter_tensors(model))
    outside = any(tensor.data_location == tensor.EXTERNAL for tensor in iter_tensors(model))
    try:
        if outside or held > INLINE_LIMIT:
            model = spill_to_sidecar(model, sidecar_beside, sidecar.name)
        beside.write_bytes(to_bytes(model))
        if sidecar_beside.exists():
            sidecar_beside.replace(sidecar)
        beside.replace(path)
    except OSError as error:
        raise ModelError(
            f"{path.name} could not be written: {error.strerror or error}; "
            f"{shutil.disk_usage(path.parent).free // 2**20} MiB are free in its folder."
        ) from error
    finally:
        beside.unlink(missing_ok=True)
        sidecar_beside.unlink(missing_ok=True)


def _read_bytes(path: Path) -> bytes:
    if not path.exists():
        raise ModelError(f"There is no file {path}; give the path of an .onnx file.")
    if path.is_dir():
        inside = sorted(path.glob("*.onnx"))
        if (path / "saved_model.pb").exists():
            hint = "it is a TensorFlow SavedModel: convert it with `python -m tf2onnx.convert --saved-model`"
        elif inside:
            hint = f"give one file in it, such as {inside[0]}"
        else:
            hint = "give the path of an .onnx file"
        raise ModelError(f"{path} is a folder, not a model; {hint}.")
    if not path.is_file():
        raise ModelError(f"{path} is not a regular file; give the path of an .onnx file.")
    size = path.stat().st_size
    if size == 0:
        raise ModelError(f"{path.name} is empty; export or download it again.")
    if size > PROTOBUF_LIMIT:
        raise ModelError(
            f"{path.name} is {size} bytes, and no ONNX file can be over {PROTOBUF_LIMIT}; export it with external data."
        )
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path.name} cannot be read: {error.strerror}; check its permissions.") from error


def _check_versions(model: "ModelProto", path: Path) -> None:
    if model.ir_version > MAX_IR:
        raise ModelError(
            f"{path.name} has IR version {model.ir_version}, and onnxruntime 1.31.1 reads up to {MAX_IR}; "
            "export it with an older version of onnx."
        )
    for entry in model.opset_import:
        domain = "" if entry.domain == "ai.onnx" else entry.domain
        newest = MAX_OPSET.get(domain)
        if newest is not None and entry.version > newest:
            raise ModelError(
                f"{path.name} uses opset {entry.version} of {domain or 'ai.onnx'}, and onnxruntime 1.31.1 knows up to "
                f"{newest}; export it with opset {newest} or lower."
            )
    if not model.opset_import and model.ir_version >= 3:
        raise ModelError(f"{path.name} imports no operator set, which IR version 3 and later must; export it again.")


def _check_size(tensor: "TensorProto", path: Path) -> int:
    """Return the bytes stored inside the file for ``tensor``, after checking them against its shape."""
    where = f"tensor {tensor.name!r} of {path.name}"
    expected = declared_bytes(tensor, where)
    if tensor.data_location == tensor.EXTERNAL:
        return 0
    held = stored_bytes(tensor)
    if expected is not None and tensor.HasField("raw_data") and held != expected:
        raise ModelError(
            f"{where} declares shape {list(tensor.dims)}, which is {expected} bytes, and holds {held}; "
            "the file is damaged or was edited: export it again."
        )
    return held
