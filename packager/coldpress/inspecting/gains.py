"""What shrinking could gain, before trying: the bytes that a model would have in each family of encodings."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from onnx import ModelProto

from coldpress.encodings.encoding import Site
from coldpress.encodings.menu import ENCODINGS, menu, overhead
from coldpress.encodings.sites import find_sites
from coldpress.model.weights import Weight
from coldpress.shrink.draft import Draft
from coldpress.shrink.guard import untouchable
from coldpress.shrink.scopes import unique_names

__all__ = ["Gain", "Gains", "possible_gains"]

_MOST = 0.5
"""From this share of a model's bytes on, what they are is said instead of left to be found out."""
_CODES = frozenset({"int8", "uint8", "int4", "uint4", "int2", "uint2", "float8e4m3fn", "float8e5m2", "float4e2m1"})


@dataclass(frozen=True)
class Gain:
    """One family of encodings, used on every weight that it can hold.

    Attributes:
        family: The word of ``[shrink] allow``.
        bytes: What the whole model would take, within the length of some names.
        saved: Bytes less than the model has now.
        weights: How many it would be used on.
    """

    family: str
    bytes: int
    saved: int
    weights: int

    def to_json(self) -> dict[str, Any]:
        """Return the record as a JSON object."""
        return dict(vars(self))


@dataclass(frozen=True)
class Gains:
    """What each family would give, the smallest model last, and why nothing can be gained where that is so."""

    families: tuple[Gain, ...]
    why_none: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the record as a JSON object."""
        return {"families": [gain.to_json() for gain in self.families], "why_none": self.why_none}


def possible_gains(model: ModelProto, weights: Iterable[Weight], now: int, ready: int) -> Gains:
    """Say what each family of encodings would make of a model; nothing is encoded, and accuracy is not looked at.

    Args:
        model: After the lossless passes, before the finishing ones.
        weights: Those of the original, to say why nothing can be gained.
        now: Bytes of the original.
        ready: Bytes of ``model`` after the finishing passes but for those that change how weights are stored.
    """
    draft = Draft(model)
    unique_names(draft.proto)
    sites = find_sites(draft)
    gains = []
    for family in dict.fromkeys(encoding.family for encoding in ENCODINGS.values()):
        saved, count = _saved(sites, family)
        if saved > 0:
            gains.append(Gain(family, ready - saved, now - ready + saved, count))
    return Gains(tuple(sorted(gains, key=lambda gain: gain.saved)), _why_none(model, list(weights), now, gains))


def _saved(sites: Iterable[Site], family: str) -> tuple[int, int]:
    """Return the bytes saved and the weights they come from, each weight in the smallest encoding of the family."""
    saved = count = 0
    shared: dict[str, int] = {}
    for site in sites:
        best = max(
            ((site.nbytes - encoding.nbytes(site) - overhead(encoding.name, site.role).each, encoding.name)
             for encoding in menu(site, {family})),
            default=(0, ""),
        )  # fmt: skip
        if best[0] > 0:
            saved += best[0]
            count += 1
            shared[best[1]] = overhead(best[1], site.role).once
    return saved - sum(shared.values()), count


def _why_none(model: ModelProto, weights: list[Weight], now: int, gains: list[Gain]) -> str:
    if why_not := untouchable(model):
        return f"It stays as it is: {why_not}."
    trees = sum(weight.bytes for weight in weights if weight.used_by.startswith("TreeEnsemble"))
    codes = sum(weight.bytes for weight in weights if weight.dtype in _CODES)
    halves = sum(weight.bytes for weight in weights if weight.dtype in {"float16", "bfloat16"})
    if trees >= _MOST * now:
        return (
            f"{trees / now:.0%} of the bytes are tree tables in attributes, which no quantiser touches; "
            "fewer or shallower trees make the model smaller."
        )
    if codes >= _MOST * now:
        return f"{codes / now:.0%} of the bytes are weights stored in 8 bits or fewer; quantising again gains nothing."
    if not gains and halves >= _MOST * now:
        return f"{halves / now:.0%} of the bytes are weights in half precision, which the encodings here leave alone."
    return "" if gains else "No float32 weight is large enough to be worth encoding."
