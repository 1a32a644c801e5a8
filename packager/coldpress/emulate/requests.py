"""What to send to a built function: a file of the user's, or the inputs that the function warms itself up with."""

import json
import math
import struct
from collections.abc import Mapping
from pathlib import Path

from coldpress.emulate.http import HttpRequest
from coldpress.errors import EmulateError
from coldpress_runtime.manifest import Manifest
from coldpress_runtime.tensor import DTYPES

__all__ = ["manifest_of", "request_from_file", "warmup_request"]


def manifest_of(folder: Path) -> Manifest | None:
    """Read ``coldpress.json`` of the unpacked function in ``folder``; None when there is none.

    Raises:
        ManifestError: it is there and cannot be right.
    """
    path = folder / "coldpress.json"
    return Manifest.load(str(path)) if path.is_file() else None


def request_from_file(
    file: Path,
    manifest: Manifest | None,
    *,
    path: str | None = None,
    method: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> HttpRequest:
    """Make the request whose body is ``file``.

    Without ``path`` it goes to ``/v2/models/{name}/infer`` when the body's ``inputs`` is a list, else to ``/predict``.
    ``method`` defaults to POST.

    Raises:
        EmulateError: the file cannot be read.
    """
    try:
        body = file.read_bytes()
    except OSError as error:
        raise EmulateError(f"The request file {file} cannot be read ({error.strerror}); check its name.") from None
    if path is None:
        try:
            document = json.loads(body)
        except ValueError:
            document = None  # the function says what is wrong with it, as it would in the cloud
        protocol = isinstance(document, dict) and isinstance(document.get("inputs"), list)
        path = f"/v2/models/{manifest.name}/infer" if protocol and manifest else "/predict"
    return HttpRequest(method or "POST", path, headers, body)


def warmup_request(folder: Path, manifest: Manifest) -> HttpRequest:
    """Make an inference request of the inputs in the manifest's ``warmup``, in the protocol's binary form.

    Raises:
        EmulateError: the warm-up data is shorter or longer than its shapes say, or there is none because the model is
            at an endpoint.
    """
    if manifest.fallback is not None and manifest.fallback.remote:
        raise EmulateError(
            "The function's model is at its endpoint, so that it has no inputs of its own; give a request."
        )
    data = (folder / manifest.warmup.data).read_bytes() if manifest.warmup.data else None
    inputs, parts, place = [], [], 0
    for item in manifest.warmup.inputs:
        elements = math.prod(item.shape)
        itemsize = DTYPES[item.datatype].itemsize
        if data is None:
            part = bytes(elements * (itemsize or 4))
        else:
            end = place + elements * itemsize if itemsize else _end_of_texts(data, place, elements)
            part, place = data[place:end], end
        parts.append(part)
        parameters = {"binary_data_size": len(part)}
        inputs.append(
            {"name": item.name, "datatype": item.datatype, "shape": list(item.shape), "parameters": parameters}
        )
    if data is not None and place != len(data):
        raise EmulateError(
            f"The function's {manifest.warmup.data} holds {len(data)} bytes and its shapes ask for {place}; "
            "pack it again."
        )
    document = {"inputs": inputs, "parameters": {"binary_data_output": True}}
    head = json.dumps(document, separators=(",", ":")).encode()
    headers = {"content-type": "application/octet-stream", "inference-header-content-length": str(len(head))}
    return HttpRequest("POST", f"/v2/models/{manifest.name}/infer", headers, head + b"".join(parts))


def _end_of_texts(data: bytes, place: int, elements: int) -> int:
    """Step over ``elements`` texts, each behind its length as 4 bytes, little-endian."""
    for _ in range(elements):
        if place + 4 > len(data):
            break
        place += 4 + int(struct.unpack_from("<I", data, place)[0])
    return place
