"""The inputs of the run that warms a function up inside its init phase."""

from collections.abc import Mapping
from typing import Any

from coldpress.errors import SamplesError
from coldpress.exchange import wire_bytes
from coldpress.forms.trial import encode
from coldpress.reference import Reference
from coldpress.samples.load import SampleSet
from coldpress.samples.smaller import smallest_request

__all__ = ["DATA_PATH", "MAX_BYTES", "warmup_record"]

DATA_PATH = "model/warmup.bin"
MAX_BYTES = 256 * 1024
"""Real inputs ship for the warm-up up to this size; beyond it zeros do where the model runs on them at all."""


def warmup_record(reference: Reference, samples: SampleSet) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Choose what a function warms up on: the first sample, cut as small as the model still runs on.

    Zeros, when the model answers them with outputs of the same kinds, types and shapes: then the run does the same work
    and nothing need ship. Else, and where a number of its own steers the model (a sample rate, a length), the sample's
    own bytes.

    Returns:
        ``warmup`` of the manifest, and the files it names, by their path in the bundle. A model with an input that is
        no tensor has no warm-up run.
    """
    sample = smallest_request(reference, samples.requests[0])
    request = {name: encode(value) for name, value in sample.items() if value is not None}
    if not all(isinstance(value, tuple) for value in request.values()):
        return {"inputs": [], "data": None}, {}
    inputs = [{"name": name, "datatype": kind, "shape": list(shape)} for name, (kind, shape, _) in request.items()]
    data = b"".join(wire_bytes(kind, content) for kind, _, content in request.values())
    answer = _answer_to_zeros(reference, sample)
    steered = any(not kind.startswith(("FP", "BF")) and len(shape) < 2 for kind, shape, _ in request.values())
    alike = answer is not None and _outline(answer) == _outline(reference.run(sample))
    if (alike and not steered) or (answer is not None and len(data) > MAX_BYTES):
        return {"inputs": inputs, "data": None}, {}
    return {"inputs": inputs, "data": DATA_PATH}, {DATA_PATH: data}


def _answer_to_zeros(reference: Reference, request: Mapping[str, Any]) -> dict[str, Any] | None:
    import numpy as np

    zeros: dict[str, Any] = {}
    for name, value in request.items():
        if value is None:
            zeros[name] = None
        elif value.dtype == object:
            zeros[name] = np.full(value.shape, "", dtype=object)
        else:
            zeros[name] = np.zeros_like(value)
    try:
        return reference.run(zeros, timeout_s=30)
    except SamplesError:
        return None


def _outline(value: Any) -> Any:
    """Keep kinds, element types and shapes, without the values."""
    if isinstance(value, dict):
        return {key: _outline(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_outline(item) for item in value]
    return (str(getattr(value, "dtype", type(value).__name__)), getattr(value, "shape", ()))
