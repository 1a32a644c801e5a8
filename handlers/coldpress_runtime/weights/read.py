"""Read a model's file from where it lies into memory that is reserved once, and prove that it is the one packed.

What is asked before a byte is read: that the function has the memory. What is asked of every byte: that it came in
time, and that all of them have the manifest's SHA-256.
"""

from __future__ import annotations

import mmap
import os
import sys
from contextlib import suppress
from importlib import import_module
from time import perf_counter

from coldpress_runtime.errors import WeightsError
from coldpress_runtime.weights.settings import SCHEMES
from coldpress_runtime.weights.stream import stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from coldpress_runtime.manifest import Manifest
    from coldpress_runtime.weights.settings import Weights
    from coldpress_runtime.weights.stream import Source

__all__ = ["PLACE", "open_source", "read_weights"]

#: The variable that names another place than the manifest's.
PLACE = "COLDPRESS_WEIGHTS"
_MODULES = {"s3://": "s3", "gs://": "gcs", "az://": "blob"}
_ENGINE_BYTES = 80_000_000  # the interpreter, ONNX Runtime and a small request: 60 to 70 MB on x86-64
_MIB = 1 << 20


def read_weights(manifest: Manifest, environ: Mapping[str, str] = os.environ) -> memoryview:
    """Return the bytes of the model's file, in private memory of exactly its size.

    Raises WeightsError, with one sentence: there is no memory for it; it is not there, may not be read, is of another
    size, changes meanwhile, comes too slowly, or is not the file that was packed.
    """
    weights, function = manifest.weights, manifest.function
    assert weights is not None  # noqa: S101  (for the type checker: who has none does not ask)
    begun = perf_counter()
    buffer = _reserve(weights.bytes, int(environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE") or function.memory_mb))
    place = environ.get(PLACE) or weights.url
    source = open_source(place, weights, environ)
    # Whoever starts the function gives it no longer than a request: Lambda, past 10 s, tries again within the first.
    found = stream(source, buffer, weights.parts, begun + 0.95 * function.timeout_s)
    if found != weights.sha256:
        raise WeightsError(
            f"{place} is not the file that was packed (its SHA-256 begins with {found[:8]}, expected "
            f"{weights.sha256[:8]}); upload the one from the build again."
        )
    took = perf_counter() - begun
    rate = weights.bytes / 1e6 / took
    sys.stderr.write(f"coldpress: read {weights.bytes / 1e6:.1f} MB from {place} in {took:.2f} s, {rate:.0f} MB/s.\n")
    return buffer


def open_source(place: str, weights: Weights, environ: Mapping[str, str]) -> Source:
    """Return what reads the file at ``place``, a URL of an object or an absolute path; raises WeightsError."""
    if place.startswith("/"):
        from coldpress_runtime.weights.mounted import MountedFile  # noqa: PLC0415  (one kind of source in a process)

        return MountedFile(place, weights.bytes)
    scheme = place[: place.find("://") + 3]
    if scheme not in _MODULES:
        raise WeightsError(f"{PLACE} is {place!r}, expected a URL with {', '.join(SCHEMES)}, or an absolute path.")
    try:
        store = import_module(f"coldpress_runtime.weights.{_MODULES[scheme]}").open_object(place, environ)
    except ModuleNotFoundError:
        raise WeightsError(
            f"The weights are to come from {place}, and a function packed for another provider cannot read {scheme}; "
            "keep them in this provider's own store, and pack again."
        ) from None
    from coldpress_runtime.weights.objects import ObjectSource  # noqa: PLC0415  (http.client and ssl take 30 ms)

    return ObjectSource(store, place, weights.bytes)


def _reserve(size: int, memory_mb: int) -> memoryview:
    needed = -(-(size + _ENGINE_BYTES) // _MIB)
    if needed > memory_mb:
        raise WeightsError(
            f"The weights take {size / 1e6:,.0f} MB and the function has {memory_mb:,} MB of memory; give it "
            f"{needed:,} MB or more."
        )
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    # A page fault for 2 MB instead of one for each 4 KB: a tenth of the time that filling 200 MB takes otherwise.
    with suppress(OSError):  # a kernel without them
        memory.madvise(mmap.MADV_HUGEPAGE)
    return memoryview(memory)
