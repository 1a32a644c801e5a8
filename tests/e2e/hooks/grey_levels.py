"""Grey levels of any range in, the label and its probability out."""

import numpy as np

from coldpress_runtime.errors import RequestError


def preprocess(request):
    body = request.json()
    if not isinstance(body, dict) or "image" not in body:
        raise RequestError('The body has no "image"; send an 8x8 list of grey levels.')
    image = np.asarray(body["image"], dtype=np.float32)
    if image.shape != (8, 8):
        raise RequestError(f"image has shape {list(image.shape)}, expected [8, 8].")
    return {"pixels": (image / max(image.max(), 1) * 16).reshape(1, 64)}


def postprocess(outputs):
    probabilities = outputs["probabilities"].numpy()[0]
    return {"label": int(probabilities.argmax()), "probability": float(probabilities.max())}
