"""Declared types of intermediate values, where the runtime works them out itself."""

from onnx import GraphProto

from coldpress.shrink.draft import Draft
from coldpress.shrink.scopes import defined_names, delete_at, scopes
from coldpress.shrink.types import inferred

__all__ = ["drop_value_info"]


def drop_value_info(draft: Draft) -> int:
    """Remove the declarations that inference reproduces exactly, and those of names that are gone; return how many.

    What cannot be inferred stays: a runtime may need it for operators it knows no more about, or plan with it.
    """
    known = {value.name: value.type for value in inferred(draft)}
    dropped = 0
    for scope in scopes(draft.proto):
        if not isinstance(scope.body, GraphProto):
            continue
        defined = set(defined_names(scope.body))
        idle = [
            place
            for place, value in enumerate(scope.body.value_info)
            if value.name not in defined or (not scope.depth and known.get(value.name) == value.type)
        ]
        delete_at(scope.body.value_info, idle)
        dropped += len(idle)
    return dropped
