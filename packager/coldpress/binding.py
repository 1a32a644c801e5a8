"""The plain ``onnxruntime`` binding, which is the yardstick of everything here."""

import os
from typing import Any

__all__ = ["onnxruntime"]


def onnxruntime() -> Any:
    """Import and return the binding, with its telemetry off.

    ONNX Runtime 1.31 reports on its user's machine to its makers unless this variable is set before it is loaded.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime as binding

    return binding
