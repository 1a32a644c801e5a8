"""/openapi.json describes what the function really does."""

import pytest
import schemathesis
from jsonschema_rs import Draft202012Validator
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import Status, from_schema
from schemathesis.engine.events import FatalError, NonFatalError, ScenarioFinished

from tests.support.http import get, infer, predict, wsgi
from tests.support.tiny import MODELS, open_service


@pytest.fixture(scope="module")
def services(tmp_path_factory):
    return {name: open_service(tmp_path_factory.mktemp(name) / "b", name) for name in MODELS}


def _validator(document, name):
    return Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": document["components"]})


def test_the_document_is_openapi_3_1(services):
    for name, service in services.items():
        document = get(service, "/openapi.json")
        assert document["openapi"] == "3.1.0"
        schemathesis.openapi.from_dict(document).validate()
        for schema in document["components"]["schemas"].values():
            Draft202012Validator({**schema, "components": document["components"]})
        assert f"/v2/models/{service.manifest.name}/infer" in document["paths"], name


@pytest.mark.parametrize(
    ("model", "good", "bad"),
    [
        ("mlp", {"inputs": {"x": [[0.5] * 64]}}, {"inputs": {"x": [[0.5] * 63]}}),
        ("mlp", {"instances": [[0.5] * 64]}, {"instances": []}),
        ("mlp", {"instances": [{"x": ["NaN"] * 64}]}, {"instances": [{"x": ["Nan"] * 64}]}),
        ("int8", {"inputs": {"x": [[-128, 127]]}}, {"inputs": {"x": [[-129, 127]]}}),
        ("int8", {"inputs": {"x": []}}, {"inputs": {"x": [[1.5, 1]]}}),
        ("uint8", {"inputs": {"x": [[0, 255.0]]}}, {"inputs": {"x": [[-1, 0]]}}),
        ("fp16", {"inputs": {"x": [[0, 65504]]}}, {"inputs": {"x": [[0, 66000]]}}),
        ("fp32", {"inputs": {"x": [[0, 3.4e38]]}}, {"inputs": {"x": [[0, 3.5e38]]}}),
        ("bool", {"inputs": {"x": [[True, False]]}}, {"inputs": {"x": [[1, 0]]}}),
        ("bytes", {"inputs": {"x": [["a", {"b64": "YQ=="}]]}}, {"inputs": {"x": [["a", 1]]}}),
        ("two_inputs", {"inputs": {"in/left:0": [[1]], "right": [[1]]}}, {"inputs": {"in/left:0": [[1]]}}),
        ("scalar", {"inputs": {"x": 7}}, {"inputs": {"x": "7"}}),
        ("sequences", {"inputs": {"parts": [[1], [2, 3]]}}, {"inputs": {"parts": 1}}),
        ("zipmap", {"inputs": {"scores": [[0.5, 0.5]]}}, {"inputs": {"scores": [[0.5]]}}),
    ],
)
def test_schema_and_service_agree(services, model, good, bad):
    service = services[model]
    document = get(service, "/openapi.json")
    request = _validator(document, "PredictRequest")
    assert request.is_valid(good)
    answer = predict(service, good)
    _validator(document, "PredictResponse").validate(answer)
    assert not request.is_valid(bad)
    predict(service, bad, 400)


@pytest.mark.parametrize("model", ["mlp", "zipmap", "divide"])
def test_protocol_answers_keep_their_schema(services, model):
    service = services[model]
    document = get(service, "/openapi.json")
    info = service.session.inputs[0]
    shape = [1 if not isinstance(dim, int) else dim for dim in info.shape]
    size = shape[0] * (shape[1] if len(shape) > 1 else 1)
    request = {"id": "1", "inputs": [{"name": info.name, "shape": shape, "datatype": "FP32", "data": [0.0] * size}]}
    _validator(document, "InferRequest").validate(request)
    _validator(document, "InferResponse").validate(infer(service, request))


def test_hooks_open_the_schemas(tmp_path):
    hooks = "def preprocess(request):\n    return {'x': [[1, 2]]}\n\ndef postprocess(outputs):\n    return 1\n"
    service = open_service(tmp_path / "b", "fp32", hooks)
    document = get(service, "/openapi.json")
    assert document["components"]["schemas"]["PredictRequest"] == {}
    assert document["components"]["schemas"]["PredictResponse"] == {}
    assert "*/*" in document["paths"]["/predict"]["post"]["requestBody"]["content"]


def test_a_name_with_punctuation_is_escaped(tmp_path):
    service = open_service(tmp_path / "b", "two_inputs", name="a/{b} ü")
    paths = get(service, "/openapi.json")["paths"]
    assert "/v2/models/a/%7Bb%7D%20%C3%BC/infer" in paths
    assert get(service, "/v2/models/a/%7Bb%7D%20%C3%BC")["name"] == "a/{b} ü"


# For these, JSON Schema can say all that the service asks of a plain body, so what is valid must be answered. It
# cannot say that rows are equally long ("two_inputs") nor, in the protocol, that shape and data agree.
_EXACT = {"mlp", "every_type", "zipmap", "scalar"}
_CONFIG = {
    "seed": 0,  # the same cases in every run, so that a failure is a change's and not the day's
    "generation": {"max-examples": 25},
    "continue-on-failure": True,
    "phases": {"stateful": {"enabled": False}},  # the interface has no state
}


@pytest.mark.parametrize("model", ["mlp", "every_type", "zipmap", "two_inputs"])
def test_schemathesis_finds_nothing(services, model):
    """Requests from the schemas and against them: no 5xx, every answer as documented, what is invalid refused."""
    config = SchemathesisConfig.from_dict(_CONFIG)
    schema = schemathesis.openapi.from_wsgi("/openapi.json", wsgi(services[model]), config=config)
    cases, wrong = 0, []
    for event in from_schema(schema).execute():
        assert not isinstance(event, NonFatalError | FatalError), event
        if not isinstance(event, ScenarioFinished):
            continue
        cases += len(event.recorder.interactions)
        for identity, checks in event.recorder.checks.items():
            for check in checks:
                if check.status == Status.SUCCESS:
                    continue
                exact = model in _EXACT and event.label == "POST /predict"
                if check.name != "positive_data_acceptance" or exact:
                    case = event.recorder.cases[identity].value
                    wrong.append((check.name, event.label, case.body, str(check.failure_info.failure)))
    assert wrong == []
    assert cases > 300
