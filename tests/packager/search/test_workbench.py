"""Weights on the bench: bytes are the file's, errors the weight's or its product's, the model untouched."""

import numpy as np
import pytest
from onnx import numpy_helper

from coldpress.encodings.menu import overhead
from coldpress.search.workbench import KEEP, Workbench
from tests.support.graphs import answers, model, node, tensor, value

DRAW = np.random.default_rng(0)
WEIGHT = DRAW.normal(size=(64, 128)).astype(np.float32)
ROWS = DRAW.normal(size=(5, 64)).astype(np.float32)


def linear(weight=WEIGHT):
    shape = [value("x", ["N", 64])], [value("y", ["N", weight.shape[1]])]
    return model([node("MatMul", ["x", "W"], ["y"])], *shape, [tensor("W", weight)])


@pytest.mark.parametrize("encoding", ["fp16-storage", "int8-storage", "int4-storage"])
def test_what_is_put_in_a_weights_place_answers_like_what_is_built(encoding):
    bench = Workbench(linear())
    tried, built = (
        answers(m, {"x": ROWS})[0] for m in (bench.with_weight("W", encoding), bench.build({"W": encoding}))
    )
    assert np.allclose(tried, built, rtol=1e-3, atol=1e-2)
    assert not np.array_equal(tried, answers(linear(), {"x": ROWS})[0])


def test_the_model_on_the_bench_stays_as_it_is():
    proto = linear()
    before = proto.SerializeToString()
    bench = Workbench(proto)
    bench.with_weight("W", "int8-storage")
    bench.build({"W": "int8-storage"})
    assert proto.SerializeToString() == before
    assert np.array_equal(numpy_helper.to_array(bench.model.graph.initializer[0]), WEIGHT)


def test_a_weight_that_is_kept_is_neither_changed_nor_counted_anew():
    bench = Workbench(linear())
    assert bench.nbytes("W", KEEP) == WEIGHT.nbytes
    assert answers(bench.build({"W": KEEP}), {"x": ROWS})[0].tobytes() == answers(linear(), {"x": ROWS})[0].tobytes()


@pytest.mark.parametrize("encoding", ["fp16-storage", "int8-storage", "int6-storage", "int4-storage"])
def test_bytes_foretold_are_those_of_the_model_but_for_what_encodings_share(encoding):
    bench = Workbench(linear())
    built = bench.build({"W": encoding}).ByteSize()
    foretold = bench.rest_bytes + bench.nbytes("W", encoding) + overhead(encoding, bench.sites["W"].role).once
    assert abs(foretold - built) < 64


def test_a_finer_encoding_makes_a_smaller_error():
    bench = Workbench(linear())
    errors = [bench.error("W", name) for name in ("fp16-storage", "int8-storage", "int6-storage", "int4-storage")]
    assert 0 < errors[0] < errors[1] < errors[2] < errors[3] < 0.1


def test_with_known_inputs_the_error_is_that_of_the_product():
    """Inputs that never light up the rows that rounding harms make no error."""
    weight = WEIGHT.copy()
    weight[:32] *= 1000
    blind = np.zeros((64, 64))
    blind[:32, :32] = np.eye(32)
    plain, seen = Workbench(linear(weight)), Workbench(linear(weight), {"W": np.eye(64)})
    assert seen.error("W", "int8-storage") == pytest.approx(plain.error("W", "int8-storage"), rel=0.5)
    quiet = Workbench(linear(weight), {"W": np.eye(64) - blind})
    assert quiet.error("W", "int8-storage") > 100 * plain.error("W", "int8-storage")


def test_a_weight_of_zeros_has_no_error():
    assert Workbench(linear(np.zeros((64, 128), np.float32))).error("W", "int8-storage") == 0
