"""Packed bytes read as the very model, by onnx and by the engine, and are smaller where trees are."""

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from coldpress.model.packed import to_bytes
from tests.support import models
from tests.support.graphs import answers, graph, model, node, same_bits, value

LISTS = {
    "ints": st.lists(st.integers(-(2**63), 2**63 - 1), max_size=200),
    "floats": st.lists(st.floats(width=32, allow_nan=False), max_size=200),
    "strings": st.lists(st.text(max_size=3), max_size=70),
}


@settings(deadline=None, max_examples=60)
@given(**LISTS)
def test_any_lists_read_back_equal(ints, floats, strings):
    nodes = [helper.make_node("Odd", ["x"], ["a"], domain="odd", name="n", size=3, text="t")]
    for name, values in (("ints", ints), ("floats", floats), ("strings", strings)):
        if values:
            nodes[0].attribute.append(helper.make_attribute(name, values))
    branch = graph([node("Identity", ["a"], ["b"])], [], [value("b")])
    nodes.append(node("If", ["c"], ["y"], then_branch=branch, else_branch=branch))
    made = model(nodes, [value("x"), value("c", (), onnx.TensorProto.BOOL)], domains=(("odd", 1),))
    helper.set_model_props(made, {"license": "MIT"})
    data = to_bytes(made)
    assert onnx.load_from_string(data) == made
    assert len(data) <= made.ByteSize()


@pytest.mark.models
@pytest.mark.parametrize(("name", "share"), [("atspm_phase", 0.81), ("digits_rf_zipmap", 0.70), ("digits_lgbm", 0.75)])
def test_trees_become_smaller_and_answer_the_same(name, share):
    made = onnx.load(models.fetch(name))
    data = to_bytes(made)
    assert onnx.load_from_string(data) == made
    assert len(data) < share * made.ByteSize()
    feeds = models.feeds(name)
    assert same_bits(answers(made, feeds), answers(data, feeds))


def test_a_model_without_long_lists_is_as_onnx_writes_it():
    made = model([node("Transpose", ["x"], ["y"], perm=[0, 1])])
    assert to_bytes(made) == made.SerializeToString(deterministic=True)
    assert same_bits(answers(made, {"x": np.ones((2, 3), np.float32)}), [np.ones((2, 3), np.float32)])
