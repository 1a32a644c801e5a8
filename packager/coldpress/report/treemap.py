"""Treemaps: rectangles whose areas are bytes, as near to squares as can be.

Laid out as in Bruls, Huizing and van Wijk, "Squarified treemaps", Proceedings of the Joint Eurographics and IEEE TCVG
Symposium on Visualization, 2000.
"""

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Box", "squarify"]


@dataclass(frozen=True)
class Box:
    """A rectangle; ``left`` and ``top`` are of its upper left corner."""

    left: float
    top: float
    width: float
    height: float


def squarify(sizes: Sequence[float], within: Box) -> list[Box]:
    """Divide ``within`` among ``sizes``, all above 0 and largest first for the best shapes; areas are in proportion."""
    if not sizes:
        return []
    scale = within.width * within.height / sum(sizes)
    areas = [size * scale for size in sizes]
    boxes: list[Box] = []
    left, top, width, height = within.left, within.top, within.width, within.height
    first = 0
    while first < len(areas):
        side = min(width, height)
        last = first + 1
        total = least = most = areas[first]
        while last < len(areas):
            area = areas[last]
            grown = (total + area, min(least, area), max(most, area))
            if _worst(*grown, side) > _worst(total, least, most, side):
                break
            total, least, most = grown
            last += 1
        deep = total / side if side else 0.0
        along = 0.0
        for area in areas[first:last]:
            length = area / deep if deep else 0.0
            if width >= height:
                boxes.append(Box(left, top + along, deep, length))
            else:
                boxes.append(Box(left + along, top, length, deep))
            along += length
        if width >= height:
            left, width = left + deep, max(0.0, width - deep)
        else:
            top, height = top + deep, max(0.0, height - deep)
        first = last
    return boxes


def _worst(total: float, least: float, most: float, side: float) -> float:
    """Return the largest ratio of sides in a row of rectangles, ``total`` their area, laid along ``side``."""
    return max(side * side * most / (total * total), total * total / (side * side * least)) if side else 0.0
