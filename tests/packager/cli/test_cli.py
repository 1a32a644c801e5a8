"""The command line as a whole: what it loads, how it refuses, what it prints."""

import json
import subprocess
import sys

import pytest

from coldpress.cli import COMMANDS, main
from tests.support.packing import coldpress


def test_help_lists_every_command_and_the_first_thing_to_type(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert all(command.__name__.rpartition(".")[2] in text for command in COMMANDS)
    assert "coldpress pack model.onnx --target aws" in text


def test_reading_the_command_line_loads_nothing_heavy():
    code = "import sys, coldpress.cli; print([m for m in ('numpy', 'onnx', 'onnxruntime', 'rich') if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize("arguments", [[], ["pak"], ["pack", "--target", "moon"], ["pack", "--memory-mb", "lots"]])
def test_wrong_usage_exits_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: coldpress" in capsys.readouterr().err


def test_pack_without_a_model_says_how_to_name_one(tmp_path):
    run = coldpress("pack", cwd=tmp_path)
    assert run.returncode == 1
    assert "coldpress pack model.onnx" in run.stderr


def test_debug_shows_the_traceback_that_is_otherwise_kept_back(tmp_path):
    assert "Traceback" not in coldpress("pack", "missing.onnx", cwd=tmp_path).stderr
    assert "Traceback" in coldpress("pack", "missing.onnx", "--debug", cwd=tmp_path).stderr


def test_json_puts_one_object_on_stdout_and_nothing_else(tmp_path):
    run = coldpress("doctor", "--json", cwd=tmp_path)
    assert isinstance(json.loads(run.stdout), dict)


def test_flags_win_over_the_settings_file(tmp_path):
    (tmp_path / "coldpress.toml").write_text('[model]\nsource = "m.onnx"\n[function]\nmemory_mb = 512\ntimeout_s = 5\n')
    run = coldpress("pack", "--dry-run", "--memory-mb", "256", cwd=tmp_path)
    plan = json.loads(run.stdout)
    assert (plan["model"], plan["memory_mb"], plan["timeout_s"]) == ("m.onnx", 256, 5)


@pytest.mark.parametrize(
    ("out", "says"),
    [
        ("file", "is in the way"),
        ("link", "is in the way"),
        (".", "the folder that you are in"),
        ("..", "that you are in"),
    ],
)
def test_an_output_that_cannot_be_replaced_is_refused_before_anything_runs(tmp_path, out, says):
    here = tmp_path / "a" / "b"
    (here / "folder").mkdir(parents=True)
    (here / "file").touch()
    (here / "link").symlink_to("folder")
    run = coldpress("pack", "m.onnx", "--dry-run", "--out", out, cwd=here)
    assert (run.returncode, run.stdout) == (1, "")
    assert says in run.stderr
    assert "--out" in run.stderr


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--samples", "none.npz"], "There is no"),
        (["--hooks", "none.py"], "no file none.py"),
        (["--metric", "accuracy"], "no samples"),
    ],
)
def test_what_a_flag_names_is_looked_for_while_planning(tmp_path, flags, says):
    run = coldpress("pack", "m.onnx", "--dry-run", *flags, cwd=tmp_path)
    assert run.returncode == 1
    assert says.partition(" none")[0] in run.stderr
