"""What is made for the zip is smaller there, and nowhere else."""

import numpy as np
import pytest
from onnx import numpy_helper

from coldpress.encodings.menu import ENCODINGS, menu
from coldpress.encodings.sites import find_sites
from coldpress.encodings.transport import TRANSPORT, deflated_bytes
from coldpress.shrink.draft import Draft
from tests.support.graphs import model, node, tensor, value

RNG = np.random.default_rng(0)
WEIGHT = (RNG.standard_normal((256, 128)) * RNG.random(128)).astype(np.float32)
MADE = model([node("MatMul", ["x", "w"], ["y"])], [value("x", ("n", 256))], [value("y", None)], [tensor("w", WEIGHT)])
(SITE,) = find_sites(Draft(MADE))


def test_only_the_word_prune_allows_them():
    assert set(menu(SITE, ["prune"])) == set(TRANSPORT)
    assert not set(menu(SITE, ["int8-storage", "int4-storage"])) & set(TRANSPORT)


@pytest.mark.parametrize("encoding", TRANSPORT, ids=lambda e: e.name)
def test_the_file_is_as_large_and_the_zip_smaller(encoding):
    plain = ENCODINGS["int8-storage"]
    assert encoding.nbytes(SITE) == plain.nbytes(SITE) == encoding.encode(WEIGHT, SITE).nbytes
    assert deflated_bytes(encoding.encode(WEIGHT, SITE)) < 0.8 * deflated_bytes(plain.encode(WEIGHT, SITE))


@pytest.mark.parametrize("gram", [None, np.eye(256)])
def test_half_of_each_channel_is_zero_and_it_is_the_smaller_half(gram):
    encoding = ENCODINGS["int8-storage-half-zeros"]
    values = encoding.decode(encoding.encode(WEIGHT, SITE, gram), SITE)
    assert ((values == 0).mean(axis=0) >= 0.5).all()
    assert ((values == 0).mean(axis=0) <= 0.52).all()
    for column, kept in zip(np.abs(WEIGHT).T, values.T != 0, strict=True):
        assert column[kept].min() >= np.sort(column)[127]


def test_deflated_bytes_are_those_of_all_parts():
    encoded = ENCODINGS["int8-storage"].encode(numpy_helper.to_array(MADE.graph.initializer[0]), SITE)
    assert 4 * 100 < deflated_bytes(encoded) < encoded.nbytes + 100
