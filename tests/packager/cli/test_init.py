"""The settings file that `coldpress init` writes shows every setting, and the defaults that there are."""

import dataclasses
import re
import tomllib

import pytest

from coldpress.cli import main
from coldpress.config import BatchConfig, SamplesConfig, ShrinkConfig, load_config


@pytest.fixture
def written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["init", "model.onnx"]) == 0
    return tmp_path / "coldpress.toml"


def uncommented(file):
    """The text with each setting, and each table, that is a comment in force."""
    return re.sub(r"(?m)^# ( *)(?=\w+ = |\"|\[)", r"\1", file.read_text())


def test_as_it_is_written_everything_has_its_default(written):
    found, plain = load_config(written), load_config(None)
    assert dataclasses.replace(found, model=plain.model) == plain


def test_with_all_of_it_uncommented_it_is_still_valid(written):
    written.write_text(uncommented(written))
    assert load_config(written).samples.states == {"state": "stateN"}


@pytest.mark.parametrize(
    ("table", "settings"), [("samples", SamplesConfig), ("shrink", ShrinkConfig), ("batch", BatchConfig)]
)
def test_it_shows_every_setting_and_the_defaults_there_are(written, table, settings):
    shown = tomllib.loads(uncommented(written))[table]
    fields = {field.name: field.default for field in dataclasses.fields(settings)}
    assert set(shown) == set(fields)
    for name, default in fields.items():
        if default not in (None, (), dataclasses.MISSING):
            assert shown[name] == (list(default) if isinstance(default, tuple) else default), name
