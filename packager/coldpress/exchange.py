"""What a client of the Open Inference Protocol v2 sends and reads, in the binary form that keeps every bit."""

import json
import math
import struct
from collections.abc import Collection, Mapping
from typing import Any

from coldpress.errors import VerifyError
from coldpress.forms.trial import decode, encode
from coldpress.reference import Difference, compare, compare_kind

__all__ = ["compare_answer", "infer_request", "plain_json", "read_answer", "wire_bytes"]

_HEADER = "inference-header-content-length"


def infer_request(request: Mapping[str, Any], composite: Collection[str] = ()) -> tuple[bytes, dict[str, str]]:
    """Return the body and headers that ask for all outputs of ``request`` (numpy arrays, lists) as binary data.

    What is no tensor goes as a BYTES tensor of JSON texts; an empty optional is left out. ``composite`` names the
    inputs that the model declares as something else than a tensor, whatever their values are: a full optional is one.
    """
    inputs, chunks = [], []
    for name, value in request.items():
        if value is None:
            continue
        plain = encode(value)
        if name in composite or not isinstance(plain, tuple):
            items = plain if isinstance(plain, list) else [plain]
            texts = [json.dumps(plain_json(decode(item))).encode() for item in items]
            plain = ("BYTES", (len(texts),), texts)
        datatype, shape, data = plain
        data = wire_bytes(datatype, data)
        parameters = {"binary_data_size": len(data)}
        inputs.append({"name": name, "shape": list(shape), "datatype": datatype, "parameters": parameters})
        chunks.append(data)
    text = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    headers = {"content-type": "application/octet-stream", "Inference-Header-Content-Length": str(len(text))}
    return b"".join([text, *chunks]), headers


def wire_bytes(datatype: str, data: Any) -> bytes:
    """Lay a tensor's data out as the protocol's binary extension does: texts with their length before each."""
    if datatype != "BYTES":
        return bytes(data)
    return b"".join(struct.pack("<I", len(item)) + item for item in data)


def read_answer(body: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
    """Return the outputs of an answer by name: numpy arrays, or lists of parsed JSON for what is no tensor.

    Raises:
        VerifyError: The answer is not in the protocol's form.
    """
    length = {name.lower(): value for name, value in headers.items()}.get(_HEADER)
    try:
        head = body if length is None else body[: int(length)]
        place = len(head)
        outputs: dict[str, Any] = {}
        for item in json.loads(head)["outputs"]:
            parameters = item.get("parameters", {})
            size = parameters["binary_data_size"]
            data: Any = body[place : place + size]
            place += size
            if item["datatype"] == "BYTES":
                data = _texts(data)
            if parameters.get("content_type") == "application/json":
                outputs[item["name"]] = [json.loads(text) for text in data]
            else:
                outputs[item["name"]] = decode((item["datatype"], tuple(item["shape"]), data))
    except (KeyError, TypeError, ValueError, struct.error) as error:
        raise VerifyError(f"The function's answer is not in the protocol's binary form ({error}).") from error
    return outputs


def compare_answer(
    expected: Mapping[str, Any], got: Mapping[str, Any], drawn: Collection[str] = frozenset()
) -> Difference:
    """Compare the binding's answer with what ``read_answer`` gave; ``drawn`` as in ``compare_outputs``."""
    import numpy as np

    if set(expected) != set(got):
        return Difference(equal=False, structure=f"outputs {sorted(got)} instead of {sorted(expected)}")
    result = Difference()
    for name, value in expected.items():
        if isinstance(value, np.ndarray):
            same = compare_kind if name in drawn else compare
            result = result.join(same(value, got[name], name))
            continue
        if name in drawn:
            continue  # it came as JSON texts, which is all that its kind shows there
        items = [] if value is None else value if isinstance(value, list) else [value]
        if not _same(plain_json(items), got[name]):
            result = result.join(Difference(equal=False, structure=f"{name}: the JSON texts differ"))
    return result


def _texts(data: bytes) -> list[bytes]:
    texts, place = [], 0
    while place < len(data):
        (length,) = struct.unpack_from("<I", data, place)
        texts.append(data[place + 4 : place + 4 + length])
        place += 4 + length
    return texts


def plain_json(value: Any) -> Any:
    """Turn arrays, lists and maps into what JSON carries: lists, objects with text as keys, numbers and text."""
    if isinstance(value, dict):
        return {str(key): plain_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(item) for item in value]
    return value.tolist() if hasattr(value, "tolist") else value


def _same(a: Any, b: Any) -> bool:
    """Whether two JSON values are the same; numbers may be written as the shortest text of their own precision."""
    import numpy as np

    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same(item, b[key]) for key, item in a.items())
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, float) and isinstance(b, int | float):
        return a == b or np.float32(a) == np.float32(b) or (math.isnan(a) and math.isnan(b))
    return bool(a == b)
