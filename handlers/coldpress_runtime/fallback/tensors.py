"""What an endpoint is asked in the Open Inference Protocol, and its answer, as the engine has inputs and outputs."""

from __future__ import annotations

from coldpress_runtime import binary
from coldpress_runtime.errors import DoorAnswerError, RequestError
from coldpress_runtime.json_composites import write_texts
from coldpress_runtime.json_text import dump, parse
from coldpress_runtime.protocol import decode_infer, expect_object
from coldpress_runtime.tensor import Tensor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from coldpress_runtime.http import Response
    from coldpress_runtime.signature import ValueInfo

__all__ = ["read_answer", "write_question"]

_HEADER = binary.HEADER.lower()


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
