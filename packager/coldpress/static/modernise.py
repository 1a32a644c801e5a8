"""Old operator sets: scales a channel need opset 13, so older models are converted, and held to their answers."""

from collections.abc import Mapping
from typing import Any

from onnx import ModelProto, version_converter

from coldpress.binding import onnxruntime
from coldpress.errors import ModelError
from coldpress.reference import compare_outputs
from coldpress.shrink.guard import signature
from coldpress.shrink.scopes import STANDARD, opset_of

__all__ = ["LEAST_OPSET", "modernise", "open_session"]

LEAST_OPSET = 13
"""The first in which DequantizeLinear takes a scale a channel (ONNX operator changelog)."""
_ROUNDING = 1e-4
"""Of the largest value. Converted operators may be fused in another order; a wrong conversion is off by far more."""


def open_session(model: ModelProto, *, threads: int = 1) -> Any:
    """Open ``model`` in the plain binding, silent, on the CPU.

    Raises:
        ModelError: ONNX Runtime will not open it.
    """
    ort = onnxruntime()
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.enable_mem_pattern = False
    try:
        return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the binding raises a dozen classes of its own
        raise ModelError(f"ONNX Runtime refuses the model: {' '.join(str(error).split())[:300]}") from error


def modernise(model: ModelProto, request: Mapping[str, Any]) -> ModelProto:
    """Return ``model`` at opset 13 or later: itself when it is there already, else a copy converted by onnx.

    The converted model must have the signature and metadata it had, and answer ``request`` alike.

    Raises:
        ModelError: onnx cannot convert the model, or what it makes is not the same model.
    """
    opset = opset_of(model)
    if opset >= LEAST_OPSET:
        return model
    try:
        changed = version_converter.convert_version(model, LEAST_OPSET)
    except Exception as error:  # raises RuntimeError and its own ConvertError, by operator
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(
            f"The model has opset {opset} and static int8 needs {LEAST_OPSET}, to which onnx cannot convert it "
            f"({why}); export it again with opset {LEAST_OPSET} or later."
        ) from error
    del changed.metadata_props[:]
    changed.metadata_props.extend(model.metadata_props)
    kept = [entry for entry in changed.opset_import if entry.domain in STANDARD]
    others = [entry for entry in model.opset_import if entry.domain not in STANDARD]
    del changed.opset_import[:]
    changed.opset_import.extend([*kept, *others])
    if signature(changed) != signature(model):
        raise ModelError(
            f"Converting the model from opset {opset} to {LEAST_OPSET} changed its inputs or outputs; "
            f"export it again with opset {LEAST_OPSET} or later."
        )
    difference = compare_outputs(_answer(model, request), _answer(changed, request))
    if not difference.within(_ROUNDING):
        raise ModelError(
            f"Converted from opset {opset} to {LEAST_OPSET} the model answers differently "
            f"({difference.structure or f'by {difference.max_rel:.2g} of the largest value'}); "
            f"export it again with opset {LEAST_OPSET} or later."
        )
    return changed


def _answer(model: ModelProto, request: Mapping[str, Any]) -> dict[str, Any]:
    session = open_session(model)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, dict(request)), strict=True))
