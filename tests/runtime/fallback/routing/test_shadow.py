"""Shadow traffic: both models are asked, one answers, and differences are counted."""

import json
import threading
import urllib.request

import numpy as np
import pytest

from coldpress_runtime.errors import DoorError, DoorLateError
from coldpress_runtime.fallback.shadow import differ
from coldpress_runtime.tensor import Tensor
from tests.support.endpoint import Fault, serving
from tests.support.http import ask

INFER = "/v2/models/tiny/infer"
SURE = [0.9, 0.05, 0.05]
EVEN = [0.5, 0.5, 0.5]  # both models say the same


def post(service, document):
    return ask(service, "POST", "/predict", json.dumps(document).encode(), content_type="application/json")


@pytest.mark.parametrize(("row", "different"), [(SURE, True), (EVEN, False)], ids=["other", "same"])
def test_a_shadow_is_compared_and_never_returned(routed, endpoint, row, different):
    response = post(routed("shadow 100%"), {"instances": [row]})
    assert response.status == 200
    assert response.body == post(routed("error"), {"instances": [row]}).body
    assert response.headers["Coldpress-Answered-By"] == "function"
    assert "Coldpress-Fallback" not in response.headers
    assert response.marks.different is different
    assert [path for path, _, _ in endpoint.asked] == [INFER]


def test_requests_outside_the_share_are_not_asked(routed, endpoint):
    service = routed("shadow 0.000001%")
    assert post(service, {"instances": [SURE]}).marks.different is None
    assert endpoint.asked == []


def test_what_went_out_anyway_has_no_shadow(routed, endpoint):
    response = post(routed("shadow 100%", "batch > 0"), {"instances": [SURE]})
    assert response.headers["Coldpress-Fallback"] == "batch"
    assert len(endpoint.asked) == 1


@pytest.mark.parametrize(
    ("fault", "word"),
    [(Fault(500), "unreachable"), (Fault(400), "refused"), (Fault(200, body=b"{}"), "answer")],
    ids=["500", "400", "garbage"],
)
def test_a_shadow_that_fails_changes_nothing(routed, endpoint, fault, word):
    endpoint.fault = fault
    response = post(routed("shadow 100%"), {"instances": [SURE]})
    assert (response.status, response.marks.failed) == (200, word)
    assert "Coldpress-Fallback" not in response.headers


class Slow:
    """A door that answers once it is let."""

    def __init__(self, error):
        self.let, self.done, self.error = threading.Event(), threading.Event(), error

    def ask(self, _question, _ends):
        self.let.wait(30)
        self.done.set()
        raise self.error

    def close(self):
        self.let.set()


@pytest.mark.parametrize("error", [DoorLateError("late"), DoorError("gone"), RuntimeError("a slip")])
def test_nobody_waits_for_a_shadow_where_the_process_lives_on(routed, error, capfd):
    service = routed("shadow 100%", concurrency=2)
    service.background = True
    service.door = Slow(error)
    for _ in range(5):
        assert post(service, {"instances": [SURE]}).status == 200
    assert not service.door.done.is_set()
    threads = [thread for thread in threading.enumerate() if thread.name == "shadow"]
    assert len(threads) == 1, "one of two places at the door, at most, is for shadows"
    service.door.let.set()
    threads[0].join(30)
    line = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert (line["message"], line["model"]) == ("shadowed", "tiny")
    assert line["fallback_failed"]


def test_a_difference_found_later_is_told_by_itself(routed, capfd):
    service = routed("shadow 100%")
    service.background = True
    assert post(service, {"instances": [SURE]}).marks.different is None
    for thread in [thread for thread in threading.enumerate() if thread.name == "shadow"]:
        thread.join(30)
    assert json.loads(capfd.readouterr().out.splitlines()[-1])["shadow_different"] is True


def test_a_container_answers_before_its_shadow_does(bundle, endpoint, capfd):
    with serving(str(bundle("shadow 100%"))) as url:
        endpoint.fault = Fault(500, {"Connection": "close"}, waits=threading.Event())
        for _ in range(20):
            request = urllib.request.Request(f"{url}/predict", b'{"instances":[[0.9,0.05,0.05]]}')
            with urllib.request.urlopen(request, timeout=30) as answer:
                assert (answer.status, answer.headers["Coldpress-Answered-By"]) == (200, "function")
        endpoint.fault.waits.set()
        for thread in [thread for thread in threading.enumerate() if thread.name == "shadow"]:
            thread.join(30)
    assert '"fallback_failed":"unreachable"' in capfd.readouterr().out


def table(rows, dtype="FP32"):
    array = np.array(rows, np.float32)
    return Tensor.from_flat(dtype, array.shape, array.ravel().tolist())


@pytest.mark.parametrize(
    ("own", "theirs", "different"),
    [
        ({"p": table([[0.6, 0.4]])}, {"p": table([[0.9, 0.1]])}, False),
        ({"p": table([[0.6, 0.4]])}, {"p": table([[0.4, 0.6]])}, True),
        ({"p": table([[0.6, 0.4]])}, {"p": table([[0.6, 0.4]] * 2)}, True),
        ({"p": table([[0.6]])}, {"p": table([[0.9]])}, False),
        ({"p": table([[0.6]])}, {"p": table([[0.4]])}, True),
        ({"y": table([1.0, 100.0])}, {"y": table([1.005, 100.5])}, False),
        ({"y": table([1.0, 100.0])}, {"y": table([1.05, 100.0])}, True),
        ({"y": table([float("nan")])}, {"y": table([float("nan")])}, False),
        ({"y": table([float("nan")])}, {"y": table([0.0])}, True),
        ({"y": table([1.0])}, {"y": table([1.0], "FP64")}, True),
        ({"y": table([1.0])}, {"z": table([1.0])}, True),
        ({"y": table([1.0])}, {"y": [1.0]}, True),
        ({"m": [{"a": 0.5}]}, {"m": [{"a": 0.5001}]}, False),
        ({"m": [{"a": 0.5}]}, {"m": [{"a": 0.7}]}, True),
        ({"m": [{"a": 0.5}]}, {"m": [{"b": 0.5}]}, True),
        ({"m": [{"a": 0.5}]}, {"m": []}, True),
        ({"t": Tensor("BYTES", (1,), ["a"])}, {"t": Tensor("BYTES", (1,), ["b"])}, True),
        ({"p": Tensor("FP32", (0, 3), b"")}, {"p": Tensor("FP32", (0, 3), b"")}, False),
    ],
)
def test_what_makes_a_difference(own, theirs, different):
    assert differ(own, theirs, "p") is different
