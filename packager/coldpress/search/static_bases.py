"""Models whose convolutions are computed with integers, from all of them to those alone that harm least."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from onnx import ModelProto

from coldpress.errors import ModelError, SamplesError
from coldpress.search.trials import Base
from coldpress.search.workbench import Workbench
from coldpress.static.exclusions import search_exclusions
from coldpress.static.quantise import quantise

__all__ = ["FAMILY", "static_bases"]

FAMILY = "static-int8"
_MOST = 8
"""Rungs of the ladder that are tried, evenly spread."""


def static_bases(
    model: ModelProto,
    calibration: Sequence[Mapping[str, Any]],
    recipe: tuple[str, ...],
    grams: Mapping[str, np.ndarray],
    seconds: float,
    tell: Callable[[str], None],
) -> Iterator[Base]:
    """Yield quantised models, each with more in float than the one before; none where nothing can be quantised.

    Args:
        model: After the lossless passes.
        calibration: Requests that ranges are taken from.
        recipe: Of ``model``.
        grams: By name of a weight, the sum of x xᵀ over its inputs.
        seconds: For finding out what must stay in float.
        tell: Gets a line on what is being tried.
    """
    try:
        ladder = search_exclusions(
            model, calibration, seconds=seconds, progress=lambda what, _: tell(f"{FAMILY}: {what}")
        )
        step = max(1, -(-(len(ladder) - 1) // (_MOST - 1)))
        for rung in (*ladder[:-1:step], *ladder[-1:]):
            tell(f"{FAMILY}: {len(rung.exclude)} nodes left in float")
            made = quantise(
                model, calibration, exclude=rung.exclude, products=rung.products, method=rung.method, grams=grams
            )
            yield Base((*recipe, FAMILY), Workbench(made), last=rung is ladder[-1])
    except (ModelError, SamplesError):
        return  # an operator set that cannot be converted, or nothing to quantise: the other encodings serve
