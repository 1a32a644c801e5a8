"""The Open Inference Protocol v2, ``POST /v2/models/{name}/infer``: bodies <-> tensors.

Tensors have a name, a shape, a datatype and data, in JSON or in the binary extension
(:mod:`coldpress_runtime.binary`). Plain JSON is in :mod:`coldpress_runtime.plain_json`.

The protocol has only tensors. The sequences and maps that scikit-learn's classifiers return travel as a BYTES tensor of
JSON texts, one for each element of a sequence and one for a map, marked by the parameter
``"content_type": "application/json"``.
"""

from __future__ import annotations

from coldpress_runtime import binary
from coldpress_runtime.errors import RequestError, TooLargeError
from coldpress_runtime.json_tensors import check_shape, least_bytes, read_flat
from coldpress_runtime.json_text import describe, dump
from coldpress_runtime.tensor import Tensor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from coldpress_runtime.ort import ValueInfo

__all__ = ["InferRequest", "check_names", "check_size", "decode_infer", "encode_infer", "expect_object", "quoted"]

_MAX_RANK = 64
_MAX_DIM = (1 << 63) - 1


class InferRequest:
    """A decoded v2 request.

    Attributes:
        id: the caller's own, to be repeated; None when there is none.
        inputs: what the engine takes, by name.
        outputs: the names asked for, in order; None for all of them.
        binary: the names of the outputs to be sent as binary data; None for all of them.
    """

    __slots__ = ("binary", "id", "inputs", "outputs")

    def __init__(
        self, identity: str | None, inputs: dict[str, Any], outputs: list[str] | None, binary: set[str] | None
    ) -> None:
        self.id = identity
        self.inputs = inputs
        self.outputs = outputs
        self.binary = binary


def quoted(infos: Mapping[str, ValueInfo]) -> str:
    """The names of a model's inputs or outputs, for a message."""
    return ", ".join(repr(name) for name in infos) or "none"


def check_names(found: Sequence[str], infos: Mapping[str, ValueInfo]) -> None:
    """Every input once, none unknown, none missing but those that may be absent."""
    seen = set(found)
    for name in found:
        if name not in infos:
            raise RequestError(f"Input {describe(name)} is unknown; this model's inputs are {quoted(infos)}.")
    if len(seen) != len(found):
        twice = next(name for name in found if found.count(name) > 1)
        raise RequestError(f"Input {twice!r} is given twice; send it once.")
    for name, info in infos.items():
        if name not in seen and info.kind != "optional":
            raise RequestError(
                f"Input {name!r} is missing; the request has {', '.join(map(repr, found)) or 'none'}, this model's "
                f"inputs are {quoted(infos)}."
            )


def expect_object(value: Any, where: str) -> dict[str, Any]:
    """An object, or an empty one for null; raises RequestError for anything else."""
    if value is None:
        return {}
    if type(value) is not dict:
        raise RequestError(f"{where} is {describe(value)}, expected an object.")
    return value


def _shape(value: Any, name: str) -> tuple[int, ...]:
    if type(value) is not list or len(value) > _MAX_RANK:
        raise RequestError(f"Input {name!r}: shape is {describe(value)}, expected a list of at most {_MAX_RANK} sizes.")
    for dim in value:
        if type(dim) is not int or not 0 <= dim <= _MAX_DIM:
            raise RequestError(f"Input {name!r}: shape holds {describe(dim)}, expected whole numbers from 0 up.")
    return tuple(value)


def _input(
    item: dict[str, Any], info: ValueInfo, tail: memoryview, offset: int
) -> tuple[Any, int]:  # the value, and where the next one's bytes begin
    name = info.name
    shape = _shape(item.get("shape"), name)
    datatype = item.get("datatype")
    composite = info.kind != "tensor"
    expected = "BYTES" if composite or info.dtype is None else info.dtype.name
    if datatype != expected:
        raise RequestError(f"Input {name!r} has datatype {describe(datatype)}, expected {expected}.")
    if not composite:
        check_shape(shape, info)
    parameters = expect_object(item.get("parameters"), f"Input {name!r}: parameters")
    if "shared_memory_region" in parameters:
        raise RequestError(f"Input {name!r} lies in shared memory, which a function cannot reach; send its data.")
    size = parameters.get("binary_data_size")
    if (size is None) == ("data" not in item):
        both = "neither data nor" if size is None else "both data and"
        raise RequestError(f"Input {name!r} has {both} the parameter binary_data_size; send one of them.")
    end = offset if size is None else _binary_end(size, name, tail, offset)
    if composite:
        from coldpress_runtime.json_composites import read_texts  # noqa: PLC0415 - few models have any

        return read_texts(item, shape, info, tail[offset:end]), end
    if size is None:
        return read_flat(item["data"], shape, info), offset
    assert info.dtype is not None  # noqa: S101 - every tensor has an element type
    return binary.decode(tail[offset:end], info.dtype, shape, name), end


def _binary_end(size: Any, name: str, tail: memoryview, offset: int) -> int:
    if type(size) is not int or size < 0:
        raise RequestError(f"Input {name!r}: binary_data_size is {describe(size)}, expected a number of bytes.")
    if offset + size > len(tail):
        raise RequestError(
            f"Input {name!r}: binary_data_size is {size}, but {len(tail) - offset} bytes of binary data are left; "
            f"does {binary.HEADER} say how long the JSON is?"
        )
    return offset + size


def _outputs(document: dict[str, Any], infos: Mapping[str, ValueInfo]) -> tuple[list[str] | None, set[str] | None]:
    """Which outputs are asked for, and which of them as binary data (None: all)."""
    everything = _flag(expect_object(document.get("parameters"), "parameters"), "binary_data_output", default=False)
    asked = document.get("outputs")
    if not asked:
        if asked is not None and type(asked) is not list:
            raise RequestError(f"outputs is {describe(asked)}, expected a list of objects.")
        return None, None if everything else set()
    if type(asked) is not list:
        raise RequestError(f"outputs is {describe(asked)}, expected a list of objects.")
    names: list[str] = []
    as_binary: set[str] = set()
    for item in asked:
        name = expect_object(item, "An element of outputs").get("name")
        if type(name) is not str or name not in infos:
            raise RequestError(f"Output {describe(name)} is unknown; this model's outputs are {quoted(infos)}.")
        if name in names:
            raise RequestError(f"Output {name!r} is asked for twice; ask once.")
        parameters = expect_object(item.get("parameters"), f"Output {name!r}: parameters")
        for unsupported in ("classification", "shared_memory_region"):
            if parameters.get(unsupported):
                raise RequestError(f"Output {name!r}: the parameter {unsupported} is not supported; leave it out.")
        if _flag(parameters, "binary_data", default=everything):
            as_binary.add(name)
        names.append(name)
    return names, as_binary


def _flag(parameters: dict[str, Any], name: str, *, default: bool) -> bool:
    value = parameters.get(name, default)
    if type(value) is not bool:
        raise RequestError(f"The parameter {name} is {describe(value)}, expected true or false.")
    return value


def decode_infer(
    document: Any, tail: memoryview, inputs: Mapping[str, ValueInfo], outputs: Mapping[str, ValueInfo]
) -> InferRequest:
    """Read a v2 request: its parsed JSON and the binary data behind it; raises RequestError."""
    if type(document) is not dict:
        raise RequestError(f'The body is {describe(document)}, expected an object with a list "inputs".')
    identity = document.get("id")
    if identity is not None and type(identity) is not str:
        raise RequestError(f"id is {describe(identity)}, expected a string.")
    items = document.get("inputs")
    if type(items) is not list:
        found = describe(items) if "inputs" in document else "missing"
        raise RequestError(f"inputs is {found}, expected a list of objects; plain JSON goes to /predict.")
    found_names: list[str] = []
    for item in items:
        if type(item) is not dict or type(item.get("name")) is not str:
            raise RequestError(f"An element of inputs is {describe(item)}, expected an object with a name.")
        found_names.append(item["name"])
    check_names(found_names, inputs)
    values: dict[str, Any] = {}
    offset = 0
    for item in items:
        info = inputs[item["name"]]
        values[info.name], offset = _input(item, info, tail, offset)
    if offset != len(tail):
        raise RequestError(
            f"The body has {len(tail)} bytes of binary data, but the inputs' binary_data_size add up to {offset}."
        )
    asked, as_binary = _outputs(document, outputs)
    return InferRequest(identity, values, asked, as_binary)


def encode_infer(
    request: InferRequest, values: dict[str, Any], model: str, version: str, limit: int
) -> tuple[bytes, dict[str, str]]:
    """Write a v2 response; returns the body and its headers. Raises TooLargeError above ``limit`` bytes."""
    items: list[dict[str, Any]] = []
    chunks: list[Any] = []
    for name, value in values.items():
        parameters: dict[str, Any] = {}
        if isinstance(value, Tensor):
            tensor = value
        else:
            from coldpress_runtime.json_composites import write_texts  # noqa: PLC0415 - few models have any

            check_size(least_bytes(value), limit)
            tensor = write_texts(value)
            parameters["content_type"] = "application/json"
        item: dict[str, Any] = {"name": name, "datatype": tensor.dtype.name, "shape": list(tensor.shape)}
        if request.binary is None or name in request.binary or not _in_json(tensor):
            check_size(tensor.nbytes, limit)
            chunk = binary.encode(tensor)
            parameters["binary_data_size"] = len(chunk)
            chunks.append(chunk)
        else:
            check_size(2 * tensor.size, limit)
            item["data"] = tensor.flat()
        if parameters:
            item["parameters"] = parameters
        items.append(item)
    document: dict[str, Any] = {"model_name": model, "model_version": version, "outputs": items}
    if request.id is not None:
        document["id"] = request.id
    text = dump(document)
    if not chunks:
        return text, {"Content-Type": "application/json"}
    headers = {"Content-Type": "application/octet-stream", binary.HEADER: str(len(text))}
    return b"".join([text, *chunks]), headers


def _in_json(tensor: Tensor) -> bool:
    """Whether JSON has a value for each element; complex numbers always go as binary data."""
    return not tensor.dtype.name.startswith("COMPLEX")


def check_size(at_least: int, limit: int) -> None:
    """Refuse an answer before it is built when even its smallest form is over the limit."""
    if at_least > limit:
        raise TooLargeError(
            f"The answer would take over {at_least} bytes and this function returns at most {limit}; send fewer "
            "rows, ask for fewer outputs, or for binary data."
        )
