"""HTTP API events <-> numpy arrays, for the handlers that use numpy: the same bodies for every arm.

A JSON body is ``{"inputs": {name: nested lists}}``; a binary one is the Open Inference Protocol's binary form.
"""

import base64
import json

import numpy as np
from spec import INPUTS, OUTPUTS

NAMES = {"float32": "FP32", "int64": "INT64", "int32": "INT32", "float64": "FP64"}
DTYPES = {short: name for name, short in NAMES.items()}
LENGTH = "inference-header-content-length"


def from_lists(inputs):
    """Nested lists by input name -> arrays by input name."""
    return {name: np.asarray(inputs[name], dtype) for name, dtype in INPUTS.items()}


def to_lists(outputs):
    """Arrays in the model's order -> nested lists by output name."""
    return {name: np.asarray(value).tolist() for name, value in zip(OUTPUTS, outputs, strict=True)}


def from_binary(raw, length):
    """A binary body, whose JSON head is ``length`` bytes -> arrays by input name."""
    arrays, place = {}, length
    for item in json.loads(raw[:length])["inputs"]:
        end = place + item["parameters"]["binary_data_size"]
        arrays[item["name"]] = np.frombuffer(raw[place:end], DTYPES[item["datatype"]]).reshape(item["shape"])
        place = end
    return arrays


def to_binary(outputs):
    """Arrays in the model's order -> a binary body and the length of its JSON head."""
    items, parts = [], []
    for name, value in zip(OUTPUTS, outputs, strict=True):
        array = np.ascontiguousarray(value)
        parameters = {"binary_data_size": array.nbytes}
        items.append(
            {"name": name, "datatype": NAMES[str(array.dtype)], "shape": array.shape, "parameters": parameters}
        )
        parts.append(array.tobytes())
    head = json.dumps({"outputs": items}).encode()
    return head + b"".join(parts), len(head)


def handle(event, run):
    """Answer one event with ``run``, a function from arrays by input name to arrays in the model's order."""
    length = event["headers"].get(LENGTH)
    if length is None:
        body = json.dumps({"outputs": to_lists(run(from_lists(json.loads(event["body"])["inputs"])))})
        return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": body}
    raw, head = to_binary(run(from_binary(base64.b64decode(event["body"]), int(length))))
    return {
        "statusCode": 200,
        "headers": {"content-type": "application/octet-stream", LENGTH: str(head)},
        "body": base64.b64encode(raw).decode(),
        "isBase64Encoded": True,
    }
