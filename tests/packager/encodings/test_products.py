"""Real models whose matrices are multiplied as codes, in the engine that ships."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from coldpress.encodings.gram import input_grams
from coldpress.encodings.menu import ENCODINGS, rewrite
from coldpress.encodings.sites import find_sites
from coldpress.forms.trial import Opening, try_model
from coldpress.shrink.draft import Draft
from coldpress.shrink.strip import strip
from coldpress_runtime.library import find_library
from tests.support.graphs import answers
from tests.support.models import digits, feeds, fetch

pytestmark = pytest.mark.models
COMPUTE = [name for name, encoding in ENCODINGS.items() if encoding.family in ("nbits8", "int4", "dynamic-int8")]


@pytest.fixture(scope="module")
def stripped(tmp_path_factory):
    """Return where a stripped model lies and the sites of its products."""

    def make(name):
        path = tmp_path_factory.mktemp(name) / "model.onnx"
        whole = strip(onnx.load(fetch(name))).model
        onnx.save(whole, path)
        sites = find_sites(Draft(whole), least=1024)
        return path, [site for site in sites if site.role in ("matmul", "gemm")]

    return make


def choice(sites, encoding):
    return {site.name: encoding for site in sites if not ENCODINGS[encoding].refusal(site)}


@pytest.mark.parametrize("encoding", COMPUTE)
def test_a_classifier_of_digits_stays_right(stripped, encoding, tmp_path):
    path, sites = stripped("digits_mlp")
    x_train, _, x, y = digits()
    grams = input_grams(path, [{"X": x_train}], sites)
    after = rewrite(onnx.load(path), choice(sites, encoding), grams)
    assert after.ByteSize() < path.stat().st_size / 2
    onnx.save(after, tmp_path / "after.onnx")
    opening, requests = Opening(), [{"X": x}]
    trial = try_model(tmp_path / "after.onnx", opening, requests, library=Path(find_library()), answers=True)
    before = answers(onnx.load(path), {"X": x})
    labels = next(iter(trial.answers[0].values()))
    assert np.mean(labels == y) > np.mean(before[0] == y) - 0.005
    assert np.array_equal(labels, answers(after, {"X": x})[0])


@pytest.mark.parametrize("encoding", ["nbits8-b32", "dynamic-int8"])
@pytest.mark.parametrize("name", ["magika", "lac", "silero_ifless", "ocr_rec"])
def test_decisions_of_other_models_stay(stripped, name, encoding):
    path, sites = stripped(name)
    chosen = choice(sites, encoding)
    assert chosen
    after = rewrite(onnx.load(path), chosen)
    assert after.ByteSize() < path.stat().st_size
    given = feeds(name)
    before, now = answers(onnx.load(path), given)[0], answers(after, given)[0]
    assert np.array_equal(before.argmax(-1), now.argmax(-1))
    assert np.abs(before - now).max() < 0.15 * np.abs(before).max()
