"""What an endpoint is asked: a request as it came, or tensors in the Open Inference Protocol, whose answer is read."""

from __future__ import annotations

from coldpress_runtime import binary
from coldpress_runtime.errors import DoorAnswerError, RequestError
from coldpress_runtime.json_composites import write_texts
from coldpress_runtime.json_text import dump, parse
from coldpress_runtime.protocol import decode_infer, expect_object
from coldpress_runtime.service import JSON_TYPES
from coldpress_runtime.tensor import Tensor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from coldpress_runtime.http import Request, Response
    from coldpress_runtime.signature import ValueInfo

__all__ = ["body_of", "headers_of", "read_answer", "write_question"]

_HEADER = binary.HEADER.lower()


def body_of(request: Request) -> bytes:
    """A request's body; that of a direct call, which comes parsed, is written again."""
    return request.body or dump(request.json())


def headers_of(request: Request) -> dict[str, str]:
    """A request's headers, with JSON by its name: it may come under others, which not every endpoint takes."""
    headers = request.headers
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in JSON_TYPES or _HEADER in headers:
        return headers
    return {**headers, "content-type": "application/json"}


def write_question(inputs: Mapping[str, Any], outputs: Iterable[str] | None) -> tuple[dict[str, str], bytes]:
    """Write inputs as binary tensors, which are wanted back as such; returns the headers and the body."""
    items = []
    chunks = []
    for name, value in inputs.items():
        if value is None:
            continue  # an optional that is not there
        tensor = value if isinstance(value, Tensor) else write_texts(value)
        chunk = binary.encode(tensor)
        chunks.append(chunk)
        parameters = {"binary_data_size": len(chunk)}
        items.append(
            {"name": name, "datatype": tensor.dtype.name, "shape": list(tensor.shape), "parameters": parameters}
        )
    document: dict[str, Any] = {"inputs": items, "parameters": {"binary_data_output": True}}
    if outputs is not None:
        document["outputs"] = [{"name": name} for name in outputs]
    text = dump(document)
    headers = {"content-type": "application/octet-stream", _HEADER: str(len(text))}
    return headers, b"".join([text, *chunks])


def read_answer(response: Response, infos: Mapping[str, ValueInfo]) -> dict[str, Any]:
    """Read the outputs of an answer, in the order of ``infos``; raises DoorAnswerError when they are not these.

    An answer has the form of a request, with outputs for inputs, so the reader of requests reads it.
    """
    header = next((text for name, text in response.headers.items() if name.lower() == _HEADER), None)
    try:
        text, tail = binary.split(response.body, header)
        outputs = expect_object(parse(text), "The answer").get("outputs")
        found = decode_infer({"inputs": outputs}, tail, infos, {}).inputs
    except RequestError as error:
        reason = str(error).replace("Input ", "Output ").replace("inputs", "outputs").replace("request", "answer")
        raise DoorAnswerError(f"The endpoint's answer is not that of this model: {reason}") from None
    return {name: found[name] for name in infos}
