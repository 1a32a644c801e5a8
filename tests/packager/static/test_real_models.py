"""Static int8 on convolutional networks as people trained them."""

import numpy as np
import pytest

from coldpress.model.files import read_model
from coldpress.shrink.guard import signature
from coldpress.shrink.strip import WITHIN_ROUNDING, strip
from coldpress.static.quantise import Quantiser
from tests.support import graphs as g
from tests.support.models import fetch

pytestmark = pytest.mark.models


def _pictures(count, shape, low, high, seed):
    """Smooth random pictures: noise of a few points, spread over the whole."""
    rng = np.random.default_rng(seed)
    height, width = shape[-3:-1] if shape[-1] == 3 else shape[-2:]
    rows, columns = np.linspace(0, 4.999, height).astype(int), np.linspace(0, 4.999, width).astype(int)
    for _ in range(count):
        coarse = rng.uniform(low, high, (3, 5, 5))[:, rows][:, :, columns]
        picture = np.clip(coarse + rng.normal(scale=(high - low) / 20, size=coarse.shape), low, high)
        picture = np.moveaxis(picture, 0, -1) if shape[-1] == 3 else picture
        yield picture.astype(np.float32).reshape(shape)


@pytest.mark.parametrize(
    ("name", "feed", "shape", "low", "high", "most_bytes", "convs"),
    [
        ("opennsfw", "input:0", (1, 224, 224, 3), -120, 140, 6_200_000, 53),
        ("nudenet", "images", (1, 3, 320, 320), 0, 1, 3_500_000, 64),
    ],
)
def test_a_quarter_of_the_bytes_and_nearly_the_answers(name, feed, shape, low, high, most_bytes, convs):
    original = read_model(fetch(name))
    model = strip(original, WITHIN_ROUNDING).model
    given = [{feed: picture} for picture in _pictures(8, shape, low, high, seed=1)]
    made = Quantiser.of(model, given)
    written = made.write(made.graph.choose())
    assert signature(written) == signature(original)
    assert written.ByteSize() < most_bytes
    decoded = {node.output[0] for node in written.graph.node if node.op_type == "DequantizeLinear"}
    assert sum(node.op_type == "Conv" and node.input[1] in decoded for node in written.graph.node) == convs
    (other,) = _pictures(1, shape, low, high, seed=2)
    (before,), (after,) = g.answers(original, {feed: other}), g.answers(written, {feed: other})
    cosine = float(np.vdot(before, after) / np.linalg.norm(before) / np.linalg.norm(after))
    assert cosine > 0.99


def test_metadata_survives_and_an_old_operator_set_is_converted():
    original = read_model(fetch("ocr_rec"))
    model = strip(original, WITHIN_ROUNDING).model
    (picture,) = _pictures(1, (1, 3, 48, 96), -1, 1, seed=1)
    made = Quantiser.of(model, [{"x": picture}])
    written = made.write(made.graph.choose(products=True))
    assert [(entry.key, entry.value) for entry in written.metadata_props] == [
        (entry.key, entry.value) for entry in original.metadata_props
    ]
    assert signature(written) == signature(original)
    assert written.ByteSize() < 3_200_000
