"""How right answers are, a number a sample, higher is better: `--metric benchmarks.shrink.metrics:NAME`.

Every function takes the answers, a mapping of outputs a request, and the labels, one a request. Where the world gives
no truth, labels are what was read out of the original's answers.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.shrink.decode import SCORE, alphabet, best_face, detections, iou, read_line

__all__ = [
    "detection_quality",
    "embedding_cosine",
    "face_kept",
    "label_met",
    "neighbour_kept",
    "note_right",
    "same_detections",
    "same_frame",
    "same_tags",
    "same_text",
    "score_close",
    "score_within",
    "sentence_cosine",
    "text_area",
    "values_kept",
]

Answers = Sequence[Mapping[str, Any]]
SAME_BOX, SAME_SCORE = 0.9, 0.05  # intersection over union, and the difference of scores, of one and the same detection


def _first(answer: Mapping[str, Any]) -> Any:
    return next(iter(answer.values()))


def _floats(values: Any) -> np.ndarray:
    return np.asarray(list(values), np.float64)


def label_met(answers: Answers, labels: Any) -> np.ndarray:
    """1 where the label is met: by a class number [1], else by the largest of the scores [1, classes]."""

    def kind(answer: Mapping[str, Any]) -> int:
        value = np.asarray(_first(answer))
        return int(value.ravel()[0]) if value.dtype.kind in "iu" else int(value.argmax())

    return _floats(kind(answer) == int(label) for answer, label in zip(answers, labels, strict=True))


def sentence_cosine(answers: Answers, labels: Any) -> np.ndarray:
    """Cosine between mean-pooled sentences and the original's, float [n, 384] of length 1."""
    return _cosine(_sentences(answers), np.asarray(labels))


def neighbour_kept(answers: Answers, labels: Any) -> np.ndarray:
    """1 where a sentence's nearest neighbour among all the others is the one that it was."""

    def nearest(vectors: np.ndarray) -> np.ndarray:
        similar = vectors @ vectors.T
        np.fill_diagonal(similar, -np.inf)
        return similar.argmax(1)

    return _floats(nearest(_sentences(answers)) == nearest(np.asarray(labels)))


def _sentences(answers: Answers) -> np.ndarray:
    pooled = np.stack([_first(answer)[0].mean(0) for answer in answers]).astype(np.float64)
    with np.errstate(invalid="ignore"):
        return pooled / np.linalg.norm(pooled, axis=1, keepdims=True)


def embedding_cosine(answers: Answers, labels: Any) -> np.ndarray:
    """Cosine between all that is answered, in one long vector, and the same of the original."""
    vectors = np.stack([np.concatenate([np.ravel(value) for value in answer.values()]) for answer in answers])
    return _cosine(vectors.astype(np.float64), np.asarray(labels, np.float64))


def _cosine(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.nan_to_num((one * other).sum(1) / norms, nan=-1.0)


def same_detections(answers: Answers, labels: Any) -> np.ndarray:
    """1 where a picture has the original's detections, no more and no less: same class, box and score.

    One whose score is so near to the threshold that a difference of `SAME_SCORE` hides it may be on one side alone.
    """

    def same(found: np.ndarray, expected: np.ndarray) -> bool:
        left = list(expected[expected[:, 1] > 0])
        for one in found[found[:, 1] > 0]:
            match = [place for place, other in enumerate(left) if _same_detection(one, other)]
            if match:
                left.pop(match[0])
            elif one[1] > SCORE + SAME_SCORE:
                return False
        return all(other[1] <= SCORE + SAME_SCORE for other in left)

    pairs = zip(answers, np.asarray(labels), strict=True)
    return _floats(same(detections(_first(answer)), expected) for answer, expected in pairs)


def _same_detection(one: np.ndarray, other: np.ndarray) -> bool:
    near = abs(one[1] - other[1]) <= SAME_SCORE and iou(one[2:], other[2:]) > SAME_BOX
    return bool(one[0] == other[0] and near)


def detection_quality(answers: Answers, labels: Any) -> np.ndarray:
    """How alike a picture's detections are to the original's, 0 to 1: overlap times closeness of the scores.

    The mean over detections of either; one without a counterpart of its class counts for as much as its score is above
    the threshold, so that a detection at the edge of being one weighs little.
    """

    def quality(found: np.ndarray, expected: np.ndarray) -> float:
        found, left = found[found[:, 1] > 0], list(expected[expected[:, 1] > 0])
        total = [0.0]  # of losses
        weight = max(1, len(left), len(found))
        for one in found:
            matches = [(iou(one[2:], other[2:]), place) for place, other in enumerate(left) if other[0] == one[0]]
            overlap, place = max(matches, default=(0.0, -1))
            if overlap < 0.5:
                total.append(float(one[1]))
                continue
            other = left.pop(place)
            total.append(1 - overlap * (1 - abs(float(one[1] - other[1]))))
        return max(0.0, 1 - (sum(total) + sum(float(other[1]) for other in left)) / weight)

    pairs = zip(answers, np.asarray(labels), strict=True)
    return _floats(quality(detections(_first(answer)), expected) for answer, expected in pairs)


def same_text(answers: Answers, labels: Any) -> np.ndarray:
    """1 where a line reads as the original reads it."""
    pairs = zip(answers, labels, strict=True)
    return _floats(read_line(_first(answer), alphabet()) == str(text) for answer, text in pairs)


def text_area(answers: Answers, labels: Any) -> np.ndarray:
    """Pixels taken for text by both (above 0.3, as its package has it), over those taken by either; 1 for none."""

    def overlap(found: np.ndarray, expected: np.ndarray) -> float:
        either = np.count_nonzero(found | expected)
        return np.count_nonzero(found & expected) / either if either else 1.0

    pairs = zip(answers, np.asarray(labels).astype(bool), strict=True)
    return _floats(overlap(_first(answer)[0, 0] > 0.3, expected) for answer, expected in pairs)


def score_close(answers: Answers, labels: Any) -> np.ndarray:
    """1 less the distance of the second class's probability from the original's."""
    return 1 - _distances(answers, labels)


def score_within(answers: Answers, labels: Any) -> np.ndarray:
    """1 where the second class's probability is within 0.01 of the original's."""
    return (_distances(answers, labels) <= 0.01).astype(np.float64)


def _distances(answers: Answers, labels: Any) -> np.ndarray:
    return _floats(abs(float(_first(a)[0, 1]) - float(b)) for a, b in zip(answers, labels, strict=True))


def same_frame(answers: Answers, labels: Any) -> np.ndarray:
    """1 where a frame of sound is taken for speech (above 0.5) as the original takes it."""
    pairs = zip(answers, labels, strict=True)
    return _floats((float(np.ravel(_first(answer))[0]) > 0.5) == bool(label) for answer, label in pairs)


def same_tags(answers: Answers, labels: Any) -> np.ndarray:
    """Share of a sentence's characters with the original's most likely tag; labels past the sentence's end are -1."""

    def share(scores: np.ndarray, expected: np.ndarray) -> float:
        tags = scores[0].argmax(1)
        return float(np.mean(tags == expected[: len(tags)]))

    return _floats(share(_first(a), expected) for a, expected in zip(answers, np.asarray(labels), strict=True))


def face_kept(answers: Answers, labels: Any) -> np.ndarray:
    """1 where the most likely face is as likely, within 0.05, and if it is one (above 0.5), at the same anchor."""

    def kept(answer: Mapping[str, Any], expected: np.ndarray) -> bool:
        score, anchor = best_face(value for value in answer.values() if np.shape(value)[-1] == 1)
        return abs(score - expected[0]) <= SAME_SCORE and (expected[0] <= 0.5 or anchor == int(expected[1]))

    return _floats(kept(answer, expected) for answer, expected in zip(answers, np.asarray(labels), strict=True))


def note_right(answers: Answers, labels: Any) -> np.ndarray:
    """1 where the note that sounds is the one that is heard: the strongest of 88 keys over the middle of the sound."""

    def note(answer: Mapping[str, Any]) -> int:
        keys = answer["StatefulPartitionedCall:1"][0]
        return int(keys[20:-20].mean(0).argmax())

    return _floats(note(answer) == int(label) for answer, label in zip(answers, labels, strict=True))


def values_kept(answers: Answers, labels: Any) -> np.ndarray:
    """1 where every number is the original's, up to rounding (a hundred-thousandth of it)."""

    def kept(answer: Mapping[str, Any], expected: np.ndarray) -> bool:
        found = np.concatenate([np.ravel(value) for value in answer.values()])
        return bool(np.allclose(found, expected, rtol=1e-5, atol=1e-6))

    return _floats(kept(answer, expected) for answer, expected in zip(answers, np.asarray(labels), strict=True))
