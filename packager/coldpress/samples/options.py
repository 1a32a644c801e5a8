"""How a source becomes requests: ``[samples]`` of ``coldpress.toml``, less the source itself and the metric."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["SamplesOptions"]


@dataclass(frozen=True)
class SamplesOptions:
    """What a source does not say of itself.

    Attributes:
        preprocess: How pictures become numbers: a name of ``preprocess.PREPROCESSINGS``. Pictures alone; needed
            where the model takes floats.
        size: Height and width of pictures, one number for a square, where the model leaves them open.
        rate: Samples a second that the model was trained on. Sound alone, where it is needed.
        window: Samples of sound that are new in a request. Default: the model's own length less ``context``; where
            that is open, a whole recording is one request.
        hop: Samples from one window to the next. Default: ``window``.
        context: Samples before a window that are repeated in front of it; silence before the first.
        constants: Values of inputs that are the same in every request, where the samples lack them: a number fills
            the input's whole shape, a nested list is the value itself.
        states: Inputs that carry a state, each with the output that feeds it in the next request of a sequence.
            Where the samples lack them they begin as zeros.
        most: The most files taken from a folder, evenly spread over it, or requests from a callable. Default: all.
    """

    preprocess: str | None = None
    size: tuple[int, ...] = ()
    rate: int | None = None
    window: int | None = None
    hop: int | None = None
    context: int = 0
    constants: Mapping[str, Any] = field(default_factory=dict)
    states: Mapping[str, str] = field(default_factory=dict)
    most: int | None = None
