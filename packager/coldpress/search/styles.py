"""The ways a whole model can be encoded, each a menu for every weight.

``storage`` keeps weights small in the file and lets the engine expand them while it opens the model: any operator, full
speed, and the memory of the original. ``native`` computes with the small weights where a kernel can: least memory, and
speed that depends on the batch. ``dynamic`` rounds the inputs of matrix products as well: fastest, least faithful.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from coldpress.encodings.encoding import Site
from coldpress.encodings.menu import ENCODINGS, menu

__all__ = ["FAMILIES", "STYLES", "Style", "uniform"]

STORAGE = ("fp16-storage", "int8-storage", "int6-storage", "int4-storage")
FAMILIES = (*STORAGE, "nbits8", "int4", "static-int8", "dynamic-int8")
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
        """Tell whether this style differs from plain storage on these sites."""
        wanted = [family for family in self.computes if family in allowed]
        return not self.computes or any(menu(site, wanted) for site in sites.values())


STYLES = (Style("storage"), Style("native", ("nbits8", "int4")), Style("dynamic", ("dynamic-int8",)))


def uniform(family: str, sites: Mapping[str, Site], allowed: Collection[str]) -> dict[str, str]:
    """Return one choice for all: the smallest encoding of ``family``, int8 storage where it has none to offer.

    Empty when no site takes the family.
    """
    choice: dict[str, str] = {}
    served = False
    for name, site in sites.items():
        own = menu(site, [family])
        served = served or bool(own)
        options = own or menu(site, [f for f in ("int8-storage", "fp16-storage") if f in allowed][:1])
        if options:
            choice[name] = min(options, key=lambda encoding: (encoding.nbytes(site), encoding.name)).name
    return choice if served else {}


def families_of(choice: Mapping[str, str]) -> tuple[str, ...]:
    """Return the families that a choice uses, in the order of ``FAMILIES``."""
    used = {ENCODINGS[name].family for name in choice.values() if name in ENCODINGS}
    return tuple(family for family in FAMILIES if family in used)
