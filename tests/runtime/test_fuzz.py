"""Ten thousand requests that nobody would write: no 5xx, no crash, no growth, no answer that is not JSON.

Together with schemathesis in test_openapi.py these are the fuzz cases of the protocol. They are the same in every run,
so that a failure is a change's and not the day's; to look further, raise ``max_examples`` and drop ``derandomize``.
"""

import copy
import gc
import json
import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coldpress_runtime.aws_lambda import make_handler
from coldpress_runtime.errors import RequestError
from coldpress_runtime.http import Request
from tests.support.http import predict
from tests.support.tiny import open_service, write_bundle

_REFUSALS = {400, 404, 405, 413, 415}
_EVENTS = [
    json.loads(path.read_text()) for path in sorted((Path(__file__).parent.parent / "events" / "aws").glob("*.json"))
]
_CHECKS = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.large_base_example]


def _cases(count):
    return settings(max_examples=count, deadline=None, derandomize=True, database=None, suppress_health_check=_CHECKS)


@pytest.fixture(scope="module")
def services(tmp_path_factory):
    names = ("every_type", "two_inputs", "mlp", "bytes", "sequences", "lookup")
    return {name: open_service(tmp_path_factory.mktemp(name) / "b", name, name=name) for name in names}


@pytest.fixture(scope="module")
def handler(tmp_path_factory):
    return make_handler(str(write_bundle(tmp_path_factory.mktemp("bundle") / "b", "fp32")))


def _constant(name):
    raise AssertionError(f"{name} is not JSON")


def _check(service, request):
    """One request: a documented answer, in JSON or binary; and the next good one still answers."""
    response = service.answer(request)
    assert response.status in _REFUSALS | {200, 204}
    if response.is_json and response.body:
        document = json.loads(response.body.decode(), parse_constant=_constant)
        if response.status >= 400:
            assert document.keys() == {"error"}
            assert 0 < len(document["error"]) < 1000
    assert predict(service, _GOOD[service.manifest.name])


_GOOD = {
    "every_type": {"inputs": {"f": [1.5], "i": [1], "s": ["a"], "h": [0.5], "b": [True]}},
    "two_inputs": {"inputs": {"in/left:0": [[1, 2]], "right": [[3, 4]]}},
    "mlp": {"inputs": {"x": [[0.5] * 64]}},
    "bytes": {"inputs": {"x": [["a", "b"]]}},
    "sequences": {"inputs": {"parts": [[1, 2], [3]]}},
    "lookup": {"inputs": {"index": [1]}},
}
_DATATYPES = {"f": "FP32", "i": "INT64", "s": "BYTES", "h": "FP16", "b": "BOOL"}
_PROTOCOL = {
    "id": "1",
    "inputs": [
        {"name": name, "shape": [1], "datatype": _DATATYPES[name], "data": value, "parameters": {}}
        for name, value in _GOOD["every_type"]["inputs"].items()
    ],
    "outputs": [{"name": "F", "parameters": {"binary_data": False}}, {"name": "S"}],
    "parameters": {"binary_data_output": False},
}
_numbers = st.one_of(
    st.integers(-10, 10),
    st.integers(),
    st.floats(),
    st.sampled_from([2**31, 2**63, -(2**63) - 1, 10**30, 10**400, 1e39, 65520.0, -0.0, 1e308]),
)
_words = st.one_of(
    st.text(max_size=8),
    st.sampled_from(
        ["x", "f", "name", "shape", "datatype", "data", "inputs", "outputs", "instances", "parameters", "b64", "FP32",
         "INT64", "BYTES", "binary_data", "binary_data_size", "binary_data_output", "NaN", "Infinity", "\ud800"]
    ),
)  # fmt: skip
_json = st.recursive(
    st.one_of(st.none(), st.booleans(), _numbers, _words),
    lambda children: st.one_of(st.lists(children, max_size=4), st.dictionaries(_words, children, max_size=4)),
    max_leaves=12,
)


def _places(document, path=()):
    yield path
    items = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in items:
        yield from _places(value, (*path, key))


@st.composite
def _mutated(draw, document):
    """A good document with one to three places replaced, removed, doubled or renamed."""
    document = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(_places(document))))
        if not path:
            continue
        parent = document
        for key in path[:-1]:
            parent = parent[key]
        key = path[-1]
        action = draw(st.sampled_from(["replace", "replace", "remove", "double", "wrap"]))
        if action == "replace":
            parent[key] = draw(_json)
        elif action == "remove":
            del parent[key]
        elif action == "double" and isinstance(parent, list):
            parent.append(copy.deepcopy(parent[key]))
        elif action == "wrap":
            parent[key] = [parent[key]]
    return document


@st.composite
def _damaged(draw, text):
    """Good bytes with a few of them cut out, put in or changed."""
    data = bytearray(text)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(data)))
        width = draw(st.integers(0, 4))
        data[place : place + width] = draw(st.binary(max_size=4))
    return bytes(data)


_headers = st.dictionaries(
    st.sampled_from(["content-type", "content-encoding", "inference-header-content-length", "accept", "x"]),
    st.one_of(
        st.text(max_size=12),
        st.sampled_from(["application/json", "application/octet-stream", "gzip", "deflate", "identity", "0", "100"]),
    ),
    max_size=3,
)
_paths = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["/predict", "/v2", "/openapi.json", "/v2/models/every_type/infer", "/v2/models/every_type"]),
    st.lists(
        st.one_of(st.sampled_from(["v2", "models", "every_type", "infer", "versions", "1", "..", "%2F", "%"]), _words),
        max_size=6,
    ).map(lambda parts: "/" + "/".join(parts)),
)
_methods = st.one_of(st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"]), st.text(max_size=5))


@_cases(1500)
@given(_methods, _paths, _headers, st.binary(max_size=60))
def test_any_request(services, method, path, headers, body):
    _check(services["every_type"], Request(method, path, headers, body))


@pytest.mark.parametrize("path", ["/predict", "/v2/models/every_type/infer"])
@_cases(750)
@given(document=_json)
def test_any_json(services, path, document):
    _check(services["every_type"], Request("POST", path, {}, json.dumps(document).encode()))


@pytest.mark.parametrize("model", sorted(_GOOD))
@_cases(450)
@given(st.data())
def test_plain_bodies_almost_right(services, model, data):
    document = data.draw(_mutated(_GOOD[model]))
    _check(services[model], Request("POST", "/predict", {}, json.dumps(document).encode()))


@_cases(2500)
@given(_mutated(_PROTOCOL))
def test_protocol_bodies_almost_right(services, document):
    _check(services["every_type"], Request("POST", "/v2/models/every_type/infer", {}, json.dumps(document).encode()))


@_cases(800)
@given(_damaged(json.dumps(_PROTOCOL).encode()))
def test_damaged_texts(services, body):
    _check(services["every_type"], Request("POST", "/v2/models/every_type/infer", {}, body))


def _binary_body():
    parts = [struct.pack("<f", 1.5), struct.pack("<q", 7), b"\2\0\0\0ab", struct.pack("<e", 2), b"\1"]
    inputs = [
        {"name": name, "shape": [1], "datatype": datatype, "parameters": {"binary_data_size": len(part)}}
        for (name, datatype), part in zip(_DATATYPES.items(), parts, strict=True)
    ]
    text = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    return text, b"".join(parts)


_TEXT, _TAIL = _binary_body()


@_cases(1200)
@given(st.one_of(_damaged(_TAIL), st.binary(max_size=40)), st.integers(-2, 2))
def test_damaged_binary_bodies(services, tail, off):
    header = {"inference-header-content-length": str(len(_TEXT) + off)}
    _check(services["every_type"], Request("POST", "/v2/models/every_type/infer", header, _TEXT + tail))


@_cases(700)
@given(_mutated(json.loads(_TEXT)))
def test_binary_bodies_almost_right(services, document):
    text = json.dumps(document).encode()
    header = {"inference-header-content-length": str(len(text))}
    _check(services["every_type"], Request("POST", "/v2/models/every_type/infer", header, text + _TAIL))


@pytest.mark.parametrize("event", _EVENTS)
@_cases(100)
@given(data=st.data())
def test_aws_events_almost_right(handler, event, data):
    wrong = data.draw(_mutated(event))
    try:
        reply = handler(wrong, None)
    except RequestError:
        return  # a direct caller's error
    json.dumps(reply)
    assert reply.get("statusCode", 200) < 500


def _resident():
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * 4096


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc to see the process grow")
def test_bad_requests_leave_nothing_behind(services):
    service = services["every_type"]
    bodies = [
        b"[" * 5000,
        json.dumps(_PROTOCOL).encode()[:-3],
        json.dumps(_PROTOCOL).encode(),
        json.dumps(_PROTOCOL | {"inputs": []}).encode(),
        json.dumps({"inputs": {"f": ["x"] * 1000}}).encode(),
    ]

    def work(rounds):
        for number in range(rounds):
            for body in bodies:
                service.answer(Request("POST", "/v2/models/every_type/infer", {}, body))
                service.answer(Request("POST", "/predict", {}, body))
            service.answer(Request("GET", f"/{number}"))
            shape = {"name": "f", "shape": [number], "datatype": "FP32", "data": [0.0] * number}
            service.answer(Request("POST", "/v2/models/every_type/infer", {}, json.dumps({"inputs": [shape]}).encode()))

    work(300)
    gc.collect()
    before = _resident()
    work(600)
    gc.collect()
    assert _resident() - before < 4_000_000
