import pytest

from coldpress.errors import TemplateError
from coldpress.report.document import read_document
from tests.support.reports import detector, minilm, small


def test_a_document_reads_into_records():
    document = read_document(minilm())
    assert document.chosen is not None
    assert document.chosen.name == "mixed 24.7"
    assert [c.state for c in document.candidates[:4]] == ["original", "accepted", "accepted", "refused"]
    assert document.candidates[7].state == "inconclusive"
    assert document.cold_start is not None
    assert next(iter(document.cold_start.steps)) == "interpreter_ms"


def test_what_the_gate_was_not_asked_about_is_refused_only_with_a_reason():
    document = minilm()
    document["candidates"][1] |= {"verdict": None, "accepted": False}
    states = [candidate.state for candidate in read_document(document).candidates]
    assert (states[1], states[8]) == ("unjudged", "refused")


def test_absent_parts_read_as_nothing():
    document = read_document(small())
    assert document.chosen is None
    assert document.files is None
    assert document.cold_start is None


def test_keys_nobody_knows_are_let_through():
    assert read_document(small(more={"a": 1})) == read_document(small())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_loss_that_is_not_finite_reads_as_not_measured(value):
    document = detector()
    document["candidates"][1]["loss"] = value
    assert read_document(document).candidates[1].loss is None


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("title",), None, '"title" of the report is a NoneType|"title" of the report is null'),
        (("model", "bytes"), "12", '"bytes" of "model" of the report is a str, expected a whole number'),
        (("model", "bytes"), -1, "is -1, expected 0 or more"),
        (("model", "bytes"), True, "is a bool, expected a whole number"),
        (("limits", "max_drop"), float("nan"), "is nan, expected a finite number"),
        (("limits",), [], '"limits" of the report is a list, expected an object'),
        (("candidates",), {}, '"candidates" of the report is a dict, expected a list'),
        (("candidates", 1, "name"), 3, r'"name" of "candidates"\[1\] of the report is a int'),
        (("notes",), ["a", 1], '"notes" of the report holds more than texts'),
        (("tensors", "before", 0, "bytes"), 1.5, "expected a whole number"),
    ],
)
def test_what_the_page_cannot_show_is_refused_with_its_place(path, value, words):
    document = detector()
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(TemplateError, match=words):
        read_document(document)


def test_a_missing_key_is_said_to_be_missing():
    document = small()
    del document["title"]
    with pytest.raises(TemplateError, match='"title" of the report is missing, expected a text'):
        read_document(document)
