"""Requests that are queued while an endpoint wakes: 202 with a place to look, and what is there later."""

import json

import numpy as np
import pytest
import schemathesis

from coldpress_runtime.errors import DoorError, NotFoundError
from coldpress_runtime.fallback.question import write_question
from coldpress_runtime.http import Response
from coldpress_runtime.json_text import dump
from coldpress_runtime.tensor import Tensor
from coldpress_runtime.uploads import Upload, answer_upload
from tests.support.http import ask, get

SURE, UNSURE = [0.9, 0.05, 0.05], [0.4, 0.3, 0.3]
HOOKS = """
def preprocess(request):
    return {"x": [[float(number) for number in request.body.split()]]}

def postprocess(outputs):
    return {"label": outputs["label"].tolist()[0]}
"""
ASYNC = {"kind": "sagemaker-async", "waking": "queue", "name": "large", "region": "eu-west-1",
         "endpoint": {"output": "s3://answers/out/"}}  # fmt: skip


class Queue:
    """A door to an endpoint that answers later."""

    def __init__(self, answer=None):
        self.questions = []
        self.answer = answer

    def ask(self, question, _ends):
        self.questions.append(question)
        headers = {"Content-Type": "application/json", "Location": "/v2/jobs/7", "Retry-After": "10"}
        return Response(202, headers, dump({"status": "queued", "id": "7"}))

    def status(self, job):
        if job != "7":
            raise NotFoundError("There is no such job.")
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer or self.ask(None, 0.0)

    def close(self):
        pass


def outputs():
    """What the endpoint leaves for a v2 question, which has the form of one."""
    values = {"label": Tensor.from_flat("INT64", (1,), [2]), "probabilities": Tensor("FP32", (1, 3), bytes(12))}
    headers, body = write_question(values, None)
    length = int(headers["inference-header-content-length"])
    text = dump({"outputs": json.loads(body[:length])["inputs"]})
    return Response(200, {"Inference-Header-Content-Length": str(len(text))}, text + body[length:])


def post(service, rows):
    body = json.dumps({"instances": rows}).encode()
    return ask(service, "POST", "/predict", body, content_type="application/json")


@pytest.mark.parametrize("rule", ["batch > 1", "confidence < 0.6", "canary 100%"])
def test_a_queued_request_is_answered_with_its_job(routed, rule):
    service = routed(rule, **ASYNC)
    service.door = Queue()
    response = post(service, [SURE, UNSURE])
    assert response.status == 202
    assert json.loads(response.body) == {"status": "queued", "id": "7"}
    assert (response.headers["Location"], response.headers["Retry-After"]) == ("/v2/jobs/7", "10")
    assert response.headers["Coldpress-Fallback"] == rule.split()[0]
    (question,) = service.door.questions
    assert json.loads(question.body) == {"instances": [SURE, UNSURE]}, "the whole, whichever rows are doubtful"


def test_a_job_is_asked_for_until_it_is_answered(routed):
    service = routed("batch > 0", **ASYNC)
    service.door = Queue()
    assert ask(service, "GET", "/v2/jobs/7").status == 202
    service.door.answer = Response(200, {"Content-Type": "application/json"}, b'{"predictions":[1]}')
    response = ask(service, "GET", "/v2/jobs/7")
    assert (response.status, response.body) == (200, b'{"predictions":[1]}')
    assert response.headers["Coldpress-Answered-By"] == "endpoint"
    assert ask(service, "HEAD", "/v2/jobs/7/").body == b""


def test_jobs_that_are_not_there_or_failed(routed):
    service = routed("batch > 0", **ASYNC)
    service.door = Queue(DoorError("The endpoint could not answer."))
    assert ask(service, "GET", "/v2/jobs/8").status == 404
    assert ask(service, "GET", "/v2/jobs/7").status == 502
    assert ask(service, "GET", "/v2/jobs/").status == 404
    assert ask(service, "GET", "/v2/jobs/7/other").status == 404
    assert ask(service, "GET", "/v2/jobs/7/predict").status == 404, "there are no hooks"
    assert ask(service, "POST", "/v2/jobs/7").status == 405


def test_an_endpoint_that_answers_at_once_has_no_jobs(routed):
    assert ask(routed("batch > 0", waking="queue"), "GET", "/v2/jobs/7").status == 404


@pytest.mark.parametrize("make", ["routed", "remote"])
def test_what_was_queued_goes_through_the_hook_in_the_end(make, request):
    service = request.getfixturevalue(make)(*["batch > 0"] * (make == "routed"), hooks=HOOKS, **ASYNC)
    service.door = Queue()
    response = ask(service, "POST", "/predict", b"0.9 0.05 0.05")
    assert (response.status, response.headers["Location"]) == (202, "/v2/jobs/7/predict")
    assert service.door.questions[0].path == "/v2/models/tiny/infer"
    assert np.frombuffer(service.door.questions[0].body[-12:], "<f4").tolist() == np.float32(SURE).tolist()
    waiting = ask(service, "GET", "/v2/jobs/7/predict")
    assert (waiting.status, waiting.headers["Location"]) == (202, "/v2/jobs/7/predict")
    service.door.answer = outputs()
    done = ask(service, "GET", response.headers["Location"])
    assert (done.status, json.loads(done.body)) == (200, {"label": 2})
    assert ask(service, "GET", "/v2/jobs/7").body == outputs().body, "and without it, as the endpoint left it"


def test_jobs_are_described_where_requests_are_queued(routed):
    document = get(routed("batch > 0", **ASYNC), "/openapi.json")
    assert "202" in document["paths"]["/predict"]["post"]["responses"]
    assert document["paths"]["/v2/jobs/{id}"]["get"]["responses"].keys() >= {"200", "202", "404", "502"}
    document = get(routed("batch > 0"), "/openapi.json")
    assert "202" not in document["paths"]["/predict"]["post"]["responses"]
    assert "/v2/jobs/{id}" not in document["paths"]


def test_the_description_is_a_valid_one(routed):
    schemathesis.openapi.from_dict(get(routed("batch > 0", **ASYNC), "/openapi.json")).validate()


def test_an_upload_that_is_queued_leaves_its_job(routed):
    service = routed("batch > 0", **ASYNC)
    service.door = Queue()
    body = json.dumps({"instances": [SURE]}).encode()
    upload = Upload("bucket", "uploads/a.json", "application/json", len(body), "1")
    written = {}
    assert answer_upload(service, upload, lambda: body, written.__setitem__) == "scores/a.json.queue.json"
    assert json.loads(written["scores/a.json.queue.json"]) == {"status": "queued", "id": "7"}
