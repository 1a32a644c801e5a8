"""One lossless pass at a time: its count, the model after it, and the proof that answers are the same bit for bit."""

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import ModelProto

from coldpress.shrink.draft import Draft
from coldpress.shrink.scopes import unique_names
from tests.support.graphs import answers, same_bits

__all__ = ["FEEDS", "X", "ops", "run"]

X = np.arange(6, dtype=np.float32).reshape(2, 3) - 2
FEEDS = {"x": X}


def run(change: Callable[[Draft], int], made: ModelProto, feeds: dict[str, Any] = FEEDS) -> tuple[int, ModelProto]:
    """Apply one pass; return its count and the result, after comparing answers with and without optimisation."""
    draft = Draft(made)
    unique_names(draft.proto)
    count = change(draft)
    after = draft.restore()
    for optimized in (True, False):
        assert same_bits(answers(made, feeds, optimized=optimized), answers(after, feeds, optimized=optimized))
    return count, after


def ops(made: ModelProto) -> list[str]:
    """Return the operators of the main graph, in order."""
    return [n.op_type for n in made.graph.node]
