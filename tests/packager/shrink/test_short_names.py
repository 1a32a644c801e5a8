"""Names inside the file become short; what callers, annotations and other domains name stays."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from coldpress.shrink.draft import Draft
from coldpress.shrink.short_names import shorten_names
from coldpress.shrink.strip import FINISHING, LOSSLESS, strip
from tests.support import models, passes
from tests.support.graphs import answers, graph, model, node, same_bits, tensor, value
from tests.support.passes import FEEDS, X


def run(made, feeds=FEEDS):
    count, after = passes.run(shorten_names, made, feeds)
    onnx.checker.check_model(after)
    return count, after


LONG = [
    node("Add", ["x", "a/long/weight"], ["layer/0/add"], name="layer/0/add/node"),
    node("Relu", ["layer/0/add"], ["layer/0/relu"], name="layer/0/relu/node"),
    node("Add", ["layer/0/relu", "a/long/weight"], ["y"], name="last"),
]


def test_nodes_values_and_weights_get_short_names_and_ports_keep_theirs():
    count, after = run(model(LONG, weights=[tensor("a/long/weight", X)]))
    assert count == 3 + 3
    assert [n.name for n in after.graph.node] == ["", "", ""]
    assert [v.name for v in (*after.graph.input, *after.graph.output)] == ["x", "y"]
    assert [list(n.input) for n in after.graph.node] == [["x", "a"], ["b"], ["c", "a"]]


def test_a_second_time_changes_nothing():
    _, once = run(model(LONG, weights=[tensor("a/long/weight", X)]))
    count, twice = run(once)
    assert count == 0
    assert once == twice


def test_a_short_name_that_is_taken_is_not_given():
    made = model(
        [node("Neg", ["a"], ["long"]), node("Exp", ["long"], ["b"])], [value("a")], [value("b")]
    )  # fmt: skip
    _, after = run(made, {"a": X})
    assert after.graph.node[0].output[0] == "c"


@pytest.mark.parametrize("choice", [True, False])
def test_branches_their_outputs_and_what_they_capture(choice):
    then = graph([node("Add", ["x", "outer/value"], ["inner/result"])], [], [value("inner/result")])
    other = graph([node("Mul", ["inner/weight", "outer/value"], ["inner/other"])], [], [value("inner/other")],
                  [tensor("inner/weight", X)])  # fmt: skip
    made = model(
        [node("Neg", ["x"], ["outer/value"]), node("If", ["c"], ["y"], then_branch=then, else_branch=other)],
        [value("x"), value("c", (), TensorProto.BOOL)],
    )
    _, after = run(made, {"x": X, "c": np.array(choice)})
    assert b"/" not in after.SerializeToString()


def test_loops_carry_values_by_position():
    body = graph(
        [node("Identity", ["loop/go"], ["loop/go_on"]), node("Add", ["loop/state", "x"], ["loop/next"])],
        [value("loop/i", (), TensorProto.INT64), value("loop/go", (), TensorProto.BOOL), value("loop/state")],
        [value("loop/go_on", (), TensorProto.BOOL), value("loop/next")],
    )
    made = model([node("Loop", ["loop/n", "", "x"], ["y"], body=body)], weights=[tensor("loop/n", 3, np.int64)])
    _, after = run(made)
    assert b"loop" not in after.SerializeToString()


def test_functions_are_left_as_they_are():
    function = helper.make_function("my", "Twice", ["given"], ["doubled"], [node("Add", ["given"] * 2, ["doubled"])],
                                    [helper.make_opsetid("", 17)])  # fmt: skip
    made = model([node("Twice", ["x"], ["long/name"], domain="my"), node("Neg", ["long/name"], ["y"])],
                 domains=(("my", 1),), functions=[function])  # fmt: skip
    _, after = run(made)
    assert after.functions == made.functions


def test_graphs_inside_operators_of_other_domains_keep_their_names():
    inner = graph([node("Add", ["input_ids", "shared/weight"], ["logits"])], [value("input_ids")], [value("logits")])
    made = model(
        [node("Search", ["x"], ["y"], domain="other", decoder=inner), node("Neg", ["shared/weight"], ["some/dead"])],
        weights=[tensor("shared/weight", X)], domains=(("other", 1),),
    )  # fmt: skip
    draft = Draft(made)
    shorten_names(draft)
    assert draft.proto.graph.node[0].attribute[0].g == inner
    assert draft.proto.graph.initializer[0].name == "shared/weight"
    assert draft.proto.graph.node[1].output[0] == "a"


def test_annotations_and_sparse_weights():
    made = model([node("Identity", ["x"], ["kept/a"]), node("Add", ["kept/a", "sparse/w"], ["y"])])
    made.graph.quantization_annotation.add(tensor_name="kept/a")
    sparse = helper.make_sparse_tensor(tensor("sparse/w", [1.0, 2.0]), tensor("i", [1, 4], np.int64), [2, 3])
    made.graph.sparse_initializer.append(sparse)
    _, after = run(made)
    assert after.graph.node[0].output[0] == "kept/a"
    assert after.graph.node[1].input[1] == after.graph.sparse_initializer[0].values.name == "a"


def test_a_formula_for_a_dimension_becomes_a_letter_where_no_port_has_it():
    made = model([node("Neg", ["x"], ["some/a"]), node("Abs", ["some/a"], ["y"])], [value("x", ("N", 3))],
                 [value("y", ("N", 3))])  # fmt: skip
    made.graph.value_info.append(value("some/a", ("floor(N/2) + floor(N/2)", "N")))
    _, after = run(made)
    (declared,) = after.graph.value_info
    assert declared.name == after.graph.node[0].output[0]
    assert [dim.dim_param for dim in declared.type.tensor_type.shape.dim] == ["a", "N"]


@pytest.mark.models
@pytest.mark.parametrize("name", models.names())
def test_real_models_answer_the_same_bit_for_bit(name):
    data, feeds = models.fetch(name).read_bytes(), models.feeds(name)
    result = strip(onnx.load_from_string(data), (*LOSSLESS, *FINISHING))
    assert not [step for step in result.steps if step.note]
    assert result.model.ByteSize() <= len(data)
    assert same_bits(answers(data, feeds), answers(result.model, feeds))


@pytest.mark.models
def test_a_small_model_loses_a_third():
    made = onnx.load(models.fetch("basic_pitch"))
    assert strip(made, (*LOSSLESS, *FINISHING)).model.ByteSize() < 0.69 * made.ByteSize()
