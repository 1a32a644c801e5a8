"""A service with an endpoint beside its own model: who answers, and what becomes of each failure."""

import json

import pytest

from tests.support.endpoint import Fault
from tests.support.http import ask, predict

SURE, UNSURE = [0.9, 0.05, 0.05], [0.4, 0.3, 0.3]


def post(service, document, path="/predict", **headers):
    return ask(service, "POST", path, json.dumps(document).encode(), content_type="application/json", **headers)


def who(response):
    return response.headers["Coldpress-Answered-By"], response.headers.get("Coldpress-Fallback")


def opposite(rows):
    import numpy as np

    return (np.float32(1) - np.array(rows, np.float32)).tolist()


def test_a_request_below_every_bound_is_answered_here(routed, endpoint):
    response = post(routed("batch > 2"), {"instances": [SURE, SURE]})
    assert (response.status, who(response)) == (200, ("function", None))
    assert endpoint.asked == []


def test_a_request_above_a_bound_is_answered_by_the_endpoint(routed, endpoint, direct):
    document = {"instances": [SURE, SURE, UNSURE]}
    response = post(routed("batch > 2"), document)
    assert (response.status, who(response)) == (200, ("endpoint", "batch"))
    assert response.body == direct("/predict", document)


def test_doubtful_rows_alone_are_asked_for_and_come_back_into_their_places(routed, endpoint):
    response = post(routed("confidence < 0.6"), {"inputs": {"x": [SURE, UNSURE, SURE, UNSURE]}})
    assert (response.status, who(response)) == (200, ("endpoint", "confidence"))
    outputs = json.loads(response.body)["outputs"]
    other = opposite([UNSURE])[0]
    assert outputs["probabilities"][1::2] == [other, other]
    assert outputs["probabilities"][0::2] == [pytest.approx(SURE)] * 2
    assert outputs["label"] == [0, 1, 0, 1]
    ((path, headers, body),) = endpoint.asked
    assert path == "/v2/models/tiny/infer"
    text = json.loads(body[: int(headers["inference-header-content-length"])])
    assert text["inputs"][0]["shape"] == [2, 3]


def test_sure_rows_stay(routed, endpoint):
    response = post(routed("confidence < 0.6"), {"inputs": {"x": [SURE, SURE]}})
    assert (response.status, who(response)) == (200, ("function", None))
    assert endpoint.asked == []


def test_a_callers_mistake_never_leaves(routed, endpoint):
    service = routed("batch > 0", "bytes > 0", "error", "canary 100%", "confidence < 1")
    assert "ragged" in predict(service, {"inputs": {"x": [[1, 2, 3], [1]]}}, 400)
    assert "not JSON" in predict(service, b"{", 400)
    assert endpoint.asked == []


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        (Fault(500), "unreachable"),
        (Fault(503, {"Retry-After": "3"}), "waking"),
        (Fault(200, body=b"{"), "answer"),
        (Fault(200, body=b'{"predictions":[1]}'), "answer"),
        (Fault(307, {"Location": "http://elsewhere.example"}), "answer"),
    ],
    ids=["500", "503", "half", "shape", "redirect"],
)
def test_the_own_model_answers_where_the_endpoint_fails(routed, endpoint, fault, word):
    endpoint.fault = fault
    response = post(routed("batch > 0"), {"instances": [SURE]})
    assert (response.status, who(response)) == (200, ("function", f"batch; failed={word}"))
    assert json.loads(response.body)["predictions"][0]["label"] == 0
