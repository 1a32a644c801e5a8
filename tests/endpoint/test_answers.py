"""What the endpoint answers is what a function answers: the same requests to both, right and wrong ones."""

import asyncio
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coldpress_endpoint.app import App, all_routes
from coldpress_endpoint.repository import Repository
from coldpress_endpoint.serving import Serving
from coldpress_endpoint.settings import Settings
from coldpress_runtime.http import Request
from tests.support.endpoint_server import put_model
from tests.support.tiny import MODELS, open_service

_INPUTS = {
    "mlp": {"x": [[0.5] * 64, list(range(64))]},
    "two_inputs": {"in/left:0": [[1, 2]], "right": [[3, 4.5]]},
    "every_type": {"f": [1.5, 2], "i": [1, -1], "s": ["a", "ö\u2028"], "h": [0.5, 65504], "b": [True, False]},
    "zipmap": {"scores": [[0.1, 0.9], [0.2, 0.8]]},
    "divide": {"x": [1, -1, 0]},
    "lookup": {"index": [1, 2]},
    "expand": {"x": [[1.25], [0.1]]},
    "zeros": {"shape": [2, 3]},
    "counts": {"counts": {"a": 1.5, "b": 2}},
    "scalar": {"x": 7},
    "sequences": {"parts": [[1, 2], [3]]},
    "bool": {"x": [[True, False]]},
    "bytes": {"x": [["a", "null"], ["", "b"]]},
    "fp16": {"x": [[0.1, 2]]},
    "fp32": {"x": [[0.1, 2], [1e-40, 3.4e38]]},
    "fp64": {"x": [[0.1, 1e300]]},
    "bf16": {"x": [[0.1, 2]]},
    "int8": {"x": [[-128, 127]]},
    "int64": {"x": [[-(2**63), 2**63 - 1]]},
    "uint8": {"x": [[0, 255.0]]},
}
_DATATYPES = {"f": "FP32", "i": "INT64", "s": "BYTES", "h": "FP16", "b": "BOOL"}


class Both:
    """A function and an endpoint with the same model."""

    def __init__(self, folder, name):
        self.service = open_service(folder / "bundle", name, name=name)
        put_model(folder / "models", name, "1", MODELS[name]())
        models = Repository(Settings(models=str(folder / "models"), providers=("cpu",)))
        models.look(at_once=True)
        serving = Serving(models)
        self.app = App(serving, all_routes(serving))

    def ask(self, path, body, headers):
        """Return the status, the headers and the body of each."""
        there = self.service.answer(Request("POST", path, headers, body))
        return (there.status, there.headers, there.body), asyncio.run(self._ask(path, body, headers))

    async def _ask(self, path, body, headers):
        sent = []
        names = [(name.encode(), text.encode()) for name, text in headers.items()]
        scope = {"type": "http", "method": "POST", "path": path, "headers": names, "query_string": b""}

        async def receive():
            return {"type": "http.request", "body": body}

        async def send(message):
            sent.append(message)

        await self.app(scope, receive, send)
        return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    made = {}

    def get(name):
        if name not in made:
            made[name] = Both(tmp_path_factory.mktemp(name), name)
        return made[name]

    return get


def _same(one, other):
    """Equal documents, true and 1 told apart."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _check(both, path, body, headers):
    there, here = both.ask(path, body, headers)
    assert here[0] == there[0], (here, there)
    kind = here[1][b"content-type"].decode()
    assert kind == there[1]["Content-Type"]
    if kind == "application/json":
        assert _same(json.loads(here[2]), json.loads(there[2])), (here[2], there[2])
    else:
        assert here[2] == there[2]
    return here


@pytest.mark.parametrize("name", sorted(MODELS))
def test_plain_json(both, name):
    status, _, text = _check(both(name), "/predict", json.dumps({"inputs": _INPUTS[name]}).encode(), {})
    assert status == 200
    assert json.loads(text).keys() == {"outputs"}


@pytest.mark.parametrize("name", ["mlp", "two_inputs", "every_type", "zipmap", "bytes", "fp32", "scalar", "zeros"])
def test_instances(both, name):
    inputs = _INPUTS[name]
    columns = list(inputs.values())
    if len(inputs) == 1:
        rows = columns[0] if isinstance(columns[0], list) else [columns[0]]
    else:
        rows = [dict(zip(inputs, row, strict=True)) for row in zip(*columns, strict=True)]
    _check(both(name), "/predict", json.dumps({"instances": rows}).encode(), {})


def _item(name, info, value):
    shape = np.shape(value) if info.kind == "tensor" else (len(value) if info.kind == "sequence" else 1,)
    flat = np.ravel(np.array(value, object)).tolist()
    if info.kind == "sequence":
        flat = [json.dumps(item) for item in value]
    elif info.kind == "map":
        flat = [json.dumps(value)]
    datatype = "BYTES" if info.kind != "tensor" else info.dtype.name
    return {"name": name, "datatype": datatype, "shape": list(shape), "data": flat}


@pytest.mark.parametrize("binary", [None, False, True])
@pytest.mark.parametrize("name", sorted(MODELS))
def test_open_inference(both, name, binary):
    pair = both(name)
    infos = {info.name: info for info in pair.service.session.inputs}
    document = {"inputs": [_item(each, infos[each], value) for each, value in _INPUTS[name].items()]}
    if binary is not None:
        document |= {"id": "41", "parameters": {"binary_data_output": binary}}
    status, _, text = _check(pair, f"/v2/models/{name}/infer", json.dumps(document).encode(), {})
    assert status == 200
    assert text


def test_binary_inputs_may_lie_anywhere_in_the_body(both):
    rows = np.arange(128, dtype=np.float32).reshape(2, 64)
    item = {"name": "x", "datatype": "FP32", "shape": [2, 64], "parameters": {"binary_data_size": rows.nbytes}}
    for spaces in range(5):
        head = json.dumps({"inputs": [item]}).encode() + b" " * spaces
        headers = {"inference-header-content-length": str(len(head))}
        assert _check(both("mlp"), "/v2/models/mlp/infer", head + rows.tobytes(), headers)[0] == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'{"inputs": {"x": [[1, 2]]}, "inputs": {"x": [[1, 2]]}}',
        b'{"inputs": {"x": [[1, 2]], "x": [[1, 2]]}}',
        b'{"inputs": {"x": [[1, true]]}}',
        b'{"inputs": {"x": [[1, null]]}}',
        b'{"inputs": {"x": [[1, {}]]}}',
        b'{"inputs": {"x": [[1, "2"]]}}',
        b'{"inputs": {"x": [[1, "NaN"]]}}',
        b'{"inputs": {"x": [[1, NaN]]}}',
        b'{"inputs": {"x": [[1, -Infinity]]}}',
        b'{"inputs": {"x": [[1, 1e39]]}}',
        b'{"inputs": {"x": [[1, 1e999]]}}',
        b'{"inputs": {"x": [[1, 2], [3]]}}',
        b'{"inputs": {"x": [[1, 2, 3]]}}',
        b'{"inputs": {"x": [1, 2]}}',
        b'{"inputs": {"x": 1}}',
        b'{"inputs": {"x": []}}',
        b'{"inputs": {"x": [[]]}}',
        b'{"inputs": {"y": [[1, 2]]}}',
        b'{"inputs": {"x": [[1, 2]]}, "parameters": {}}',
        b'{"inputs": {"x": [[1, 2]]}, "instances": []}',
        b'{"instances": [[1, 2], [3]]}',
        b'{"instances": []}',
        b'{"instances": [{"x": [1, 2]}]}',
        b'{"instances": [[1, 2]]} tail',
        b'{"inputs": {"x": ' + b"[" * 2000 + b"]" * 2000 + b"}}",
        b'{"inputs": {"x": [[1, 2.5]]}}',
        b'{"inputs": {"x": [[1, 300]]}}',
        b'{"inputs": {"x": [[1, 123456789012345678901234567890]]}}',
        b'{"inputs": {"x": [["a", "\\ud800"]]}}',
    ],
)
@pytest.mark.parametrize("name", ["fp32", "int8", "int64", "bytes", "bf16", "bool"])
def test_what_is_odd_is_answered_as_a_function_does(both, name, body):
    there, here = both(name).ask("/predict", body, {})
    assert here[0] == there[0]
    if here[0] == 200:
        assert _same(json.loads(here[2]), json.loads(there[2]))
    else:  # orjson keeps no more digits of a number than a float has
        assert json.loads(here[2])["error"][:40] == json.loads(there[2])["error"][:40]


_scalars = st.one_of(
    st.integers(-300, 300),
    st.floats(width=32),
    st.booleans(),
    st.none(),
    st.sampled_from(["a", "NaN", "1", "é", {"b64": "YQ=="}, {"b64": "!"}, 10**30]),
)
_values = st.recursive(_scalars, lambda inner: st.lists(inner, max_size=3), max_leaves=8)
_documents = st.one_of(
    st.fixed_dictionaries({"inputs": st.dictionaries(st.sampled_from(["x", "y"]), _values, max_size=2)}),
    st.fixed_dictionaries({"instances": _values}),
    st.fixed_dictionaries(
        {
            "inputs": st.lists(
                st.fixed_dictionaries(
                    {
                        "name": st.sampled_from(["x", "x", "y"]),
                        "datatype": st.sampled_from(["FP32", "INT8", "BYTES", "BF16", "FP99"]),
                        "shape": st.lists(st.integers(-2, 1 << 40) | st.integers(0, 3), max_size=3),
                    },
                    optional={"data": _values, "parameters": _values, "extra": _scalars},
                ),
                max_size=2,
            )
        },
        optional={"id": _scalars, "outputs": _values, "parameters": _values},
    ),
    _values,
)


@settings(max_examples=400, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    name=st.sampled_from(["fp32", "int8", "bytes", "bf16"]),
    path=st.sampled_from(["/predict", "/v2/models/{name}/infer"]),
    document=_documents,
    cut=st.integers(0, 3),
    head=st.sampled_from([None, None, None, "0", "10", "x", "100000"]),
)
def test_whatever_is_sent_is_answered_as_a_function_does(both, name, path, document, cut, head):
    body = json.dumps(document).encode()
    headers = {} if head is None else {"inference-header-content-length": head}
    there, here = both(name).ask(path.format(name=name), body[: len(body) - (cut == 3)], headers)
    assert here[0] == there[0] < 500, (body, here, there)
    if here[0] == 200 and here[1][b"content-type"] == b"application/json":
        assert _same(json.loads(here[2]), json.loads(there[2]))
