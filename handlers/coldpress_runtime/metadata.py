"""What the Open Inference Protocol says about a server and a model."""

from __future__ import annotations

from coldpress_runtime import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from coldpress_runtime.manifest import Manifest
    from coldpress_runtime.ort import Session, ValueInfo

__all__ = ["model_metadata", "server_metadata"]


def server_metadata() -> dict[str, Any]:
    """The answer to ``GET /v2``."""
    return {"name": "coldpress", "version": __version__, "extensions": ["binary_tensor_data"]}


def _tensor(info: ValueInfo) -> dict[str, Any]:
    if info.kind != "tensor" or info.dtype is None:
        # The protocol has only tensors: a sequence or a map travels as JSON texts, see protocol.py.
        return {"name": info.name, "datatype": "BYTES", "shape": [-1]}
    shape = [dim if type(dim) is int else -1 for dim in info.shape]
    return {"name": info.name, "datatype": info.dtype.name, "shape": shape}


def model_metadata(manifest: Manifest, session: Session) -> dict[str, Any]:
    """The answer to ``GET /v2/models/{name}``; axes of any size are -1."""
    return {
        "name": manifest.name,
        "versions": [manifest.version],
        "platform": "onnxruntime_onnx",
        "inputs": [_tensor(info) for info in session.inputs],
        "outputs": [_tensor(info) for info in session.outputs],
    }
