"""Serving: the models, and the one way to ask them. Every protocol talks to this and to nothing behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from time import perf_counter
from typing import Any, NamedTuple

from coldpress_endpoint.repository import Repository
from coldpress_runtime.asgi_messages import Bodies

__all__ = ["ENDS", "Prediction", "Serving"]

#: The ``perf_counter`` value by which the request under way is to be answered; the server sets it from its headers.
ENDS: ContextVar[float] = ContextVar("ENDS")


class Prediction(NamedTuple):
    """What a model answered.

    Attributes:
        name: the model's.
        version: the one that answered.
        outputs: numpy arrays (objects that are ``str`` for ``BYTES``), lists for sequences, dicts for maps, None for
            an absent optional; in the model's order, or in that asked for.
    """

    name: str
    version: str
    outputs: dict[str, Any]


class Serving:
    """The models, ready to be asked.

    Attributes:
        models: the repository.
        bodies: the room for those of all requests, however they come.
        draining: whether the server is about to leave.
        asked: requests to models since the start.
        under_way: those that are not answered yet.
    """

    def __init__(self, models: Repository) -> None:
        self.models = models
        self.bodies = Bodies(models.settings.max_body, models.settings.bodies)
        self.draining = False
        self.asked = 0
        self.under_way = 0

    @property
    def ready(self) -> bool:
        """Whether more requests are welcome: there is a model, and the server stays."""
        return not self.draining and self.live and bool(self.models.names())

    @property
    def live(self) -> bool:
        """Whether this process can go on: False once a GPU has failed under a model, which only a new one gets over."""
        return all(self.models.get(name).ready for name in self.models.names())

    async def predict(
        self,
        name: str,
        version: str | None,
        inputs: Mapping[str, Any],
        outputs: Sequence[str] | None = None,
        *,
        ends: float | None = None,
    ) -> Prediction:
        """Run a model, together with what others ask of it at the same time where that is quicker.

        Args:
            name: the model's; "" for the default one.
            version: None for the highest.
            inputs: values by input name, of the signature's datatypes and shapes.
            outputs: names of the outputs; all by default.
            ends: ``perf_counter`` value by which the answer must be there; by default the server's own limit and the
                request's ``Coldpress-Deadline-Ms``, whichever comes first.

        Raises:
            NotFoundError: no such model or version.
            RunError: the model cannot run on these values.
            BusyError: too many wait already.
            DeadlineError: its time was over before it ran.
            EngineError: the GPU has failed.
        """
        model = self.models.get(name or self.models.default, version)
        if ends is None:
            ends = ENDS.get(perf_counter() + self.models.settings.deadline_s)
        self.asked += 1
        self.under_way += 1
        try:
            return Prediction(model.name, model.version, await model.ask(inputs, outputs, ends))
        finally:
            self.under_way -= 1
