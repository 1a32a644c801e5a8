"""Pictures as opennsfw takes them: the middle of the picture, BGR less the mean."""

import io

import numpy as np
from PIL import Image

_MEAN = np.array([104, 117, 123], np.float32)


def preprocess(request):
    """Return the input, float32 [1, 224, 224, 3], of an encoded picture."""
    image = Image.open(io.BytesIO(request.body))
    image.draft("RGB", (256, 256))  # a JPEG is decoded no larger than it is needed
    width, height = image.size
    middle = (width / 16, height / 16, width * 15 / 16, height * 15 / 16)  # 224 of 256 pixels
    pixels = np.asarray(image.convert("RGB").resize((224, 224), Image.Resampling.BILINEAR, middle))
    return {"input:0": np.subtract(pixels[:, :, ::-1], _MEAN, dtype=np.float32)[None]}
