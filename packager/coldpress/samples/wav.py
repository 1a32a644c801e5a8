"""WAV files as arrays of one channel: PCM of 8, 16, 24 and 32 bits, and floats of 32 and 64.

The standard library's ``wave`` reads neither floats nor, before Python 3.12, the extensible header that 24-bit
recorders write; the format is three chunks (Microsoft's *Multimedia Programming Interface*, RIFF WAVE, 1991).
"""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from coldpress.errors import SamplesError

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

__all__ = ["Recording", "open_wav"]

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_READABLE = {(_PCM, 8), (_PCM, 16), (_PCM, 24), (_PCM, 32), (_FLOAT, 32), (_FLOAT, 64)}


@dataclass(frozen=True)
class Recording:
    """A WAV file whose header has been read.

    Attributes:
        path: The file.
        rate: Samples a second.
        channels: Mixed into one when read.
        frames: Samples a channel.
    """

    path: Path
    rate: int
    channels: int
    frames: int
    _format: int
    _bits: int
    _start: int

    def mono(self) -> "Array":
        """Return the mean of the channels, float32 [frames], full scale at -1 and 1.

        Raises:
            SamplesError: A float is no finite number.
        """
        import numpy as np

        width = self._bits // 8
        with self.path.open("rb") as file:
            file.seek(self._start)
            raw = file.read(self.frames * self.channels * width)
        if self._format == _FLOAT:
            sound: Array = np.frombuffer(raw, f"<f{width}")
        elif self._bits == 8:
            sound = (np.frombuffer(raw, np.uint8).astype(np.float32) - 128) / 128
        elif self._bits == 24:
            wide = np.zeros((len(raw) // 3, 4), np.uint8)
            wide[:, 1:] = np.frombuffer(raw, np.uint8).reshape(-1, 3)
            sound = wide.view("<i4").ravel() / np.float64(1 << 31)
        else:
            sound = np.frombuffer(raw, f"<i{width}") / np.float64(1 << (self._bits - 1))
        with np.errstate(all="ignore"):  # a float may be anything; the next lines look
            mixed: Array = sound.reshape(-1, self.channels).mean(axis=1, dtype=np.float64).astype(np.float32)
        if not np.isfinite(mixed).all():
            raise SamplesError(f"{self.path.name} holds NaN or infinity; mend it or leave it out")
        return mixed


def open_wav(path: Path) -> Recording:
    """Read a WAV file's header.

    Raises:
        SamplesError: It is no WAV file, or of a kind that is not read here.
    """
    try:
        with path.open("rb") as file:
            return _parsed(path, file)
    except (OSError, struct.error) as error:
        raise SamplesError(f"{path.name} cannot be read as WAV ({error}); mend it or leave it out") from error


def _parsed(path: Path, file: BinaryIO) -> Recording:
    size = path.stat().st_size
    riff, _, wave = struct.unpack("<4sI4s", file.read(12))
    if (riff, wave) != (b"RIFF", b"WAVE"):
        raise SamplesError(f"{path.name} is no WAV file, whatever its name says; leave it out")
    header = b""
    while len(chunk := file.read(8)) == 8:
        name, length = struct.unpack("<4sI", chunk)
        if name == b"fmt ":
            header = file.read(min(length, 64))
            file.seek(length - len(header) + length % 2, 1)
        elif name == b"data" and header:
            return _recording(path, header, file.tell(), min(length, size - file.tell()))
        else:
            file.seek(length + length % 2, 1)
    raise SamplesError(f"{path.name} has no sound in it; mend it or leave it out")


def _recording(path: Path, header: bytes, start: int, length: int) -> Recording:
    kind, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", header)
    if kind == _EXTENSIBLE:
        (kind,) = struct.unpack_from("<H", header, 24)  # the first two bytes of the sub-format
    if (kind, bits) not in _READABLE or not channels or not rate:
        raise SamplesError(
            f"{path.name} is WAV of format {kind} with {bits} bits and {channels} channels; save it as 16-bit PCM"
        )
    return Recording(path, rate, channels, length // (channels * bits // 8), kind, bits, start)
