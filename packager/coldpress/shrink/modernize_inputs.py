"""Initialisers listed among the inputs: before IR version 4 they had to be, since then it means "a default"."""

from coldpress.shrink.draft import Draft
from coldpress.shrink.scopes import constants_of, delete_at

__all__ = ["modernize_inputs"]


def modernize_inputs(draft: Draft) -> int:
    """Take initialisers off the main graph's list of inputs; return how many.

    A model of IR version 3 becomes version 4, which differs in nothing else: ONNX Runtime never let a caller override
    the weights of an older model. From version 4 on such an input had a default that a caller could override; after
    this it is a constant, which is what the runtime needs to fold and pack it. Inner graphs match their inputs by
    position, so theirs stay.
    """
    model = draft.proto
    constants = set(constants_of(model.graph))
    listed = [place for place, value in enumerate(model.graph.input) if value.name in constants]
    delete_at(model.graph.input, listed)
    if model.ir_version == 3:
        model.ir_version = 4
        return max(len(listed), 1)
    return len(listed)
