"""What encoding could give, said before it is tried: beside what it then gives."""

import numpy as np
import onnx
import pytest

from coldpress.encodings.menu import menu, rewrite
from coldpress.encodings.sites import find_sites
from coldpress.inspect import inspect_model
from coldpress.shrink.draft import Draft
from coldpress.shrink.strip import FINISHING, strip
from tests.support import models
from tests.support.graphs import graph, model, node, tensor, value


@pytest.mark.models
@pytest.mark.parametrize("name", ["nudenet", "ocr_rec", "lac", "digits_mlp", "basic_pitch"])
@pytest.mark.parametrize("family", ["fp16-storage", "int8-storage", "int4-storage"])
def test_the_bytes_foretold_are_those_of_the_model_written(name, family):
    path = models.fetch(name)
    stripped = strip(onnx.load(path)).model
    choice = {}
    for site in find_sites(Draft(stripped)):
        options = menu(site, {family})
        if options:
            choice[site.name] = min(options, key=lambda encoding: encoding.nbytes(site)).name
    written = strip(rewrite(stripped, choice), FINISHING).model.ByteSize()
    (gain,) = [gain for gain in inspect_model(path).gains.families if gain.family == family]
    assert abs(gain.bytes - written) < 0.02 * written + 1000
    assert gain.saved == path.stat().st_size - gain.bytes


@pytest.mark.models
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("atspm_phase", "tree tables in attributes, which no quantiser touches"),
        ("digits_rf_zipmap", "tree tables"),
        ("minilm_int8", "stored in 8 bits or fewer; quantising again gains nothing"),
    ],
)
def test_where_nothing_can_be_gained_it_says_why(name, words):
    gains = inspect_model(models.fetch(name)).gains
    assert words in gains.why_none
    assert all(gain.saved < 0.02 * models.fetch(name).stat().st_size for gain in gains.families)


def test_a_model_with_training_information_stays_as_it_is(tmp_path):
    weight = tensor("w", np.ones((64, 64)))
    made = model([node("MatMul", ["x", "w"], ["y"])], [value("x", ["N", 64])], [value("y", ["N", 64])], [weight])
    made.training_info.add().algorithm.CopyFrom(graph([node("Neg", ["w"], ["g"])], [], [value("g", (64, 64))]))
    onnx.save(made, tmp_path / "model.onnx")
    gains = inspect_model(tmp_path / "model.onnx").gains
    assert gains.families == ()
    assert gains.why_none.startswith("It stays as it is: the model carries training information")


@pytest.mark.models
def test_where_something_can_be_gained_it_gives_no_reason():
    assert inspect_model(models.fetch("nudenet")).gains.why_none == ""
