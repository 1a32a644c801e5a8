"""Sample requests for a model: read from ``.npz`` or ``.jsonl`` keyed by input name, and cut into single requests."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coldpress.errors import SamplesError
from coldpress.samples.casting import cast, composite, tensor
from coldpress.samples.splitting import check_shape, split, symbol
from coldpress.signature import Port, Signature

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

__all__ = ["LABEL", "MAX_BYTES", "SampleSet", "load_samples"]

LABEL = "label"
"""The key that holds the right answers, one a row, for a task metric."""

MAX_BYTES = 2 << 30
"""The most that one sample file may hold once unpacked."""


@dataclass(frozen=True)
class SampleSet:
    """Requests that a model can be run on.

    Attributes:
        requests: One mapping of input name to value (numpy array, or list for a sequence input) a request.
        labels: The right answers, one row a request, or None.
        origin: The file's name, or ``synthesized``.
        assumed: What had to be assumed to make these, one sentence each; empty for a user's own samples.
    """

    requests: tuple[Mapping[str, Any], ...]
    labels: "Array | None" = None
    origin: str = "synthesized"
    assumed: tuple[str, ...] = ()

    def head(self, count: int) -> "SampleSet":
        """Return the first ``count`` requests."""
        labels = None if self.labels is None else self.labels[:count]
        return SampleSet(self.requests[:count], labels, self.origin, self.assumed)


def load_samples(path: Path, signature: Signature) -> SampleSet:
    """Read a sample file and cut it into single requests.

    In an ``.npz`` an input's array is either all requests along the batch dimension (``[n, 64]`` for an input
    ``[N, 64]``), or a stack of whole inputs (``[n, 1, 3, 8, 8]`` for ``[1, 3, 8, 8]``), or one value that all
    requests share. In a ``.jsonl`` every line is one request, with or without its batch dimension.

    Raises:
        SamplesError: The file cannot be read, or does not match the signature.
    """
    if not path.is_file():
        raise SamplesError(f"there is no sample file {path}; give an .npz or .jsonl keyed by input name")
    if path.stat().st_size > MAX_BYTES:
        raise SamplesError(f"{path.name} is {path.stat().st_size:,} bytes, over {MAX_BYTES:,}; give fewer samples")
    match path.suffix.lower():
        case ".npz":
            return _from_npz(path, signature)
        case ".jsonl" | ".ndjson":
            return _from_jsonl(path, signature)
    raise SamplesError(f"{path.name} is neither .npz nor .jsonl; save the samples as one of these, keyed by input name")


def _from_npz(path: Path, signature: Signature) -> SampleSet:
    arrays = _read_npz(path)
    labels = arrays.pop(LABEL, None) if LABEL not in {p.name for p in signature.inputs} else None
    _check_names(arrays, signature, path.name)
    for port in signature.inputs:
        arrays[port.name] = cast(arrays[port.name], port, path.name)
    requests = split(arrays, signature, path.name)
    if labels is not None:
        if not labels.shape or len(labels) % len(requests):
            raise SamplesError(
                f"{path.name}: {LABEL!r} has shape {list(labels.shape)}, and there are {len(requests)} requests; "
                "give one label a row"
            )
        rows = len(labels) // len(requests)
        labels = labels if rows == 1 else labels.reshape(len(requests), rows, *labels.shape[1:])
    return SampleSet(requests, labels, path.name)


def _read_npz(path: Path) -> "dict[str, Array]":
    import zipfile  # noqa: PLC0415  (only for .npz)

    import numpy as np

    try:
        with zipfile.ZipFile(path) as archive:
            total = sum(info.file_size for info in archive.infolist())
        if total > MAX_BYTES:
            raise SamplesError(f"{path.name} unpacks to {total:,} bytes, over {MAX_BYTES:,}; give fewer samples")
        with np.load(path, allow_pickle=False) as archive:
            arrays = {}
            for name in archive.files:
                try:
                    arrays[name] = archive[name]
                except ValueError as error:
                    if "pickle" not in str(error):
                        raise
                    raise SamplesError(
                        f"{path.name}: {name!r} holds Python objects, which would run code when read; "
                        "save a plain numeric or string array"
                    ) from error
            return arrays
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, MemoryError) as error:
        raise SamplesError(f"{path.name} cannot be read as .npz ({error}); save it with numpy.savez") from error


def _from_jsonl(path: Path, signature: Signature) -> SampleSet:
    import numpy as np

    requests, labels = [], []
    keep_label = LABEL not in {p.name for p in signature.inputs}
    for number, row in _rows(path):
        where = f"{path.name} line {number}"
        if keep_label and LABEL in row:
            labels.append(row.pop(LABEL))
        _check_names(row, signature, where)
        requests.append({p.name: _from_json(row[p.name], p, where) for p in signature.inputs})
    if not requests:
        raise SamplesError(f"{path.name} holds no samples; give one JSON object a line")
    if labels and len(labels) != len(requests):
        raise SamplesError(f"{path.name}: {len(labels)} of {len(requests)} lines have {LABEL!r}; give all or none one")
    return SampleSet(tuple(requests), np.asarray(labels) if labels else None, path.name)


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise SamplesError(
                        f"{path.name} line {number} is a {type(row).__name__}; "
                        "expected one JSON object keyed by input name"
                    )
                yield number, row
    except (OSError, ValueError, RecursionError) as error:
        raise SamplesError(f"{path.name} cannot be read as JSON lines ({error}); give an object a line") from error


def _from_json(value: Any, port: Port, where: str) -> Any:
    import numpy as np

    if port.kind != "tensor":
        return composite(value, port, where)
    array = tensor(value, port, where)
    if port.shape and array.ndim == len(port.shape) - 1 and port.shape[0] in {1, None, symbol(port, 0)}:
        array = array[np.newaxis]
    check_shape(array, port, where)
    return array


def _check_names(given: Mapping[str, Any], signature: Signature, where: str) -> None:
    names = [port.name for port in signature.inputs]
    if missing := [name for name in names if name not in given]:
        raise SamplesError(f"{where}: input {missing[0]!r} is missing; the model's inputs are {', '.join(names)}")
    if extra := [name for name in given if name not in names]:
        raise SamplesError(f"{where}: {extra[0]!r} is no input of the model; its inputs are {', '.join(names)}")
