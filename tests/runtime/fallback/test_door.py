"""The door against a real server, and against faults between the two."""

import contextlib
import gc
import json
import socket
import threading
import time
from http.client import HTTPResponse
from pathlib import Path
from time import perf_counter

import pytest

from coldpress_runtime.errors import (
    DoorAnswerError,
    DoorBusyError,
    DoorError,
    DoorLateError,
    ManifestError,
    NotFoundError,
    WakingError,
)
from coldpress_runtime.fallback.door import Door
from coldpress_runtime.fallback.messages import Reply
from tests.support.fault_proxy import Fault
from tests.support.tiny_endpoint import binary_question, expected, plain_question, question, settings

ROWS = [[1.0, 2.0, 3.5], [0.5, 0.25, 8.0]]
LONG_S = 15.0  # more than any of these needs


def soon(seconds=LONG_S):
    return perf_counter() + seconds


def values(response):
    assert response.status == 200, response.body
    length = response.headers.get("Inference-Header-Content-Length")
    if length is not None:
        import struct

        data = response.body[int(length) :]
        flat = struct.unpack(f"<{len(data) // 4}f", data)
    else:
        flat = json.loads(response.body)["outputs"][0]["data"]
    return [list(flat[place : place + 2]) for place in range(0, len(flat), 2)]


@pytest.mark.parametrize("make", [question, binary_question])
def test_an_answer_comes_back_as_it_was(make_door, make):
    assert values(make_door().ask(make(ROWS), soon())) == expected(ROWS)


def test_plain_json_goes_the_same_way(make_door):
    door = make_door()
    assert json.loads(door.ask(plain_question({"instances": ROWS}), soon()).body) == {"predictions": expected(ROWS)}
    assert json.loads(door.ask(plain_question({"inputs": {"x": ROWS}}), soon()).body) == {
        "outputs": {"y": expected(ROWS)}
    }


def test_ids_go_out_and_secrets_of_the_caller_do_not(make_door, proxy):
    sent = {
        "x-request-id": "abc", "traceparent": "00-1-2-01", "tracestate": "a=b", "accept": "*/*", "authorization": "me",
        "cookie": "me", "connection": "close", "host": "elsewhere", "x-forwarded-for": "me", "transfer-encoding": "x",
    }  # fmt: skip
    make_door().ask(question(ROWS, **sent), soon())
    got = proxy.seen[0].headers
    for name in ("x-request-id", "traceparent", "tracestate"):
        assert got[name] == sent[name]
    assert not {"accept", "authorization", "cookie", "connection", "x-forwarded-for", "transfer-encoding"} & got.keys()
    assert got["host"] == f"127.0.0.1:{proxy.port}"


def test_a_header_that_would_begin_another_one_stays_here(make_door, proxy):
    make_door().ask(question(ROWS, **{"x-request-id": "a\r\nAuthorization: b", "tracestate": "é"}), soon())
    assert not {"authorization", "x-request-id", "tracestate"} & proxy.seen[0].headers.keys()


@pytest.mark.parametrize("kind", ["http", "sagemaker", "vertex", "azure-ml"])
@pytest.mark.parametrize(
    "called", ["text/csv", "application/x-npy", "application/json;json-header-size=2", "text/plain"]
)
def test_a_caller_does_not_choose_what_an_answer_is_written_in(kind, called):
    """Endpoints that write more than the door reads would do so, and be blamed for it."""
    door = Door(settings(endpoint={"kind": kind, "url": "https://x.example", "region": "r-1", "name": "n"}), {})
    sent = []
    door._send = lambda origin, message, ends, judge: sent.append(message.headers) or Reply(400, {}, b"{}")
    door.ask(question(ROWS, **{"content-type": called, "accept": called}), soon())
    assert sent == [{"content-type": "application/json"}]


def test_a_header_too_long_for_an_endpoint_stays_here(make_door, proxy):
    """It would be told 431, which says nothing of the endpoint and would count against it all the same."""
    make_door().ask(question(ROWS, **{"x-request-id": "a" * 8000, "traceparent": "b" * 512}), soon())
    assert "x-request-id" not in proxy.seen[0].headers
    assert proxy.seen[0].headers["traceparent"] == "b" * 512


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("name", ["Content-Type", "Inference-Header-Content-Length"])
def test_an_answers_header_over_two_lines_goes_no_further(make_door, proxy, status, name):
    """As HTTP once allowed: servers and gateways in front of the function break on it."""
    answer = b'{"outputs":[{"name":"y","datatype":"FP32","shape":[2,2],"data":[1,2,3,4]}]}'
    folded = {"Content-Type": "application/json"} | {name: f"{len(answer)}\r\n Set-Cookie: a=b"}
    proxy.queue.append(Fault("status", status=status, headers=folded, body=answer))
    try:
        told = make_door().ask(question(ROWS), soon()).headers
    except DoorAnswerError:
        told = {}
    assert all(text.isprintable() for text in told.values())


def test_connections_are_kept(make_door, proxy):
    door = make_door()
    for _ in range(20):
        door.ask(question(ROWS), soon())
    assert proxy.connections == 1


def test_a_connection_closed_while_it_was_kept_is_no_failure(make_door, proxy):
    door = make_door(breaker={"failures": 1})
    for _ in range(5):
        assert values(door.ask(question(ROWS), soon())) == expected(ROWS)
        proxy.drop_idle()
    assert len(proxy.seen) == 5


@pytest.mark.parametrize("kind", ["reset", "close"])
def test_a_kept_connection_that_ends_under_a_question_is_tried_once_on_a_new_one(make_door, proxy, kind):
    door = make_door(breaker={"failures": 1})
    door.ask(question(ROWS), soon())
    proxy.queue.append(Fault(kind))
    assert values(door.ask(question(ROWS), soon())) == expected(ROWS)
    assert proxy.connections == 2
    proxy.always = Fault(kind)
    with pytest.raises(DoorError, match="before it answered"):
        door.ask(question(ROWS), soon())
    assert len(proxy.seen) == 5, "once on the kept connection, once on a new one, and no more"


@pytest.mark.parametrize("kind", ["reset", "close"])
@pytest.mark.parametrize("retries", [0, 1, 3])
def test_a_reset_before_the_answer_is_retried_as_often_as_allowed(make_door, proxy, kind, retries):
    proxy.always = Fault(kind)
    with pytest.raises(DoorError, match="before it answered"):
        make_door(retries=retries).ask(question(ROWS), soon())
    assert len(proxy.seen) == 1 + retries
    proxy.always = Fault("pass")
    proxy.queue.extend([Fault(kind)] * retries)
    assert values(make_door(retries=retries).ask(question(ROWS), soon())) == expected(ROWS)


BROKEN = {
    "reset-body": "in the middle", "truncated": "in the middle", "garbage": "not HTTP", "length-bad": "Content-Length",
    "length-short": "answer", "chunk-bad": "answer", "gzip-bad": "decompressed", "gzip-bomb": "decompressed",
    "encoding": "Content-Encoding", "huge": "over the", "huge-chunked": "over the", "redirect": "redirect",
}  # fmt: skip


@pytest.mark.parametrize(("kind", "said"), BROKEN.items())
def test_a_broken_answer_is_one_error_and_is_not_asked_for_again(make_door, proxy, kind, said):
    door = make_door(retries=3)
    proxy.queue.append(Fault(kind, size=1 << 26))
    with pytest.raises(DoorAnswerError, match=said) as raised:
        door.ask(question(ROWS), soon())
    assert raised.value.status == 502
    assert len(proxy.seen) == 1
    assert values(door.ask(question(ROWS), soon())) == expected(ROWS)


@pytest.mark.parametrize("kind", [*BROKEN, "half-open", "slow-body", "length-long"])
def test_no_response_is_left_open(make_door, proxy, kind):
    """Python 3.13 and later would write about it to the log when it is collected."""

    def open_responses():
        return [each for each in gc.get_objects() if isinstance(each, HTTPResponse) and not each.isclosed()]

    before = open_responses()
    proxy.always = Fault(kind, size=1 << 22, seconds=1.0)
    with pytest.raises(DoorError):
        make_door().ask(question(ROWS), soon(0.5))
    assert [each for each in open_responses() if each not in before] == []


def test_another_models_answers_open_the_breaker(make_door, proxy):
    proxy.always = Fault("status", status=200, body=b'{"outputs":[]}')
    door = make_door(breaker={"failures": 2})
    for _ in range(2):
        with pytest.raises(DoorAnswerError, match="not that of this model"):
            door.ask(question(ROWS), soon())
    with pytest.raises(DoorBusyError, match="not that of this model"):
        door.ask(question(ROWS), soon())


def test_an_oversized_answer_is_refused_while_it_is_read(make_door, proxy):
    """A gigabyte would take longer than this, and the proxy is cut off long before it has sent it."""
    proxy.queue.append(Fault("huge-chunked", size=1 << 33))
    with pytest.raises(DoorAnswerError, match="over the 65536 bytes"):
        make_door(answer_bytes=65536).ask(question(ROWS), soon())


def test_a_chunk_of_a_negative_length_is_no_way_around_the_limit(make_door):
    """Read as a number it means "all that comes", which never ends here."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        client, _ = listener.accept()
        with contextlib.suppress(OSError), client:
            client.recv(65536)
            client.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n")
            while True:
                client.sendall(bytes(65536))

    server = threading.Thread(target=serve, daemon=True)
    server.start()
    with listener, pytest.raises(DoorAnswerError, match="not HTTP"):
        make_door(endpoint={"url": f"http://127.0.0.1:{listener.getsockname()[1]}"}).ask(question(ROWS), soon(2))
    server.join()


@pytest.mark.parametrize("kind", ["huge", "huge-chunked"])
def test_callers_who_ask_for_too_much_close_the_door_to_nobody(make_door, proxy, kind):
    """How long an answer is lies with the rows that were asked for."""
    door = make_door(answer_bytes=65536, breaker={"failures": 1})
    proxy.queue.extend([Fault(kind, size=1 << 20)] * 2)
    for _ in range(2):
        with pytest.raises(DoorAnswerError, match="over the 65536 bytes"):
            door.ask(question(ROWS), soon())
    assert values(door.ask(question(ROWS), soon())) == expected(ROWS)


def test_what_was_wrong_with_one_callers_answer_is_told_to_no_other(make_door, proxy):
    answer = b'{"outputs":[{"name":"y","datatype":"FP32","shape":[2,2],"data":["Ann Lee",1,2,3]}]}'
    proxy.always = Fault("status", status=200, body=answer)
    door = make_door(breaker={"failures": 1})
    with pytest.raises(DoorAnswerError, match="Ann Lee"):
        door.ask(question(ROWS), soon())
    with pytest.raises(DoorBusyError) as raised:
        door.ask(question(ROWS), soon())
    assert "Ann" not in str(raised.value)


@pytest.mark.parametrize("limit", [0, 1])
def test_the_limit_of_an_answer_is_exact(make_door, limit):
    size = len(make_door().ask(question(ROWS), soon()).body)
    door = make_door(answer_bytes=size - limit)
    if limit:
        with pytest.raises(DoorAnswerError):
            door.ask(question(ROWS), soon())
    else:
        assert values(door.ask(question(ROWS), soon())) == expected(ROWS)


def test_a_compressed_answer_is_read(make_door, proxy):
    proxy.queue.append(Fault("gzip"))
    response = make_door().ask(question(ROWS), soon())
    assert values(response) == expected(ROWS)
    assert "Content-Encoding" not in response.headers


@pytest.mark.parametrize("kind", ["half-open", "slow-body", "length-long", "delay"])
@pytest.mark.parametrize("hedge", [None, 0.05])
def test_nothing_outlives_the_deadline(make_door, proxy, kind, hedge):
    """Half a second a byte for over a hundred bytes, or for ever; the limit here is for a machine that is busy."""
    proxy.always = Fault(kind, seconds=0.5 if kind == "slow-body" else 60.0)
    start = perf_counter()
    with pytest.raises(DoorLateError) as raised:
        make_door(retries=2, hedge_after_s=hedge).ask(question(ROWS), start + 0.6)
    assert raised.value.status == 504
    assert 0.59 <= perf_counter() - start < 10


def test_deadline_s_bounds_a_question_too(make_door, proxy):
    proxy.always = Fault("half-open")
    with pytest.raises(DoorLateError):
        make_door(deadline_s=0.3, connect_s=0.3).ask(question(ROWS), soon(3600))


def test_a_deadline_that_has_passed_sends_nothing(make_door, proxy):
    door = make_door(breaker={"failures": 1})
    with pytest.raises(DoorLateError):
        door.ask(question(ROWS), perf_counter() - 1)
    assert not proxy.seen
    assert values(door.ask(question(ROWS), soon())) == expected(ROWS), "and the endpoint is not at fault"


def test_retries_end_with_the_deadline(make_door, proxy):
    proxy.always = Fault("reset")
    with pytest.raises(DoorError):
        make_door(retries=10, breaker={"failures": 1000}).ask(question(ROWS), soon(0.3))
    assert len(proxy.seen) <= 11


def test_a_host_that_takes_no_connection_is_given_connect_s(make_door):
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    fillers = []
    try:
        for _ in range(4):  # fill the backlog, so that the next one is not answered at all
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
            fillers.append(filler)
        door = make_door(endpoint={"url": f"http://127.0.0.1:{listener.getsockname()[1]}"}, connect_s=0.2)
        with pytest.raises(DoorLateError, match="connected to"):
            door.ask(question(ROWS), soon())
    finally:
        for each in (*fillers, listener):
            each.close()


def test_hedging_takes_the_answer_that_comes_first(make_door, proxy):
    proxy.queue.append(Fault("half-open"))
    door = make_door(hedge_after_s=0.05)
    assert values(door.ask(question(ROWS), soon())) == expected(ROWS)
    assert len(proxy.seen) == 2
    assert proxy.connections == 2
    until(lambda: proxy.open == 1, "the loser's connection is closed")
    assert values(door.ask(question(ROWS), soon())) == expected(ROWS)
    assert proxy.connections == 2, "the winner's is kept"


def test_a_quick_answer_is_not_hedged(make_door, proxy):
    door = make_door(hedge_after_s=10.0)
    for _ in range(5):
        assert values(door.ask(question(ROWS), soon())) == expected(ROWS)
    assert len(proxy.seen) == 5


def test_a_hedge_that_fails_does_not_end_the_first_try(make_door, proxy):
    proxy.queue.extend([Fault("delay", seconds=0.5), Fault("garbage")])
    assert values(make_door(hedge_after_s=0.02).ask(question(ROWS), soon())) == expected(ROWS)


def test_a_try_that_fails_before_its_hedge_is_retried_like_any_other(make_door, proxy):
    proxy.queue.append(Fault("reset"))
    assert values(make_door(hedge_after_s=10.0, retries=1).ask(question(ROWS), soon())) == expected(ROWS)
    assert len(proxy.seen) == 2


def test_the_breaker_opens_and_lets_one_probe_through(make_door, proxy):
    door = make_door(breaker={"failures": 3, "open_s": 30.0})
    now = time.monotonic()
    door._breaker._clock = lambda: now
    proxy.always = Fault("status", status=500)
    for _ in range(3):
        with pytest.raises(DoorError, match="500"):
            door.ask(question(ROWS), soon())
    with pytest.raises(DoorBusyError) as raised:
        door.ask(question(ROWS), soon())
    assert raised.value.retry_after == 30
    assert len(proxy.seen) == 3
    now += 30
    with pytest.raises(DoorError, match="500"):
        door.ask(question(ROWS), soon())
    with pytest.raises(DoorBusyError):
        door.ask(question(ROWS), soon())
    assert len(proxy.seen) == 4
    now += 30
    proxy.always = Fault("pass")
    assert values(door.ask(question(ROWS), soon())) == expected(ROWS)
    assert values(door.ask(question(ROWS), soon())) == expected(ROWS)


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_leaves_the_endpoint_alone_that_long(make_door, proxy, status):
    door = make_door(retries=3)
    now = time.monotonic()
    door._breaker._clock = lambda: now
    proxy.queue.append(Fault("status", status=status, headers={"Retry-After": "7"}))
    with pytest.raises(WakingError) as raised:
        door.ask(question(ROWS), soon())
    assert (raised.value.status, raised.value.retry_after) == (503, 7)
    with pytest.raises(WakingError):
        door.ask(question(ROWS), soon())
    assert len(proxy.seen) == 1
    now += 7
    assert values(door.ask(question(ROWS), soon())) == expected(ROWS)


@pytest.mark.parametrize("status", [429, 503])
def test_without_retry_after_it_is_busy_and_worth_a_retry(make_door, proxy, status):
    proxy.always = Fault("status", status=status)
    with pytest.raises(DoorBusyError):
        make_door(retries=1).ask(question(ROWS), soon())
    assert len(proxy.seen) == 2


@pytest.mark.parametrize("value", ["99999999999999999999", "-5", "soon", "Wed, 21 Oct 2015 07:28:00 GMT", "1e3",
                                   f"Wed, 21 Oct 2015 07:28:00 +{'9' * 20}"])  # fmt: skip
def test_an_odd_retry_after_is_bounded_or_ignored(make_door, proxy, value):
    proxy.queue.append(Fault("status", status=503, headers={"Retry-After": value}))
    with pytest.raises((DoorBusyError, WakingError)) as raised:
        make_door().ask(question(ROWS), soon())
    assert 1 <= raised.value.retry_after <= 3600


@pytest.mark.parametrize("status", [400, 413, 415, 422])
def test_what_is_wrong_with_the_inputs_is_passed_on(make_door, proxy, status):
    proxy.always = Fault("status", status=status, body=b'{"error":"x is wrong"}')
    door = make_door(breaker={"failures": 1})
    for _ in range(2):
        response = door.ask(question(ROWS), soon())
        assert (response.status, response.body) == (status, b'{"error":"x is wrong"}')
        assert response.error is not None


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (b'{"error": "x is wrong", "code": 1}', b'{"error": "x is wrong", "code": 1}'),
        (b'{"error": {"code": 400, "message": "x is wrong"}}', b'{"error":"x is wrong"}'),
        (b'{"message": "x is wrong"}', b'{"error":"x is wrong"}'),
        (b'{"detail": "x is wrong"}', b'{"error":"x is wrong"}'),
        (b'{"detail": [1]}', b'{"detail": [1]}'),
        (b"x is wrong", b"x is wrong"),
        (b"[" * 100_000, b"[" * 100_000),
    ],
    ids=range(7),
)
def test_a_refusal_has_the_form_of_our_own(make_door, proxy, theirs, ours):
    proxy.queue.append(Fault("status", status=400, body=theirs))
    assert make_door().ask(question(ROWS), soon()).body == ours


@pytest.mark.parametrize("status", [201, 401, 403, 404, 405, 418, 500, 502, 504, 599])
def test_other_statuses_are_no_answer(make_door, proxy, status):
    proxy.always = Fault("status", status=status, body=b"secret internals")
    with pytest.raises(DoorError) as raised:
        make_door().ask(question(ROWS), soon())
    assert "internals" not in str(raised.value)
    assert raised.value.status in {502, 504}


def test_nobody_listening_is_waking(make_door, proxy):
    proxy.close()
    with pytest.raises(WakingError) as raised:
        make_door().ask(question(ROWS), soon())
    assert raised.value.retry_after >= 1


def test_while_it_wakes_a_question_waits_within_its_deadline(make_door, proxy, endpoint):
    endpoint.be_ready(False)
    proxy.queue.append(Fault("status", status=503, headers={"Retry-After": "30"}))
    door = make_door(waking="queue")

    def wake():
        until(lambda: sum(seen.method == "GET" for seen in proxy.seen) >= 2, "it asks whether the endpoint is ready")
        endpoint.be_ready(True)

    waker = threading.Thread(target=wake)
    waker.start()
    try:
        assert values(door.ask(question(ROWS), soon())) == expected(ROWS)
    finally:
        waker.join()
        endpoint.be_ready(True)
    assert sum(seen.method == "POST" for seen in proxy.seen) == 2
    assert values(door.ask(question(ROWS), soon())) == expected(ROWS), "the breaker closed when it was ready"


def test_when_it_does_not_wake_in_time_the_caller_hears_when_to_come_back(make_door, proxy):
    proxy.always = Fault("status", status=503, headers={"Retry-After": "30"})
    with pytest.raises(WakingError) as raised:
        make_door(waking="queue").ask(question(ROWS), soon(0.6))
    assert raised.value.retry_after == 30


@pytest.mark.parametrize("hedge", [None, 0.02])
def test_questions_that_are_never_answered_open_the_breaker(make_door, proxy, hedge):
    proxy.always = Fault("half-open")
    door = make_door(breaker={"failures": 2}, hedge_after_s=hedge)
    for _ in range(1 if hedge else 2):
        with pytest.raises(DoorLateError):
            door.ask(question(ROWS), soon(0.3))
    with pytest.raises(DoorBusyError):
        door.ask(question(ROWS), soon())


def test_where_readiness_cannot_be_asked_the_question_waits_as_long_as_it_was_told(make_door, proxy):
    proxy.queue.append(Fault("status", status=503, headers={"Retry-After": "1"}))
    door = make_door(endpoint={"kind": "azure-ml", "url": f"{proxy.url}/score"}, waking="queue")
    start = perf_counter()
    assert values(door.ask(question(ROWS), soon())) == expected(ROWS)
    assert perf_counter() - start >= 1
    assert [seen.target for seen in proxy.seen] == ["/score", "/score"]
    proxy.queue.append(Fault("status", status=503, headers={"Retry-After": "30"}))
    with pytest.raises(WakingError):
        door.ask(question(ROWS), soon(5))


def test_more_questions_than_allowed_at_a_time_are_refused(make_door, proxy):
    door = make_door(concurrency=2)
    proxy.always = Fault("half-open")
    threads = [threading.Thread(target=swallow, args=(door, 2.0)) for _ in range(2)]
    for thread in threads:
        thread.start()
    until(lambda: len(proxy.seen) == 2, "both are under way")
    with pytest.raises(DoorBusyError, match="2 questions at a time"):
        door.ask(question(ROWS), soon())
    assert len(proxy.seen) == 2
    for thread in threads:
        thread.join()
    proxy.always = Fault("pass")
    assert values(door.ask(question(ROWS), soon())) == expected(ROWS)


def test_those_who_wait_for_it_to_wake_are_as_few(make_door, proxy):
    """Each holds a thread, and in a container others need them."""
    door = make_door(concurrency=2, waking="queue")
    proxy.always = Fault("status", status=503, headers={"Retry-After": "30"})
    threads = [threading.Thread(target=swallow, args=(door, 3.0)) for _ in range(2)]
    for thread in threads:
        thread.start()
    until(lambda: sum(seen.method == "GET" for seen in proxy.seen) >= 4, "both are waiting")
    with pytest.raises(DoorBusyError, match="2 questions at a time"):
        door.ask(question(ROWS), soon(3.0))
    for thread in threads:
        thread.join()


def test_a_proxy_that_says_no_to_a_long_body_is_heard(make_door, proxy):
    """It answers and closes before it has read the body: the answer counts, and not the broken pipe."""
    listener = socket.create_server(("127.0.0.1", 0))

    def refuse():
        link, _ = listener.accept()
        link.recv(1000)
        link.sendall(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        link.shutdown(socket.SHUT_WR)
        while link.recv(1 << 20):
            pass
        link.close()

    thread = threading.Thread(target=refuse)
    thread.start()
    door = make_door(endpoint={"url": f"http://127.0.0.1:{listener.getsockname()[1]}"})
    long = question([[1.0, 2.0, 3.0]] * 200_000)
    assert door.ask(long, soon()).status == 413
    door.close()
    thread.join()
    listener.close()


def test_jobs_are_unknown_where_there_is_no_queue(make_door):
    with pytest.raises(NotFoundError):
        make_door().status("x")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://169.254.169.254/latest", "metadata"),
        ("http://[fe80::1]/", "link-local"),
        ("http://metadata.google.internal/", "metadata"),
        ("http://[::ffff:169.254.169.254]/", "metadata"),
    ],
)
def test_a_url_may_not_lead_to_a_metadata_service(make_door, url, said):
    with pytest.raises(DoorError, match=said):
        make_door(endpoint={"url": url}).ask(question(ROWS), soon())


def test_a_private_address_needs_permission(make_door, proxy):
    with pytest.raises(DoorError, match="allow_private"):
        make_door(endpoint={"allow_private": False}).ask(question(ROWS), soon())
    with pytest.raises(DoorError, match="allow_private"):
        make_door(endpoint={"url": f"http://localhost:{proxy.port}", "allow_private": False}).ask(
            question(ROWS), soon()
        )
    assert not proxy.connections


def test_an_unknown_host_is_one_sentence(make_door):
    with pytest.raises(DoorError, match=r"no-such-host\.invalid"):
        make_door(endpoint={"url": "http://no-such-host.invalid/"}).ask(question(ROWS), soon())


def test_the_url_may_come_from_the_environment(proxy):
    door = Door(settings(), {"COLDPRESS_FALLBACK_URL": f"{proxy.url}/base/"})
    assert values(door.ask(question(ROWS), soon())) == expected(ROWS)
    door.close()
    assert proxy.seen[0].target.startswith("/base/v2/models/")


@pytest.mark.parametrize(
    "url",
    ["", "ftp://a", "https://", "https://user:secret@host/", "http://host:0/", "http://host:99999/", "http://a b/",
     "https://host/?token=secret", "host", "http://[::1"],
)  # fmt: skip
def test_a_url_that_cannot_be_right_shows_at_once_and_is_not_repeated(url):
    with pytest.raises(ManifestError) as raised:
        Door(settings(), {"COLDPRESS_FALLBACK_URL": url})
    assert "secret" not in str(raised.value)


def test_a_secret_goes_out_and_is_nowhere_else(make_door, proxy, capfd):
    secret = "s3cr3t-t0ken"
    environ = {"COLDPRESS_FALLBACK_TOKEN": secret}
    door = make_door(environ, endpoint={"auth": "bearer"})
    proxy.queue.extend([Fault("pass"), Fault("status", status=401), Fault("garbage")])
    assert values(door.ask(question(ROWS), soon())) == expected(ROWS)
    assert proxy.seen[0].headers["authorization"] == f"Bearer {secret}"
    for _ in range(2):
        with pytest.raises(DoorError) as raised:
            door.ask(question(ROWS), soon())
        import traceback

        assert secret not in "".join(traceback.format_exception(raised.value))
    assert secret not in repr(door)
    assert secret not in repr(door._credentials)
    assert secret not in "".join(capfd.readouterr())


@pytest.mark.parametrize("secret", [None, "", "  ", "a\nb", "é"])
def test_a_secret_that_is_missing_or_odd_shows_at_once(secret):
    environ = {} if secret is None else {"COLDPRESS_FALLBACK_TOKEN": secret}
    with pytest.raises(ManifestError, match="COLDPRESS_FALLBACK_TOKEN"):
        Door(settings(endpoint={"url": "https://host", "auth": "bearer"}), environ)


def test_a_secret_never_travels_in_the_clear():
    place = {"url": "http://example.com", "auth": "bearer", "allow_private": False}
    with pytest.raises(ManifestError, match="https://"):
        Door(settings(endpoint=place), {"COLDPRESS_FALLBACK_TOKEN": "x"})


def test_many_threads_get_their_own_answers(make_door, proxy):
    door = make_door(concurrency=8)
    wrong = []

    def ask(seed):
        for step in range(30):
            rows = [[float(seed), float(step), 1.0]]
            if values(door.ask(question(rows), soon())) != expected(rows):
                wrong.append((seed, step))

    run_threads(8, ask)
    assert not wrong
    assert len(proxy.seen) == 240
    assert proxy.connections <= 8


def test_two_thousand_faults_leak_nothing(endpoint):
    from tests.support.fault_proxy import FaultProxy

    kinds = [
        Fault("pass"), Fault("reset"), Fault("close"), Fault("garbage"), Fault("truncated"), Fault("reset-body"),
        Fault("status", status=500), Fault("status", status=503), Fault("redirect"), Fault("length-short"),
        Fault("huge", size=1 << 22), Fault("gzip-bad"), Fault("length-bad"), Fault("chunk-bad"), Fault("half-open"),
    ]  # fmt: skip
    with FaultProxy(endpoint.address, choose=lambda place: kinds[place % len(kinds)]) as proxy:
        door = Door(settings(proxy.url, concurrency=8, hedge_after_s=0.05, breaker={"failures": 10_000}), {})
        counts = {"right": 0, "failed": 0}
        lock = threading.Lock()

        def ask(seed):
            for step in range(250):
                rows = [[float(seed), float(step), 2.0]]
                try:
                    right = values(door.ask(question(rows), soon(0.5))) == expected(rows)
                    assert right
                    outcome = "right"
                except DoorError:
                    outcome = "failed"
                with lock:
                    counts[outcome] += 1

        ask(0)
        settle(proxy)
        before = open_files()
        counts.update(right=0, failed=0)
        run_threads(8, ask)
        settle(proxy)
        assert counts["right"] + counts["failed"] == 2000
        assert counts["right"] > 100
        door.close()
        until(lambda: open_files() <= before, "no file descriptor is left over")
        until(lambda: not any(thread.name == "door" for thread in threading.enumerate()), "no thread is left over")


def settle(proxy):
    """Wait until the connections that were given up are gone, at most those that the door keeps."""
    until(lambda: proxy.open <= 8, "connections are closed")


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


def swallow(door, seconds):
    with contextlib.suppress(DoorError):
        door.ask(question(ROWS), soon(seconds))


def run_threads(count, act):
    failed = []

    def run(seed):
        try:
            act(seed)
        except BaseException as error:  # noqa: BLE001 - raised again below
            failed.append(error)

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


def until(condition, what):
    ends = perf_counter() + LONG_S
    pause = threading.Event()
    while not condition():
        assert perf_counter() < ends, what
        pause.wait(0.01)
