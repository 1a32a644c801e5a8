"""An endpoint's answer, checked against the model's signature and against what was asked.

An answer in the Open Inference Protocol has the form of a request with outputs for inputs, so the readers of requests
read it, and are as strict with it: names, datatypes, shapes, and as many elements as the shapes say. What they raise
is about an input; here it becomes a ``DoorAnswerError`` about an output.

Open axes count as well. An axis has the size that an axis of the same name has in the question; axes without a name
are the batch when they come first.
"""

from __future__ import annotations

import json

from coldpress_runtime.binary import split
from coldpress_runtime.errors import DoorAnswerError, RequestError
from coldpress_runtime.json_tensors import read_nested, shape_text
from coldpress_runtime.json_text import describe, parse
from coldpress_runtime.protocol import decode_infer
from coldpress_runtime.signature import ValueInfo
from coldpress_runtime.tensor import DTYPES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from coldpress_runtime.fallback.settings import Value
    from coldpress_runtime.tensor import Tensor

__all__ = ["Asked", "asked", "check", "json_length"]

_BATCH = ""  # the name of an open axis without one, where it comes first


class Asked:
    """What a question asks for.

    Attributes:
        key: what the answer is an object with: ``outputs`` or ``predictions``; None where nothing is known.
        tensors: whether the outputs are a list of tensors, as in the Open Inference Protocol.
        outputs: names of the outputs asked for; None for all of them.
        sizes: of the question's open axes, by their names.
        instances: how many rows ``/predict`` was asked about; None when it was asked by input.
    """

    __slots__ = ("instances", "key", "outputs", "sizes", "tensors")

    def __init__(self, key: str | None = None, *, tensors: bool = False) -> None:
        self.key = key
        self.tensors = tensors
        self.outputs: list[str] | None = None
        self.sizes: dict[str, int] = {}
        self.instances: int | None = None

    def see(self, value: Value, shape: Sequence[int]) -> None:
        """Take the sizes of an input's open axes."""
        if len(shape) == len(value.shape):
            for place, (axis, size) in enumerate(zip(value.shape, shape, strict=True)):
                if isinstance(axis, str) or (axis is None and place == 0):
                    self.sizes.setdefault(axis or _BATCH, size)


def asked(path: str, headers: Mapping[str, str], body: bytes, inputs: Sequence[Value]) -> Asked:
    """Read of a question what its answer must match; what cannot be read is left to the endpoint to refuse."""
    infer = path.endswith("/infer")
    by_name = {value.name: value for value in inputs}
    try:
        text, _ = split(body, headers.get("inference-header-content-length"))
        document = json.loads(text)
        found = Asked("predictions" if not infer and "instances" in document else "outputs", tensors=infer)
        if infer:
            for item in document["inputs"]:
                if item["name"] in by_name:
                    found.see(by_name[item["name"]], item["shape"])
            if document.get("outputs"):
                found.outputs = [item["name"] for item in document["outputs"]]
        elif "instances" in document:
            found.instances = len(document["instances"])
        else:
            for name, nested in document["inputs"].items():
                if name in by_name:
                    found.see(by_name[name], _shape(nested))
    except (ValueError, KeyError, TypeError, AttributeError, RequestError, RecursionError):
        return Asked()
    return found


def check(body: bytes, headers: Mapping[str, str], outputs: Sequence[Value], question: Asked) -> None:
    """Check an answer in either protocol; raises DoorAnswerError.

    Args:
        body: the answer.
        headers: its headers, names in lower case.
        outputs: the model's signature.
        question: what was asked.
    """
    try:
        text, tail = split(body, headers.get("inference-header-content-length"))
        document = parse(text)
        if question.tensors or (question.key is None and _has_tensors(document)):
            _check_infer(document, tail, outputs, question)
        else:
            _check_predict(document, outputs, question)
    except RequestError as error:
        raise _unfit(error) from None


def json_length(body: bytes) -> int | None:
    """How many bytes of JSON an answer begins with; None when it is nothing else.

    For answers that come without headers: what an asynchronous endpoint leaves in a store is the body alone.
    """
    if body[:1] != b"{":
        return None
    try:
        # One character a byte; whether the texts in it are UTF-8 is not asked here.
        _, end = json.JSONDecoder().raw_decode(body.decode("latin-1"))
    except (ValueError, RecursionError):
        return None
    return end if body[end:].strip() else None


def _unfit(error: RequestError) -> DoorAnswerError:
    said = str(error).replace("Input ", "Output ").replace("inputs", "outputs").replace("The request ", "The answer ")
    return DoorAnswerError(f"The endpoint's answer is not that of this model: {said}")


def _has_tensors(document: Any) -> bool:
    return type(document) is dict and type(document.get("outputs")) is list


def _tensors(document: Any, tail: memoryview, outputs: Sequence[Value]) -> dict[str, Tensor]:
    if not _has_tensors(document):
        raise DoorAnswerError(
            f'The endpoint\'s answer is {describe(document)} without a list "outputs"; is its URL that of a model '
            "server?"
        )
    infos = {value.name: ValueInfo(value.name, "tensor", DTYPES[value.datatype], value.shape) for value in outputs}
    return decode_infer({"inputs": document["outputs"]}, tail, infos, {}).inputs


def _check_infer(document: Any, tail: memoryview, outputs: Sequence[Value], question: Asked) -> None:
    if question.outputs is not None:
        outputs = [value for value in outputs if value.name in question.outputs]
    tensors = _tensors(document, tail, outputs)
    for value in outputs:
        _check_sizes(value, tensors[value.name].shape, question)


def _check_sizes(value: Value, shape: Sequence[int], question: Asked) -> None:
    """Compare open axes with the question's; the others have been compared with the signature."""
    if len(shape) != len(value.shape):  # a signature without axes allows any
        return
    for place, (axis, size) in enumerate(zip(value.shape, shape, strict=True)):
        if isinstance(axis, str) or (axis is None and place == 0):
            expected = question.sizes.get(axis or _BATCH, size)
            if size != expected:
                raise DoorAnswerError(
                    f"The endpoint's answer is not that of this request: output {value.name!r} has shape "
                    f"{shape_text(shape)}, expected {expected} on axis {place}."
                )


def _check_predict(document: Any, outputs: Sequence[Value], question: Asked) -> None:
    keys = set(document) if type(document) is dict else set()
    expected = question.key or ("predictions" if "predictions" in keys else "outputs")
    if expected not in keys:
        raise DoorAnswerError(
            f'The endpoint\'s answer is {describe(document)} without "{expected}"; is its URL that of a model server?'
        )
    values = document[expected]
    if expected == "predictions":
        values = _columns(values, outputs, question.instances)
    if type(values) is not dict or values.keys() != {value.name for value in outputs}:
        found = ", ".join(map(describe, values)) if type(values) is dict else describe(values)
        raise DoorAnswerError(
            f"The endpoint's answer has the outputs {found}, expected "
            f"{', '.join(repr(value.name) for value in outputs)}; does it serve this model?"
        )
    for value in outputs:
        if value.datatype == "BYTES":  # a sequence or a map travels as such, and looks like nothing in particular
            continue
        info = ValueInfo(value.name, "tensor", DTYPES[value.datatype], value.shape)
        tensor = read_nested(values[value.name], info)
        _check_sizes(value, tensor.shape, question)


def _columns(rows: Any, outputs: Sequence[Value], instances: int | None) -> dict[str, Any]:
    if type(rows) is not list or len(rows) != (len(rows) if instances is None else instances):
        raise DoorAnswerError(
            f"The endpoint's predictions are {describe(rows)}, expected "
            + ("a list." if instances is None else f"a list of {instances}.")
        )
    if len(outputs) == 1:
        return {outputs[0].name: rows}
    names = {value.name for value in outputs}
    for place, row in enumerate(rows):
        if type(row) is not dict or row.keys() != names:
            raise DoorAnswerError(
                f"The endpoint's prediction {place} is {describe(row)}, expected an object of "
                f"{', '.join(map(repr, sorted(names)))}."
            )
    return {name: [row[name] for row in rows] for name in names}


def _shape(nested: Any) -> list[int]:
    shape = []
    while type(nested) is list:
        shape.append(len(nested))
        nested = nested[0] if nested else None
    return shape
