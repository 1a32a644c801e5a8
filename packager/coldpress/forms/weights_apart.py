"""Weights in a file of their own beside the model: ONNX Runtime maps that file and uses the weights where they lie.

In one file they are read, parsed and copied before anything can be done with them.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["WEIGHTS", "put_apart"]

WEIGHTS = "weights.bin"
_LEAST_BYTES = 1024
"""Smaller ones stay in the model: ONNX Runtime reads their values while it infers shapes."""
_ALIGNMENT = 64
"""A cache line, and the widest vector."""


def put_apart(model: "ModelProto", file: Path) -> int:
    """Move the main graph's larger weights into ``file``, and make ``model`` refer to it by name.

    Returns:
        How many were moved. The file is written even when there are none.
    """
    from onnx import TensorProto

    moved = place = 0
    with file.open("wb") as out:
        for tensor in model.graph.initializer:
            if not tensor.HasField("raw_data") or len(tensor.raw_data) < _LEAST_BYTES:
                continue
            padding = -place % _ALIGNMENT
            out.write(bytes(padding))
            place += padding
            out.write(tensor.raw_data)
            entries = {"location": file.name, "offset": place, "length": len(tensor.raw_data)}
            place += len(tensor.raw_data)
            tensor.ClearField("raw_data")
            tensor.data_location = TensorProto.EXTERNAL
            for key, value in entries.items():
                tensor.external_data.add(key=key, value=str(value))
            moved += 1
    return moved
