"""Rows to input tensors: by the model's signature, or by the user's ``preprocess``.

A record says its values without the batch axis, which is the first one of an input when it is open or has size 1.
"""

from __future__ import annotations

import sys
import traceback
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from coldpress_runtime.batch.chunks import RAW_BYTES, Reject, Rows
from coldpress_runtime.errors import BatchError, HookError, RequestError
from coldpress_runtime.http import Request
from coldpress_runtime.json_tensors import read_nested, shape_text
from coldpress_runtime.json_text import describe
from coldpress_runtime.protocol import check_names, quoted
from coldpress_runtime.signature import ValueInfo
from coldpress_runtime.tensor import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from coldpress_runtime.hooks import Hooks
    from coldpress_runtime.service import Service

    Array = np.ndarray[Any, Any]

__all__ = ["Signature", "cast", "has_batch_axis", "join_rows", "record_axes", "solve_axes", "stack", "tell"]

_FEW_NUMBERS = 1 << 53  # every whole number below it is a float64 of its own
_MANY = 100
_told: set[str] = set()


class Signature(NamedTuple):
    """What a model takes of a record, and what it gives.

    Attributes:
        inputs: what the model takes, by name.
        hooks: the user's own functions, None without; with ``preprocess``, records go through it.
        columns: fields of a record that are, in this order, the numbers of the only input; empty: all.
        outputs: what the model gives; none where ``postprocess`` makes something else of it.
    """

    inputs: Mapping[str, ValueInfo]
    hooks: Hooks | None = None
    columns: tuple[str, ...] = ()
    outputs: tuple[ValueInfo, ...] = ()

    @classmethod
    def of(cls, service: Service, columns: Sequence[str] = ()) -> Signature:
        """Return what the model of ``service`` takes; raises BatchError where ``columns`` make no sense."""
        inputs = {info.name: info for info in service.session.inputs}
        hooks = service.hooks
        outputs = () if hooks is not None and hooks.postprocess is not None else tuple(service.session.outputs)
        signature = cls(inputs, hooks, tuple(columns), outputs)
        if columns and not signature.preprocess and signature.only is None:
            raise BatchError(
                f"columns = {list(columns)}, but this model has the inputs {quoted(inputs)}; name fields after them "
                "and leave columns out."
            )
        if len(set(columns)) != len(columns):
            raise BatchError(f"columns = {list(columns)} holds a name twice; name each field once.")
        return signature

    @property
    def preprocess(self) -> bool:
        """Whether records go through the user's ``preprocess``."""
        return self.hooks is not None and self.hooks.preprocess is not None

    @property
    def only(self) -> ValueInfo | None:
        """The input of a model that has exactly one, and that one a tensor."""
        infos = list(self.inputs.values())
        return infos[0] if len(infos) == 1 and infos[0].kind == "tensor" else None

    def read(self, document: Any) -> dict[str, Any]:
        """Return what the engine takes for one record, with a batch axis of 1; raises RequestError.

        Args:
            document: the record as JSON: an object by input name, for a model of one input its value alone, or with
                ``columns`` an object that has them.
        """
        if self.columns:
            return self._read_columns(document)
        if len(self.inputs) == 1:
            info = next(iter(self.inputs.values()))
            if type(document) is not dict or (document.keys() == {"b64"} and info.name != "b64"):
                return {info.name: _read_value(document, info)}
            if info.kind == "map" and document.keys() != {info.name}:
                return {info.name: _read_value(document, info)}
        if type(document) is not dict:
            raise RequestError(
                f"The record is {describe(document)}, expected an object with the inputs {quoted(self.inputs)}."
            )
        if self.only is not None and self.only.name not in document:
            raise RequestError(
                f"The record has no field {self.only.name!r}, the model's only input; where its numbers are fields of "
                "their own, name them in columns."
            )
        check_names(list(document), self.inputs)
        return {name: _read_value(value, self.inputs[name]) for name, value in document.items()}

    def _read_columns(self, document: Any) -> dict[str, Any]:
        info = self.only
        assert info is not None  # noqa: S101 - looked at when the signature was made
        if type(document) is not dict:
            raise RequestError(f"The record is {describe(document)}, expected an object with the fields in columns.")
        missing = [name for name in self.columns if name not in document]
        if missing:
            raise RequestError(f"The record lacks the field {describe(missing[0])}, which columns names.")
        axes = solve_axes(info, len(self.columns))
        fields = []
        for name in self.columns:
            field = ValueInfo(name, "tensor", info.dtype, ())
            if type(document[name]) is list:
                raise RequestError(f"The field {describe(name)} is {describe(document[name])}, expected one value.")
            try:
                fields.append(read_nested(document[name], field))
            except RequestError as error:
                raise RequestError(
                    str(error).replace("Input", "Field", 1).replace("element 0", "its value", 1)
                ) from None
        if info.dtype is not None and info.dtype.bits == 4:  # two of them share a byte
            whole = Tensor.from_flat(info.dtype, axes, [field.flat()[0] for field in fields])
        elif info.dtype is not None and info.dtype.name == "BYTES":
            whole = Tensor(info.dtype, axes, [field.data[0] for field in fields])
        else:
            whole = Tensor(info.dtype or "", axes, b"".join(field.data for field in fields))
        return {info.name: _with_batch_axis(whole, info)}

    def preprocessed(self, numbers: Sequence[int], requests: Iterable[Request]) -> Rows:
        """Return what ``preprocess`` makes of records; what it refuses is a reject with its sentence.

        Args:
            numbers: those of the records.
            requests: a request for each.
        """
        assert self.hooks is not None  # noqa: S101 - callers look first
        good: list[int] = []
        values: list[dict[str, Any]] = []
        rejects: list[Reject] = []
        for number, request in zip(numbers, requests, strict=True):
            raw = bytes(request.body[:RAW_BYTES])
            try:
                values.append(self.hooks.inputs(request, self.inputs))
                good.append(number)
            except (RequestError, HookError) as error:
                tell(error)
                rejects.append(Reject(number, str(error).replace("The body", "The record", 1), raw))
        return Rows(np.array(good, np.int64), stack(values), rejects)


def tell(error: Exception) -> None:
    """Log why a hook failed: once for all rows with which it fails alike."""
    if error.__cause__ is not None and str(error) not in _told and len(_told) < _MANY:
        _told.add(str(error))
        sys.stderr.write("".join(traceback.format_exception(error.__cause__)))
        sys.stderr.flush()


def has_batch_axis(info: ValueInfo) -> bool:
    """Whether the first axis of a tensor counts records: it is open, or of size 1."""
    return info.kind == "tensor" and bool(info.shape) and not (type(info.shape[0]) is int and info.shape[0] != 1)


def record_axes(info: ValueInfo) -> tuple[int | str | None, ...]:
    """The axes of one record's value."""
    return info.shape[1:] if has_batch_axis(info) else info.shape


def solve_axes(info: ValueInfo, width: int) -> tuple[int, ...]:
    """Return the shape of one record of ``width`` numbers; raises BatchError when they cannot fill the input.

    Raises:
        BatchError: too few or too many numbers, or more than one open axis.
    """
    axes = record_axes(info)
    fixed = 1
    for axis in axes:
        fixed *= axis if isinstance(axis, int) else 1
    open_axes = sum(not isinstance(axis, int) for axis in axes)
    fits = width == fixed if not open_axes else open_axes == 1 and fixed and width % fixed == 0
    if not fits:
        raise BatchError(
            f"A record has {width} column{'s' * (width != 1)}, but one record of input {info.name!r} has shape "
            f"{shape_text(axes)}; name the columns that the model takes."
        )
    return tuple(axis if isinstance(axis, int) else width // fixed for axis in axes)


def cast(values: Array, info: ValueInfo) -> Array | None:
    """Convert numbers to an input's dtype, or decline.

    Args:
        values: float64.
        info: the input.

    Returns:
        The numbers as the engine takes them, each rounded once; None where one of them is out of range, where a
        fraction would be lost, and for datatypes without a numpy dtype: then values must be looked at one by one.
    """
    dtype = info.dtype
    if dtype is None or not dtype.code or dtype.name == "BOOL":
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        made = values.astype(dtype.numpy)
        if made.dtype.kind == "f":
            exact = (
                made.dtype.itemsize == 8 or not np.isinf(made).any() or bool((np.isinf(made) == np.isinf(values)).all())
            )
        else:
            exact = bool((made == values).all() and (np.abs(values) <= _FEW_NUMBERS).all())
    return made if exact else None


def stack(values: Sequence[Mapping[str, Any]]) -> dict[str, Array | list[Any]]:
    """Join what single records give the engine: arrays where all are tensors of one shape with a batch axis of 1."""
    if not values:
        return {}
    return {name: _join([value.get(name) for value in values]) for name in values[0]}


def join_rows(parts: Sequence[Rows], signature: Signature) -> Rows:
    """Return the rows of consecutive parts of a chunk as one."""
    full = [part for part in parts if len(part.numbers)]
    columns: dict[str, Array | list[Any]] = {}
    for name in full[0].columns if full else ():
        pieces = [part.columns[name] for part in full]
        first = pieces[0]
        if all(isinstance(piece, np.ndarray) and piece.shape[1:] == first.shape[1:] for piece in pieces):  # type: ignore[union-attr]
            columns[name] = np.concatenate(pieces)
        else:
            columns[name] = [value for piece in pieces for value in _singly(piece, signature.inputs[name])]
    numbers = np.concatenate([part.numbers for part in full]) if full else np.empty(0, np.int64)
    return Rows(numbers, columns, [reject for part in parts for reject in part.rejects])


def _singly(values: Array | list[Any], info: ValueInfo) -> list[Any]:
    """What the engine takes for each record by itself."""
    if isinstance(values, list):
        return values
    return [Tensor.from_numpy(values[place : place + 1], info.dtype) for place in range(len(values))]


def _join(items: list[Any]) -> Array | list[Any]:
    first = items[0]
    if not isinstance(first, Tensor) or not first.shape or first.shape[0] != 1:
        return items
    shape = first.shape
    if not all(isinstance(item, Tensor) and item.shape == shape for item in items):
        return items
    return np.concatenate([item.numpy() for item in items])


def _read_value(value: Any, info: ValueInfo) -> Any:
    if not has_batch_axis(info):
        return read_nested(value, info)
    axes = info.shape[1:]
    if not axes and (type(value) is list or info.dtype is None):
        raise RequestError(f"Input {info.name!r} is {describe(value)}, expected one value.")
    return _with_batch_axis(read_nested(value, ValueInfo(info.name, "tensor", info.dtype, axes)), info)


def _with_batch_axis(tensor: Tensor, info: ValueInfo) -> Tensor:
    return Tensor(tensor.dtype, (1, *tensor.shape), tensor.data) if has_batch_axis(info) else tensor
