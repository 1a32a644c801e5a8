"""The Runtime API server, spoken to over plain sockets as a runtime client would."""

import http.client
import json
import threading
import time

import pytest

from coldpress.emulate.runtime_api import RuntimeApi
from coldpress.errors import EmulateError

ROOT = "/2018-06-01/runtime/"


@pytest.fixture
def api():
    with RuntimeApi() as server:
        yield server


@pytest.fixture
def client(api):
    connection = http.client.HTTPConnection(api.address, timeout=10)
    yield connection
    connection.close()


def ask(client, method, path, body=None, headers=None):
    client.request(method, ROOT + path, body, headers or {})
    response = client.getresponse()
    return response.status, response.headers, response.read()


def invoke_in_background(api, payload, timeout_s=5.0):
    box = []
    thread = threading.Thread(target=lambda: box.append(api.invoke(payload, timeout_s)))
    thread.start()
    return thread, box


def test_an_event_goes_out_with_the_headers_a_client_needs_and_the_answer_comes_back(api, client):
    thread, box = invoke_in_background(api, b'{"x": 1}')
    status, headers, body = ask(client, "GET", "invocation/next")
    assert (status, body) == (200, b'{"x": 1}')
    assert headers["content-type"] == "application/json"
    assert headers["lambda-runtime-invoked-function-arn"].startswith("arn:aws:lambda:")
    assert headers["lambda-runtime-trace-id"].startswith("Root=1-")
    assert 0 < int(headers["lambda-runtime-deadline-ms"]) - time.time() * 1e3 <= 5000
    request_id = headers["lambda-runtime-aws-request-id"]
    assert ask(client, "POST", f"invocation/{request_id}/response", b'{"y": 2}')[0] == 202
    thread.join(5)
    assert box[0].json() == {"y": 2}
    assert box[0].error is None
    assert 0 < box[0].ms < 5000


def test_events_on_one_connection_are_answered_in_order(api, client):
    for number in range(3):
        thread, box = invoke_in_background(api, json.dumps(number).encode())
        _, headers, body = ask(client, "GET", "invocation/next")
        request_id = headers["lambda-runtime-aws-request-id"]
        ask(client, "POST", f"invocation/{request_id}/response", body)
        thread.join(5)
        assert box[0].json() == number


def test_a_chunked_answer_is_read_whole(api, client):
    thread, box = invoke_in_background(api, b"{}")
    _, headers, _ = ask(client, "GET", "invocation/next")
    request_id = headers["lambda-runtime-aws-request-id"]
    chunks = (b"a" * 70_000, b"b" * 3)
    assert ask(client, "POST", f"invocation/{request_id}/response", iter(chunks))[0] == 202
    thread.join(5)
    assert box[0].payload == b"".join(chunks)


def test_an_answer_over_lambdas_limit_is_refused_as_lambda_refuses_it(api, client):
    thread, box = invoke_in_background(api, b"{}")
    _, headers, _ = ask(client, "GET", "invocation/next")
    request_id = headers["lambda-runtime-aws-request-id"]
    assert ask(client, "POST", f"invocation/{request_id}/response", bytes(6_291_557))[0] == 413
    thread.join(5)
    assert box[0].error["errorType"] == "Function.ResponseSizeTooLarge"


def test_a_handlers_error_is_an_answer_with_its_error_document(api, client):
    thread, box = invoke_in_background(api, b"{}")
    _, headers, _ = ask(client, "GET", "invocation/next")
    request_id = headers["lambda-runtime-aws-request-id"]
    error = {"errorMessage": "no", "errorType": "ValueError", "stackTrace": []}
    assert ask(client, "POST", f"invocation/{request_id}/error", json.dumps(error))[0] == 202
    thread.join(5)
    assert box[0].error == error


def test_an_error_while_starting_is_raised_with_its_own_message(api, client):
    ask(client, "POST", "init/error", json.dumps({"errorMessage": "no model", "errorType": "LoadError"}))
    with pytest.raises(EmulateError, match="LoadError: no model"):
        api.wait_ready(5)


def test_an_init_error_that_is_not_json_is_shown_as_it_is(api, client):
    ask(client, "POST", "init/error", b"plain words")
    with pytest.raises(EmulateError, match="plain words"):
        api.wait_ready(5)


def test_snapstart_restore_is_answered(client):
    assert ask(client, "GET", "restore/next")[0] == 200


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "nothing"), ("POST", "invocation/next"), ("GET", "invocation/1/response")]
)
def test_unknown_paths_and_methods_get_404(client, method, path):
    assert ask(client, method, path)[0] == 404


def test_an_answer_to_nothing_that_was_asked_gets_400(client):
    assert ask(client, "POST", "invocation/no-such-id/response", b"{}")[0] == 400


def test_waiting_ends_when_nobody_comes(api):
    with pytest.raises(EmulateError, match=r"not ready after 0\.05 s"):
        api.wait_ready(0.05)


def test_waiting_for_an_answer_ends_at_the_time_limit_and_when_the_process_ends(api, client):
    with pytest.raises(EmulateError, match=r"time limit of 0\.05 s"):
        api.invoke(b"{}", 0.05)
    api.stopped("The process is gone.")
    with pytest.raises(EmulateError, match="gone"):
        api.invoke(b"{}", 5)


def test_closing_lets_a_waiting_client_go():
    with RuntimeApi() as api:
        host = api.address
        connection = http.client.HTTPConnection(host, timeout=10)
        connection.request("GET", ROOT + "invocation/next")
        api.wait_ready(5)
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        connection.getresponse()
    connection.close()
