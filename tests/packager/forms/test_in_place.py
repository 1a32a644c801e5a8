"""Forms that are used where they are read to: in ORT format, for every CPU, with the least memory."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save

from coldpress.bundle.wheels import engine_library
from coldpress.cache import cache_dir
from coldpress.errors import ConfigError
from coldpress.forms.candidates import build_forms
from coldpress.forms.choose import choose_form
from coldpress.forms.trial import try_model
from coldpress.machine import host_runs
from coldpress.reference import Reference
from coldpress.samples.load import SampleSet

HERE = next(a for a in ("x86_64", "arm64") if host_runs(a))
ELSEWHERE = {"x86_64": "arm64", "arm64": "x86_64"}[HERE]


@pytest.fixture(scope="module")
def engine():
    return engine_library("3.13", HERE, cache_dir("wheels"))


@pytest.fixture
def convolution(tmp_path):
    """A model whose weights are laid out for one kind of CPU when all optimisations run."""
    rng = np.random.default_rng(0)
    weight = numpy_helper.from_array(rng.standard_normal((32, 32, 3, 3), np.float32), "w")
    nodes = [helper.make_node("Conv", ["x", "w"], ["h"], pads=[1] * 4), helper.make_node("Relu", ["h"], ["y"])]
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 32, 8, 8]) for name in "xy"]
    graph = helper.make_graph(nodes, "convolution", ports[:1], ports[1:], [weight])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), tmp_path / "conv.onnx")
    return tmp_path / "conv.onnx"


def _samples():
    return SampleSet(({"x": np.random.default_rng(1).standard_normal((1, 32, 8, 8)).astype(np.float32)},))


def _choose(model, engine, work, **options):
    given = {"architecture": HERE, "threads": 1, "budget_s": 0.0, "in_place_mb": 1024} | options
    return choose_form(model, Reference(model), _samples(), engine=engine, work=work, **given)


def test_a_form_for_every_cpu_answers_like_the_original(convolution, engine, tmp_path):
    names = ("onnx", "ort-mapped-unpacked")
    work = tmp_path / "work"
    plain, form = build_forms(convolution, work, names, threads=1, library=engine.path, everywhere=True)
    assert form.refused == ""
    assert form.cpu == ()
    (request,) = _samples().requests
    one, other = (
        try_model(each.file, each.opening, [request], library=engine.path, answers=True).answers[0]["y"]
        for each in (plain, form)
    )
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_what_is_chosen_needs_no_other_model_and_no_copy(convolution, engine, tmp_path):
    choice = _choose(convolution, engine, tmp_path / "work")
    assert choice.name in ("ort-mapped", "ort-mapped-unpacked")
    assert choice.model["mapped"]
    assert choice.model["cpu"] == []
    assert choice.portable is None
    assert [*choice.files] == ["model/model.ort"]
    assert {each.name: each.why_not for each in choice.candidates}["onnx"].startswith("its weights would be copied")
    again = _choose(convolution, engine, tmp_path / "again")
    assert again.model == choice.model


def test_a_form_that_was_asked_for(convolution, engine, tmp_path):
    assert _choose(convolution, engine, tmp_path / "work", wanted="ort-mapped").name == "ort-mapped"
    with pytest.raises(ConfigError, match="for which they must be ort-mapped or ort-mapped-unpacked"):
        _choose(convolution, engine, tmp_path / "work", wanted="onnx")


def test_it_is_built_on_the_target_s_own_kind_of_machine(convolution, engine, tmp_path):
    with pytest.raises(ConfigError, match=f"can only be built on a Linux machine of {ELSEWHERE}; pack there"):
        _choose(convolution, engine, tmp_path / "work", architecture=ELSEWHERE)
