"""SageMaker's, Vertex AI's and KServe's own SDKs, unchanged, against the endpoint as a process."""

import pytest

from tests.support.endpoint_clients import ask_with, clients_python
from tests.support.endpoint_server import affine, expected, put_model, run_endpoint

ROWS = [[1, 2, 3, 4], [0, -1, 0.5, 8]]
PREDICT = "/v1/projects/p/locations/us-central1/endpoints/7:predict"
HEALTH = "/health/of/vertex"

pytestmark = pytest.mark.skipif(not clients_python().exists(), reason="needs `make tools`: .tools/endpoint-clients")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    put_model(folder, "affine", "1", affine())
    with run_endpoint(folder, AIP_PREDICT_ROUTE=PREDICT, AIP_HEALTH_ROUTE=HEALTH) as server:
        yield server


def test_sagemakers_predictor_with_each_serializer_and_deserializer(server):
    found = ask_with("sagemaker_sdk", port=server.port, rows=ROWS, target="affine.tar.gz")
    refused = found.pop("refused")
    assert "shape [2, 2], expected [rows, 4]" in refused["error"]
    assert found.pop("instances") == {"predictions": expected(ROWS)}
    assert found.pop("inputs") == found.pop("named") == {"outputs": {"y": expected(ROWS)}}
    assert found.pop("target") == expected(ROWS)
    assert len(found) == 36
    for way, came in found.items():
        assert (came["predictions"] if isinstance(came, dict) else came) == expected(ROWS), way


def test_vertex_ai(server):
    found = ask_with("vertex_sdk", port=server.port, rows=ROWS, predict=PREDICT, health=HEALTH)
    kind, message = found.pop("refused")
    assert kind == "BadRequest"
    assert "Input 'x' has shape [1, 2], expected [rows, 4]" in message
    assert found.pop("health") is True
    assert found == dict.fromkeys(["private", "private parameters", "raw", "raw infer", "rest"], expected(ROWS))


def test_kserve(server):
    found = ask_with("kserve_sdk", port=server.port, grpc_port=server.grpc_port, rows=ROWS)
    assert "Input 'x' has shape [1, 1], expected [rows, 4]" in found.pop("v1 refused")
    assert found.pop("v1 ready") is found.pop("v1 live") is found.pop("v2 live") is True
    assert found.pop("v2 ready") == [True, True]
    assert found.pop("grpc ready") == [True, True, True]
    assert len(found) == 9
    for way, came in found.items():
        assert came == expected(ROWS), way
