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
    table = np.zeros((MOST, 6), np.float32)
    rest = np.argsort(-scores[keep], kind="stable")
    for row in table:
        if not len(rest):
            break
        best = rest[0]
        row[:] = (kinds[keep][best], scores[keep][best], *boxes[best])
        rest = rest[_overlaps(boxes[best], boxes[rest]) <= OVERLAP]
    return table


def iou(one: np.ndarray, other: np.ndarray) -> float:
    """Return the intersection of two boxes over their union."""
    return float(_overlaps(one, other[None])[0])


def _overlaps(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the same of one box and each of others, [n, 4]; 1 of a box with itself, even of one without an area."""
    corner = np.maximum(box[:2], others[:, :2])
    common = np.clip(np.minimum(box[2:], others[:, 2:]) - corner, 0, None).prod(1)
    areas = [np.clip(each[..., 2:] - each[..., :2], 0, None).prod(-1) for each in (box, others)]
    union = areas[0] + areas[1] - common
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where((others == box).all(1), 1.0, np.where(union > 0, common / union, 0.0))


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
