"""Plain JSON, ``POST /predict``: bodies <-> tensors.

``{"inputs": {"x": [[...]]}}`` is answered by ``{"outputs": {"y": [[...]]}}``, and row by row ``{"instances": [...]}``
by ``{"predictions": [...]}``. With one input an instance is its row; with several it is an object of rows by input
name. With one output a prediction is its row, else an object likewise. Sequences and maps are lists and objects.
"""

from __future__ import annotations

from coldpress_runtime.errors import RequestError
from coldpress_runtime.json_tensors import least_bytes, plain, read_nested
from coldpress_runtime.json_text import describe, dump
from coldpress_runtime.protocol import check_names, check_size, expect_object, quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from coldpress_runtime.ort import ValueInfo

__all__ = ["decode_predict", "encode_predict"]


def decode_predict(document: Any, inputs: Mapping[str, ValueInfo]) -> tuple[dict[str, Any], int | None]:
    """Read a plain JSON request; returns the inputs by name, and how many instances (None for ``inputs``)."""
    if type(document) is not dict:
        raise RequestError(f'The body is {describe(document)}, expected an object with "inputs" or "instances".')
    for key in document:
        if key not in {"inputs", "instances", "parameters"}:
            raise RequestError(f'The key {describe(key)} is unknown, expected "inputs" or "instances".')
    expect_object(document.get("parameters", {}), "parameters")
    if ("inputs" in document) == ("instances" in document):
        raise RequestError('The body needs exactly one of "inputs" and "instances".')
    if "inputs" in document:
        values = document["inputs"]
        if type(values) is not dict:
            raise RequestError(
                f"inputs is {describe(values)}, expected an object of arrays by input name: {quoted(inputs)}; "
                "a list of named tensors goes to /v2/models/{name}/infer."
            )
        count = None
    else:
        values, count = _columns(document["instances"], inputs)
    check_names(list(values), inputs)
    return {name: read_nested(value, inputs[name]) for name, value in values.items()}, count


def _columns(rows: Any, inputs: Mapping[str, ValueInfo]) -> tuple[dict[str, Any], int]:
    if type(rows) is not list or not rows:
        raise RequestError(f"instances is {describe(rows)}, expected a list of at least one instance.")
    for name, info in inputs.items():
        if info.kind != "tensor":
            raise RequestError(f'Input {name!r} is a {info.kind}, which has no rows; use "inputs".')
    if type(rows[0]) is dict and rows[0].keys() != {"b64"}:
        names = rows[0].keys()
        for place, row in enumerate(rows):
            if type(row) is not dict or row.keys() != names:
                raise RequestError(
                    f"Instance {place} is {describe(row)}, expected an object with the keys of the first instance."
                )
        return {name: [row[name] for row in rows] for name in names}, len(rows)
    if len(inputs) != 1:
        raise RequestError(f"Instance 0 is {describe(rows[0])}, expected an object with the inputs {quoted(inputs)}.")
    return dict.fromkeys(inputs, rows), len(rows)


def encode_predict(values: dict[str, Any], count: int | None, limit: int) -> bytes:
    """Write a plain JSON response; raises TooLargeError above ``limit`` bytes, RequestError without rows."""
    check_size(least_bytes(list(values.values())), limit)
    outputs = {name: plain(value) for name, value in values.items()}
    if count is None:
        return dump({"outputs": outputs})
    for name, rows in outputs.items():
        if type(rows) is not list or len(rows) != count:
            raise RequestError(
                f'Output {name!r} has no row for each of the {count} instances; use "inputs" for this model.'
            )
    if len(outputs) == 1:
        return dump({"predictions": next(iter(outputs.values()))})
    return dump({"predictions": [dict(zip(outputs, row, strict=True)) for row in zip(*outputs.values(), strict=True)]})
