"""What a person reads out of a model's numbers: boxes, text, faces."""

import functools
from collections.abc import Iterable

import numpy as np

__all__ = ["SCORE", "alphabet", "best_face", "detections", "iou", "read_line"]

SCORE, OVERLAP = 0.25, 0.45  # as nudenet's own package has them
MOST = 20  # detections kept of a picture


def detections(output: np.ndarray) -> np.ndarray:
    """Decode YOLOv8's [1, 4 + classes, anchors] into float32 [20, 6]: class, score, and box, strongest first.

    Boxes are left, top, right, bottom in pixels of the input; rows past the last detection are zeros.
    """
    rows = output[0].T
    kinds, scores = rows[:, 4:].argmax(1), rows[:, 4:].max(1)
    keep = np.flatnonzero(scores >= SCORE)
    centre, size = rows[keep, :2], rows[keep, 2:4]
    boxes = np.concatenate([centre - size / 2, centre + size / 2], axis=1)
    found: list[np.ndarray] = []
    for place in np.argsort(-scores[keep], kind="stable"):
        box = boxes[place]
        if all(iou(box, other[2:]) <= OVERLAP for other in found):
            found.append(np.array([kinds[keep][place], scores[keep][place], *box], np.float32))
    table = np.zeros((MOST, 6), np.float32)
    table[: len(found[:MOST])] = np.reshape(found[:MOST], (-1, 6))
    return table


def iou(one: np.ndarray, other: np.ndarray) -> float:
    """Return the intersection of two boxes over their union."""
    left, top = np.maximum(one[:2], other[:2])
    right, bottom = np.minimum(one[2:], other[2:])
    common = max(0.0, right - left) * max(0.0, bottom - top)
    area = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return float(common / (area - common)) if area > common else 0.0


def read_line(scores: np.ndarray, characters: Iterable[str]) -> str:
    """Read text out of [1, steps, classes] as CTC does: the best class of each step, repeats and blanks dropped."""
    alphabet = ["", *characters, " "]
    best = scores[0].argmax(1)
    kept = best[np.flatnonzero(np.diff(best, prepend=-1))]
    return "".join(alphabet[place] for place in kept)


@functools.cache
def alphabet() -> tuple[str, ...]:
    """Return the characters that PP-OCRv4 reads, out of the model's own metadata."""
    from coldpress.reference import Reference  # noqa: PLC0415  (the decoding alone needs no engine)
    from tests.support.models import fetch  # noqa: PLC0415

    return tuple(Reference(fetch("ocr_rec")).metadata["character"].splitlines())


def best_face(scores: Iterable[np.ndarray]) -> tuple[float, int]:
    """Return the probability of BlazeFace's most likely face, and its anchor, over both score outputs [1, n, 1]."""
    logits = np.concatenate([part.ravel() for part in scores])
    place = int(logits.argmax())
    return float(1 / (1 + np.exp(-np.clip(logits[place], -100, 100)))), place
