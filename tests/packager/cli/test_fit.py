"""The command ``fit``: a build measured under its runtime, a model by itself, a table, JSON, and bad input."""

import json
import shutil
import sys

import pytest

from coldpress._resources import runtime_root, template_root
from coldpress.cli import main
from coldpress.fit.cost import Load, on_demand_cost
from coldpress.fit.prices import read_prices
from coldpress.fit.tiers import tier
from tests.support.tiny import MODELS, write_bundle

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="functions are started as on Linux")

WARMUP = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 64]}], "data": None}


@pytest.fixture
def build(tmp_path):
    """An unpacked function for AWS around a tiny model."""
    folder = write_bundle(tmp_path / "task", "mlp", warmup=WARMUP, function={"memory_mb": 2048, "timeout_s": 30})
    shutil.copytree(runtime_root(), folder / "coldpress_runtime", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(template_root() / "aws" / "app.py", folder)
    return folder


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "tiny.onnx"
    path.write_bytes(MODELS["mlp"]().SerializeToString())
    return path


def _json(capsys, *arguments):
    assert main(["fit", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_build_is_measured_and_priced_at_every_provider(build, capsys):
    found = _json(capsys, build, "--requests-per-month", "3000000", "--cold-share", "0.1")
    (subject,) = found["subjects"]
    assert (subject["measured"], subject["target"], subject["memory_mb"]) == (True, "aws", 2048)
    assert 0 < subject["warm_ms"] < subject["init_ms"]
    rows = {row["provider"]: row for row in found["providers"]}
    assert list(rows) == ["aws", "gcp", "azure", "alibaba", "container"]
    load = Load(subject["warm_ms"], subject["first_ms"], subject["init_ms"], 0.1)
    for name in ("aws", "gcp", "azure", "alibaba"):
        wanted = on_demand_cost(read_prices(name), tier(name, 2048), load, 3_000_000)
        assert rows[name]["cost"]["monthly"] == pytest.approx(wanted)
        assert all(figure["source"] and figure["date"] for figure in rows[name]["prices"]["figures"])
    assert rows["container"]["cost"] is None


def test_a_models_cold_start_is_called_an_estimate(model, capsys):
    assert main(["fit", str(model), "--providers", "aws,azure"]) == 0
    printed = capsys.readouterr()
    assert "Estimated" in printed.err
    assert "about 29" in printed.out.splitlines()[0]
    assert [line.split()[0] for line in printed.out.splitlines()[2:4]] == ["aws", "azure"]
    assert "1,024 MB" in printed.out
    assert "USD" in printed.out


def test_a_model_beside_a_build_only_fills_the_gaps(build, model, capsys):
    assert main(["fit", str(build), str(model), "--providers", "aws,gcp"]) == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert "ready after" in lines[0]
    assert "opened in" in lines[1]
    assert ["~" in line for line in lines[3:5]] == [False, True]
    assert "What has ~ before it is taken from aws" in printed.err


def test_the_table_says_what_it_would_take_and_what_the_figures_rest_on(build, capsys):
    assert main(["fit", str(build), "--memory-mb", "512", "--free-tier"]) == 0
    printed = capsys.readouterr()
    assert "512 MB" in printed.out
    assert "What is free every month is taken off" in printed.out
    assert "Measured here under the runtime of aws" in printed.err
    assert "1,000,000 requests a month" in printed.err
    assert "aws us-east-1" in printed.err


def test_a_request_of_ones_own_is_what_is_measured(build, tmp_path, capsys):
    body = tmp_path / "body.json"
    body.write_text(json.dumps({"inputs": {"x": [[0.5] * 64] * 4}}))
    assert _json(capsys, build, "--request", body, "--providers", "aws")["providers"][0]["measured"]


def test_a_request_that_the_function_refuses_is_said_with_its_answer(build, tmp_path, capsys):
    body = tmp_path / "body.json"
    body.write_text("{}")
    assert main(["fit", str(build), "--request", str(body)]) == 1
    assert "answered 400" in capsys.readouterr().err


def test_prices_of_ones_own_change_the_bill(model, tmp_path, capsys):
    mine = tmp_path / "mine.toml"
    mine.write_text(
        '[aws.on_demand]\ngb_second = { value = 0, source = "ours", date = 2026-11-01 }\n'
        'request_million = { value = 7, source = "ours", date = 2026-11-01 }\n'
    )
    (row,) = _json(capsys, model, "--providers", "aws", "--prices", mine)["providers"]
    assert row["cost"]["per_million"] == pytest.approx(7)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none.onnx"], "There is no none.onnx; give a build (build/aws) or a model (.onnx)."),
        (["{empty}"], "is not a built function"),
        (["{text}"], "is not a built function"),
        (["{model}", "--providers", "mars"], "--providers is 'mars'; expected some of aws,gcp"),
        (["{model}", "--providers", ","], "--providers is ','"),
        (["{model}", "--requests-per-month", "0"], "--requests-per-month is 0; expected 1 to 1,000,000,000,000,000"),
        (["{model}", "--requests-per-month", "1" + "0" * 400], "expected 1 to 1,000,000,000,000,000"),
        (["{model}", "--cold-share", "1.5"], "--cold-share is 1.5; expected a share from 0 to 1"),
        (["{model}", "--cold-share", "nan"], "--cold-share is nan"),
        (["{model}", "--memory-mb", "1000"], "the nearest are 512 and 2,048 MB"),
        (["{model}", "--memory-mb", "0"], "sells no instance of 0 MB"),
        (["{model}", "--prices", "none.toml"], "none.toml cannot be read"),
        (["{model}", "--request", "{text}"], "--request is a body for a built function"),
    ],
)
def test_bad_input_is_one_sentence(arguments, said, model, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("text")
    places = {"empty": tmp_path / "empty", "text": tmp_path / "text", "model": model}
    assert main(["fit", *(argument.format(**places) for argument in arguments)]) == 1
    printed = capsys.readouterr()
    assert said in printed.err
    assert printed.err.startswith("coldpress: ")
    assert printed.out == ""


def test_a_file_that_is_no_model_is_refused(tmp_path, capsys):
    (tmp_path / "bad.onnx").write_bytes(b"not a model")
    assert main(["fit", str(tmp_path / "bad.onnx"), "--providers", "aws"]) == 1
    assert "bad.onnx" in capsys.readouterr().err


def test_a_function_that_is_not_coldpresss_is_refused(tmp_path, capsys):
    (tmp_path / "app.py").write_text("handler = print\n")
    assert main(["fit", str(tmp_path)]) == 1
    assert "holds no coldpress.json" in capsys.readouterr().err


def test_a_bundle_for_another_machine_is_not_measured_here(tmp_path, capsys):
    import platform

    from coldpress.bundle.wheels import engine_pins

    other = "x86_64" if platform.machine() in {"aarch64", "arm64"} else "arm64"
    engine = {"library": "lib/libonnxruntime.so", "version": "1.31.1", "sha256": engine_pins()[other]["sha256"]}
    folder = write_bundle(tmp_path / "task", "mlp", warmup=WARMUP, engine=engine)
    (folder / "app.py").touch()
    assert main(["fit", str(folder)]) == 1
    assert f"is for {other} and this machine is" in capsys.readouterr().err
