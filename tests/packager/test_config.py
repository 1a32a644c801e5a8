from pathlib import Path

import pytest

from coldpress.config import PASSES, load_config
from coldpress.errors import ConfigError


def write(folder, text):
    path = folder / "coldpress.toml"
    path.write_text(text)
    return path


def test_without_a_file_every_setting_has_a_default():
    config = load_config(None)
    assert (config.function.python, config.function.architecture, config.targets.aws.auth) == ("3.13", "x86_64", "iam")
    assert set(PASSES) - set(config.shrink.allow) == {"prune"}
    assert (config.samples.max_drop, config.shrink.max_bytes, config.shrink.allow_unmeasured) == (0.01, None, False)


def test_the_file_overrides_defaults_and_flags_override_the_file(tmp_path):
    path = write(tmp_path, '[model]\nsource = "m.onnx"\n[function]\nmemory_mb = 512\ntimeout_s = 9\n')
    config = load_config(path, {"function.memory_mb": 2048, "function.timeout_s": None})
    assert (config.function.memory_mb, config.function.timeout_s) == (2048, 9)


def test_paths_in_the_file_are_relative_to_the_file(tmp_path):
    path = write(tmp_path, '[model]\nsource = "m.onnx"\n[function]\nhooks = "src/hooks.py"\n')
    config = load_config(path)
    assert config.model.source == tmp_path / "m.onnx"
    assert config.function.hooks == tmp_path / "src" / "hooks.py"


@pytest.mark.parametrize(
    ("size", "nbytes"), [("25MB", 25_000_000), ("24 MiB", 24 << 20), ("1.5kB", 1500), ("900 B", 900), ("900", 900)]
)
def test_a_size_is_bytes_or_a_number_with_its_unit(tmp_path, size, nbytes):
    assert load_config(write(tmp_path, f'[shrink]\nmax_bytes = "{size}"\n')).shrink.max_bytes == nbytes
    assert load_config(write(tmp_path, f"[shrink]\nmax_bytes = {nbytes}\n")).shrink.max_bytes == nbytes


def test_samples_are_a_path_relative_to_the_file_or_a_function(tmp_path):
    path = write(tmp_path, '[samples]\nevaluation = "eval.npz"\ncalibration = "my.samples:calibration"\n')
    samples = load_config(path).samples
    assert (samples.evaluation, samples.calibration) == (str(tmp_path / "eval.npz"), "my.samples:calibration")


@pytest.mark.parametrize("metric", ["accuracy", "f1", "mae", "cosine", "agreement", "my.metrics:iou"])
def test_every_metric_can_be_set(tmp_path, metric):
    assert load_config(write(tmp_path, f'[samples]\nmetric = "{metric}"\n')).samples.metric == metric


def test_a_folder_in_the_place_of_the_file_is_one_sentence(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot be read.*--config"):
        load_config(tmp_path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[model\n", "not valid TOML"),
        ('[samples]\nmetric = "roc"\n', "`samples.metric` holds 'roc'; expected one of accuracy, f1"),
        ("[modle]\n", "`modle` is not a setting"),
        ('[model]\nsorce = "a"\n', "`model.sorce` is not a setting"),
        ("model = 3\n", "expected a table"),
        ('[function]\nmemory_mb = "big"\n', "expected a whole number"),
        ("[function]\nmemory_mb = true\n", "expected a whole number"),
        ("[function]\nmemory_mb = 64\n", "at least 128"),
        ('[function]\npython = "3.9"\n', "expected one of '3.12'"),
        ('[shrink]\nallow = ["shave"]\n', "`shrink.allow[0]` holds 'shave'"),
        ('[shrink]\nallow = "strip"\n', "expected a list"),
        ('[shrink]\nmax_bytes = "lots"\n', "expected a size"),
        ("[shrink]\nmax_bytes = 0\n", "expected a size"),
        ("[shrink]\nmax_slowdown = 0\n", "at least 0.01"),
        ("[samples]\nmax_drop = 2\n", "at most 1"),
        ("[samples]\nmax_drop = nan\n", "expected a number"),
        ("[shrink]\nmax_slowdown = inf\n", "expected a number"),
        ('[samples]\nmax_drop = "1 %"\n', "expected a number"),
        ('[samples]\nevaluation = ""\n', "expected a path"),
        ('[targets.aws]\nauth = "jwt"\n', "needs `jwt_issuer`"),
        ('[targets.aws]\nsnapstart = "yes"\n', "expected true or false"),
        ('[model]\nname = "a/b"\n', "`model.name` holds 'a/b'"),
        ('[model]\nsource = ""\n', "expected a path"),
        ('[function]\nenvironment = "A=1"\n', "expected a table"),
        ("[function.environment]\nA = 1\n", "`function.environment.A` holds 1; expected a string"),
        ("[targets.azure]\nmemory_mb = 512.0\n", "`targets.azure.memory_mb` holds 512.0; expected one of 512, 2048"),
        ("[targets.alibaba]\ndisk_mb = 512.0\n", "`targets.alibaba.disk_mb` holds 512.0; expected one of 512, 10240"),
        ('[targets.alibaba]\njwks = "a\\u0000b"\n', "`targets.alibaba.jwks` holds 'a\\x00b', with a NUL character"),
        ('[function.environment]\nA = "\\u0000"\n', "`function.environment.A` holds '\\x00', with a NUL character"),
    ],
)
def test_a_wrong_setting_is_named_with_what_it_may_hold(tmp_path, text, says):
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, text))
    assert says in str(caught.value)


def test_a_missing_file_says_how_to_make_one(tmp_path):
    with pytest.raises(ConfigError, match="coldpress init"):
        load_config(tmp_path / "coldpress.toml")


def test_the_file_that_init_writes_is_valid(tmp_path, monkeypatch):
    from coldpress.cli import main

    monkeypatch.chdir(tmp_path)
    Path("my model.onnx").write_bytes(b"")
    assert main(["init"]) == 0
    config = load_config(Path("coldpress.toml"))
    assert config.model.source == Path("my model.onnx")
    assert main(["init"]) == 1  # never replaces somebody's settings
