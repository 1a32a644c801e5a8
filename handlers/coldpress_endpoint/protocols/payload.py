"""Bodies of any content type, for the protocols that prescribe none: SageMaker, Vertex AI, Azure ML and TorchServe.

=============================== ========================================================================================
what comes                      what goes back
=============================== ========================================================================================
``{"instances": [...]}``        ``{"predictions": [...]}``
``{"inputs": {...}}``           ``{"outputs": {...}}``; so too for an object that has the inputs' names itself
``{"inputs": [{"name": ...}]}`` the Open Inference Protocol's answer, in JSON or with binary data as asked for
``[...]``, rows                 a list of as many rows
``[...]``, one row              one row: when the list is nested a level less than the input has axes
JSON lines                      a line for each
CSV                             CSV; the columns are the inputs' in their order, the outputs' in theirs
``.npy``                        ``.npy``; ``.npz`` on demand
bytes                           as for ``.npy``: the one input's elements, little-endian, at most one axis open
=============================== ========================================================================================

``Accept`` asks for another form of the answer than that of the request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from coldpress_endpoint.arrays import dump, fits_json, off_loop, parse, to_arrays, to_tensors
from coldpress_endpoint.model import Model
from coldpress_endpoint.protocols import media
from coldpress_endpoint.protocols.csv_rows import read_csv, write_csv
from coldpress_endpoint.protocols.npy import read_npy, write_npy, write_npz
from coldpress_endpoint.quick import read_predict
from coldpress_endpoint.routes import Answer, Call
from coldpress_endpoint.serving import Prediction, Serving
from coldpress_runtime import binary, json_text
from coldpress_runtime.errors import MediaTypeError, RequestError, TooLargeError
from coldpress_runtime.json_tensors import least_bytes
from coldpress_runtime.json_text import describe
from coldpress_runtime.ort import ValueInfo
from coldpress_runtime.plain_json import decode_predict
from coldpress_runtime.protocol import InferRequest, check_size, decode_infer, encode_infer, quoted

__all__ = ["Payload", "answer", "listed", "read", "read_document", "rows_of", "write"]


Infos = Mapping[str, ValueInfo]


class Payload(NamedTuple):
    """A request's body, read.

    Attributes:
        inputs: arrays by input name.
        form: of the answer: ``predictions``, ``outputs``, ``rows``, ``row`` or ``infer``.
        rows: how many there are; None where nobody says.
        usual: the content type that an answer has when Accept leaves it open.
        infer: the request in the Open Inference Protocol, for the form ``infer``.
        triton: the name of the content type by which binary data came where headers do not pass, else "".
    """

    inputs: dict[str, Any]
    form: str
    rows: int | None = None
    usual: str = media.JSON
    infer: InferRequest | None = None
    triton: str = ""

    @property
    def outputs(self) -> list[str] | None:
        """Names of the outputs asked for; None for all."""
        return self.infer.outputs if self.infer else None


def read(inputs: Infos, outputs: Infos, headers: Mapping[str, str], body: bytes) -> Payload:
    """Read a body by its Content-Type; raises RequestError.

    Args:
        inputs: of the model, by name and in its order.
        outputs: likewise.
        headers: names in lower case.
        body: bytes.
    """
    sent = headers.get("content-type", "")
    kind, parameters = media.media_type(sent)
    length = parameters.get("json-header-size") or headers.get("inference-header-content-length")
    if length is not None:
        text, tail = binary.split(body, length)
        triton = kind if "json-header-size" in parameters else ""
        return _read_infer(inputs, outputs, parse(text), tail)._replace(triton=triton)
    if kind == "":
        kind = media.JSON if body[:64].lstrip()[:1] in {b"[", b"{", b""} else "application/octet-stream"
    if kind in {media.JSON, "application/x-www-form-urlencoded", "text/plain"}:
        quickly = read_predict(body, inputs)
        if quickly is not None:
            arrays, count = quickly
            return Payload(arrays, "outputs" if count is None else "predictions", count)
        return read_document(inputs, outputs, parse(body))
    if kind == media.LINES:
        return _read_lines(inputs, body)
    if kind == media.CSV:
        values, count = read_csv(body, inputs)
        return Payload(to_arrays(values), "predictions", count, media.CSV)
    if kind == media.NPY:
        info = _only(inputs)
        array = read_npy(body, info)
        return Payload({info.name: array}, "predictions", len(array) if array.ndim else None, media.NPY)
    if kind == "application/octet-stream":
        return _read_raw(inputs, body)
    raise MediaTypeError(
        f"Content-Type is {describe(sent)}; expected JSON, JSON lines, CSV, {media.NPY} or application/octet-stream."
    )


def read_document(inputs: Infos, outputs: Infos, document: Any) -> Payload:
    """Read a JSON document in any of the forms above; raises RequestError."""
    if type(document) is list:
        return _read_list(inputs, document)
    if type(document) is dict:
        items = document.get("inputs")
        if type(items) is list and items and type(items[0]) is dict and "name" in items[0]:
            return _read_infer(inputs, outputs, document, memoryview(b""))
        if not document.keys() & {"inputs", "instances"} and document.keys() & inputs.keys():
            document = {"inputs": document}
    values, count = decode_predict(document, inputs)
    return Payload(to_arrays(values), "outputs" if count is None else "predictions", count)


def _read_list(inputs: Infos, items: list[Any]) -> Payload:
    depth, leaf = 1, items[0] if items else None
    while type(leaf) is list:
        depth, leaf = depth + 1, leaf[0] if leaf else None
    if len(inputs) == 1 and type(leaf) is not dict:
        (info,) = inputs.values()
        if info.kind == "tensor" and 1 < len(info.shape) == depth + 1:
            values, _ = decode_predict({"instances": [items]}, inputs)
            return Payload(to_arrays(values), "row", 1)
    values, count = decode_predict({"instances": items}, inputs)
    return Payload(to_arrays(values), "rows", count)


def _read_lines(inputs: Infos, body: bytes) -> Payload:
    lines = [line for line in body.splitlines() if line.strip()]
    rows = [parse(line) for line in lines]
    values, count = decode_predict({"instances": rows}, inputs)
    return Payload(to_arrays(values), "rows", count, media.LINES)


def _read_infer(inputs: Infos, outputs: Infos, document: Any, tail: memoryview) -> Payload:
    infer = decode_infer(document, tail, inputs, outputs)
    return Payload(to_arrays(infer.inputs), "infer", infer=infer)


def _read_raw(inputs: Infos, body: bytes) -> Payload:
    info = _only(inputs)
    if info.kind != "tensor" or info.dtype is None or not info.dtype.itemsize:
        raise RequestError(f"Input {info.name!r} is {info}, whose elements are not of one size; send JSON.")
    known, unknown = info.dtype.itemsize, 0
    for size in info.shape:
        if type(size) is int:
            known *= size
        else:
            unknown += 1
    if unknown > 1 or not info.shape:
        raise RequestError(f"Input {info.name!r} is {info}: bytes alone do not say its shape; send JSON or .npy.")
    if not known or not body or len(body) % known or (not unknown and len(body) != known):
        raise RequestError(f"The body has {len(body)} bytes, expected {'a multiple of ' if unknown else ''}{known}.")
    shape = tuple(size if type(size) is int else len(body) // known for size in info.shape)
    tensor = binary.decode(memoryview(body), info.dtype, shape, info.name)
    return Payload(to_arrays({info.name: tensor}), "predictions", shape[0], media.JSON)


def _only(inputs: Infos) -> ValueInfo:
    """The only input."""
    if len(inputs) != 1:
        raise RequestError(f"This model's inputs are {quoted(inputs)}; send JSON, which can name them.")
    return next(iter(inputs.values()))


def write(model: Model, payload: Payload, prediction: Prediction, accept: str, limit: int) -> Answer:
    """Write the answer.

    Raises:
        NotAcceptableError: ``accept`` names nothing that is made here.
        RequestError: the outputs have no rows, or no such form.
        TooLargeError: the answer would take more than ``limit`` bytes.
    """
    kind = media.JSON if payload.triton else media.chosen(accept, payload.usual)
    headers = {"content-type": kind}
    if payload.infer is not None and kind == media.JSON:
        tensors = to_tensors(prediction.outputs, model)
        body, found = encode_infer(payload.infer, tensors, prediction.name, prediction.version, limit)
        headers = {name.lower(): text for name, text in found.items()}
        if payload.triton and binary.HEADER in found:
            headers = {"content-type": f"{payload.triton};json-header-size={found[binary.HEADER]}"}
    else:
        check_size(least_bytes(list(to_tensors(prediction.outputs, model).values())), limit)
        body = _written(kind, payload, prediction.outputs, limit)
    if len(body) > limit:
        raise TooLargeError(f"The answer has {len(body)} bytes, over this endpoint's {limit}; send fewer rows.")
    return Answer(200, headers, body)


def _written(kind: str, payload: Payload, values: dict[str, Any], limit: int) -> bytes:
    if kind == media.NPZ:
        return write_npz(values)
    if kind == media.NPY:
        if len(values) != 1:
            names = ", ".join(map(repr, values))
            raise RequestError(f"A .npy file holds one output and this model has {names}; ask for {media.NPZ}.")
        return write_npy(next(iter(values.values())))
    if kind == media.JSON and payload.form == "outputs":
        return _json({"outputs": values}, values, limit)
    rows = rows_of(values, payload.rows)
    if kind == media.LINES:
        return b"\n".join([*(json_text.dump(row) for row in rows), b""])
    if kind == media.CSV:
        return write_csv(listed(list(row.values()) if isinstance(row, dict) else [row]) for row in rows)
    if payload.form == "row":
        return _json(rows[0], values, limit)
    return _json(rows if payload.form == "rows" else {"predictions": rows}, values, limit)


def _json(document: Any, values: Mapping[str, Any], limit: int) -> bytes:
    text = dump(document) if fits_json(values, limit) else None
    return text if text is not None else json_text.dump(document)


def rows_of(values: Mapping[str, Any], count: int | None) -> Any:
    """The outputs row by row: a row is its value where there is one output, else an object by name.

    Args:
        values: what the model gave.
        count: how many rows there must be; None for as many as the outputs have.

    Raises:
        RequestError: an output has another number of rows, or none.
    """
    for name, value in values.items():
        found = len(value) if isinstance(value, list) or (isinstance(value, np.ndarray) and value.ndim) else None
        count = found if count is None else count
        if found is None or found != count:
            raise RequestError(f'Output {name!r} has no row for each instance; send {{"inputs": ...}} to this model.')
    if len(values) == 1:
        return next(iter(values.values()))
    return [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]


def listed(value: Any) -> Any:
    """What a model gave as JSON values: nested lists, objects, null."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, list):
        return [listed(item) for item in value]
    if isinstance(value, dict):
        return {key: listed(item) for key, item in value.items()}
    return value


async def answer(
    serving: Serving, model: Model, call: Call, reader: Callable[[Model, Call], Payload] | None = None
) -> Answer:
    """Read a call's body, ask the model, and write the answer.

    Args:
        serving: the models.
        model: the one to ask.
        call: the request.
        reader: reads the body where a protocol has forms of its own; by default ``read``.
    """
    payload = await off_loop(len(call.body), reader or _of_call, model, call)
    prediction = await serving.predict(model.name, model.version, payload.inputs, payload.outputs)
    size = sum(value.nbytes for value in prediction.outputs.values() if isinstance(value, np.ndarray))
    limit = serving.models.settings.max_answer
    return await off_loop(size, write, model, payload, prediction, call.headers.get("accept", ""), limit)


def _of_call(model: Model, call: Call) -> Payload:
    return read(model.input_infos, model.output_infos, call.headers, call.body)
