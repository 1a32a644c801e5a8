"""The models, one request for each, and the answer that the plain binding gives on the untouched file."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from coldpress.emulate.http import HttpRequest, Reply
from coldpress.reference import Reference
from tests.support import models

__all__ = ["CASES", "TOLERANCE", "Case", "read_outputs"]

LENGTH = "inference-header-content-length"
TOLERANCE = 1e-3  # of the largest magnitude of an output: an arm that is farther off has not done the work
OIP = {"float32": "FP32", "int64": "INT64", "int32": "INT32", "float64": "FP64"}


@dataclass(frozen=True)
class Case:
    """One model with one request.

    Attributes:
        binary: whether the body is binary (images) or JSON (everything small).
        expected: the plain binding's outputs, default session on the untouched file, in the model's order.
    """

    name: str
    title: str
    model: Path
    feeds: dict[str, Any]
    binary: bool
    expected: dict[str, Any]

    @property
    def request(self) -> HttpRequest:
        """The HTTP request, the same bytes for every arm."""
        if not self.binary:
            lists = {name: value.tolist() for name, value in self.feeds.items()}
            return HttpRequest("POST", "/predict", None, json.dumps({"inputs": lists}, separators=(",", ":")).encode())
        inputs = [
            {
                "name": name,
                "datatype": OIP[str(value.dtype)],
                "shape": list(value.shape),
                "parameters": {"binary_data_size": value.nbytes},
            }
            for name, value in self.feeds.items()
        ]
        head = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
        headers = {"content-type": "application/octet-stream", LENGTH: str(len(head))}
        raw = b"".join(np.ascontiguousarray(value).tobytes() for value in self.feeds.values())
        return HttpRequest("POST", f"/v2/models/{self.name}/infer", headers, head + raw)

    def check(self, who: str, outputs: Mapping[str, Any], tolerance: float = TOLERANCE) -> None:
        """Raise ValueError unless outputs are those of the plain binding, so far as ``tolerance`` goes."""
        for name, expected in self.expected.items():
            is_float = expected.dtype.kind == "f"
            slack = tolerance * max(float(np.max(np.abs(expected), initial=0)), 1e-6) if is_float else 0
            if outputs[name].shape != expected.shape or not np.allclose(outputs[name], expected, rtol=0, atol=slack):
                message = f"{who} answers something else in {name!r}; it has not done the work"
                raise ValueError(message)


def read_outputs(reply: Reply, like: dict[str, Any]) -> dict[str, Any]:
    """Read the outputs out of a reply of any arm; element types are those of ``like``."""
    if reply.status != 200:
        message = f"answered {reply.status}: {reply.body[:200]!r}"
        raise ValueError(message)
    if LENGTH not in reply.headers:
        outputs = json.loads(reply.body)["outputs"]
        return {name: np.asarray(outputs[name], value.dtype) for name, value in like.items()}
    place = int(reply.headers[LENGTH])
    arrays = {}
    for item in json.loads(reply.body[:place])["outputs"]:
        end = place + item["parameters"]["binary_data_size"]
        dtype = next(name for name, short in OIP.items() if short == item["datatype"])
        arrays[item["name"]] = np.frombuffer(reply.body[place:end], dtype).reshape(item["shape"])
        place = end
    return arrays


def _case(name: str, title: str, source: str, *, binary: bool) -> Callable[[], Case]:
    def make() -> Case:
        model, feeds = models.fetch(source), models.feeds(source)
        if source == "digits_mlp":
            feeds = {"X": feeds["X"][:1]}
        return Case(name, title, model, feeds, binary, Reference(model).run(feeds))

    return make


CASES: dict[str, Callable[[], Case]] = {
    "digits": _case("digits", "digits (scikit-learn MLP)", "digits_mlp", binary=False),
    "magika": _case("magika", "magika (file types)", "magika", binary=False),
    "ocr_rec": _case("ocr_rec", "PP-OCRv4 rec (text lines)", "ocr_rec", binary=True),
    "nudenet": _case("nudenet", "nudenet (YOLOv8n)", "nudenet", binary=True),
    "minilm": _case("minilm", "MiniLM int8 (sentences)", "minilm_int8", binary=False),
}
