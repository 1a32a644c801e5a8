"""A folder of WAV files as requests: each recording cut into windows, one sequence a recording."""

import math
from dataclasses import dataclass
from typing import Any

from coldpress.errors import SamplesError
from coldpress.samples.casting import numpy_dtype
from coldpress.samples.folder import Folder
from coldpress.samples.options import SamplesOptions
from coldpress.samples.sample_set import MAX_BYTES, SampleSet
from coldpress.samples.wav import Recording, open_wav
from coldpress.signature import Port

__all__ = ["SUFFIXES", "read_sounds"]

SUFFIXES = frozenset({".wav", ".wave"})


@dataclass(frozen=True)
class _Windows:
    """How recordings are cut: ``context`` old samples and ``window`` new ones, every ``hop``; None: taken whole."""

    context: int
    window: int | None
    hop: int | None

    def count(self, frames: int) -> int:
        """Return how many windows cover that many samples; the last one may reach beyond them."""
        if self.window is None or self.hop is None:
            return 1
        return 1 + max(0, math.ceil((frames - self.window) / self.hop))

    def length(self, frames: int) -> int:
        """Return the samples in one request."""
        return self.context + (frames if self.window is None else self.window)


def read_sounds(folder: Folder, port: Port, options: SamplesOptions) -> SampleSet:
    """Read every recording of a folder for the one input that takes sound.

    Channels are mixed into one, full scale is -1 to 1, and nothing is resampled. A window that reaches beyond the
    end is filled with silence, and so is the context before the first.

    Args:
        folder: WAV files, with classes as labels: every window has its recording's.
        port: ``[T]``, ``[N, T]``, ``[N, 1, T]`` or ``[N, T, 1]``, of floats.
        options: ``rate``, ``window``, ``hop``, ``context``.

    Raises:
        SamplesError: The input takes no sound, the options do not match it, a file has another rate or cannot be read,
            or all of them are too large.
    """
    import numpy as np

    axis = _time_axis(port)
    cut = _windows(port, axis, options)
    recordings = [_opened(path, options.rate) for path in folder.files]
    counts = [cut.count(recording.frames) for recording in recordings]
    total = sum(n * cut.length(r.frames) for n, r in zip(counts, recordings, strict=True)) * numpy_dtype(port).itemsize
    if total > MAX_BYTES:
        raise SamplesError(
            f"{folder.root.name} holds {sum(counts):,} windows, {total:,} bytes as inputs and over {MAX_BYTES:,}; "
            f"set most = {max(1, len(counts) * MAX_BYTES // total)} to use so many recordings, or hop to more samples"
        )
    requests = tuple(
        {
            port.name: piece.astype(numpy_dtype(port), copy=False).reshape(
                [-1 if i == axis else 1 for i in range(len(port.shape or ()))]
            )
        }
        for recording, count in zip(recordings, counts, strict=True)
        for piece in _pieces(recording.mono(), cut, count)
    )
    labels = np.repeat(np.asarray(folder.labels, np.int64), counts) if folder.labels else None
    sequence = tuple(number for number, count in enumerate(counts) for _ in range(count))
    return SampleSet(requests, labels, folder.root.name, folder.notes, sequence=sequence)


def _opened(path: Any, rate: int | None) -> Recording:
    recording = open_wav(path)
    if rate is None:
        raise SamplesError(
            f"nothing says how many samples a second the model was trained on; set rate ({path.name} has "
            f"{recording.rate})"
        )
    if recording.rate != rate:
        raise SamplesError(
            f"{path.name} has {recording.rate} samples a second, and the model takes {rate}; resample it, such as "
            f"with `ffmpeg -i {path.name} -ar {rate} out.wav`"
        )
    if not recording.frames:
        raise SamplesError(f"{path.name} has no sound in it; leave it out")
    return recording


def _time_axis(port: Port) -> int:
    """Return the axis of an input that is time."""
    dims = [dim if isinstance(dim, int) else None for dim in port.shape or ()]
    if port.datatype in ("FP32", "FP16", "FP64", "BF16"):
        match dims:
            case [_]:
                return 0
            case [1 | None, _]:
                return 1
            case [1 | None, 1, _]:
                return 2
            case [1 | None, _, 1]:
                return 1
    raise SamplesError(
        f"input {port.name!r} is {port.expected}, which is no sound FP32 [N, T], [N, 1, T] or [N, T, 1]; give .npz, or "
        "a function that makes the requests"
    )


def _windows(port: Port, axis: int, options: SamplesOptions) -> _Windows:
    for name in ("window", "hop"):
        if (value := getattr(options, name)) is not None and value < 1:
            raise SamplesError(f"{name} holds {value}; give a number of samples, 1 or more")
    if options.context < 0:
        raise SamplesError(f"context holds {options.context}; give a number of samples, 0 or more")
    length = port.shape[axis] if port.shape else None
    window = options.window
    if isinstance(length, int):
        window = length - options.context if window is None else window
        if window < 1 or window + options.context != length:
            raise SamplesError(
                f"window and context make {window} + {options.context} samples, and input {port.name!r} is "
                f"{port.expected}; let them add up to {length}"
            )
    return _Windows(options.context, window, options.hop or window)


def _pieces(sound: Any, cut: _Windows, count: int) -> list[Any]:
    """Cut one recording, as views into one padded array."""
    import numpy as np

    length = cut.length(len(sound))
    reach = length + (count - 1) * (cut.hop or 0)
    padded = np.zeros(reach, sound.dtype)
    kept = sound[: reach - cut.context]
    padded[cut.context : cut.context + len(kept)] = kept
    return [padded[start : start + length] for start in range(0, reach - length + 1, cut.hop or reach)]
