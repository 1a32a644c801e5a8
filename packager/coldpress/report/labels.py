"""Names beside the marks of a chart, so that none lies on another, on a mark, or out of the frame.

A page cannot measure text before it is drawn, and its frame is as wide as the window. So the widths of texts are
estimated from above, and a place counts as free only where it is free in every one of several frames. A name that is
nearer to another mark than to its own may be read as the other's: only names that are told apart by their colours as
well are put there, where no other place is free.
"""

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["FRAMES", "SIDES", "Frame", "Label", "Rectangle", "Spot", "box_of", "lay_out", "text_width"]

LINE = 20
"""Pixels of a line of a label; as much is free above the frame."""
_PAD = 8
_MARK = 16
SIDES = {
    "right": (13, 0),
    "left": (-13, 0),
    "above": (0, -12),
    "below": (0, 12),
    "above-right": (7, -9),
    "above-left": (-7, -9),
    "below-right": (7, 9),
    "below-left": (-7, 9),
}
"""From the middle of a mark to the nearest edge or corner of its label, in pixels right and down; best place first.

``page.css`` has a rule ``at-…`` for each.
"""


@dataclass(frozen=True)
class Frame:
    """Pixels of a chart."""

    width: float
    height: float


FRAMES = {
    "small": tuple(Frame(width, 300) for width in (224, 294, 378, 488, 598)),
    "medium": (Frame(599, 300), Frame(680, 300), Frame(764, 342), Frame(856, 380)),
    "large": (Frame(856, 380), Frame(920, 408), Frame(1002, 440), Frame(1056, 440)),
}
"""The chart in windows of 320 to 720 pixels, of up to 1000 and on paper, and of more; the classes ``in-…`` of
``page.css``."""


@dataclass(frozen=True)
class Spot:
    """A mark, in percent from the left and from the bottom of the frame; ``size`` is that of its shape in pixels."""

    at: float
    up: float
    size: float = _MARK


@dataclass(frozen=True)
class Label:
    """The text for the mark of that number; ``coloured`` like the mark alone, it may be nearer to others."""

    mark: int
    text: str
    coloured: bool = False


@dataclass(frozen=True)
class Rectangle:
    """Pixels from the left and from the top of the frame."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: "Rectangle") -> bool:
        """Tell whether any of the area is common."""
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom

    def gap(self, x: float, y: float) -> float:
        """Return how far it is to a point."""
        return math.hypot(max(self.left - x, 0, x - self.right), max(self.top - y, 0, y - self.bottom))


def lay_out(
    spots: Sequence[Spot],
    labels: Sequence[Label],
    frames: Sequence[Frame],
    *,
    lines: Sequence[tuple[tuple[float, float], tuple[float, float]]] = (),
    taken: Sequence[tuple[Spot, str, str]] = (),
) -> dict[int, str]:
    """Choose a side for each label, in the order given; one that has no free place is left out.

    Args:
        spots: Every mark.
        labels: Those to place, the most important first.
        frames: The chart in all sizes that the page may give it.
        lines: Ends of level and upright lines, in percent as in ``Spot``; labels keep off them where they can.
        taken: Texts that are there already: where, on which side, and what.

    Returns:
        Keys of ``SIDES`` by number of the mark.
    """
    found: dict[int, str] = {}
    used = [[box_of(*each, frame) for each in taken] for frame in frames]
    shapes = [[_shape(spot, frame) for spot in spots] for frame in frames]
    strokes = [[_stroke(*line, frame) for line in lines] for frame in frames]
    for label in labels:
        best: tuple[bool, int, str] | None = None
        for side in SIDES:
            misleads, crossed = False, 0
            for number, frame in enumerate(frames):
                box = box_of(spots[label.mark], side, label.text, frame)
                others = shapes[number][: label.mark] + shapes[number][label.mark + 1 :]
                if not _inside(box, frame) or any(map(box.meets, (*others, *used[number]))):
                    break
                misleads = misleads or _misleads(box, label.mark, spots, frame)
                if misleads and not label.coloured:
                    break
                crossed += sum(map(box.meets, strokes[number]))
            else:
                if best is None or (misleads, crossed) < best[:2]:
                    best = misleads, crossed, side
        if best is not None:
            found[label.mark] = best[2]
            for frame, boxes in zip(frames, used, strict=True):
                boxes.append(box_of(spots[label.mark], best[2], label.text, frame))
    return found


def box_of(spot: Spot, side: str, text: str, frame: Frame) -> Rectangle:
    """Return where a label on that side of a mark lies."""
    right, down = SIDES[side]
    x, y = _middle(spot, frame)
    x, y, width = x + right, y + down, text_width(text)
    left = x if right > 0 else x - width if right < 0 else x - width / 2
    top = y if down > 0 else y - LINE if down < 0 else y - LINE / 2
    return Rectangle(left, top, left + width, top + LINE)


def text_width(text: str) -> float:
    """Return the most pixels that ``text`` takes at 13 pixels and half bold, in any usual font, with its padding."""
    return _PAD + sum(map(_character_width, text))


def _character_width(character: str) -> float:
    if character in "fijlrt.,:;'|!-()[] ":
        return 5.5
    if character in "mwMW@%…" or unicodedata.east_asian_width(character) in "WF":
        return 14
    return 10 if character.isupper() or not character.isascii() else 8.5


def _middle(spot: Spot, frame: Frame) -> tuple[float, float]:
    return frame.width * spot.at / 100, frame.height * (1 - spot.up / 100)


def _shape(spot: Spot, frame: Frame) -> Rectangle:
    (x, y), half = _middle(spot, frame), spot.size / 2
    return Rectangle(x - half, y - half, x + half, y + half)


def _stroke(start: tuple[float, float], end: tuple[float, float], frame: Frame) -> Rectangle:
    """Return the box around a line that is level or upright."""
    (x, y), (u, v) = _middle(Spot(*start), frame), _middle(Spot(*end), frame)
    return Rectangle(min(x, u) - 1, min(y, v) - 1, max(x, u) + 1, max(y, v) + 1)


def _misleads(box: Rectangle, mark: int, spots: Sequence[Spot], frame: Frame) -> bool:
    """Tell whether another mark is nearer to the label than its own, by more than anyone sees."""
    own = box.gap(*_middle(spots[mark], frame))
    return any(box.gap(*_middle(spot, frame)) < own - 1 for spot in spots)


def _inside(box: Rectangle, frame: Frame) -> bool:
    return box.left >= 0 and box.right <= frame.width and box.top >= -LINE and box.bottom <= frame.height
