"""Which rule sends a request out: at, below and above every bound."""

import pytest

from coldpress_runtime.fallback.policy import Policy
from coldpress_runtime.fallback.share import identity, is_in_share
from coldpress_runtime.http import Request
from coldpress_runtime.signature import ValueInfo
from coldpress_runtime.tensor import DTYPES, Tensor

FAR = float("inf")


def info(name, *shape):
    return ValueInfo(name, "tensor", DTYPES["UINT8"], shape)


def tensor(*shape):
    size = 1
    for axis in shape:
        size *= axis
    return Tensor("UINT8", shape, bytes(size))


def before(rules, infos, inputs, body=b"", ends=FAR, **headers):
    known = {one.name: one for one in infos}
    return Policy(rules, known).before(Request("POST", "/predict", headers, body), inputs, ends)


@pytest.mark.parametrize(
    ("bound", "expected"), [(2, "batch"), (3, None), (4, None), (0, "batch")], ids=["below", "at", "above", "zero"]
)
def test_batch_counts_rows(bound, expected):
    assert before({"batch": bound}, [info("x", "n", 5)], {"x": tensor(3, 5)}) == expected


@pytest.mark.parametrize(("bound", "expected"), [(6, "sequence"), (7, None), (8, None)], ids=["below", "at", "above"])
@pytest.mark.parametrize(
    ("shape", "signature"),
    [
        ((9, 7), ("n", "length")),
        ((9, 7, 20), ("n", "length", 20)),
        ((9, 3, 7), (None, None, None)),
        ((1, 7), (1, "length")),
        ((9, 7), ()),
    ],
    ids=["text", "features", "unnamed", "one-row", "unknown"],
)
def test_sequence_is_the_longest_open_axis_beside_the_rows(bound, expected, shape, signature):
    assert before({"sequence": bound}, [info("x", *signature)], {"x": tensor(*shape)}) == expected


def test_a_sequence_is_never_a_fixed_axis_nor_the_rows():
    assert before({"sequence": 0}, [info("x", "n", 64)], {"x": tensor(100, 64)}) is None
    assert before({"sequence": 0}, [info("x")], {"x": tensor()}) is None


@pytest.mark.parametrize(("bound", "expected"), [(16, "elements"), (17, None)], ids=["below", "at"])
def test_elements_are_those_of_all_inputs(bound, expected):
    infos = [info("x", "n", 5), info("y", 2)]
    assert before({"elements": bound}, infos, {"x": tensor(3, 5), "y": tensor(2)}) == expected


@pytest.mark.parametrize(("bound", "expected"), [(9, "bytes"), (10, None)], ids=["below", "at"])
def test_bytes_are_those_of_the_body(bound, expected):
    assert before({"bytes": bound}, [], {}, b"0123456789") == expected


def test_bytes_of_a_direct_call_are_those_that_would_be_sent():
    policy = Policy({"bytes": 6}, {})
    assert policy.before(Request("POST", "/predict", document={"a": 1}), {}, FAR) == "bytes"
    assert policy.before(Request("POST", "/predict", document={}), {}, FAR) is None


def test_time_is_compared_with_what_is_left():
    policy = Policy({"time": 0.5}, {"x": info("x", "n")})
    request = Request("POST", "/predict")
    inputs = {"x": tensor(1000)}
    assert policy.before(request, inputs, 0.0) is None, "nothing has run yet"
    policy.took(1, 3600_000.0)  # an hour a row
    assert policy.before(request, inputs, FAR) is None
    assert policy.before(request, inputs, 0.0) == "time"
    policy = Policy({"time": 1.0}, {"x": info("x", "n")})
    policy.took(1000, 1e-9)
    assert policy.before(request, inputs, 1e9) is None


def test_what_a_row_takes_follows_the_last_runs():
    policy = Policy({}, {"x": info("x", "n")})
    policy.took(10, 100.0)
    assert policy.row_ms == 10.0
    policy.took(1, 2.0)
    assert policy.row_ms == 8.0
    for _ in range(50):
        policy.took(2, 4.0)
    assert policy.row_ms == pytest.approx(2.0, abs=1e-3)
    policy.took(0, 2.0)  # no row at all
    assert policy.expected({"x": tensor(500)}) == pytest.approx(1.0, abs=1e-3)


def test_time_is_kept_for_the_own_model_where_that_helps():
    policy = Policy({}, {"x": info("x", "n")})
    inputs = {"x": tensor(10)}
    assert policy.spare(inputs, FAR) == 0.0, "nobody knows what it takes"
    assert policy.fits(inputs, FAR)
    policy.took(1, 100.0)
    assert policy.spare(inputs, FAR) == pytest.approx(1.5)
    assert policy.spare(inputs, 0.0) == 0.0
    assert policy.fits(inputs, FAR)
    assert not policy.fits(inputs, 0.0)


@pytest.mark.parametrize(
    ("infos", "inputs", "rows"),
    [
        ([info("x", "n", 2)], {"x": tensor(7, 2)}, 7),
        ([info("x", "n"), info("y", "n")], {"x": tensor(4), "y": tensor(4)}, 4),
        ([info("x", "n"), info("y", "m")], {"x": tensor(4), "y": tensor(9)}, 9),
        ([info("x", 3)], {"x": tensor(3)}, 1),
        ([info("x")], {"x": tensor(6, 2)}, 6),
        ([info("x")], {"x": tensor()}, 1),
        ([ValueInfo("m", "map")], {"m": {"a": 1}}, 1),
    ],
    ids=["one", "two", "at-odds", "fixed", "unknown", "scalar", "map"],
)
def test_rows_are_counted_whatever_the_inputs_are(infos, inputs, rows):
    assert Policy({}, {one.name: one for one in infos}).rows(inputs) == rows


def test_the_first_rule_of_the_table_is_told():
    rules = {"canary": 1.0, "bytes": 0, "batch": 0}
    assert before(rules, [info("x", "n")], {"x": tensor(1)}, b"body") == "batch"
    assert before({"canary": 1.0, "shadow": 1.0, "error": 0, "confidence": 1}, [], {}) == "canary"
    assert before({"shadow": 1.0, "error": 0, "confidence": 1}, [], {}) is None


def test_a_share_is_one_of_ids():
    ids = [f"request-{number}" for number in range(20_000)]
    taken = {name for name in ids if is_in_share("canary", name, 0.05)}
    assert 800 <= len(taken) <= 1200, "5 % of 20 000, and 6 standard deviations"
    assert taken == {name for name in ids if is_in_share("canary", name, 0.05)}, "an id meets the same fate again"
    assert taken < {name for name in ids if is_in_share("canary", name, 0.10)}, "a larger share has the smaller in it"
    shadows = {name for name in ids if is_in_share("shadow", name, 0.05)}
    assert len(shadows & taken) < 120, "two shares fall independently"


def test_all_and_next_to_none():
    assert all(is_in_share("canary", str(number), 1.0) for number in range(1000))
    assert not any(is_in_share("canary", str(number), 1e-9) for number in range(1000))
    assert isinstance(is_in_share("canary", "\ud800", 0.5), bool), "whatever a header holds"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"x-request-id": "a", "traceparent": "b"}, "a"),
        ({"x-request-id": "", "traceparent": "b", "x-amzn-trace-id": "c"}, "b"),
        ({"x-amzn-trace-id": "c"}, "c"),
        ({"x-cloud-trace-context": "d"}, "d"),
    ],
    ids=["own", "w3c", "aws", "google"],
)
def test_a_request_is_named_by_its_own_id_first(headers, expected):
    assert identity(headers) == expected


def test_a_request_without_an_id_gets_one_of_its_own():
    assert identity({}) != identity({})
