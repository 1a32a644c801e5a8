"""The lossless pipeline: a model that gives the same answers, without what answers do not need.

Each pass is a function from a ``Draft`` to the number of things it changed. After each one the guard holds the draft
to the original's signature, metadata and soundness, and to not having grown; a pass that breaks one of these, or
raises, is undone and its step says why.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from onnx import ModelProto

from coldpress.shrink.common_nodes import merge_common_nodes
from coldpress.shrink.dead_code import drop_dead_nodes, drop_unused_functions, drop_unused_initializers
from coldpress.shrink.dedup_weights import dedup_weights
from coldpress.shrink.default_attributes import drop_default_attributes
from coldpress.shrink.documentation import drop_documentation
from coldpress.shrink.draft import Draft
from coldpress.shrink.dropout import drop_dropouts
from coldpress.shrink.fold_affine import fold_affine
from coldpress.shrink.fold_constants import fold_constants
from coldpress.shrink.guard import Guard, untouchable
from coldpress.shrink.hoist_constants import hoist_constants
from coldpress.shrink.identity import drop_identities
from coldpress.shrink.inline_if import inline_constant_ifs
from coldpress.shrink.late_expansion import expand_late
from coldpress.shrink.modernize_inputs import modernize_inputs
from coldpress.shrink.narrow_constants import narrow_constants
from coldpress.shrink.no_ops import drop_no_ops
from coldpress.shrink.one_hot import look_up_rows
from coldpress.shrink.pack_tensors import pack_tensors
from coldpress.shrink.scopes import unique_names
from coldpress.shrink.short_names import shorten_names
from coldpress.shrink.transposed_ties import tie_transposed
from coldpress.shrink.tree_tables import drop_idle_tree_tables
from coldpress.shrink.value_info import drop_value_info

__all__ = ["FINISHING", "LOSSLESS", "WITHIN_ROUNDING", "Pass", "Step", "StripResult", "strip"]

Pass = Callable[[Draft], int]
_INPUTS = "initialisers listed as inputs"

LOSSLESS: tuple[tuple[str, Pass], ...] = (
    ("documentation", drop_documentation),
    ("unused functions", drop_unused_functions),
    (_INPUTS, modernize_inputs),
    ("constants to initialisers", hoist_constants),
    ("plain integers", pack_tensors),
    ("tree tables", drop_idle_tree_tables),
    ("identities", drop_identities),
    ("dropouts", drop_dropouts),
    ("no-ops", drop_no_ops),
    ("constant arithmetic", fold_constants),
    ("constant conditions", inline_constant_ifs),
    ("common nodes", merge_common_nodes),
    ("one-hot products", look_up_rows),
    ("late expansion", expand_late),
    ("dead nodes", drop_dead_nodes),
    ("unused initialisers", drop_unused_initializers),
    ("duplicate weights", dedup_weights),
    ("inferable types", drop_value_info),
)
"""The passes in order, by the name a step has. Each leaves every answer as it was, bit for bit.

That is so at the engine's optimisation levels from "basic" on. With optimisation disabled, a weight that was computed
and is now stored may be packed by a kernel that could not pack it before, and sums then run in another order.
"""

FINISHING: tuple[tuple[str, Pass], ...] = (
    ("transposed ties", tie_transposed),
    ("exact narrow storage", narrow_constants),
    ("default attributes", drop_default_attributes),
    ("short names", shorten_names),
)
"""Passes as lossless as the others, for the end: after them weights are no longer where and what they were.

What chooses encodings for weights runs these on what it made, with ``strip(model, FINISHING)``.
"""

WITHIN_ROUNDING: tuple[tuple[str, Pass], ...] = (*LOSSLESS, ("scales and shifts", fold_affine))
"""The lossless passes and the one that rounds; what it makes must be compared with the original on samples."""

_MOST_ROUNDS = 4
"""One pass makes work for another (a merged weight makes two nodes equal); real models settle in two rounds."""


@dataclass(frozen=True)
class Step:
    """What one pass did: how many things it changed and the bytes that saved.

    ``note`` says why the pass was undone, or what a caller of the model can no longer do.
    """

    name: str
    count: int
    bytes_saved: int
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the step as a JSON object, without an empty note."""
        record: dict[str, Any] = {"name": self.name, "count": self.count, "bytes_saved": self.bytes_saved}
        return record | ({"note": self.note} if self.note else {})


@dataclass(frozen=True)
class StripResult:
    """The stripped model and the steps that changed it or were undone, each pass once, in order of first effect."""

    model: ModelProto
    steps: tuple[Step, ...]


def strip(model: ModelProto, passes: Sequence[tuple[str, Pass]] = LOSSLESS) -> StripResult:
    """Return ``model`` without what its answers do not need; ``model`` itself is left as it is.

    An ``untouchable`` model is returned as it came.
    """
    if why_not := untouchable(model):
        return StripResult(model, (Step("training information", 0, 0, f"{why_not}; nothing was changed"),))
    draft = Draft(model)
    guard = Guard.of(draft)
    started = size = draft.size()
    steps: dict[str, Step] = {}
    unique_names(draft.proto)
    size = draft.size()
    for _ in range(_MOST_ROUNDS):
        changed = False
        for name, change in passes:
            earlier = steps.get(name, Step(name, 0, 0))
            if earlier.note:
                continue  # what failed once would fail again
            step, size = _apply(draft, guard, name, change, size)
            if step is not None:
                steps[name] = Step(name, earlier.count + step.count, earlier.bytes_saved + step.bytes_saved, step.note)
                changed = changed or bool(step.count)
        if not changed:
            break
    if model.ir_version >= 4 and (moved := steps.get(_INPUTS)) and not moved.note:
        steps[_INPUTS] = replace(moved, note="callers can no longer override these defaults")
    if size > started or not any(step.count for step in steps.values()):
        return StripResult(model, tuple(step for step in steps.values() if step.note))
    return StripResult(draft.restore(), tuple(steps.values()))


def _apply(draft: Draft, guard: Guard, name: str, change: Pass, size: int) -> tuple[Step | None, int]:
    """Run one pass and keep it or undo it; return its step, None when it found nothing, and the draft's size."""
    before = draft.snapshot()
    try:
        count = change(draft)
        if not count:
            return None, size
        problem = guard.complaint(draft)
        now = draft.size()
        if not problem and now > size:
            problem = f"it would have made the model {now - size} bytes larger"
    except Exception as error:  # noqa: BLE001  (whatever a pass trips over, the model without it is still right)
        problem = f"it failed with {type(error).__name__}: {error}"
    if problem:
        draft.proto = before
        return Step(name, 0, 0, f"undone: {problem}"), size
    return Step(name, count, size - now), now
