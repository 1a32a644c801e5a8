"""Sound for tests: a recording of speech, fetched like the models, and WAV files of any kind."""

import struct
from pathlib import Path

import numpy as np

from tests.support.models import File, fetch_file

__all__ = ["speech", "write_wav"]

_SPEECH = File(
    "useful-moonshine-onnx==20251121",
    "*/beckett.wav",
    "e5a26b3d29e5b0bc8dbd72c11d16a3808a4ec0ac45b21f12a27d2a2fe5c5ae61",
)


def speech() -> Path:
    """Return ten seconds of one voice: 16 kHz, one channel, 16 bits."""
    return fetch_file(_SPEECH)


def write_wav(path: Path, sound: np.ndarray, rate: int = 16000, bits: int = 16, *, header: str = "plain") -> Path:
    """Write sound [frames] or [frames, channels], full scale -1 to 1, as PCM, or as floats where `bits` is negative.

    `header` is "plain", "extensible", "chunks" (others stand around it) or "streamed" (lengths left at the maximum).
    """
    sound = np.asarray(sound, np.float64)
    channels = 1 if sound.ndim == 1 else sound.shape[1]
    width = abs(bits) // 8
    if bits < 0:
        data = sound.astype(f"<f{width}").tobytes()
    elif bits == 8:
        data = np.round(sound * 127 + 128).astype(np.uint8).tobytes()
    else:
        whole = np.round(sound * (2 ** (bits - 1) - 1)).astype("<i4")
        data = whole.view(np.uint8).reshape(-1, 4)[:, :width].tobytes()
    kind = 3 if bits < 0 else 1
    form = struct.pack("<HHIIHH", kind, channels, rate, rate * channels * width, channels * width, abs(bits))
    if header == "extensible":
        rest = bytes.fromhex("000000001000800000aa00389b71")
        form = struct.pack("<H", 0xFFFE) + form[2:] + struct.pack("<HHIH", 22, abs(bits), 0, kind) + rest
    around = _chunk(b"LIST", b"odd") if header == "chunks" else b""
    body = b"WAVE" + around + _chunk(b"fmt ", form) + around + _chunk(b"data", data) + around
    if header == "streamed":
        body = body.replace(b"data" + struct.pack("<I", len(data)), b"data\xff\xff\xff\xff")
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    return path


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)
