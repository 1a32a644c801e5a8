"""Plain JSON: ``POST /predict`` for the default model, as a function answers it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coldpress_endpoint.arrays import dump, fits_json, nbytes, off_loop, parse, to_arrays, to_tensors, widened
from coldpress_endpoint.model import Model
from coldpress_endpoint.quick import read_predict
from coldpress_endpoint.routes import Answer, Call, Route
from coldpress_endpoint.serving import Serving
from coldpress_runtime.errors import MediaTypeError, TooLargeError
from coldpress_runtime.json_text import describe
from coldpress_runtime.plain_json import decode_predict, encode_predict

__all__ = ["check_media_type", "predict", "routes"]

_JSON = {"content-type": "application/json"}
#: Content types in which JSON arrives: its own, none, what ``curl -d`` sends, and what browsers send to avoid a
#: preflight request.
_JSON_TYPES = ("application/json", "", "application/x-www-form-urlencoded", "text/plain")


def routes(serving: Serving) -> list[Route]:
    """``POST /predict``."""

    async def handler(call: Call) -> Answer:
        return await predict(serving, call)

    return [Route("POST", "/predict", handler)]


async def predict(serving: Serving, call: Call, name: str = "", version: str | None = None) -> Answer:
    """Answer a plain JSON request to a model, by default the default one."""
    check_media_type(call.headers.get("content-type", ""))
    model = serving.models.get(name or serving.models.default, version)
    inputs, count = await off_loop(len(call.body), _read, call.body, model)
    outputs = (await serving.predict(model.name, version, inputs)).outputs
    limit = serving.models.settings.max_answer
    return Answer(200, _JSON, await off_loop(nbytes(outputs), _write, outputs, count, model, limit))


def check_media_type(sent: str) -> None:
    """Raise MediaTypeError for a ``Content-Type`` that cannot be JSON."""
    if sent == "application/json":
        return
    kind = sent.partition(";")[0].strip().lower()
    if kind not in _JSON_TYPES and not kind.endswith("+json"):
        raise MediaTypeError(f"Content-Type is {describe(sent)}, expected application/json.")


def _read(body: bytes, model: Model) -> tuple[dict[str, Any], int | None]:
    usual = read_predict(body, model.input_infos)
    if usual is not None:
        return usual
    values, count = decode_predict(parse(body), model.input_infos)
    return to_arrays(values), count


def _write(outputs: Mapping[str, Any], count: int | None, model: Model, limit: int) -> bytes:
    text = None
    if fits_json(outputs, limit):
        wide = {name: widened(value) for name, value in outputs.items()}
        if count is None:
            text = dump({"outputs": wide})
        elif all(len(value) == count for value in wide.values()):
            text = dump({"predictions": _rows(wide)})
    if text is None:
        text = encode_predict(to_tensors(outputs, model), count, limit)
    if len(text) > limit:
        raise TooLargeError(f"The answer has {len(text)} bytes, over this endpoint's {limit}; send fewer rows.")
    return text


def _rows(outputs: Mapping[str, Any]) -> Any:
    if len(outputs) == 1:
        return next(iter(outputs.values()))
    columns = [list(value) if value.ndim > 1 else value.tolist() for value in outputs.values()]
    return [dict(zip(outputs, row, strict=True)) for row in zip(*columns, strict=True)]
