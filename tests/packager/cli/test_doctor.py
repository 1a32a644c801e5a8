"""`coldpress doctor`: one finding a line, what to do about each, exit 1 when any has failed, and never a secret."""

import argparse
import json
import sys

import pytest

from coldpress.checks import run_checks
from coldpress.cli import doctor
from coldpress.errors import ConfigError
from coldpress.interpreters import find_interpreter


@pytest.fixture(autouse=True)
def _machine(tmp_path, monkeypatch):
    """A machine of one's own: no AWS settings, an empty cache."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("COLDPRESS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "project").mkdir()
    find_interpreter.cache_clear()
    yield
    find_interpreter.cache_clear()


def _checks(tmp_path, **options):
    return {check.name: check for check in run_checks(tmp_path / "project", **options)}


def _run(tmp_path, *, as_json=True, target="aws"):
    return doctor.run(argparse.Namespace(project=tmp_path / "project", target=target, online=False, json=as_json))


def test_this_machine_has_what_packing_needs(tmp_path, capsys):
    assert _run(tmp_path) == 0
    said = capsys.readouterr()
    report = json.loads(said.out)
    assert report["ok"]
    assert {check["status"] for check in report["checks"]} <= {"ok", "warn"}
    assert all(check["advice"] for check in report["checks"] if check["status"] != "ok")


def test_people_get_a_line_for_each_finding_on_stdout(tmp_path, capsys):
    _run(tmp_path, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("✓ engine") for line in lines)
    assert any(line.startswith("! credentials") for line in lines)


def test_the_engine_is_proven_to_be_the_pinned_file(tmp_path):
    check = _checks(tmp_path)["engine"]
    assert check.status == "ok"
    assert "1.31.1" in check.found


def test_a_machine_with_nothing_on_its_path_gets_advice_and_no_traceback(tmp_path, monkeypatch):
    for name in ("PYENV_ROOT", "XDG_DATA_HOME", "UV_PYTHON_INSTALL_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    checks = _checks(tmp_path)
    assert checks["sam"].status == "warn"
    assert "aws-sam-cli" in checks["sam"].advice
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    missing = [minor for minor in ("3.12", "3.13", "3.14") if minor != here]
    assert checks["bytecode"].status == "warn"
    assert all(minor in checks["bytecode"].advice for minor in missing)


def test_a_sam_that_does_not_run_fails(tmp_path, monkeypatch):
    (tmp_path / "sam").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "sam").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert _checks(tmp_path)["sam"].status == "fail"


def test_credentials_are_seen_and_never_shown(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIASECRETSECRET")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2hunter2")
    assert _checks(tmp_path)["credentials"].status == "ok"
    _run(tmp_path)
    _run(tmp_path, as_json=False)
    said = capsys.readouterr()
    assert "SECRET" not in said.out + said.err
    assert "hunter2" not in said.out + said.err


def test_a_broken_coldpress_toml_fails_with_the_reason(tmp_path, capsys):
    (tmp_path / "project" / "coldpress.toml").write_text("[function]\npyhton = 3\n")
    assert _run(tmp_path) == 1
    project = next(check for check in json.loads(capsys.readouterr().out)["checks"] if check["name"] == "project")
    assert project["status"] == "fail"
    assert "pyhton" in project["advice"]


def test_a_model_that_is_not_there_fails_with_its_path(tmp_path):
    (tmp_path / "project" / "coldpress.toml").write_text('[model]\nsource = "gone.onnx"\n')
    check = _checks(tmp_path)["model"]
    assert check.status == "fail"
    assert "gone.onnx" in check.found


def test_arm64_gets_the_warning_that_belongs_to_it(tmp_path):
    (tmp_path / "project" / "coldpress.toml").write_text('[function]\narchitecture = "arm64"\n')
    assert "onnxruntime/issues/10038" in _checks(tmp_path)["arm64"].advice


def test_a_cache_that_cannot_be_made_fails(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("COLDPRESS_CACHE", str(tmp_path / "file" / "below"))
    checks = _checks(tmp_path)
    assert checks["cache"].status == "fail"
    assert "COLDPRESS_CACHE" in checks["cache"].advice


def test_the_index_is_asked_only_online_and_an_unreachable_one_fails(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    assert "index" not in _checks(tmp_path)
    assert _checks(tmp_path, online=True)["index"].status == "fail"


def test_a_project_that_is_not_a_folder_is_named(tmp_path):
    with pytest.raises(ConfigError, match="is not a folder"):
        doctor.run(argparse.Namespace(project=tmp_path / "none", target="aws", online=False, json=False))


@pytest.mark.parametrize(
    ("target", "tool"), [("gcp", "gcloud"), ("azure", "az"), ("alibaba", "s"), ("container", "docker")]
)
def test_each_target_is_looked_at_with_its_own_tool_and_credentials(tmp_path, monkeypatch, target, tool):
    for name in ("CLOUDSDK_CONFIG", "AZURE_CONFIG_DIR", "DOCKER_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    checks = _checks(tmp_path, target=target)
    assert (checks[tool].status, checks["credentials"].status) == ("warn", "warn")
    assert "sam" not in checks
    (tmp_path / tool).write_text("#!/bin/sh\necho version 9\n")
    (tmp_path / tool).chmod(0o755)
    for place in (".config/gcloud", ".azure", ".s", ".docker"):
        (tmp_path / place).mkdir(parents=True)
    checks = _checks(tmp_path, target=target)
    assert (checks[tool].status, checks["credentials"].status) == ("ok", "ok")


@pytest.mark.parametrize(
    ("target", "settings", "says"),
    [
        ("azure", '[targets.azure]\nlocation = "west-europe"\n', "westeurope"),
        ("gcp", '[targets.gcp]\nregion = "europe-west99"\n', "europe-west99"),
        ("alibaba", '[targets.alibaba]\nregion = "mars"\n', "mars"),
        ("alibaba", "[function]\nmemory_mb = 40000\n", "32,768"),
        ("alibaba", '[model]\ndescription = "${x}"\n', "which Serverless Devs evaluates"),
        ("azure", '[function]\narchitecture = "arm64"\n', "x86_64"),
    ],
)
def test_settings_that_the_target_does_not_take_fail(tmp_path, target, settings, says):
    (tmp_path / "project" / "coldpress.toml").write_text(settings)
    check = _checks(tmp_path, target=target)["project"]
    assert check.status == "fail"
    assert says in check.advice
