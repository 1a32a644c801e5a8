"""The ways in which a request reaches a function: by each target, and where it has several, by each kind of event."""

from dataclasses import dataclass

from coldpress.emulate.events import EVENTS
from coldpress.targets import TARGETS

__all__ = ["WAYS", "Way"]


@dataclass(frozen=True)
class Way:
    """A target, and the kind of event by which it is asked: AWS has several."""

    target: str
    door: str | None = None

    def __str__(self) -> str:
        return f"{self.target}-{self.door}" if self.door else self.target


WAYS = (*(Way("aws", door) for door in EVENTS), *(Way(target) for target in TARGETS if target != "aws"))
