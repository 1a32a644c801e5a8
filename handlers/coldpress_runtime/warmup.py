"""Does this machine suit the model file, and the run that makes the first answer a warm one."""

from __future__ import annotations

import os
import sys

from coldpress_runtime.errors import ManifestError, RequestError
from coldpress_runtime.tensor import DTYPES, Tensor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coldpress_runtime.manifest import Warmup
    from coldpress_runtime.ort import Session

__all__ = ["lacks", "read_cpu_flags", "run_warmup", "warmup_inputs"]

_CPUINFO = "/proc/cpuinfo"
_FIRST = 1 << 14  # the flags of the first core are within the first 16 KiB; the file repeats them for every core


def read_cpu_flags(cpuinfo: str = _CPUINFO) -> frozenset[str] | None:
    """Return the flags of this machine's first CPU; None where the system does not show them."""
    try:
        with open(cpuinfo, "rb") as file:
            text = file.read(_FIRST).decode("ascii", "replace")
    except OSError:
        return None
    for line in text.split("\n"):
        key, _, value = line.partition(":")
        if key.strip() in {"flags", "Features"}:  # x86 and Arm
            return frozenset(value.split())
    return frozenset()


def lacks(needed: tuple[str, ...], cpuinfo: str = _CPUINFO) -> list[str]:
    """Which of the needed CPU flags this machine does not show, and which with ``!`` before them it does.

    Another architecture shows none of them, and neither does a system without ``/proc/cpuinfo``: what cannot be
    shown is taken as lacking, because a wrong guess ends the process with an illegal instruction.
    """
    if not needed:
        return []
    flags = read_cpu_flags(cpuinfo)
    if flags is None:
        return list(needed)
    return [flag for flag in needed if (flag.lstrip("!") in flags) == flag.startswith("!")]


def warmup_inputs(warmup: Warmup, root: str) -> dict[str, Tensor]:
    """The inputs of the warm-up run: the manifest's data file, or zeros and empty texts. Raises ManifestError."""
    data = None
    if warmup.data is not None:
        path = os.path.join(root, *warmup.data.split("/"))
        try:
            with open(path, "rb") as file:
                data = memoryview(file.read())
        except OSError as error:
            raise ManifestError(f"warmup.data cannot be read ({error.strerror}); pack the function again.") from None
    inputs: dict[str, Tensor] = {}
    offset = 0
    for item in warmup.inputs:
        dtype = DTYPES.get(item.datatype)
        if dtype is None:
            raise ManifestError(f"warmup.inputs: {item.datatype!r} is no datatype; pack the function again.")
        size = 1
        for dim in item.shape:
            size *= dim
        if data is None:
            values = [b""] * size if dtype.name == "BYTES" else bytes(dtype.nbytes(size))
        elif dtype.name == "BYTES":
            values, offset = _strings(data, offset, size)
        else:
            end = offset + dtype.nbytes(size)
            values, offset = bytes(data[offset:end]), end
        try:
            inputs[item.name] = Tensor(dtype, item.shape, values)
        except ValueError as error:
            raise ManifestError(f"warmup.data does not fit {item.name!r}: {error}; pack the function again.") from None
    return inputs


def _strings(data: memoryview, offset: int, count: int) -> tuple[list[bytes], int]:
    strings = []
    for _ in range(count):
        end = offset + 4 + int.from_bytes(data[offset : offset + 4], "little")
        strings.append(bytes(data[offset + 4 : end]))
        offset = end
    return strings, offset


def run_warmup(session: Session, warmup: Warmup, root: str) -> None:
    """Run the model once.

    The first run allocates the engine's arena and faults the weights in; done here, the provider's init phase pays.
    A model that cannot run on its warm-up inputs can still answer real ones, so that failure is only logged.
    """
    if not warmup.inputs:
        return
    try:
        session.run(warmup_inputs(warmup, root), None)
    except RequestError as error:
        sys.stderr.write(f"coldpress: the warm-up run failed: {error}\n")
