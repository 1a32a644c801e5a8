"""A folder of pictures as requests: one picture each, in the size, channels and layout of the model's input."""

import contextlib
import math
import struct
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coldpress.errors import SamplesError
from coldpress.samples.casting import numpy_dtype
from coldpress.samples.folder import Folder
from coldpress.samples.options import SamplesOptions
from coldpress.samples.preprocess import PREPROCESSINGS, Preprocessing, fit, values
from coldpress.samples.sample_set import MAX_BYTES, SampleSet
from coldpress.signature import Port

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["SUFFIXES", "read_images"]

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"})
_FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "GIF", "TIFF", "PPM")  # none that starts another program, as EPS does
_LONGEST = 1024  # pixels of a side where the model takes any size
_STRIDE = 32  # what the sides are multiples of then: what most networks halve five times


@dataclass(frozen=True)
class _Layout:
    """Where an input has its channels (an axis of its shape), and its height and width as far as it states them."""

    channels: int
    axis: int
    height: int | None
    width: int | None


def read_images(folder: Folder, port: Port, options: SamplesOptions) -> SampleSet:
    """Read every picture of a folder for the one input that takes it.

    Args:
        folder: Pictures that Pillow reads, with classes as labels. The first frame of a moving one is taken. Turned as
            their EXIF orientation says; transparency is dropped; 16-bit grey becomes 8-bit.
        port: ``[N, C, H, W]``, ``[N, H, W, C]``, or one of these without the batch or the channel of a grey picture.
            Its numbers are what ``options.preprocess`` says, or 0 to 255 where they are whole numbers.
        options: ``preprocess`` and ``size``. Where the model leaves the size open and ``size`` does too, it is that of
            the preprocessing (224 for crops, 640 for letterbox), else the picture's own in multiples of 32, up to 1024.

    Raises:
        SamplesError: The input takes no pictures, the preprocessing is not known, a picture cannot be read, or all of
            them are too large.
    """
    import numpy as np

    layout, notes = _layout(port)
    how = _preprocessing(port, layout, options.preprocess)
    layout = _sized(port, layout, options.size)
    total, count = sum(math.prod(_target(_size(path), layout, how)) for path in folder.files), len(folder.files)
    total *= layout.channels * numpy_dtype(port).itemsize
    if total > MAX_BYTES:
        raise SamplesError(
            f"{folder.root.name} holds {count} pictures, {total:,} bytes as inputs and over {MAX_BYTES:,}; "
            f"set most = {max(1, count * MAX_BYTES // total)} to use so many of them"
        )

    def request(path: Path) -> dict[str, Any]:
        picture = _picture(path, layout.channels)
        pixels = values(fit(picture, how, *_target((picture.height, picture.width), layout, how)), how)
        if layout.axis != len(port.shape or ()) - 1:
            pixels = np.moveaxis(pixels, -1, 0)
        if len(port.shape or ()) == 4:
            pixels = pixels[np.newaxis]
        return {port.name: np.ascontiguousarray(pixels, numpy_dtype(port))}

    return SampleSet(
        tuple(map(request, folder.files)),
        np.asarray(folder.labels, np.int64) if folder.labels else None,
        folder.root.name,
        (*folder.notes, *notes),
    )


def _layout(port: Port) -> tuple[_Layout, tuple[str, ...]]:
    """Find height, width and channels in an input's shape, and say what had to be assumed."""
    shape = port.shape or ()
    dims = [dim if isinstance(dim, int) else None for dim in shape]
    wrong = SamplesError(
        f"input {port.name!r} is {port.expected}, which is no picture [N, C, H, W] or [N, H, W, C] of 1 or 3 channels; "
        "give .npz, or a function that makes the requests"
    )
    if port.kind != "tensor" or port.datatype in ("BOOL", "BYTES", "INT8") or port.datatype.startswith("COMPLEX"):
        raise wrong
    match dims:
        case [_, 1 | 3 as channels, rows, columns]:
            layout = _Layout(channels, 1, rows, columns)
        case [_, rows, columns, 1 | 3 as channels]:
            layout = _Layout(channels, 3, rows, columns)
        case [_, None, rows, columns]:
            layout = _Layout(3, 1, rows, columns)
        case [_, rows, columns, None]:
            layout = _Layout(3, 3, rows, columns)
        case [3 as channels, rows, columns]:
            layout = _Layout(channels, 0, rows, columns)
        case [rows, columns, 1 | 3 as channels] if rows != 1:
            layout = _Layout(channels, 2, rows, columns)
        case [1 | None, rows, columns]:
            layout = _Layout(1, 0, rows, columns)
        case _:
            raise wrong
    if len(dims) == 4 and dims[0] not in (1, None):
        raise SamplesError(
            f"input {port.name!r} is {port.expected}, {dims[0]} pictures at once; give .npz, or a function that makes "
            "the requests"
        )
    if len(dims) == 4 and dims[layout.axis] is None:
        return layout, (f"{port.name}: 3 channels at axis {layout.axis}, which the model leaves open",)
    return layout, ()


def _preprocessing(port: Port, layout: _Layout, name: str | None) -> Preprocessing:
    whole = port.datatype.startswith(("INT", "UINT"))
    if name is None and not whole:
        raise SamplesError(
            f"input {port.name!r} takes {port.datatype}, and nothing says how pictures become such numbers; set "
            f"preprocess to one of {', '.join(PREPROCESSINGS)}, the one that the model was trained with"
        )
    how = PREPROCESSINGS.get(name or "raw")
    if how is None:
        raise SamplesError(f"there is no preprocessing {name!r}; choose one of {', '.join(PREPROCESSINGS)}")
    if whole:
        return replace(how, scale=1, mean=(0.0,), std=(1.0,))
    if how.coloured and layout.channels != 3:
        raise SamplesError(
            f"preprocessing {name!r} is for 3 channels, and input {port.name!r} is {port.expected}; choose zero-one, "
            "or give .npz"
        )
    return how


def _sized(port: Port, layout: _Layout, size: tuple[int, ...]) -> _Layout:
    """Lay the user's size over what the model leaves open."""
    if not size:
        return layout
    if len(size) > 2 or min(size) < 1:
        raise SamplesError(f"size holds {list(size)}; give height and width, or one number for a square")
    rows, columns = size[0], size[-1]
    if layout.height not in (None, rows) or layout.width not in (None, columns):
        raise SamplesError(f"size says {rows} x {columns}, and input {port.name!r} is {port.expected}; leave size out")
    return replace(layout, height=rows, width=columns)


def _target(own: tuple[int, int], layout: _Layout, how: Preprocessing) -> tuple[int, int]:
    """Return the height and width that a picture of ``own`` height and width gets."""
    rows, columns = layout.height, layout.width
    if rows is not None and columns is not None:
        return rows, columns
    if how.side is not None:
        side = rows or columns or how.side
        return rows or side, columns or side
    if rows is not None:
        ratio = rows / own[0]
    elif columns is not None:
        ratio = columns / own[1]
    else:
        ratio = min(1.0, _LONGEST / max(own))
    free = [min(_LONGEST, max(_STRIDE, round(side * ratio / _STRIDE) * _STRIDE)) for side in own]
    return rows or free[0], columns or free[1]


@contextlib.contextmanager
def _opened(path: Path) -> Iterator["Image.Image"]:
    """Open a picture, its pixels not yet read; whatever Pillow finds wrong with it becomes one sentence."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=_FORMATS) as picture:
                yield picture
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise SamplesError(
            f"{path.name} unpacks to over {Image.MAX_IMAGE_PIXELS:,} pixels; make it smaller or leave it out"
        ) from None
    except UnidentifiedImageError:
        raise SamplesError(f"{path.name} is no picture, whatever its name says; leave it out") from None
    except (OSError, ValueError, SyntaxError, EOFError, struct.error, IndexError, TypeError) as error:
        raise SamplesError(f"{path.name} cannot be read as a picture ({error}); mend it or leave it out") from error


def _size(path: Path) -> tuple[int, int]:
    """Return a picture's height and width from its header, not yet turned."""
    with _opened(path) as picture:
        return picture.height, picture.width


def _picture(path: Path, channels: int) -> "Image.Image":
    """Return a picture the right way up, with 8 bits a channel, grey or red, green and blue."""
    import numpy as np
    from PIL import Image, ImageOps

    with _opened(path) as opened:
        picture = ImageOps.exif_transpose(opened)
        if picture.mode == "F":
            raise ValueError("floating-point pixels have no known range")
        if picture.mode.startswith("I"):  # 16-bit grey, which convert() would clip
            picture = Image.fromarray((np.asarray(picture) >> 8).clip(0, 255).astype(np.uint8))
        return picture.convert("L" if channels == 1 else "RGB")
