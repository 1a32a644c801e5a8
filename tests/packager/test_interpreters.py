"""An interpreter counts when it runs and is the release that was asked for; a shim that fails does not."""

import os
import subprocess
import sys

import pytest

from coldpress.interpreters import find_interpreter

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture(autouse=True)
def _fresh(monkeypatch):
    find_interpreter.cache_clear()
    yield
    find_interpreter.cache_clear()


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """A machine on which only ``bin`` can hold interpreters."""
    for name in ("PYENV_ROOT", "XDG_DATA_HOME", "UV_PYTHON_INSTALL_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path / "bin"


def _script(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_the_running_interpreter_is_found():
    assert find_interpreter(HERE).samefile(sys.executable)


def test_what_is_found_is_of_that_minor(bare):
    assert find_interpreter("3.99") is None


def test_a_shim_that_fails_does_not_count(bare):
    _script(bare / "python3.98", "echo 'pyenv: python3.98: command not found' >&2; exit 127")
    assert find_interpreter("3.98") is None


def test_a_shim_of_another_version_does_not_count(bare):
    _script(bare / "python3.98", f'exec {sys.executable} "$@"')
    assert find_interpreter("3.98") is None


def test_a_pre_release_does_not_count(bare):
    _script(bare / "python3.98", "echo cpython 3.98 beta /opt/python")
    assert find_interpreter("3.98") is None


def test_a_working_shim_gives_the_real_executable(bare):
    _script(bare / "python3.98", "echo cpython 3.98 final /opt/real/python3.98")
    assert os.fspath(find_interpreter("3.98")) == "/opt/real/python3.98"


@pytest.mark.parametrize(
    ("variable", "place"),
    [
        ("PYENV_ROOT", "versions/{}/bin/python3.98"),
        ("UV_PYTHON_INSTALL_DIR", "cpython-{}-linux-x86_64-gnu/bin/python3.98"),
    ],
)
def test_the_newest_of_several_is_taken(bare, tmp_path, monkeypatch, variable, place):
    for patch in ("3.98.2", "3.98.10"):
        _script(tmp_path / "root" / place.format(patch), f"echo cpython 3.98 final /real/{patch}")
    monkeypatch.setenv(variable, str(tmp_path / "root"))
    assert os.fspath(find_interpreter("3.98")) == "/real/3.98.10"


@pytest.mark.parametrize("minor", ["3.12", "3.13", "3.14"])
def test_an_interpreter_that_is_found_runs(minor):
    if found := find_interpreter(minor):
        said = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
        assert said.startswith(f"Python {minor}.")
