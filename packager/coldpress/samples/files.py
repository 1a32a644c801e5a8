"""Sample files: ``.npz`` and ``.jsonl``, keyed by input name."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coldpress.errors import SamplesError
from coldpress.samples.casting import cast
from coldpress.samples.sample_set import LABEL, MAX_BYTES, SEQUENCE, SampleSet
from coldpress.samples.splitting import single, split
from coldpress.samples.states import state_advice
from coldpress.signature import Signature

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

__all__ = ["check_names", "gathered", "notes_of", "numbered", "read_jsonl", "read_npz"]


def read_npz(path: Path, signature: Signature, optional: Collection[str] = ()) -> SampleSet:
    """Read arrays by input name and cut them into single requests.

    An input's array is either all requests along the batch dimension (``[n, 64]`` for an input ``[N, 64]``), or a
    stack of whole inputs (``[n, 1, 3, 8, 8]`` for ``[1, 3, 8, 8]``), or one value that all requests share.

    Args:
        path: An ``.npz`` of plain arrays; ``label`` holds one a row, ``sequence`` one a request.
        signature: Of the model.
        optional: Inputs that may be missing.

    Raises:
        SamplesError: The file cannot be read, or does not match the signature.
    """
    arrays = _arrays(path)
    notes = {key: arrays.pop(key) for key in notes_of(signature) if key in arrays}
    check_names(arrays, signature, path.name, optional)
    given = Signature(tuple(port for port in signature.inputs if port.name in arrays), signature.outputs)
    for port in given.inputs:
        arrays[port.name] = cast(arrays[port.name], port, path.name)
    requests = split(arrays, given, path.name)
    labels, sequence = notes.get(LABEL), notes.get(SEQUENCE)
    if labels is not None:
        if not labels.shape or len(labels) % len(requests):
            raise SamplesError(
                f"{path.name}: {LABEL!r} has shape {list(labels.shape)}, and there are {len(requests)} requests; "
                "give one label a row"
            )
        rows = len(labels) // len(requests)
        labels = labels if rows == 1 else labels.reshape(len(requests), rows, *labels.shape[1:])
    if sequence is not None and sequence.shape != (len(requests),):
        raise SamplesError(
            f"{path.name}: {SEQUENCE!r} has shape {list(sequence.shape)}, and there are {len(requests)} requests; "
            "give one number a request"
        )
    numbers = () if sequence is None else numbered(sequence.tolist())
    return SampleSet(requests, labels, path.name, sequence=numbers)


def _arrays(path: Path) -> "dict[str, Array]":
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


def read_jsonl(path: Path, signature: Signature, optional: Collection[str] = ()) -> SampleSet:
    """Read one request a line, with or without its batch dimension; arguments and errors as of ``read_npz``."""
    return gathered(
        ((f"{path.name} line {number}", row) for number, row in _rows(path)), signature, path.name, optional
    )


def gathered(
    rows: Iterable[tuple[str, Mapping[str, Any]]], signature: Signature, origin: str, optional: Collection[str] = ()
) -> SampleSet:
    """Check requests that come one at a time, each with where it stands, and gather them.

    Raises:
        SamplesError: One does not match the signature, only some have a label or a sequence, or there are none.
    """
    import numpy as np

    requests: list[Mapping[str, Any]] = []
    notes: dict[str, list[Any]] = {key: [] for key in notes_of(signature)}
    size = 0
    for where, row in rows:
        request = dict(row)
        for key, values in notes.items():
            if key in request:
                values.append(request.pop(key))
        check_names(request, signature, where, optional)
        requests.append({p.name: single(request[p.name], p, where) for p in signature.inputs if p.name in request})
        size += sum(getattr(value, "nbytes", 0) for value in requests[-1].values())
        if size > MAX_BYTES:
            raise SamplesError(f"{where}: the samples so far are over {MAX_BYTES:,} bytes; give fewer of them")
    if not requests:
        raise SamplesError(f"{origin} holds no samples; give at least one")
    for key, values in notes.items():
        if values and len(values) != len(requests):
            raise SamplesError(f"{origin}: {len(values)} of {len(requests)} samples have {key!r}; give all or none one")
    try:
        labels = np.asarray(notes[LABEL]) if notes.get(LABEL) else None
    except ValueError as error:
        raise SamplesError(f"{origin}: the values of {LABEL!r} have different shapes; give alike ones") from error
    return SampleSet(tuple(requests), labels, origin, sequence=numbered(notes.get(SEQUENCE, ())))


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


def notes_of(signature: Signature) -> tuple[str, ...]:
    """Return the keys that speak of a request rather than feed it, as far as no input bears such a name."""
    names = {port.name for port in signature.inputs}
    return tuple(key for key in (LABEL, SEQUENCE) if key not in names)


def numbered(values: Sequence[Any]) -> tuple[int, ...]:
    """Number the distinct values of ``sequence``, in the order in which they first come."""
    numbers: dict[str, int] = {}
    return tuple(numbers.setdefault(repr(value), len(numbers)) for value in values)


def check_names(given: Collection[str], signature: Signature, where: str, optional: Collection[str] = ()) -> None:
    """Refuse samples that lack an input, but for those in ``optional``, or have one that the model has not.

    Raises:
        SamplesError: Names the first of them, and what the model takes.
    """
    names = [port.name for port in signature.inputs]
    if missing := [name for name in names if name not in given and name not in optional]:
        raise SamplesError(
            f"{where}: input {missing[0]!r} is missing; the model's inputs are {', '.join(names)}"
            f"{state_advice(missing[0], signature)}"
        )
    if extra := [name for name in given if name not in names]:
        raise SamplesError(f"{where}: {extra[0]!r} is no input of the model; its inputs are {', '.join(names)}")
