"""Before a search the vocabulary can be trimmed: model, tokenizer and samples get new ids, and no answer changes."""

import dataclasses
import json

import numpy as np
import onnx
import pytest

from coldpress.config import load_config
from coldpress.errors import ConfigError, VocabularyError
from coldpress.search.inputs import read_inputs
from coldpress.search.task import make_task
from coldpress.search.vocabulary_step import ids_input, trim_inputs, unseen_tokens
from coldpress.signature import Port, Signature
from tests.support import words
from tests.support.graphs import answers, node, same_bits, value


@pytest.fixture
def folder(tmp_path, monkeypatch):
    words.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def task_for(folder, **shrink):
    settings = {"samples.evaluation": "samples.npz", "shrink.tokenizer": "tokenizer.json"}
    given = settings | {f"shrink.{name}": value for name, value in shrink.items()}
    return make_task(load_config(None, {name: value for name, value in given.items() if value}))


def trimmed(folder, task=None):
    task = task or task_for(folder)
    return trim_inputs(task, read_inputs(task, folder / "model.onnx"), folder)


def test_samples_in_new_ids_get_the_answers_of_old_ones(folder):
    made = trimmed(folder)
    old = words.encode(words.texts())
    for ids, request in zip(old, made.samples.requests, strict=True):
        assert not np.array_equal(request["input_ids"], ids[None])
        before = answers(words.classifier(), {"input_ids": ids[None]})
        assert same_bits(before, answers(made.model, dict(request)))
        assert same_bits(list(made.reference.run(request).values()), before)
    assert made.samples.requests[0]["input_ids"].dtype == np.int64


def test_the_new_tokenizer_gives_the_new_ids(folder):
    made = trimmed(folder)
    together = np.concatenate([request["input_ids"] for request in made.samples.requests])
    assert np.array_equal(words.encode(words.texts(), made.tokenizer), together)


def test_tokens_of_calibration_samples_stay_too(folder):
    np.savez(folder / "other.npz", input_ids=words.encode(words.texts(words=60, seed=1)))
    task = dataclasses.replace(task_for(folder), calibration=load_config(
        None, {"samples.calibration": "other.npz"}).samples.calibration)  # fmt: skip
    made = trimmed(folder, task)
    assert len(json.loads(made.tokenizer)["model"]["vocab"]) == 62
    request, text = made.calibration.requests[0], words.texts(words=60, seed=1)[0]
    assert np.array_equal(request["input_ids"], words.encode([text], made.tokenizer))


def test_it_says_how_many_tokens_stay_and_that_others_are_unknown(folder):
    made = trimmed(folder)
    assert "to 42 of 142 tokens" in made.notes[0]
    assert "the unknown token" in made.notes[0]
    assert made.recipe == ("trim-vocabulary",)


def test_unasked_nothing_is_trimmed(folder):
    task = task_for(folder, tokenizer=None)
    given = read_inputs(task, folder / "model.onnx")
    assert trim_inputs(task, given, folder) is given


def test_a_model_that_computes_with_ids_keeps_its_vocabulary(folder):
    made = words.classifier()
    made.graph.node.append(node("Cast", ["input_ids"], ["number"], to=1))
    made.graph.output.append(value("number", ("N", "T")))
    onnx.save(made, folder / "model.onnx")
    with pytest.raises(VocabularyError, match="Cast"):
        trimmed(folder)


@pytest.mark.parametrize(
    ("text", "says"), [("[]", "no JSON object"), ("{", "as JSON"), ("{}", "no model with a vocab")]
)
def test_what_is_no_tokenizer_is_refused(folder, text, says):
    (folder / "tokenizer.json").write_text(text)
    with pytest.raises(VocabularyError, match=says):
        trimmed(folder)


def test_a_tokenizer_that_is_not_there_is_refused(folder):
    with pytest.raises(ConfigError, match="named as the tokenizer"):
        task_for(folder, tokenizer="gone.json")


def test_without_samples_there_is_nothing_to_trim_to(folder):
    with pytest.raises(ConfigError, match=r"tokenizer is .* give --samples"):
        make_task(load_config(None, {"shrink.tokenizer": "tokenizer.json"}))


def ports(**datatypes):
    made = (Port(name, "", "tensor", datatype, "", None) for name, datatype in datatypes.items())
    return Signature(tuple(made), ())


@pytest.mark.parametrize(
    ("signature", "wanted", "found"),
    [
        (ports(input_ids="INT64", attention_mask="INT64"), None, "input_ids"),
        (ports(mask="INT64", ids="INT32"), None, "ids"),
        (ports(tokens="INT64", mask="INT64"), "tokens", "tokens"),
        (ports(input_ids="INT64", other="INT64"), "other", "other"),
    ],
)
def test_the_input_of_ids_goes_by_its_name_or_by_what_the_user_says(signature, wanted, found):
    assert ids_input(signature, wanted) == found


@pytest.mark.parametrize(
    ("signature", "wanted", "says"),
    [
        (ports(tokens="INT64"), None, "none of the names .* are tokens"),
        (ports(input_ids="FP32"), None, "numbers are none"),
        (ports(input_ids="INT64", ids="INT64"), None, "2 such names"),
        (ports(input_ids="INT64"), "words", "no input 'words'"),
    ],
)
def test_without_such_an_input_it_says_which_there_are(signature, wanted, says):
    with pytest.raises(VocabularyError, match=f"{says}.*--token-ids"):
        ids_input(signature, wanted)


def test_tokens_of_one_text_alone_tell_how_many_are_missing():
    rows = np.array([[1, 1, 2, 0], [1, 3, 4, 0]])
    assert unseen_tokens([{"ids": rows}], "ids", [0]) == (2, 1.5)
    assert unseen_tokens([{"ids": row} for row in rows], "ids", [0, 4]) == (2, 1.0)


def test_the_estimate_agrees_with_further_texts():
    draw = np.random.default_rng(0)
    law = 1 / np.arange(1, 2001) ** 1.1  # as words of a language are used
    texts = draw.choice(2000, (4000, 12), p=law / law.sum())
    known, further = texts[:1000], texts[1000:]
    missing = np.mean([len(set(text) - set(known.ravel())) for text in further.tolist()])
    _, estimate = unseen_tokens([{"ids": known}], "ids", [])
    assert estimate == pytest.approx(missing, rel=0.15)
