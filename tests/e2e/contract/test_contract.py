"""One contract: whoever runs the function, under its provider's own runtime, the answers are those of the service."""

import base64
import http.client
import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from coldpress.emulate.function import start
from coldpress.emulate.http import Reply
from coldpress.emulate.server import ServerProcess
from tests.e2e.contract.exceptions import EXCEPTIONS
from tests.e2e.contract.requests import LIMITS, NAME, REQUESTS, SECTIONS, VERSION, exact
from tests.e2e.contract.ways import WAYS
from tests.support.functions import PYTHON, needs, write_function
from tests.support.serving import serve

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="providers run functions on Linux")

_HERE = Path(__file__).parent
_HOOKS = (_HERE / "hooks.py").read_text(encoding="utf-8")
# Those of which a caller makes use, beside those that the service itself gives.
_MATTER = ("content-type", "allow", "inference-header-content-length", "retry-after")
_IDENTITY = re.compile(rb"Internal error [0-9a-f]{12};")


def _in_groups(ways):
    """One worker for all that asks one target: its functions are started once."""
    marks = {way: [pytest.mark.xdist_group(f"contract-{way.target}"), needs(way.target)] for way in ways}
    return [pytest.param(way, marks=marks[way], id=str(way)) for way in marks]


@pytest.fixture(scope="session")
def expected(tmp_path_factory):
    """What the service alone answers, in a process of the same Python, by the request's name."""
    answers = {}
    for hooked in (False, True):
        root = _write(tmp_path_factory.mktemp("bare") / "function", "aws", hooked)
        asks = [ask for ask in REQUESTS.values() if ask.hooked is hooked]
        document = [
            {"method": ask.method, "path": ask.path, "headers": ask.joined(), "body": _base64(ask.body)} for ask in asks
        ]
        command = [PYTHON, "-I", "-S", "-B", _HERE / "bare.py", root]
        done = subprocess.run(command, input=json.dumps(document), capture_output=True, text=True, check=True)
        for ask, answer in zip(asks, json.loads(done.stdout), strict=True):
            headers = {name.lower(): value for name, value in answer["headers"].items() if name != "Content-Length"}
            answers[ask.name] = Reply(answer["status"], headers, base64.b64decode(answer["body"]))
    return answers


@pytest.fixture(scope="session")
def started(tmp_path_factory):
    """Start a target's function, with hooks or without, at the first request that asks for it."""
    functions = {}

    def function(target, hooked):
        if (target, hooked) not in functions:
            root = _write(tmp_path_factory.mktemp(target) / "function", target, hooked)
            functions[target, hooked] = start(root, python=PYTHON)
        return functions[target, hooked]

    yield function
    for each in functions.values():
        each.close()


@pytest.fixture(scope="session")
def served(tmp_path_factory):
    """Where ``coldpress serve`` answers for AWS's function, without hooks and with them."""
    roots = [_write(tmp_path_factory.mktemp("served") / "function", "aws", hooked) for hooked in (False, True)]
    with serve(roots[0]) as plain, serve(roots[1]) as hooked:
        yield {False: plain.address, True: hooked.address}


def _write(root, target, hooked):
    return write_function(
        root, target, "mlp", _HOOKS if hooked else None, name=NAME, version=VERSION, limits=dict(LIMITS)
    )


def _base64(content):
    return base64.b64encode(content).decode()


def _send(function, ask, door):
    if ask.repeats and isinstance(function, ServerProcess):
        return _exchange(f"127.0.0.1:{function.port}", ask)
    return function.call(exact(ask), door).reply


def _exchange(address, ask):
    """Send a request over a connection of its own, its headers as they are."""
    connection = http.client.HTTPConnection(address, timeout=30)
    try:
        connection.putrequest(ask.method, ask.path, skip_accept_encoding=True)
        for name, value in (*ask.headers, ("Content-Length", str(len(ask.body)))):
            connection.putheader(name, value)
        connection.endheaders(ask.body)
        response = connection.getresponse()
        return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()


def _told(reply, names):
    """What must be equal: status, body, and the headers ``names``."""
    body = _IDENTITY.sub(b"Internal error ID;", reply.body)
    return reply.status, body, {name: reply.headers.get(name) for name in sorted(names)}


def _differences(way, asks, answer, expected):
    """Ask, hold exceptions against what they say, and return the answers that are not the service's."""
    different = {}
    for ask in asks:
        reply, wanted = answer(ask), expected[ask.name]
        names = {*_MATTER, *wanted.headers}
        if (known := EXCEPTIONS.get((str(way), ask.name))) is not None:
            assert _told(reply, names) != _told(wanted, names), f"no exception any more: {ask.name}"
            known.check(reply, wanted)
        elif _told(reply, names) != _told(wanted, names):
            different[ask.name] = {"answer": _told(reply, names), "of the service": _told(wanted, names)}
    return different


@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize("way", _in_groups(WAYS))
def test_every_target_answers_like_the_service_alone(started, expected, way, section):
    def answer(ask):
        return _send(started(way.target, ask.hooked), ask, way.door)

    assert _differences(way, SECTIONS[section], answer, expected) == {}


@pytest.mark.xdist_group("contract-serve")
@pytest.mark.parametrize("section", SECTIONS)
def test_serve_answers_like_the_function_that_it_starts(served, expected, section):
    assert _differences("serve", SECTIONS[section], lambda ask: _exchange(served[ask.hooked], ask), expected) == {}


@pytest.mark.parametrize("way", _in_groups(way for way in WAYS if way.target in {"gcp", "container"}))
def test_a_body_of_no_stated_length_is_read_to_its_end(started, expected, way):
    ask = REQUESTS["two instances"]
    connection = http.client.HTTPConnection("127.0.0.1", started(way.target, False).port, timeout=30)
    chunks = (ask.body[place : place + 100] for place in range(0, len(ask.body), 100))
    connection.request(ask.method, ask.path, chunks, dict(ask.headers), encode_chunked=True)
    response = connection.getresponse()
    assert (response.status, response.read()) == (200, expected[ask.name].body)
    connection.close()


@pytest.mark.parametrize("way", _in_groups(way for way in WAYS if way.target in {"gcp", "azure", "container"}))
def test_callers_at_the_same_time_get_each_their_own_answer(started, expected, way):
    names = ["one instance", "two instances", "the protocol", "a row too short", "binary in and out", "live"] * 8
    function = started(way.target, False)
    with ThreadPoolExecutor(6) as threads:
        calls = threads.map(lambda name: _send(function, REQUESTS[name], way.door), names)
        for name, reply in zip(names, calls, strict=True):
            assert (reply.status, reply.body) == (expected[name].status, expected[name].body)


def test_the_table_holds_good_and_bad_requests_of_every_status(expected):
    assert len(REQUESTS) == sum(map(len, SECTIONS.values())) >= 60
    assert {200, 204, 400, 404, 405, 413, 415, 429, 500} <= {answer.status for answer in expected.values()}


def test_every_exception_is_of_a_request_and_a_way_that_there_are():
    assert {name for _, name in EXCEPTIONS} <= set(REQUESTS)
    assert {way for way, _ in EXCEPTIONS} <= {*map(str, WAYS), "serve"}
