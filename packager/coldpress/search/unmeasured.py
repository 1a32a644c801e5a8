"""Without samples nothing is known of answers, so only encodings with a bounded error may be used, and only if asked.

float16 keeps 11 bits of each number: a weight moves by at most 2^-11 of itself. int8 with a scale a channel moves it by
at most half a step, 1/254 of the channel's largest. What that does to answers nobody has measured, and reports say so.
"""

from collections.abc import Collection

from onnx import ModelProto

from coldpress.search.styles import uniform
from coldpress.search.workbench import Workbench

__all__ = ["BOUNDED", "bounded_choices"]

BOUNDED = ("fp16-storage", "int8-storage")
"""The families whose error has a bound, the more faithful first."""


def bounded_choices(model: ModelProto, allowed: Collection[str]) -> dict[str, ModelProto]:
    """Return the model in each bounded family that is allowed and applies, by the family's name."""
    bench = Workbench(model)
    found = {}
    for family in BOUNDED:
        if family in allowed and (choice := uniform(family, bench.sites, [family])):
            found[family] = bench.build(choice)
    return found
