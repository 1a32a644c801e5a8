"""`--trim-vocabulary` from the outside: a smaller model and the tokenizer that goes with it, for the same texts."""

import json

import numpy as np
import onnx
import pytest

from coldpress.cli import main
from tests.support import words
from tests.support.graphs import answers, same_bits

TEXTS = words.texts()
ARGUMENTS = ("model.onnx", "--samples", "samples.npz", "--trim-vocabulary", "tokenizer.json", "--json")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    words.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLDPRESS_CACHE", str(tmp_path / "cache"))  # no search of an earlier run answers for this one
    return tmp_path


def by_text(path, tokenizer=None):
    return answers(onnx.load(path), {"input_ids": words.encode(TEXTS, tokenizer)})


def test_shrink_writes_a_model_and_a_tokenizer_that_answer_as_before(folder, capsys):
    assert main(["shrink", *ARGUMENTS, "-o", "small.onnx", "--allow", "strip", "--report", "r.html"]) == 0
    told = json.loads(capsys.readouterr().out)
    tokenizer = (folder / "small.tokenizer.json").read_text()
    assert same_bits(by_text("model.onnx"), by_text("small.onnx", tokenizer))
    assert told["tokenizer"] == "small.tokenizer.json"
    assert told["recipe"] == ["trim-vocabulary", "strip"]
    before, after = (folder / "model.onnx").stat().st_size, (folder / "small.onnx").stat().st_size
    assert (told["original_bytes"], told["shrunk_bytes"]) == (before, after)
    assert after < before / 2
    assert json.loads((folder / "r.json").read_text())["model"]["bytes"] == before


def test_the_search_goes_on_with_samples_in_new_ids(folder, capsys):
    family = ["--allow", "strip", "--allow", "int8-storage", "--max-slowdown", "1000"]
    assert main(["shrink", *ARGUMENTS, "-o", "small.onnx", *family]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["recipe"] == ["trim-vocabulary", "strip", "int8-storage"]
    assert told["quality"]["verdict"] == "pass"
    tokenizer = (folder / "small.tokenizer.json").read_text()
    (was,), (becomes,) = by_text("model.onnx"), by_text("small.onnx", tokenizer)
    assert not np.array_equal(was, becomes)
    assert np.linalg.norm(was - becomes) < 0.02 * np.linalg.norm(was)


def test_the_tokenizer_that_is_read_is_never_written_over(folder, capsys):
    (folder / "tokenizer.json").rename(folder / "small.tokenizer.json")
    arguments = ["shrink", "model.onnx", "--samples", "samples.npz", "--trim-vocabulary", "small.tokenizer.json"]
    assert main([*arguments, "-o", "small.onnx"]) == 1
    assert "small.tokenizer.json is read, and would be written over" in capsys.readouterr().err


def test_pack_puts_the_tokenizer_beside_the_zip(folder, capsys):
    assert main(["pack", *ARGUMENTS, "--allow", "strip", "--out", "aws"]) == 0
    told = json.loads(capsys.readouterr().out)
    tokenizer = (folder / "aws" / "tokenizer.json").read_text()
    assert len(json.loads(tokenizer)["model"]["vocab"]) == 42
    assert any("requests must be made with the tokenizer" in note for note in told["notes"])
    assert told["verification"] is not None
