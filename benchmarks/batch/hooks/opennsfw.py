"""Pictures as opennsfw takes them: the middle of the picture, BGR less the mean."""

import io

import numpy as np
from PIL import Image

_MEAN = np.array([104, 117, 123], np.float32)


def preprocess(request):
    """Return the input, float32 [1, 224, 224, 3], of an encoded picture."""
    image = Image.open(io.BytesIO(request.body))
    image.draft("RGB", (256, 256))  # a JPEG is decoded no larger than it is needed
    pixels = np.asarray(image.convert("RGB").resize((256, 256), Image.Resampling.BILINEAR).crop((16, 16, 240, 240)))
    return {"input:0": (pixels[:, :, ::-1].astype(np.float32) - _MEAN)[None]}
