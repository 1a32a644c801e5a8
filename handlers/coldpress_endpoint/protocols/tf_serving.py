"""TensorFlow Serving's REST: ``/v1/models/{name}[/versions/{version}|/labels/{label}]`` with ``:predict`` and others.

What that server's clients know of a model comes from the model's own signature, under TensorFlow's names for its
types. ``:classify`` and ``:regress`` answer for models whose outputs are a table of scores, and a number a row.

Floats that are not finite leave as ``NaN``, ``Infinity`` and ``-Infinity``: no JSON, but what this protocol says.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from coldpress_endpoint.arrays import dump, fits_json, off_loop, parse, to_arrays
from coldpress_endpoint.model import Model
from coldpress_endpoint.protocols.payload import listed, rows_of
from coldpress_endpoint.protocols.refused import refusing
from coldpress_endpoint.quick import read_predict
from coldpress_endpoint.routes import Answer, Call, Handler, Route
from coldpress_endpoint.serving import Serving
from coldpress_endpoint.signature import Signature
from coldpress_runtime import json_text
from coldpress_runtime.errors import NotFoundError, RequestError
from coldpress_runtime.json_text import describe
from coldpress_runtime.plain_json import decode_predict
from coldpress_runtime.protocol import check_size, expect_object, quoted

__all__ = ["routes"]

_JSON = {"content-type": "application/json"}
#: What the one signature of a model goes by.
_SIGNATURES = {
    None,
    "",
    "serving_default",
    "predict",
    "tensorflow/serving/predict",
    "tensorflow/serving/classify",
    "tensorflow/serving/regress",
}
_TYPES = {
    "FP16": "DT_HALF", "BF16": "DT_BFLOAT16", "FP32": "DT_FLOAT", "FP64": "DT_DOUBLE", "BYTES": "DT_STRING",
    "FLOAT8E4M3FN": "DT_FLOAT8_E4M3FN", "FLOAT8E5M2": "DT_FLOAT8_E5M2",
}  # fmt: skip


def routes(serving: Serving) -> list[Route]:
    """The protocol's paths."""
    protocol = _TensorFlowServing(serving)
    verbs = {"predict": protocol.predict, "classify": protocol.classify, "regress": protocol.regress}
    found: list[Route] = []
    for base in ("/v1/models/{name}", "/v1/models/{name}/versions/{version}", "/v1/models/{name}/labels/{label}"):
        for verb, handler in verbs.items():
            found.append(Route("POST", f"{base}:{verb}", _answering(handler)))
        found.append(Route("GET", f"{base}/metadata", _answering(protocol.metadata)))
        found.append(Route("GET", base, _answering(protocol.status)))
    return found


def _answering(handler: Handler) -> Handler:
    return refusing(handler, lambda error: {"error": str(error)})


class _TensorFlowServing:
    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        self._limit = serving.models.settings.max_answer

    def _model(self, call: Call) -> Model:
        if "label" in call.params:
            raise NotFoundError(
                f"There is no label {describe(call.params['label'])}: versions have no labels here; ask for a version "
                "by its number, or for none."
            )
        return self._serving.models.get(call.params["name"], call.params.get("version"))

    async def predict(self, call: Call) -> Answer:
        """``{"instances": rows}`` by ``{"predictions": rows}``, ``{"inputs": columns}`` by ``{"outputs": columns}``."""
        model = self._model(call)
        inputs, count = await off_loop(len(call.body), _read_predict, call.body, model)
        outputs = await self._ask(model, inputs)
        return await off_loop(_size(outputs), _write_predict, outputs, count, self._limit)

    async def classify(self, call: Call) -> Answer:
        """``{"examples": [...]}`` by ``{"results": [[[label, score], ...], ...]}``."""
        model = self._model(call)
        name = _output(model, _is_scores, "classify", "a table of scores, a column for each class")
        scores = await self._examples(model, call.body, name)
        results = [
            [[str(label), score] for label, score in row.items()]
            if isinstance(row, dict)
            else [["", score] for score in row]
            for row in scores
        ]
        return _json({"results": results})

    async def regress(self, call: Call) -> Answer:
        """``{"examples": [...]}`` by ``{"results": [number, ...]}``."""
        model = self._model(call)
        name = _output(model, _is_number, "regress", "a number for each row")
        rows = await self._examples(model, call.body, name)
        return _json({"results": [row[0] if isinstance(row, list) else row for row in rows]})

    async def _examples(self, model: Model, body: bytes, output: str) -> list[Any]:
        document = _document(body)
        examples = document.get("examples")
        if type(examples) is not list or not examples:
            found = describe(examples) if "examples" in document else "missing"
            raise RequestError(f"examples is {found}, expected a list of at least one object of features.")
        context = expect_object(document.get("context"), "context")
        rows = []
        for place, example in enumerate(examples):
            features = expect_object(example, f"Example {place}")
            twice = features.keys() & context.keys()
            if twice:
                raise RequestError(f"Example {place} has {describe(min(twice))}, which the context has as well.")
            rows.append(
                {name: _feature(value, model.input_infos.get(name)) for name, value in (context | features).items()}
            )
        values, count = decode_predict({"instances": rows}, model.input_infos)
        outputs = await self._ask(model, to_arrays(values), [output])
        return list(listed(rows_of(outputs, count)))

    async def _ask(self, model: Model, inputs: Mapping[str, Any], outputs: list[str] | None = None) -> dict[str, Any]:
        answer = await self._serving.predict(model.name, model.version, inputs, outputs)
        check_size(
            2 * sum(value.size for value in answer.outputs.values() if isinstance(value, np.ndarray)), self._limit
        )
        return answer.outputs

    async def status(self, call: Call) -> Answer:
        """The versions of a model, or the one asked for; beside them what KServe's first protocol tells."""
        model = self._model(call)
        found = [model] if "version" in call.params else self._serving.models.versions(model.name).values()
        told = [
            {
                "version": each.version,
                "state": "AVAILABLE" if each.ready else "UNLOADING",
                "status": {"error_code": "OK", "error_message": ""},
            }
            for each in found
        ]
        return _json({"name": model.name, "ready": self._serving.ready, "model_version_status": told})

    async def metadata(self, call: Call) -> Answer:
        """The model's signature, as TensorFlow writes one."""
        model = self._model(call)
        signature = {
            "inputs": {each.name: _tensor_info(each) for each in model.inputs},
            "outputs": {each.name: _tensor_info(each) for each in model.outputs},
            "method_name": "tensorflow/serving/predict",
            "defaults": {},
        }
        return _json(
            {
                "model_spec": {"name": model.name, "signature_name": "", "version": model.version},
                "metadata": {"signature_def": {"signature_def": {"serving_default": signature}}},
            }
        )


def _read_predict(body: bytes, model: Model) -> tuple[dict[str, Any], int | None]:
    infos = model.input_infos
    quickly = read_predict(body, infos)
    if quickly is not None:
        return quickly
    document = _document(body)
    columns = document.get("inputs")
    if "inputs" in document and not (type(columns) is dict and (columns.keys() != {"b64"} or "b64" in infos)):
        if len(infos) != 1:
            raise RequestError(f"inputs is {describe(columns)}, expected an object with the inputs {quoted(infos)}.")
        document["inputs"] = dict.fromkeys(infos, columns)
    values, count = decode_predict(document, infos)
    return to_arrays(values), count


def _write_predict(outputs: Mapping[str, Any], count: int | None, limit: int) -> Answer:
    document: dict[str, Any]
    if count is not None:
        document = {"predictions": rows_of(outputs, count)}
    else:
        document = {"outputs": next(iter(outputs.values())) if len(outputs) == 1 else outputs}
    body = dump(document) if fits_json(outputs, limit) else None
    return Answer(200, dict(_JSON), body) if body is not None else _json(listed(document))


def _size(outputs: Mapping[str, Any]) -> int:
    return sum(value.nbytes for value in outputs.values() if isinstance(value, np.ndarray))


def _document(body: bytes) -> dict[str, Any]:
    document = parse(body)
    if type(document) is not dict:
        raise RequestError(f'The body is {describe(document)}, expected an object with "instances" or "inputs".')
    name = document.pop("signature_name", None)
    if type(name) not in {str, type(None)} or name not in _SIGNATURES:
        raise RequestError(f'There is no signature {describe(name)}; this model has "serving_default" alone.')
    return document


def _feature(value: Any, info: Any) -> Any:
    """A feature as a row of its input: examples know numbers and flat lists, inputs may want an axis more or less."""
    axes = len(info.shape) - 1 if info is not None else 0
    if type(value) is not list and axes == 1:
        return [value]
    if type(value) is list and len(value) == 1 and axes == 0:
        return value[0]
    return value


def _output(model: Model, fits: Callable[[Signature], bool], verb: str, wanted: str) -> str:
    found = [each.name for each in model.outputs if fits(each)]
    if len(found) != 1:
        raise RequestError(
            f"Model {model.name!r} has {len(found)} outputs that are {wanted}, {verb} needs one; use :predict."
        )
    return found[0]


def _is_scores(output: Signature) -> bool:
    info = output.info
    if info.kind == "sequence" and info.item is not None:
        return info.item.kind == "map"
    return (
        info.kind == "tensor" and output.datatype.startswith("FP") and len(output.shape) == 2 and output.shape[1] != 1
    )


def _is_number(output: Signature) -> bool:
    return (
        output.info.kind == "tensor"
        and output.datatype.startswith("FP")
        and (len(output.shape) == 1 or (len(output.shape) == 2 and output.shape[1] == 1))
    )


def _tensor_info(each: Signature) -> dict[str, Any]:
    dimensions = [{"size": str(size), "name": ""} for size in each.shape]
    return {
        "dtype": _TYPES.get(each.datatype, f"DT_{each.datatype}"),
        "tensor_shape": {"dim": dimensions, "unknown_rank": False},
        "name": each.name,
    }


def _json(document: Any) -> Answer:
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    try:
        body = text.encode()
    except UnicodeEncodeError:  # bytes that are no text go in base64, as dump writes them
        body = json_text.dump(document)
    return Answer(200, dict(_JSON), body)
