"""``[fallback]``: what is read, and what is refused with one sentence."""

import pytest

from coldpress.config import load_config
from coldpress.errors import ConfigError


def fallback(tmp_path, text):
    settings = tmp_path / "coldpress.toml"
    settings.write_text(f"[fallback]\n{text}\n")
    return load_config(settings).fallback


def test_without_the_table_nothing_goes_out():
    assert load_config(None).fallback is None


def test_settings_are_read_and_paths_are_the_files(tmp_path):
    found = fallback(
        tmp_path,
        'endpoint = "sagemaker-async"\nmodel = "large.onnx"\nwhen = ["batch > 8", "time > 0.8", "confidence < 0.6", '
        '"error", "canary 5%", "shadow 0.5%"]\nwaking = "queue"\nhedge_after_s = 1\nmax_instances = 4',
    )
    assert found.model == tmp_path / "large.onnx"
    assert (found.endpoint, found.rendered, found.remote, found.while_waking) == (
        "sagemaker-async",
        True,
        False,
        "queue",
    )
    assert (found.hedge_after_s, found.max_instances, len(found.when)) == (1.0, 4, 6)


def test_while_it_wakes_the_small_model_answers_where_there_is_one(tmp_path):
    assert fallback(tmp_path, 'endpoint = "vertex"').while_waking == "small"
    assert fallback(tmp_path, 'endpoint = "vertex"\nwhen = ["does-not-fit"]').while_waking == "refuse"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('endpoint = "bedrock"', "expected one of 'http', 'sagemaker'"),
        ("", "`fallback.url` is not there; name the endpoint's address, or one to be made: sagemaker"),
        ('url = "gpu.example"', "expected an address alone"),
        ('url = "ftp://gpu.example"', "expected an address alone"),
        ('url = "https://gpu.example/?key=1"', "expected an address alone"),
        ('url = "https://gpu.example"\nauth = "google"', "which needs `audience`"),
        ('endpoint = "vertex"\nurl = "https://gpu.example"', "leave url out"),
        ('endpoint = "vertex"\nauth = "google"', "leave auth out"),
        ('endpoint = "vertex"\nwhen = ["batch >= 8"]', "holds 'batch >= 8'; expected `batch > N` with a whole number"),
        ('endpoint = "vertex"\nwhen = ["bath > 8"]', "holds 'bath > 8'"),
        ('endpoint = "vertex"\nwhen = ["batch > 8", "batch > 9"]', "two rules of batch"),
        ('endpoint = "vertex"\nwhen = ["does-not-fit", "batch > 8"]', "by which everything goes out, and 'batch > 8'"),
        ('endpoint = "vertex"\nwhen = ["confidence < 1.6"]', "`confidence < N` with a number above 0, at most 1"),
        ('endpoint = "vertex"\nwhen = ["time > 0"]', "`time > N` with a number above 0"),
        ('endpoint = "vertex"\nwhen = ["canary 500%"]', "`canary P%` with a percentage"),
        ('endpoint = "vertex"\nwaking = "queue"', "vertex keeps no queue"),
        ('endpoint = "vertex"\nwhen = ["does-not-fit"]\nwaking = "small"', "there is no small model"),
        ('endpoint = "vertex"\nmin_instances = 3', "min_instances` is 3 and max_instances only 1"),
        ('endpoint = "vertex"\ngpu = false', "vertex is a machine with a GPU"),
        ('endpoint = "vertex"\nmax_escalated = 2', "at most 1"),
        ('endpoint = "vertex"\nwen = ["error"]', "`fallback.wen` is not a setting"),
    ],
)
def test_what_cannot_be_is_refused_with_one_sentence(tmp_path, text, said):
    with pytest.raises(ConfigError) as error:
        fallback(tmp_path, text)
    assert said in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_a_password_in_an_address_is_not_repeated(tmp_path):
    with pytest.raises(ConfigError) as error:
        fallback(tmp_path, 'url = "https://ann:hunter2@gpu.example"')
    assert "hunter2" not in str(error.value)
    assert "COLDPRESS_FALLBACK_TOKEN" in str(error.value)
