"""A user's own function as the metric: found, called, and told apart when it goes wrong."""

import re

import numpy as np
import pytest

from coldpress.errors import ConfigError, SamplesError
from coldpress.gate.metrics import resolve_metric

ANSWERS = [{"y": np.array([float(x)])} for x in range(20)]
LABELS = np.arange(20)

CODE = """
import numpy as np

def each(answers, labels):
    return [1.0 - abs(a["y"][0] - b) / 10 for a, b in zip(answers, labels)]

def one(answers, labels):
    return float(np.median([1.0 - abs(a["y"][0] - b) / 10 for a, b in zip(answers, labels)]))

def raises(answers, labels):
    raise KeyError("score")

def leaves(answers, labels):
    raise SystemExit(3)

def text(answers, labels):
    return "good"

def nothing(answers, labels):
    return None

def odd(answers, labels):
    return float("nan")

def short(answers, labels):
    return [1.0, 0.5]

def flat(answers, labels):
    return [[1.0]] * len(answers)

def writes(answers, labels):
    answers[0]["y"][0] = 1

def unlabelled(answers, labels):
    return 0.5 if labels is None else 0.0

later_calls = 0

def fickle(answers, labels):
    global later_calls
    later_calls += 1
    return 0.5 if later_calls == 1 else [0.5] * len(answers)

def talks(answers, labels):
    print("one more")
    return 0.5

number = 3
print("loaded")
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A name of a module in the current folder, new for every test."""
    name = re.sub(r"\W", "_", tmp_path.name)
    (tmp_path / f"{name}.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    return name


def _shifted(by):
    return [{"y": answer["y"] + by} for answer in ANSWERS]


def test_a_number_a_request_is_weighed_sample_by_sample(own):
    metric = resolve_metric(f"{own}:each", labelled=True)
    weighed = metric.weigh(ANSWERS, _shifted(1), LABELS)
    assert (weighed.original, weighed.shrunk) == (1, pytest.approx(0.9))
    assert weighed.evidence.drop == pytest.approx(0.1)
    assert metric.scores(ANSWERS, LABELS).tolist() == [1] * 20


def test_one_number_is_bounded_by_drawing_the_requests_again(own):
    metric = resolve_metric(f"{own}:one", labelled=True)
    random = np.random.default_rng(0)
    after = [{"y": answer["y"] + random.random()} for answer in ANSWERS]
    weighed = metric.weigh(ANSWERS, after, LABELS)
    lower, upper = weighed.evidence.bounds()
    assert 0 < lower < weighed.evidence.drop < upper < 0.1
    assert metric.scores(ANSWERS, LABELS) is None
    assert metric.value(after, LABELS) == pytest.approx(weighed.shrunk)
    assert metric.weigh(ANSWERS, after, LABELS) == weighed


def test_without_labels_the_function_gets_none(own):
    assert resolve_metric(f"{own}:unlabelled", labelled=False).value(ANSWERS, None) == 0.5


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("raises", "raised KeyError: 'score'; mend it"),
        ("leaves", "raised SystemExit: 3; mend it"),
        ("writes", "raised ValueError: assignment destination is read-only"),
        ("text", "returned a str; expected a number, or a number a request"),
        ("nothing", "returned None; expected a number, or a number a request"),
        ("odd", "returned nan; expected finite numbers"),
        ("short", "returned 2 numbers; expected one number, or 20"),
        ("flat", r"returned an array \[20, 1\]; expected one number, or 20"),
    ],
)
def test_a_function_that_goes_wrong_is_named_with_what_it_did(own, function, message):
    answers = [{"y": answer["y"].copy()} for answer in ANSWERS]
    for answer in answers:
        answer["y"].flags.writeable = False
    with pytest.raises(SamplesError, match=f"The metric {own}:{function} {message}"):
        resolve_metric(f"{own}:{function}", labelled=True).value(answers, LABELS)


def test_a_function_that_returns_now_this_now_that_is_refused(own):
    with pytest.raises(SamplesError, match="returned a number once and 20 numbers the next time"):
        resolve_metric(f"{own}:fickle", labelled=True).weigh(ANSWERS, ANSWERS, LABELS)


def test_a_function_or_module_that_is_not_there_is_refused(own):
    with pytest.raises(ConfigError, match="has no such function; name a function in it"):
        resolve_metric(f"{own}:missing", labelled=True)
    with pytest.raises(ConfigError, match="has a int of that name"):
        resolve_metric(f"{own}:number", labelled=True)
    with pytest.raises(
        ConfigError, match=r"there is no module no_such_module; put no_such_module\.py into this folder"
    ):
        resolve_metric("no_such_module:one", labelled=True)


def test_a_module_that_does_not_import_is_named_with_its_error(tmp_path, monkeypatch):
    (tmp_path / "broken_metric_module.py").write_text("import not_to_be_found_anywhere")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="importing broken_metric_module raised ModuleNotFoundError: No module named"):
        resolve_metric("broken_metric_module:one", labelled=True)


def test_what_a_metric_prints_is_no_result(own, capsys):
    resolve_metric(f"{own}:talks", labelled=True).value(ANSWERS, LABELS)
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.split() == ["loaded", "one", "more"]
