"""What no output needs goes: nodes, weights, functions."""

import numpy as np
from onnx import TensorProto, helper

from coldpress.shrink.dead_code import drop_dead_nodes, drop_unused_functions, drop_unused_initializers
from coldpress.shrink.draft import Draft
from tests.support.graphs import answers, graph, model, node, same_bits, tensor, value
from tests.support.passes import FEEDS, X, run


def test_a_chain_that_leads_nowhere_goes_with_its_weights():
    made = model(
        [node("Add", ["x", "w"], ["a"]), node("Exp", ["a"], ["b"]), node("Relu", ["x"], ["y"])],
        weights=[tensor("w", X)],
    )
    draft = Draft(made)
    assert drop_dead_nodes(draft) == 2
    assert drop_unused_initializers(draft) == 1
    assert same_bits(answers(made, FEEDS), answers(draft.restore(), FEEDS))


def test_a_value_read_only_inside_a_branch_stays():
    branch = graph([node("Neg", ["a"], ["t"])], [], [value("t")])
    other = graph([node("Abs", ["x"], ["e"])], [], [value("e")])
    made = model(
        [node("Exp", ["x"], ["a"]), node("If", ["c"], ["y"], then_branch=branch, else_branch=other)],
        [value("x"), value("c", (), TensorProto.BOOL)],
    )
    assert run(drop_dead_nodes, made, {**FEEDS, "c": np.array(True)})[0] == 0


def test_an_operator_of_an_unknown_domain_stays():
    made = model([node("Log", ["x"], ["a"], domain="my.company"), node("Relu", ["x"], ["y"])])
    assert drop_dead_nodes(Draft(made)) == 0


def test_functions_nobody_calls_go():
    def function(name, body):
        return helper.make_function(
            "my", name, ["a"], ["b"], body, [helper.make_opsetid("", 17), helper.make_opsetid("my", 1)]
        )

    made = model(
        [node("Outer", ["x"], ["y"], domain="my")],
        domains=(("my", 1),),
        functions=[
            function("Inner", [node("Neg", ["a"], ["b"])]),
            function("Outer", [node("Inner", ["a"], ["b"], domain="my")]),
            function("Idle", [node("Exp", ["a"], ["b"])]),
        ],
    )
    count, after = run(drop_unused_functions, made)
    assert (count, [f.name for f in after.functions]) == (1, ["Inner", "Outer"])


def test_functions_called_by_any_overload_stay():
    def function(name, body, overload):
        made = helper.make_function(
            "my", name, ["a"], ["b"], body, [helper.make_opsetid("", 17), helper.make_opsetid("my", 1)]
        )
        made.overload = overload
        return made

    made = model(
        [node("Outer", ["x"], ["y"], domain="my")],
        domains=(("my", 1),),
        functions=[
            function("Inner", [node("Neg", ["a"], ["b"])], ""),
            function("Outer", [node("Inner", ["a"], ["b"], domain="my")], ""),
            function("Outer", [node("Neg", ["a"], ["b"])], "other"),
        ],
        ir=10,
    )
    assert drop_unused_functions(Draft(made)) == 0
