"""Requests and answers of the Open Inference Protocol over gRPC <-> arrays.

A message says what the protocol's HTTP form says in JSON and binary data, so it is read by the same reader: the same
requests are taken, and refused with the same sentences.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from coldpress_endpoint.arrays import to_arrays, to_tensors
from coldpress_endpoint.grpc import open_inference_pb2 as pb
from coldpress_endpoint.model import Model
from coldpress_endpoint.serving import Prediction
from coldpress_runtime import binary
from coldpress_runtime.errors import RequestError
from coldpress_runtime.json_composites import write_texts
from coldpress_runtime.json_text import describe
from coldpress_runtime.protocol import InferRequest, check_size, decode_infer
from coldpress_runtime.tensor import Tensor

__all__ = ["parameters_of", "read_infer", "write_infer"]

#: The field of typed contents that has a datatype's elements, and numpy's name for the datatype.
_CONTENTS = {
    "BOOL": ("bool_contents", "bool"),
    "INT8": ("int_contents", "int8"),
    "INT16": ("int_contents", "int16"),
    "INT32": ("int_contents", "int32"),
    "INT64": ("int64_contents", "int64"),
    "UINT8": ("uint_contents", "uint8"),
    "UINT16": ("uint_contents", "uint16"),
    "UINT32": ("uint_contents", "uint32"),
    "UINT64": ("uint64_contents", "uint64"),
    "FP32": ("fp32_contents", "float32"),
    "FP64": ("fp64_contents", "float64"),
    "BYTES": ("bytes_contents", ""),
}


def read_infer(request: pb.ModelInferRequest, model: Model) -> tuple[InferRequest, dict[str, Any]]:
    """Read a request; returns it, and arrays by input name. Raises RequestError."""
    raws = request.raw_input_contents
    if raws and len(raws) != len(request.inputs):
        raise RequestError(
            f"raw_input_contents has {len(raws)} elements for {len(request.inputs)} inputs; send one for each."
        )
    chunks = [_chunk(each, raws[place] if raws else None) for place, each in enumerate(request.inputs)]
    document = {
        "inputs": [
            {
                "name": each.name,
                "datatype": each.datatype,
                "shape": list(each.shape),
                "parameters": parameters_of(each) | {"binary_data_size": len(chunk)},
            }
            for each, chunk in zip(request.inputs, chunks, strict=True)
        ],
        "outputs": [{"name": each.name, "parameters": parameters_of(each)} for each in request.outputs],
    }
    tail = memoryview(chunks[0] if len(chunks) == 1 else b"".join(chunks))
    asked = decode_infer(document, tail, model.input_infos, model.output_infos)
    asked.id = request.id or None
    return asked, to_arrays(asked.inputs)


def parameters_of(message: Any) -> dict[str, Any]:
    """A message's parameters as plain values."""
    return {
        name: getattr(value, value.WhichOneof("parameter_choice") or "", None)
        for name, value in message.parameters.items()
    }


def _chunk(tensor: pb.ModelInferRequest.InferInputTensor, raw: bytes | None) -> bytes:
    """A tensor's elements as bytes, from wherever the message has them."""
    filled = [field.name for field, _ in tensor.contents.ListFields()]
    if raw is not None:
        if filled:
            raise RequestError(f"Input {tensor.name!r} has both raw_input_contents and contents; send one of them.")
        return raw
    if tensor.datatype not in _CONTENTS:
        raise RequestError(
            f"Input {tensor.name!r} has datatype {describe(tensor.datatype)}, which has no typed contents; send "
            "raw_input_contents."
        )
    field, dtype = _CONTENTS[tensor.datatype]
    if filled not in ([], [field]):
        raise RequestError(
            f"Input {tensor.name!r} is {tensor.datatype}: its contents are in {', '.join(filled)}, expected {field}."
        )
    values = getattr(tensor.contents, field)
    if not dtype:
        return bytes(binary.encode(Tensor("BYTES", (len(values),), list(values))))
    wide = np.array(values, np.int64 if field == "int_contents" else np.uint64 if field == "uint_contents" else dtype)
    narrow = wide.astype(dtype)
    if narrow.dtype.kind in "iu" and not np.array_equal(narrow, wide):
        place = int(np.argmax(narrow != wide))
        raise RequestError(
            f"Input {tensor.name!r} is {tensor.datatype}: element {place} is {wide[place]}, which "
            f"{tensor.datatype} cannot hold."
        )
    return narrow.astype(narrow.dtype.newbyteorder("<")).tobytes()


def write_infer(asked: InferRequest, prediction: Prediction, model: Model, limit: int) -> pb.ModelInferResponse:
    """Write an answer, its tensors as raw bytes. Raises TooLargeError above ``limit`` bytes."""
    response = pb.ModelInferResponse(model_name=prediction.name, model_version=prediction.version, id=asked.id or "")
    size = 0
    for name, value in to_tensors(prediction.outputs, model).items():
        output = response.outputs.add(name=name)
        tensor = value
        if not isinstance(value, Tensor):
            tensor = write_texts(value)
            output.parameters["content_type"].string_param = "application/json"
        output.datatype = tensor.dtype.name
        output.shape.extend(tensor.shape)
        size += tensor.nbytes
        check_size(size, limit)
        response.raw_output_contents.append(bytes(binary.encode(tensor)))
    return response
