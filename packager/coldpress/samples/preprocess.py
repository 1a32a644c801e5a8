"""From a picture to what a model takes: named preprocessings, each a way to fit the size and a formula for values.

============= ========================== ============================= =======================================
name          size                       value of a pixel p (0 to 255) source
============= ========================== ============================= =======================================
raw           stretched                  p                             models that scale inside
zero-one      stretched                  p / 255                       ``torchvision`` ``ToTensor``
minus-one-one stretched                  p / 127.5 - 1                 ``keras.applications`` mode ``tf``
imagenet      side 8/7, centre crop      (p / 255 - mean) / std        ``torchvision`` ``ImageClassification``
caffe         stretched 8/7, centre crop BGR, p - (104, 117, 123)      Caffe's ``classify.py``
letterbox     ratio kept, pad 114        p / 255                       Ultralytics ``LetterBox``
============= ========================== ============================= =======================================

8/7 is 256/224: the shorter side becomes that much longer than what is cut out. ``imagenet`` has mean (0.485, 0.456,
0.406) and std (0.229, 0.224, 0.225), red first; ``caffe`` has the rounded mean of its ILSVRC 2012. Sizes change by
Pillow's bilinear filter, which averages when it shrinks, like ``torchvision``; OpenCV's does not, and differs slightly.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy.typing as npt
    from PIL.Image import Image

    Array = npt.NDArray[Any]

__all__ = ["PREPROCESSINGS", "Preprocessing", "fit", "values"]


@dataclass(frozen=True)
class Preprocessing:
    """How a picture is fitted, and its values: ``(p / scale - mean) / std``.

    Attributes:
        geometry: ``stretch``, ``crop`` (ratio kept), ``stretch-crop`` or ``letterbox``.
        scale: What pixels are divided by.
        mean: One number, or one a channel in the order given to the model.
        std: Likewise.
        bgr: Blue comes first.
        side: Height and width where neither the model nor the user says them; None for the picture's own.
    """

    geometry: Literal["stretch", "crop", "stretch-crop", "letterbox"] = "stretch"
    scale: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    bgr: bool = False
    side: int | None = None

    @property
    def coloured(self) -> bool:
        """Whether it is said of three channels alone."""
        return len(self.mean) == 3


PREPROCESSINGS = {
    "raw": Preprocessing(),
    "zero-one": Preprocessing(scale=255),
    "minus-one-one": Preprocessing(scale=127.5, mean=(1.0,)),
    "imagenet": Preprocessing("crop", 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), side=224),
    "caffe": Preprocessing("stretch-crop", 1, (104, 117, 123), bgr=True, side=224),
    "letterbox": Preprocessing("letterbox", 255, side=640),
}
"""Every preprocessing by its name."""


def fit(picture: "Image", how: Preprocessing, height: int, width: int) -> "Image":
    """Return the picture at ``height`` x ``width`` pixels."""
    from PIL import Image

    bilinear = Image.Resampling.BILINEAR
    wide, high = picture.size
    if how.geometry == "stretch":
        return picture.resize((width, height), bilinear)
    if how.geometry == "letterbox":
        ratio = min(height / high, width / wide)
        new = (max(1, round(wide * ratio)), max(1, round(high * ratio)))
        left, top = round((width - new[0]) / 2 - 0.1), round((height - new[1]) / 2 - 0.1)
        padded = Image.new(picture.mode, (width, height), (114,) * len(picture.getbands()))
        padded.paste(picture.resize(new, bilinear), (left, top))
        return padded
    rows, columns = round(height * 256 / 224), round(width * 256 / 224)
    if how.geometry == "crop":
        # The part of the picture that remains is cut out first, so that a long strip is never enlarged as a whole.
        picture = _strip(picture, rows, columns)
        wide, high = picture.size
        if rows / high >= columns / wide:
            columns = max(columns, int(rows * wide / high))
        else:
            rows = max(rows, int(columns * high / wide))
    left, top = round((columns - width) / 2), round((rows - height) / 2)
    return picture.resize((columns, rows), bilinear).crop((left, top, left + width, top + height))


def _strip(picture: "Image", rows: int, columns: int) -> "Image":
    """Return the middle of a picture that is over 16 times longer than what is looked at, else all of it."""
    wide, high = picture.size
    longest_w, longest_h = 16 * columns * high // rows, 16 * rows * wide // columns
    if wide > longest_w > 0:
        left = (wide - longest_w) // 2
        return picture.crop((left, 0, left + longest_w, high))
    if high > longest_h > 0:
        top = (high - longest_h) // 2
        return picture.crop((0, top, wide, top + longest_h))
    return picture


def values(picture: "Image", how: Preprocessing) -> "Array":
    """Return a picture's values, float32 [height, width, channels]."""
    import numpy as np

    pixels = np.atleast_3d(np.asarray(picture)).astype(np.float32)
    if how.bgr:
        pixels = pixels[..., ::-1]
    one = np.float32
    return (pixels / one(how.scale) - np.asarray(how.mean, one)) / np.asarray(how.std, one)
