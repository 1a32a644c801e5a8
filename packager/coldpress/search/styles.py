"""The ways a whole model can be encoded, each a menu for every weight.

``storage`` keeps weights small in the file and lets the engine expand them while it opens the model: any operator, full
speed, and the memory of the original. ``native`` computes with the small weights where a kernel can: least memory, and
speed that depends on the batch. ``dynamic`` rounds the inputs of matrix products as well: fastest, least faithful.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from coldpress.encodings.encoding import Encoding, Site
from coldpress.encodings.menu import ENCODINGS, menu

__all__ = ["FAMILIES", "STORAGE", "STYLES", "ZIPPED", "Style", "uniform", "uniform_choices"]

STORAGE = ("fp16-storage", "int8-storage", "int6-storage", "int4-storage")
ZIPPED = "prune"
"""The family whose models are small in a zip alone: where it is allowed, models are compared by their zipped bytes."""
FAMILIES = (*STORAGE, "nbits8", "int4", "static-int8", "dynamic-int8", ZIPPED)
"""The lossy words of ``[shrink] allow``, from the most faithful of each kind to the least."""


@dataclass(frozen=True)
class Style:
    """Families that compute, used where an encoding of theirs is legal; storage serves the other weights."""

    name: str
    computes: tuple[str, ...] = ()

    def menus(self, sites: Mapping[str, Site], allowed: Collection[str]) -> dict[str, tuple[str, ...]]:
        """Return the encodings allowed for each site, by name."""
        menus = {}
        for name, site in sites.items():
            native = menu(site, [family for family in self.computes if family in allowed])
            menus[name] = tuple(e.name for e in native or menu(site, [f for f in STORAGE if f in allowed]))
        return menus

    def serves(self, sites: Mapping[str, Site], allowed: Collection[str]) -> bool:
        """Tell whether this style has anything of its own to offer on these sites."""
        wanted = [family for family in self.computes or STORAGE if family in allowed]
        return any(menu(site, wanted) for site in sites.values())


STYLES = (Style("storage"), Style("native", ("nbits8", "int4")), Style("dynamic", ("dynamic-int8",)))


def uniform(family: str, sites: Mapping[str, Site], allowed: Collection[str]) -> dict[str, str]:
    """Return one choice for all: the smallest encoding of ``family``, int8 storage where it has none to offer.

    Empty when no site takes the family.
    """
    return _alike(lambda site: menu(site, [family]), sites, allowed)


def uniform_choices(family: str, sites: Mapping[str, Site], allowed: Collection[str]) -> dict[str, dict[str, str]]:
    """Return what to try on all weights alike, by name: a family's ``uniform``, and each encoding of ``prune``.

    Those are as large as each other in the file, so which is smallest in a zip shows once they are made.
    """
    choices = {family: uniform(family, sites, allowed)}
    if family == ZIPPED:
        encodings = [encoding for encoding in ENCODINGS.values() if encoding.family == family]
        choices = {encoding.name: _alike(_offers(encoding), sites, allowed) for encoding in encodings}
    return {name: choice for name, choice in choices.items() if choice}


def _offers(encoding: Encoding) -> Callable[[Site], Sequence[Encoding]]:
    return lambda site: [] if encoding.refusal(site) else [encoding]


def _alike(
    own: Callable[[Site], Sequence[Encoding]], sites: Mapping[str, Site], allowed: Collection[str]
) -> dict[str, str]:
    choice: dict[str, str] = {}
    served = False
    for name, site in sites.items():
        offered = own(site)
        served = served or bool(offered)
        options = offered or menu(site, [f for f in ("int8-storage", "fp16-storage") if f in allowed][:1])
        if options:
            choice[name] = min(options, key=lambda encoding: (encoding.nbytes(site), encoding.name)).name
    return choice if served else {}


def families_of(choice: Mapping[str, str]) -> tuple[str, ...]:
    """Return the families that a choice uses, in the order of ``FAMILIES``."""
    used = {ENCODINGS[name].family for name in choice.values() if name in ENCODINGS}
    return tuple(family for family in FAMILIES if family in used)
