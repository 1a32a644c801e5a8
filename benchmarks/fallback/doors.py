"""A door of a function, to a server on this machine, and questions about digits with the answers that are right."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from coldpress_runtime.fallback.door import Door, Question
from coldpress_runtime.fallback.settings import Fallback
from tests.support import models

__all__ = ["door_to", "question", "right", "rows"]

_INPUTS = [{"name": "X", "datatype": "FP32", "shape": [None, 64]}]
_OUTPUTS = [
    {"name": "label", "datatype": "INT64", "shape": [None]},
    {"name": "probabilities", "datatype": "FP32", "shape": [None, 10]},
]


def door_to(port: int, **changes: Any) -> Door:
    """Return a door to the digits model at a port; ``changes`` to the settings that a manifest has by default."""
    document: dict[str, Any] = {
        "endpoint": {"kind": "http", "url": f"http://127.0.0.1:{port}", "name": "", "region": "", "auth": "none",
                     "audience": "", "output": "", "allow_private": True},
        "when": ["error"], "deadline_s": 30.0, "connect_s": 2.0, "retries": 1, "hedge_after_s": None, "concurrency": 8,
        "answer_bytes": 6_291_456, "breaker": {"failures": 5, "window_s": 30.0, "open_s": 10.0}, "waking": "refuse",
        "output": None, "inputs": _INPUTS, "outputs": _OUTPUTS,
    }  # fmt: skip
    return Door(Fallback.read(document | changes, "fallback"), {})


def rows() -> np.ndarray:
    """Return the digits that the model never saw, float32 [360, 64]."""
    return np.asarray(models.digits()[2], np.float32)


def question(row: np.ndarray) -> Question:
    """Ask for one digit, in the protocol's JSON."""
    item = {"name": "X", "datatype": "FP32", "shape": [1, 64], "data": row.tolist()}
    body = json.dumps({"inputs": [item]}, separators=(",", ":")).encode()
    return Question("/v2/models/digits/infer", {"content-type": "application/json"}, body)


def right(content: bytes, want: Mapping[str, Sequence[float]], tolerance: float = 1e-4) -> bool:
    """Tell whether an answer in the protocol's JSON holds these outputs."""
    found = {each["name"]: each["data"] for each in json.loads(content)["outputs"]}
    return set(found) == set(want) and all(
        len(found[name]) == len(values) and np.allclose(found[name], values, atol=tolerance)
        for name, values in want.items()
    )
