"""What the page is told besides what the function says of itself: where it runs, and inputs to begin with."""

import base64
import json
import math
from pathlib import Path
from typing import Any

from coldpress import __version__
from coldpress.emulate.function import LocalFunction
from coldpress_runtime import binary
from coldpress_runtime.json_tensors import plain
from coldpress_runtime.json_text import dump
from coldpress_runtime.manifest import Manifest
from coldpress_runtime.tensor import DTYPES

__all__ = ["about", "examples", "warmup_data"]

_WRITTEN_OUT = 4096  # elements of an example that people still look at as numbers


def about(
    function: LocalFunction, manifest: Manifest, *, title: str, log: bool, warmup: bytes | None
) -> dict[str, Any]:
    """Describe a started function as JSON.

    Args:
        function: the function.
        manifest: its manifest.
        title: where it runs, for people (``AWS Lambda``).
        log: whether it keeps a log.
        warmup: the content of the manifest's warm-up data, None when it names none.
    """
    return {
        "coldpress": __version__,
        "model": manifest.name,
        "version": manifest.version,
        "runs_on": title,
        "log": log,
        "python": function.minor,
        "init_ms": round(function.init_ms, 3),
        "limits": {
            "request_bytes": manifest.limits.request_bytes,
            "response_bytes": manifest.limits.response_bytes,
        },
        "examples": examples(manifest, warmup),
    }


def examples(manifest: Manifest, warmup: bytes | None) -> list[dict[str, Any]]:
    """Return the inputs that the function warms itself up with.

    ``values`` are nested lists as in plain JSON, None when they are many; ``data`` is base64 in the protocol's binary
    layout, None for zeros and empty texts.
    """
    found: list[dict[str, Any]] = []
    if _is_elsewhere(manifest):
        return found
    place = 0
    for item in manifest.warmup.inputs:
        dtype, count = DTYPES[item.datatype], math.prod(item.shape)
        data: bytes | None = None
        if warmup is not None:
            size = _texts_size(warmup[place:], count) if item.datatype == "BYTES" else dtype.nbytes(count)
            data = warmup[place : place + size]
            place += size
        values: Any = None
        if count <= _WRITTEN_OUT:
            empty = bytes(4 * count if item.datatype == "BYTES" else dtype.nbytes(count))
            tensor = binary.decode(memoryview(data or empty), dtype, item.shape, item.name)
            values = json.loads(dump(plain(tensor)))  # what JSON has no word for is spelled there as everywhere
        found.append(
            {
                "name": item.name,
                "datatype": item.datatype,
                "shape": list(item.shape),
                "values": values,
                "data": None if data is None else base64.b64encode(data).decode(),
            }
        )
    return found


def _texts_size(data: bytes, count: int) -> int:
    """Bytes of ``count`` texts, each behind its length as four bytes."""
    place = 0
    for _ in range(count):
        place += 4 + int.from_bytes(data[place : place + 4], "little")
    return place


def warmup_data(folder: Path, manifest: Manifest) -> bytes | None:
    """Read the manifest's warm-up data out of the unpacked function in ``folder``."""
    if _is_elsewhere(manifest) or manifest.warmup.data is None:
        return None
    return (folder / manifest.warmup.data).read_bytes()


def _is_elsewhere(manifest: Manifest) -> bool:
    """Tell whether the model is at an endpoint alone, and nothing warms it up here."""
    return manifest.fallback is not None and manifest.fallback.remote
