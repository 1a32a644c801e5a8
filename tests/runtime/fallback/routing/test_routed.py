"""A service with an endpoint beside its own model: who answers, and what becomes of each failure."""

import json
import threading
import urllib.request
from time import perf_counter

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto as T
from onnx import helper

from coldpress_runtime.errors import (
    DoorAnswerError,
    DoorBusyError,
    DoorError,
    DoorLateError,
    ManifestError,
    WakingError,
)
from coldpress_runtime.http import Request, Response
from tests.support.endpoint import Fault, serving, small
from tests.support.http import ask, infer, predict

SURE, UNSURE = [0.9, 0.05, 0.05], [0.4, 0.3, 0.3]
JSON = {"content-type": "application/json"}
INFER = "/v2/models/tiny/infer"


def post(service, document, path="/predict", **headers):
    return ask(service, "POST", path, json.dumps(document).encode(), content_type="application/json", **headers)


def who(response):
    return response.headers["Coldpress-Answered-By"], response.headers.get("Coldpress-Fallback")


def opposite(rows):
    return (np.float32(1) - np.array(rows, np.float32)).tolist()


def tensors(rows, **more):
    data = [number for row in rows for number in row]
    return {"inputs": [{"name": "x", "datatype": "FP32", "shape": [len(rows), 3], "data": data}], **more}


class Broken:
    """A door behind which everything goes wrong in one way."""

    def __init__(self, error):
        self.error = error
        self.asked = 0

    def ask(self, _question, _ends):
        self.asked += 1
        raise self.error

    def close(self):
        pass


# Who answers.


def test_a_request_below_every_bound_is_answered_here(routed, endpoint):
    response = post(routed("batch > 2"), {"instances": [SURE, SURE]})
    assert (response.status, who(response)) == (200, ("function", None))
    assert endpoint.asked == []


@pytest.mark.parametrize(
    ("rule", "rows"),
    [("batch > 2", 3), ("elements > 8", 3), ("bytes > 40", 3), ("canary 100%", 1)],
    ids=["batch", "elements", "bytes", "canary"],
)
def test_a_request_that_a_rule_sends_out_is_answered_by_the_endpoint(routed, endpoint, direct, rule, rows):
    document = {"instances": [SURE] * rows}
    response = post(routed(rule), document)
    assert (response.status, who(response)) == (200, ("endpoint", rule.split()[0]))
    assert response.body == direct("/predict", document, **JSON)


def test_a_request_that_would_take_too_long_is_answered_by_the_endpoint(routed):
    service = routed("time > 0.5")
    assert who(post(service, {"instances": [SURE]})) == ("function", None)
    service.policy.took(1, 1e9)
    assert who(post(service, {"instances": [SURE]})) == ("endpoint", "time")


def test_a_v2_request_goes_out_with_its_binary_tensors(routed, endpoint, direct):
    document = tensors([SURE] * 3, id="mine", outputs=[{"name": "label", "parameters": {"binary_data": True}}])
    response = post(routed("batch > 2"), document, INFER)
    assert who(response) == ("endpoint", "batch")
    assert response.body == direct(INFER, document)
    assert response.headers["Inference-Header-Content-Length"]
    version = post(routed("batch > 2"), document, "/v2/models/tiny/versions/1/infer")
    assert version.body == response.body
    assert {path for path, _, _ in endpoint.asked} == {INFER}


def test_ids_go_along_and_secrets_do_not(routed, endpoint):
    headers = {
        "x-request-id": "request-7", "traceparent": "00-1-2-01", "tracestate": "a=b", "authorization": "Bearer secret",
        "cookie": "secret", "x-api-key": "secret", "connection": "close", "content-type": "application/json",
    }  # fmt: skip
    body = json.dumps({"instances": [UNSURE, SURE]}).encode()
    for rule in ("batch > 0", "confidence < 0.6"):
        routed(rule).answer(Request("POST", "/predict", dict(headers), body))
    assert len(endpoint.asked) == 2
    for _, sent, _ in endpoint.asked:
        assert (sent["x-request-id"], sent["traceparent"], sent["tracestate"]) == ("request-7", "00-1-2-01", "a=b")
        assert "secret" not in str(sent)


def test_a_compressed_body_goes_out_decompressed(routed, endpoint):
    import gzip

    body = json.dumps({"instances": [SURE]}).encode()
    response = ask(routed("batch > 0"), "POST", "/predict", gzip.compress(body), content_encoding="gzip")
    assert who(response) == ("endpoint", "batch")
    assert endpoint.asked[0][2] == body


@pytest.mark.parametrize(
    ("sent", "asked"),
    [
        ({"content_type": "application/x-www-form-urlencoded"}, "application/json"),
        ({}, "application/json"),
        ({"content_type": "application/json; charset=utf-8"}, "application/json"),
        ({"content_type": "application/problem+json"}, "application/problem+json"),
    ],
    ids=["curl", "none", "charset", "json"],
)
def test_json_goes_out_by_its_name(routed, endpoint, sent, asked):
    response = ask(routed("batch > 0"), "POST", "/predict", b'{"instances":[[1,0,0]]}', **sent)
    assert who(response) == ("endpoint", "batch")
    assert endpoint.asked[0][1]["content-type"] == asked


def test_a_callers_mistake_never_leaves(routed, endpoint):
    service = routed("batch > 0", "bytes > 0", "error", "canary 100%", "confidence < 1")
    assert "ragged" in predict(service, {"inputs": {"x": [[1, 2, 3], [1]]}}, 400)
    assert "not JSON" in predict(service, b"{", 400)
    assert "datatype" in infer(
        service, {"inputs": [{"name": "x", "datatype": "FP64", "shape": [1, 3], "data": []}]}, 400
    )
    assert ask(service, "POST", "/nothing").status == 404
    assert endpoint.asked == []


def test_what_is_not_asked_of_the_model_is_answered_here(routed, endpoint):
    service = routed("canary 100%")
    for path in ("/v2", "/v2/health/ready", "/v2/models/tiny", "/openapi.json"):
        response = ask(service, "GET", path)
        assert response.status == 200
        assert "Coldpress-Answered-By" not in response.headers
    assert endpoint.asked == []


# The cascade.


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from([SURE, UNSURE, [0.6, 0.2, 0.2], [0.59, 0.2, 0.2]]), min_size=1, max_size=9))
def test_doubtful_rows_are_the_larger_models_and_the_rest_the_small_ones(cascade, direct, rows):
    doubted = [max(np.float32(row)) < 0.6 for row in rows]
    mine = json.loads(post(cascade["never"], {"inputs": {"x": rows}}).body)["outputs"]
    theirs = json.loads(direct("/predict", {"inputs": {"x": rows}}))["outputs"]
    response = post(cascade["0.6"], {"inputs": {"x": rows}})
    expected = {
        name: [theirs[name][row] if doubt else mine[name][row] for row, doubt in enumerate(doubted)] for name in mine
    }
    assert json.loads(response.body) == {"outputs": expected}
    assert who(response) == (("endpoint", "confidence") if any(doubted) else ("function", None))
    assert response.marks.rows == (sum(doubted) if not all(doubted) else 0)


@pytest.fixture
def cascade(routed):
    return {"0.6": routed("confidence < 0.6"), "never": routed("error")}


def test_only_the_doubtful_rows_are_asked_for(routed, endpoint):
    post(routed("confidence < 0.6"), {"inputs": {"x": [SURE, UNSURE, SURE, [0.5, 0, 0]]}})
    ((path, headers, body),) = endpoint.asked
    assert path == INFER
    length = int(headers["inference-header-content-length"])
    (sent,) = json.loads(body[:length])["inputs"]
    assert sent["shape"] == [2, 3]
    assert body[length:] == np.float32([UNSURE, [0.5, 0, 0]]).tobytes()


@pytest.mark.parametrize(("bound", "by"), [("0.9", "function"), ("0.91", "endpoint")], ids=["at", "above"])
def test_a_row_at_the_bound_stays(routed, bound, by):
    # 0.9 as a float32 is a little less than 0.9, and what is compared is what the model said.
    row = [float(np.nextafter(np.float32(0.9), np.float32(1))), 0.05, 0.05]
    assert who(post(routed(f"confidence < {bound}"), {"instances": [row]}))[0] == by


def test_a_request_all_of_whose_rows_are_doubtful_goes_as_it_is(routed, endpoint, direct):
    document = {"instances": [UNSURE, UNSURE]}
    response = post(routed("confidence < 0.6"), document)
    assert who(response) == ("endpoint", "confidence")
    assert response.body == direct("/predict", document)
    assert json.loads(endpoint.asked[0][2]) == document


def test_an_answer_without_the_probabilities_is_judged_by_them_all_the_same(routed, endpoint):
    document = tensors([SURE, UNSURE], outputs=[{"name": "label"}])
    response = post(routed("confidence < 0.6"), document, INFER)
    (output,) = json.loads(response.body)["outputs"]
    assert (output["name"], output["data"]) == ("label", [0, 1])
    assert who(response) == ("endpoint", "confidence")


def test_a_v2_answer_keeps_its_form(routed):
    document = tensors([SURE, UNSURE], id="mine", parameters={"binary_data_output": True})
    response = post(routed("confidence < 0.6"), document, INFER)
    length = int(response.headers["Inference-Header-Content-Length"])
    text = json.loads(response.body[:length])
    assert (text["id"], text["model_name"]) == ("mine", "tiny")
    label, probabilities = response.body[length : length + 16], response.body[length + 16 :]
    assert np.frombuffer(label, "<i8").tolist() == [0, 1]
    assert np.frombuffer(probabilities, "<f4").tolist() == [*np.float32(SURE).tolist(), *opposite([UNSURE])[0]]


def test_an_empty_batch_is_nobodys_doubt(routed, endpoint):
    response = post(routed("confidence < 1"), {"inputs": {"x": []}})
    assert (response.status, who(response)) == (200, ("function", None))
    assert endpoint.asked == []


def whole():
    """The small model, and an output that is one for all rows."""
    model = small()
    model.graph.node.append(helper.make_node("ReduceMean", ["x"], ["mean"], axes=[0], keepdims=0))
    model.graph.output.append(helper.make_tensor_value_info("mean", T.FLOAT, [3]))
    onnx.checker.check_model(model)
    return model


def test_a_request_that_cannot_be_split_goes_whole(routed, endpoint):
    outputs = [
        {"name": "label", "datatype": "INT64", "shape": ["batch"]},
        {"name": "probabilities", "datatype": "FP32", "shape": ["batch", 3]},
        {"name": "mean", "datatype": "FP32", "shape": [3]},
    ]
    service = routed("confidence < 0.6", model=whole(), outputs=outputs)
    document = {"instances": [SURE, UNSURE]}
    endpoint.fault = Fault(200, body=b'{"outputs":{"label":[2,2],"probabilities":[[1,1,1],[2,2,2]],"mean":[7,7,7]}}')
    response = post(service, {"inputs": {"x": document["instances"]}})
    assert response.body == endpoint.fault.body
    assert json.loads(endpoint.asked[0][2]) == {"inputs": {"x": document["instances"]}}
    endpoint.fault = None
    asked = tensors([SURE, UNSURE], outputs=[{"name": "label"}])
    response = post(service, asked, INFER)
    assert json.loads(response.body)["outputs"][0]["data"] == [0, 1], "the outputs asked for can be split"
    assert response.marks.rows == 1


def test_an_output_of_probabilities_that_the_model_lacks_is_refused_at_start(routed):
    outputs = [{"name": "other", "datatype": "FP32", "shape": ["batch", 3]}]
    with pytest.raises(ManifestError, match=r"fallback\.output: expected an output of the model"):
        routed("confidence < 0.6", outputs=outputs, output="other")


# Failures of the endpoint.

KINDS = {
    "late": (DoorLateError("late"), 504),
    "busy": (DoorBusyError("busy", 7), 503),
    "answer": (DoorAnswerError("garbage"), 502),
    "waking": (WakingError("waking", 9), 503),
    "unreachable": (DoorError("gone"), 502),
}
SENT = {"batch > 0": "batch", "confidence < 0.6": "confidence", "canary 100%": "canary"}


@pytest.mark.parametrize("word", KINDS)
@pytest.mark.parametrize("rule", SENT)
@pytest.mark.parametrize("rows", [[UNSURE], [SURE, UNSURE]], ids=["all", "some"])
def test_the_own_model_answers_where_the_endpoint_fails(routed, word, rule, rows):
    service = routed(rule, waking="small")
    service.door = Broken(KINDS[word][0])
    response = post(service, {"instances": rows})
    assert (response.status, who(response)) == (200, ("function", f"{SENT[rule]}; failed={word}"))
    assert response.body == post(routed("error"), {"instances": rows}).body
    assert service.door.asked == 1


@pytest.mark.parametrize("waking", ["refuse", "queue"])
@pytest.mark.parametrize("word", KINDS)
@pytest.mark.parametrize("rule", SENT)
def test_a_request_is_refused_while_the_endpoint_wakes_where_the_policy_says_so(routed, waking, word, rule):
    service = routed(rule, waking=waking)
    service.door = Broken(KINDS[word][0])
    response = post(service, {"instances": [SURE, UNSURE]})
    assert who(response) == ("function", f"{SENT[rule]}; failed={word}")
    if word == "waking" and not rule.startswith("canary"):
        assert (response.status, response.headers["Retry-After"]) == (503, "9")
        assert json.loads(response.body) == {"error": "waking"}
    else:
        assert response.status == 200


@pytest.mark.parametrize("waking", ["small", "refuse", "queue"])
@pytest.mark.parametrize("word", KINDS)
def test_the_models_own_failure_is_told_where_the_endpoint_fails_too(broken, waking, word):
    service = broken("error", waking=waking)
    service.door = Broken(KINDS[word][0])
    response = post(service, {"inputs": {"x": [[-1.0, 0, 0]]}})
    assert who(response) == ("function", f"error; failed={word}")
    if word == "waking" and waking != "small":
        assert (response.status, response.headers["Retry-After"]) == (503, "9")
    else:
        assert response.status == 400
        assert "indices element out of data bounds" in json.loads(response.body)["error"]


@pytest.mark.parametrize("word", KINDS)
def test_an_error_of_the_door_is_told_where_no_time_is_left_for_the_own_model(routed, word):
    error, status = KINDS[word]
    service = routed("batch > 0")
    service.door = Broken(error)
    request = Request("POST", "/predict", dict(JSON), json.dumps({"instances": [SURE]}).encode())
    request.ends = perf_counter() - 1
    response = service.answer(request)
    assert (response.status, who(response)) == (status, ("function", f"batch; failed={word}"))
    assert response.headers.get("Retry-After") == {"busy": "7", "waking": "9"}.get(word)
    assert response.error is error


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        (Fault(500), "unreachable"),
        (Fault(503, {"Retry-After": "3"}), "waking"),
        (Fault(200, body=b"{"), "answer"),
        (Fault(200, body=b'{"predictions":[1]}'), "answer"),
        (Fault(200, body=b"x" * 7_000_000), "answer"),
        (Fault(307, {"Location": "http://elsewhere.example"}), "answer"),
    ],
    ids=["500", "503", "half", "shape", "oversized", "redirect"],
)
@pytest.mark.parametrize("rule", SENT)
def test_real_failures_have_their_words(routed, endpoint, fault, word, rule):
    endpoint.fault = fault
    response = post(routed(rule), {"instances": [SURE, UNSURE]})
    assert (response.status, who(response)) == (200, ("function", f"{SENT[rule]}; failed={word}"))


def test_nobody_there_means_that_the_own_model_answers(routed):
    response = post(routed("batch > 0", url="http://127.0.0.1:1"), {"instances": [SURE]})
    assert response.status == 200
    assert who(response)[0] == "function"


def test_an_endpoint_that_holds_its_answer_back_is_late(routed, endpoint):
    endpoint.fault = Fault(200, waits=threading.Event())
    response = post(routed("batch > 0", deadline_s=0.3, connect_s=0.3), {"instances": [SURE]})
    assert (response.status, who(response)) == (200, ("function", "batch; failed=late"))


def test_a_refusal_of_the_callers_inputs_is_passed_on(routed, endpoint):
    endpoint.fault = Fault(400, body=b'{"error":"x is too long"}')
    response = post(routed("batch > 0"), {"instances": [SURE]})
    assert (response.status, response.body) == (400, b'{"error":"x is too long"}')
    assert who(response) == ("endpoint", "batch")
    assert response.error is not None


@pytest.mark.parametrize("rows", [[UNSURE], [SURE, UNSURE]], ids=["all", "some"])
def test_a_refusal_of_doubtful_rows_leaves_the_answer_as_it_was(routed, endpoint, rows):
    endpoint.fault = Fault(400, body=b'{"error":"x is too long"}')
    response = post(routed("confidence < 0.6"), {"instances": rows})
    assert (response.status, who(response)) == (200, ("function", "confidence; failed=refused"))


# Failures of the own model.


@pytest.fixture
def broken(routed):
    """Services whose model fails for numbers below 0, though the request is well-formed."""
    model = small()
    nodes = [
        helper.make_node("Cast", ["x"], ["index"], to=T.INT64),
        helper.make_node("Abs", ["x"], ["size"]),
        helper.make_node("Sub", ["size", "x"], ["twice"]),  # 0 unless it is below 0
        helper.make_node("Cast", ["twice"], ["place"], to=T.INT64),
        helper.make_node("Gather", ["one", "place"], ["ones"]),
        helper.make_node("Mul", ["x", "ones"], ["probabilities"]),
    ]
    last = model.graph.node[-1]
    del model.graph.node[:]
    model.graph.node.extend([*nodes[1:], last])
    onnx.checker.check_model(model)
    return lambda *when, **changes: routed(*when, model=model, **changes)


def test_the_endpoint_answers_where_the_model_fails(broken, direct):
    service, document = broken("error"), {"inputs": {"x": [[-1.0, 0, 0]]}}
    assert who(post(service, {"inputs": {"x": [SURE]}})) == ("function", None)
    response = post(service, document)
    assert (response.status, who(response)) == (200, ("endpoint", "error"))
    assert response.body == direct("/predict", document)


def test_both_failures_of_a_request_that_went_out_are_told(broken):
    service = broken("batch > 0")
    service.door = Broken(DoorLateError("late"))
    response = post(service, {"inputs": {"x": [[-1.0, 0, 0]]}})
    assert (response.status, who(response)) == (400, ("function", "batch; failed=late"))
    assert "out of data bounds" in json.loads(response.body)["error"]


def test_a_model_that_fails_without_the_rule_is_told(broken, endpoint):
    service = broken("batch > 5")
    assert "out of data bounds" in predict(service, {"inputs": {"x": [[-1.0, 0, 0]]}}, 400)
    assert endpoint.asked == []


class Breaking:
    """A session that runs out of memory."""

    def __init__(self, session):
        self.close = session.close

    def run(self, _inputs, _outputs):
        raise MemoryError


def test_a_model_that_breaks_is_an_error_like_any_other(routed):
    service = routed("error")
    service.session = Breaking(service.session)
    assert who(post(service, {"instances": [SURE]})) == ("endpoint", "error")
    service.door.close()
    service.door = Broken(DoorError("gone"))
    response = post(service, {"instances": [SURE]})
    assert (response.status, who(response)) == (500, ("function", "error; failed=unreachable"))
    assert "Internal error" in json.loads(response.body)["error"]


# Hooks.

HOOKS = """
def preprocess(request):
    return {"x": [[float(number) for number in line.split()] for line in request.body.decode().splitlines()]}

def postprocess(outputs):
    return {"labels": outputs["label"].tolist()}
"""


@pytest.mark.parametrize("rule", ["batch > 1", "confidence < 0.6"])
def test_hooks_run_here_whoever_answers(routed, endpoint, rule):
    service = routed(rule, hooks=HOOKS)
    response = ask(service, "POST", "/predict", b"0.9 0.05 0.05\n0.4 0.3 0.3")
    assert response.status == 200, response.body
    assert json.loads(response.body) == {"labels": [1, 1] if rule.startswith("batch") else [0, 1]}
    assert who(response) == ("endpoint", rule.split()[0])
    assert [path for path, _, _ in endpoint.asked] == [INFER]


def test_v2_requests_of_a_function_with_hooks_go_as_they_are(routed, direct):
    document = tensors([SURE] * 3)
    response = post(routed("batch > 2", hooks=HOOKS), document, INFER)
    assert response.body == direct(INFER, document)


def test_an_answer_that_no_hook_can_take_is_an_error_of_the_door(routed, endpoint):
    endpoint.fault = Fault(200, body=b'{"outputs":[]}')
    response = ask(routed("batch > 0", hooks=HOOKS), "POST", "/predict", b"0.9 0.05 0.05")
    assert (response.status, who(response)) == (200, ("function", "batch; failed=answer"))


def test_closing_a_service_closes_the_door(routed):
    service = routed("batch > 0")
    closed = []
    service.door.close = lambda: closed.append(True)
    service.close()
    assert closed == [True]


def test_time_is_left_for_the_own_model(routed):
    service = routed("batch > 0")
    service.policy.row_ms = 1000.0
    seen = []

    class Door:
        def ask(self, _question, ends):
            seen.append(ends)
            return Response(200, {"Content-Type": "application/json"}, b"{}")

        def close(self):
            pass

    service.door = Door()
    request = Request("POST", "/predict", dict(JSON), json.dumps({"instances": [SURE] * 2}).encode())
    request.ends = perf_counter() + 1000
    service.answer(request)
    assert seen == [pytest.approx(request.ends - 3.0)]


# Where nobody may wait.


@pytest.mark.parametrize("when", ["batch > 1", "confidence < 0.6", "canary 100%", "time > 0.5"])
def test_what_needs_the_endpoint_is_not_answered_at_once(routed, endpoint, when):
    service = routed(when)
    service.policy.row_ms = 1e9 if when.startswith("time") else 0.0
    body = json.dumps({"instances": [UNSURE] * 2}).encode()
    request = Request("POST", "/predict", dict(JSON), body)
    assert service.answer_at_once(request) is None
    assert endpoint.asked == []
    response = service.answer(request)
    assert (response.status, who(response)[0]) == (200, "endpoint")


def test_what_needs_no_endpoint_is_answered_at_once(routed, endpoint):
    service = routed("batch > 2", "confidence < 0.6", "error")
    request = Request("POST", "/predict", dict(JSON), json.dumps({"instances": [SURE] * 2}).encode())
    assert who(service.answer_at_once(request)) == ("function", None)
    assert service.answer_at_once(Request("POST", "/predict", dict(JSON), b"{")).status == 400
    assert endpoint.asked == []


def test_a_container_answers_everybody_while_the_endpoint_holds_its_answers_back(bundle, endpoint):
    """Neither a health check nor a sure answer waits for doubtful ones."""
    endpoint.fault = Fault(500, {"Connection": "close"}, waits=threading.Event())
    told = []

    def call(url, rows):
        request = urllib.request.Request(f"{url}/predict", json.dumps({"instances": rows}).encode())
        with urllib.request.urlopen(request, timeout=60) as answer:
            told.append(answer.headers["Coldpress-Fallback"])

    with serving(str(bundle("confidence < 0.6"))) as url:
        waiting = [threading.Thread(target=call, args=(url, [UNSURE])) for _ in range(4)]
        for thread in waiting:
            thread.start()
        for _ in range(10):
            call(url, [SURE])
            with urllib.request.urlopen(f"{url}/v2/health/live", timeout=60) as answer:
                assert answer.status == 200
        assert told == [None] * 10
        endpoint.fault.waits.set()
        for thread in waiting:
            thread.join(60)
    assert told[10:] == ["confidence; failed=unreachable"] * 4
