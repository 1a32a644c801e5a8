"""Every weight of real models in every stored encoding: sizes foretold, answers near, nothing left to compute."""

import numpy as np
import onnx
import pytest

from coldpress.encodings.menu import ENCODINGS, overhead, rewrite
from coldpress.encodings.sites import find_sites
from coldpress.shrink.draft import Draft
from coldpress.shrink.guard import signature
from coldpress.shrink.strip import strip
from tests.support.graphs import answers
from tests.support.models import feeds, fetch

pytestmark = pytest.mark.models

# Share of the stripped file that is left, and the cosine of answers that is reached, at least.
EXPECTED = {
    "magika": {"fp16-storage": (0.51, 0.9999), "int8-storage": (0.27, 0.9999), "int4-storage": (0.16, 0.999)},
    "silero": {"fp16-storage": (0.52, 0.999), "int8-storage": (0.29, 0.95), "int6-storage": (0.24, 0.85)},
    "lac": {"fp16-storage": (0.51, 0.9999), "int8-storage": (0.27, 0.9999), "int4-storage": (0.14, 0.995)},
    "nudenet": {"fp16-storage": (0.51, 0.9999), "int8-storage-b32": (0.28, 0.9999), "int4-storage": (0.15, 0.995)},
    "ocr_rec": {"fp16-storage": (0.51, 0.9999), "int8-storage-b32": (0.28, 0.995)},
    "blazeface_back": {"fp16-storage": (0.65, 0.9999), "int8-storage-b32": (0.5, 0.99)},
}


def cosine(one, other):
    one, other = (np.concatenate([np.ravel(a).astype(np.float64) for a in given]) for given in (one, other))
    assert np.isfinite(other).all()
    return one @ other / (np.linalg.norm(one) * np.linalg.norm(other))


@pytest.mark.parametrize("name", EXPECTED)
def test_a_model_with_every_weight_stored(name):
    model = strip(onnx.load(fetch(name))).model
    sites = find_sites(Draft(model))
    given = feeds(name)
    before = answers(model, given)
    for encoding, (share, least) in EXPECTED[name].items():
        choice = {site.name: encoding for site in sites if not ENCODINGS[encoding].refusal(site)}
        after = rewrite(model, choice)
        assert signature(after) == signature(model)
        assert after.metadata_props == model.metadata_props
        size = after.ByteSize()
        assert size < share * model.ByteSize()
        predicted = model.ByteSize() + max(overhead(encoding, site.role).once for site in sites)
        for site in sites:
            if site.name in choice:
                predicted += ENCODINGS[encoding].nbytes(site) - site.nbytes + overhead(encoding, site.role).each
        assert abs(size - predicted) < 150 * len(choice)
        assert cosine(before, answers(after, given)) >= least


def test_a_stored_model_is_left_alone_by_the_lossless_passes():
    model = strip(onnx.load(fetch("silero"))).model
    for encoding in ("int8-storage", "int6-storage", "int4-storage"):
        stored = rewrite(model, dict.fromkeys((site.name for site in find_sites(Draft(model))), encoding))
        assert strip(stored).model.ByteSize() <= stored.ByteSize()
        assert cosine(answers(stored, feeds("silero")), answers(strip(stored).model, feeds("silero"))) > 1 - 1e-9
