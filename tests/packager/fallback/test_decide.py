import dataclasses
from pathlib import Path

import numpy as np
import pytest

from coldpress.bundle.wheels import engine_library
from coldpress.cache import cache_dir
from coldpress.errors import SamplesError
from coldpress.fallback.decide import Question, decide
from coldpress.fallback_config import FallbackConfig
from coldpress.reference import Reference
from coldpress.samples.load import load_samples
from tests.support import models
from tests.support.cascade import small_digits

CONFIG = FallbackConfig(url="https://gpu.example", max_escalated=0.6)


@pytest.fixture(scope="module")
def question(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits")
    large = models.fetch("digits_mlp")
    _, _, x, y = models.digits()
    np.savez(folder / "evaluation.npz", X=x, label=y)
    signature = Reference(large).signature
    return Question(
        small=small_digits(folder / "small.onnx"),
        large=large,
        exact=False,
        signature=signature,
        samples=load_samples(folder / "evaluation.npz", signature),
        metric=None,
        max_drop=0.02,
        library=engine_library("3.13", "x86_64", cache_dir("wheels")).path,
        target="aws",
        architecture="x86_64",
        memory_mb=1769,
        timeout_s=30,
        threads=1,
        request_bytes=6_291_456,
    )


def test_rules_are_proposed_with_their_reasons(question):
    found = decide(CONFIG, question)
    assert found.when[0].startswith("confidence < 0.")
    assert found.when[-1] == "error"
    assert all(each.reason.endswith(".") for each in found.proposed)
    assert found.output == "probabilities"
    assert found.cascade.small < found.cascade.large
    assert found.price.function > 0
    assert found.price.endpoint is None  # the machine is somebody's own
    assert any("A million requests cost" in note for note in found.notes)
    assert found.to_json()["cascade"]["rule"] == found.when[0]


def test_a_threshold_alone_is_fitted_in_its_place(question):
    config = dataclasses.replace(CONFIG, when=("batch > 8", "confidence", "error"), endpoint="cloud-run-gpu", url="")
    found = decide(config, question)
    assert (found.when[0], found.when[2]) == ("batch > 8", "error")
    assert found.when[1] == found.cascade.rule
    assert not found.proposed
    assert found.cascade.note in found.notes
    assert found.price.endpoint > 0


def test_named_rules_are_taken_as_they_are(question):
    config = dataclasses.replace(CONFIG, when=("confidence < 0.6",))
    assert decide(config, dataclasses.replace(question, small=Path("nowhere.onnx"))).when == ("confidence < 0.6",)


def test_a_threshold_that_cannot_be_fitted_is_an_error_where_it_was_asked_for(question):
    asked = dataclasses.replace(CONFIG, when=("confidence",))
    with pytest.raises(SamplesError, match="no samples to fit"):
        decide(asked, dataclasses.replace(question, samples=None))
    strict = dataclasses.replace(question, max_drop=0.0001)
    with pytest.raises(SamplesError, match=r"No threshold of confidence could be fitted.*samples would tell"):
        decide(asked, strict)
    found = decide(CONFIG, strict)
    assert "samples would tell" in found.proposed[0].reason
    assert found.when == ("error",)


def test_models_of_other_inputs_are_refused_with_both_signatures(question):
    asked = dataclasses.replace(CONFIG, when=("confidence",))
    with pytest.raises(SamplesError, match=r"both need the same inputs|does not run on the samples"):
        decide(asked, dataclasses.replace(question, large=models.fetch("cancer_xgb")))


def test_what_answers_the_same_needs_no_second_opinion(question):
    exact = dataclasses.replace(question, exact=True)
    assert decide(CONFIG, exact).when == ("error",)
    assert decide(dataclasses.replace(CONFIG, when=("confidence", "batch > 2")), exact).when == ("batch > 2",)
    assert decide(dataclasses.replace(CONFIG, when=("confidence",)), exact).when == ("error",)


def test_what_does_not_fit_goes_out_whole(question):
    over = dataclasses.replace(question, over="The bundle is 300 MB.", small=Path("nowhere.onnx"))
    assert decide(CONFIG, over).when == ("does-not-fit",)
