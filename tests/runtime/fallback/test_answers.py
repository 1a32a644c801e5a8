import contextlib
import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldpress_runtime.errors import DoorAnswerError
from coldpress_runtime.fallback.answers import Asked, asked, check, json_length
from tests.support.tiny_endpoint import binary_question, plain_question, question, settings

ROWS = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
Y = {"name": "y", "datatype": "FP32", "shape": [2, 2], "data": [1.0, 2.0, 3.0, 4.0]}
SETTINGS = settings("http://x")
TWO = settings(
    "http://x",
    outputs=[
        {"name": "y", "datatype": "FP32", "shape": [None, 2]},
        {"name": "label", "datatype": "INT64", "shape": [None]},
        {"name": "words", "datatype": "BYTES", "shape": [None]},
    ],
    inputs=[{"name": "x", "datatype": "FP32", "shape": [None, 3]}],
)
LABEL = {"name": "label", "datatype": "INT64", "shape": [2], "data": [1, 0]}
WORDS = {"name": "words", "datatype": "BYTES", "shape": [2], "data": ["a", "b"]}


def judge(document, to=None, rules=SETTINGS, headers=None):
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    check(body, headers or {}, rules.outputs, asked(*(to or question(ROWS)), rules.inputs))


def test_the_right_answers_pass():
    judge({"outputs": [Y]})
    judge({"model_name": "m", "id": "1", "outputs": [Y]}, binary_question(ROWS))
    judge({"outputs": {"y": [[1, 2], [3, 4.5]]}}, plain_question({"inputs": {"x": ROWS}}))
    judge({"predictions": [[1, 2], ["NaN", 4]]}, plain_question({"instances": ROWS}))
    judge({"outputs": [LABEL, WORDS, Y]}, rules=TWO)
    rows = [{"y": [1, 2], "label": 3, "words": "a"}, {"y": [1, 2], "label": 3, "words": {"a": 1}}]
    judge({"predictions": rows}, plain_question({"instances": ROWS}), TWO)


def test_binary_answers_pass_and_their_bytes_are_counted():
    item = {"name": "y", "datatype": "FP32", "shape": [2, 2], "parameters": {"binary_data_size": 16}}
    text = json.dumps({"outputs": [item]}).encode()
    data = struct.pack("<4f", 1, 2, 3, 4)
    headers = {"inference-header-content-length": str(len(text))}
    judge(text + data, binary_question(ROWS), headers=headers)
    for wrong in (data[:-1], data + b"x", b""):
        with pytest.raises(DoorAnswerError):
            judge(text + wrong, binary_question(ROWS), headers=headers)
    with pytest.raises(DoorAnswerError):
        judge(text + data, binary_question(ROWS))


@pytest.mark.parametrize(
    "answer",
    [
        {"outputs": [Y | {"shape": [1, 2], "data": [1.0, 2.0]}]},
        {"outputs": [Y | {"shape": [4, 1]}]},
        {"outputs": [Y | {"shape": [2, 2, 1]}]},
        {"outputs": [Y | {"datatype": "FP64"}]},
        {"outputs": [Y | {"name": "z"}]},
        {"outputs": [Y, Y]},
        {"outputs": []},
        {"outputs": [Y | {"data": [1.0, 2.0, 3.0]}]},
        {"outputs": [Y | {"data": [1.0, 2.0, 3.0, "x"]}]},
        {"outputs": [Y | {"data": [1.0, 2.0, 3.0, None]}]},
        {"outputs": {"y": [[1, 2], [3, 4]]}},
        {"predictions": [[1, 2], [3, 4]]},
        {"error": "oh"},
        [Y],
        None,
        b"",
        b"{",
        b"<html>",
        b"\xff",
        b"[" * 100_000,
    ],
    ids=range(20),
)
def test_another_models_answer_is_refused(answer):
    with pytest.raises(DoorAnswerError) as raised:
        judge(answer)
    assert str(raised.value).startswith("The endpoint")
    assert "Input" not in str(raised.value)


@pytest.mark.parametrize(
    ("answer", "to"),
    [
        ({"predictions": [[1, 2]]}, {"instances": ROWS}),
        ({"predictions": [[1, 2], [3]]}, {"instances": ROWS}),
        ({"predictions": [[1, 2], [3, "x"]]}, {"instances": ROWS}),
        ({"outputs": {"y": [[1, 2], [3, 4]]}}, {"instances": ROWS}),
        ({"predictions": {"y": 1}}, {"instances": ROWS}),
        ({"outputs": {"y": [[1, 2]]}}, {"inputs": {"x": ROWS}}),
        ({"outputs": {"z": [[1, 2], [3, 4]]}}, {"inputs": {"x": ROWS}}),
        ({"outputs": {"y": [[1, 2], [3, 4]], "z": 1}}, {"inputs": {"x": ROWS}}),
        ({"outputs": 3}, {"inputs": {"x": ROWS}}),
    ],
    ids=range(9),
)
def test_another_plain_answer_is_refused(answer, to):
    with pytest.raises(DoorAnswerError):
        judge(answer, plain_question(to))


def test_only_the_outputs_asked_for_are_expected():
    to = question(ROWS)
    document = json.loads(to.body) | {"outputs": [{"name": "label"}]}
    to = to._replace(body=json.dumps(document).encode())
    judge({"outputs": [LABEL]}, to, TWO)
    with pytest.raises(DoorAnswerError):
        judge({"outputs": [LABEL, Y]}, to, TWO)
    with pytest.raises(DoorAnswerError):
        judge({"outputs": [LABEL | {"shape": [1], "data": [1]}]}, to, TWO)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"3", b'{"inputs": 3}', b'{"inputs": [3]}', b'{"instances": 3}'])
@pytest.mark.parametrize("path", ["/predict", "/v2/models/m/infer"])
def test_a_question_that_cannot_be_read_is_for_the_endpoint_to_refuse(body, path):
    assert asked(path, {}, body, SETTINGS.inputs).sizes == {}


def test_of_a_job_only_the_signature_is_known():
    for document in ({"outputs": [Y]}, {"outputs": {"y": [[1, 2]]}}, {"predictions": [[1, 2]]}):
        check(json.dumps(document).encode(), {}, SETTINGS.outputs, Asked())
    with pytest.raises(DoorAnswerError):
        check(b'{"predictions": [[1, 2, 3]]}', {}, SETTINGS.outputs, Asked())


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.floats(allow_nan=False)), st.binary(min_size=1))
def test_the_json_before_binary_data_is_measured_without_a_header(document, tail):
    text = json.dumps(document, ensure_ascii=False).encode()
    assert json_length(text) is None
    assert json_length(text + b"\x00" + tail) == len(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(
        ["outputs", "predictions", "name", "y", "shape", "datatype", "data", "parameters", "binary_data_size"]
    ), inner, max_size=5),
    max_leaves=12,
)  # fmt: skip


@given(JSON | st.fixed_dictionaries({"outputs": st.lists(st.fixed_dictionaries(
    {"name": st.just("y"), "datatype": st.just("FP32") | JSON, "shape": st.lists(st.integers(-1, 3)) | JSON},
    optional={"data": JSON, "parameters": JSON},
))}))  # fmt: skip
def test_whatever_comes_it_passes_or_is_one_error(document):
    for to in (question(ROWS), plain_question({"instances": ROWS}), plain_question({"inputs": {"x": ROWS}})):
        with contextlib.suppress(DoorAnswerError):
            judge(document, to)
