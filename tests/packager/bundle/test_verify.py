"""A bundle is started from its zip and held against the original; what is wrong with it is found in time."""

import sys
from dataclasses import replace

import numpy as np
import onnx
import pytest

from coldpress.bundle.archive import write_zip
from coldpress.bundle.imports import import_error, restorable, top_level
from coldpress.bundle.tree import TreePlan, build_tree
from coldpress.bundle.trim import Trimmed, trim
from coldpress.bundle.verify import verify
from coldpress.bundle.wheels import Wheel, engine_library, sha256_of
from coldpress.cache import cache_dir
from coldpress.errors import VerifyError
from coldpress.forms.choose import choose_form
from coldpress.interpreters import find_interpreter
from coldpress.machine import host_runs
from coldpress.reference import Reference
from coldpress.samples.load import SampleSet
from coldpress.samples.synthesis import synthesize
from coldpress.samples.warmup import warmup_record
from tests.support.models import feeds, fetch
from tests.support.tiny import MODELS
from tests.support.wheels import make_wheel

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
MACHINE = next(a for a in ("x86_64", "arm64") if host_runs(a))
ELSEWHERE = {"x86_64": "arm64", "arm64": "x86_64"}[MACHINE]


class Bundler:
    """Builds bundles the way `pack` does."""

    def __init__(self, folder):
        self.folder = folder

    def save(self, name, model=None):
        path = self.folder / f"{name}.onnx"
        onnx.save(model or MODELS[name](), path)
        return path

    def plan(self, model, *, form="onnx", samples=None, architecture=MACHINE, hooks=None, wheels=(), limits=6291456):
        reference = Reference(model)
        samples = samples or synthesize(reference)
        engine = engine_library(HERE if architecture == MACHINE else "3.13", architecture, cache_dir("wheels"))
        work = self.folder / f"work-{model.stem}-{form}"
        choice = choose_form(
            model, reference, samples, engine=engine, architecture=architecture, threads=1, work=work, wanted=form
        )
        warmup, more = warmup_record(reference, samples)
        if hooks is not None:
            (self.folder / "hooks.py").write_text(hooks)
        manifest = {
            "format": 1,
            "name": "tiny model",
            "version": "1",
            "engine": {"library": f"lib/{engine.path.name}", "version": engine.version, "sha256": engine.sha256},
            "model": dict(choice.model),
            "portable": choice.portable,
            "threads": 1,
            "warmup": warmup,
            "hooks": "hooks.py" if hooks is not None else None,
            "limits": {"request_bytes": limits, "response_bytes": limits},
            "function": {"memory_mb": 512, "timeout_s": 30},
            "batch": None,
            "fallback": None,
            "weights": None,
        }
        plan = TreePlan(
            target="aws",
            python=HERE,
            manifest=manifest,
            engine=engine,
            files={**choice.files, **more},
            hooks=self.folder / "hooks.py" if hooks is not None else None,
            packages=tuple(Wheel(w.name.partition("-")[0], "1.0", w.name, w, sha256_of(w)) for w in wheels),
            interpreter=find_interpreter(HERE),
        )
        return plan, reference, samples

    def verify(self, plan, reference, samples):
        tree = build_tree(plan, self.folder / "tree")
        archive = write_zip(tree.folder, self.folder / "function.zip")
        return verify(plan, tree, archive, reference, samples)


@pytest.fixture
def bundler(tmp_path):
    return Bundler(tmp_path)


@pytest.mark.parametrize("name", ["mlp", "every_type", "zipmap", "scalar", "two_inputs", "sequences", "divide"])
def test_every_kind_of_input_and_output_is_compared_to_the_bit(bundler, name):
    samples = None
    if name == "sequences":
        parts = [np.array([0.1, 1e-30], np.float32), np.array([3.0], np.float32)]
        samples = SampleSet(({"parts": parts},))
    plan, reference, samples = bundler.plan(bundler.save(name), samples=samples)
    found = bundler.verify(plan, reference, samples).verification
    assert (found.samples, found.equal, found.max_abs, found.notes) == (len(samples.requests), True, 0.0, ())
    assert found.python == HERE
    assert found.init_ms > 0
    assert "bit for bit" in found.summary()


def test_what_depends_on_chance_is_compared_in_type_and_rank_and_the_rest_to_the_bit(bundler):
    model = MODELS["mlp"]()
    model.graph.node.append(onnx.helper.make_node("RandomUniformLike", ["x"], ["noise"]))
    model.graph.output.append(onnx.helper.make_tensor_value_info("noise", onnx.TensorProto.FLOAT, ["batch", 64]))
    plan, reference, samples = bundler.plan(bundler.save("noisy", model))
    found = bundler.verify(plan, reference, samples).verification
    assert (found.drawn, found.equal, found.max_abs) == (("noise",), False, 0.0)
    assert "where chance decides (noise)" in found.summary()
    weights = onnx.numpy_helper.to_array(model.graph.initializer[0]) * 1.01
    model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(weights, model.graph.initializer[0].name))
    with pytest.raises(VerifyError, match=r"does not answer like other\.onnx"):
        bundler.verify(plan, Reference(bundler.save("other", model)), samples)


@pytest.mark.models
@pytest.mark.parametrize("name", ["digits_rf_zipmap", "silero"])
def test_real_models_are_verified_on_real_inputs(bundler, name):
    plan, reference, samples = bundler.plan(fetch(name), form="ort", samples=SampleSet((feeds(name), feeds(name))))
    found = bundler.verify(plan, reference, samples).verification
    assert (found.samples, found.equal) == (2, True)


def test_a_full_optional_is_sent_as_the_function_takes_it(bundler):
    plan, reference, samples = bundler.plan(bundler.save("optional", _optional()), samples=_FULL)
    found = bundler.verify(plan, reference, samples).verification
    assert (found.samples, found.equal) == (2, True)


_FULL = SampleSet(({"o": np.array([1, 2], np.float32)}, {"o": None}))


def _optional():
    """Return the input ``o``, an optional of two numbers; zeros when it is empty."""
    make, tensor = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    zeros = onnx.numpy_helper.from_array(np.zeros(2, np.float32))
    full = onnx.helper.make_graph(
        [make("OptionalGetElement", ["o"], ["a"])], "full", [], [tensor("a", onnx.TensorProto.FLOAT, [2])]
    )
    empty = onnx.helper.make_graph(
        [make("Constant", [], ["b"], value=zeros)], "empty", [], [tensor("b", onnx.TensorProto.FLOAT, [2])]
    )
    nodes = [make("OptionalHasElement", ["o"], ["c"]), make("If", ["c"], ["y"], then_branch=full, else_branch=empty)]
    kind = onnx.helper.make_optional_type_proto(onnx.helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, [2]))
    graph = onnx.helper.make_graph(
        nodes, "g", [onnx.helper.make_value_info("o", kind)], [tensor("y", onnx.TensorProto.FLOAT, [2])]
    )
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=8)


def test_another_model_in_the_bundle_is_found_out(bundler):
    plan, _, samples = bundler.plan(bundler.save("mlp"))
    other = MODELS["mlp"]()
    weights = onnx.numpy_helper.to_array(other.graph.initializer[0]) * 1.01
    other.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(weights, other.graph.initializer[0].name))
    with pytest.raises(VerifyError, match=r"does not answer like original\.onnx"):
        bundler.verify(plan, Reference(bundler.save("original", other)), samples)


def test_a_model_with_other_outputs_is_found_out(bundler):
    plan, _, samples = bundler.plan(bundler.save("mlp"))
    other = MODELS["mlp"]()
    del other.graph.output[0]
    with pytest.raises(VerifyError, match="outputs"):
        bundler.verify(plan, Reference(bundler.save("original", other)), samples)


def test_a_bundle_that_does_not_start_is_one_sentence(bundler):
    plan, reference, samples = bundler.plan(bundler.save("mlp"))
    broken = bundler.folder / "broken.onnx"
    broken.write_bytes(b"not a model")
    plan = replace(plan, files={**plan.files, "model/model.onnx": broken})
    with pytest.raises(VerifyError, match="does not start"):
        bundler.verify(plan, reference, samples)


def test_the_stand_in_for_other_cpus_is_started_too(bundler):
    model = bundler.save("mlp")
    plan, reference, samples = bundler.plan(model, form="ort-mapped")
    portable = {**plan.manifest["model"], "path": "model/portable.onnx", "optimization": "all", "mapped": False}
    plan = replace(
        plan,
        manifest={**plan.manifest, "portable": portable},
        files={**plan.files, "model/portable.onnx": model},
    )
    found = bundler.verify(plan, reference, samples).verification
    assert (found.portable_samples, found.equal) == (len(samples.requests), True)
    broken = bundler.folder / "broken.onnx"
    broken.write_bytes(b"not a model")
    plan = replace(plan, files={**plan.files, "model/portable.onnx": broken})
    with pytest.raises(VerifyError, match="does not start on other CPUs"):
        bundler.verify(plan, reference, samples)


def test_a_sample_over_the_limit_is_compared_at_the_engine(bundler):
    plan, reference, samples = bundler.plan(bundler.save("mlp"), limits=200)
    found = bundler.verify(plan, reference, samples).verification
    assert found.equal
    assert "limit" in found.notes[0]


def test_for_another_architecture_the_model_is_verified_and_the_library_is_not(bundler):
    plan, reference, samples = bundler.plan(bundler.save("mlp"), architecture=ELSEWHERE)
    tree = build_tree(plan, bundler.folder / "tree")
    archive = write_zip(tree.folder, bundler.folder / "function.zip")
    found = verify(plan, tree, archive, reference, samples)
    assert found.verification.equal
    assert ELSEWHERE in found.verification.notes[0]
    assert sha256_of(tree.folder / plan.manifest["engine"]["library"]) == plan.engine.sha256  # ours did not slip in


# --- hooks and their packages

HOOKS = """
import pkg

def preprocess(request):
    return {"x": pkg.scaled(request.json()["inputs"]["x"])}
"""
SCALED = "def scaled(rows):\n    return [[2.0 * value for value in row] for row in rows]\n"


def test_hooks_are_run_and_their_packages_imported(bundler):
    wheel = make_wheel(bundler.folder, "pkg", files={"pkg/__init__.py": SCALED})
    plan, reference, samples = bundler.plan(bundler.save("mlp"), hooks=HOOKS, wheels=[wheel])
    found = bundler.verify(plan, reference, samples).verification
    assert found.imported == ("pkg",)
    assert found.restored == ()
    assert found.notes == ()


def test_what_trimming_broke_at_import_comes_back_and_is_named(bundler):
    files = {
        "pkg/__init__.py": f"from pkg.tests import helpers\n{SCALED}",
        "pkg/tests/__init__.py": "",
        "pkg/tests/helpers.py": "",
        "pkg/tests/data/big.bin": "x" * 1000,
        "pkg/other/tests/test_a.py": "",
    }
    wheel = make_wheel(bundler.folder, "pkg", files=files)
    plan, reference, samples = bundler.plan(bundler.save("mlp"), hooks=HOOKS, wheels=[wheel])
    verified = bundler.verify(plan, reference, samples)
    assert verified.verification.restored == ("pkg.tests",)
    assert (verified.tree.folder / "pkg/tests/helpers.py").is_file()
    assert not (verified.tree.folder / "pkg/other/tests/test_a.py").exists()
    assert sha256_of(verified.archive.path) == verified.archive.sha256


def test_what_trimming_broke_in_a_run_comes_back_and_is_named(bundler):
    scaled = f"{SCALED}    from pkg.tests import helpers\n".replace(
        "    return", "    from pkg.tests import helpers\n    return"
    )
    wheel = make_wheel(
        bundler.folder,
        "pkg",
        files={"pkg/__init__.py": scaled, "pkg/tests/__init__.py": "", "pkg/tests/helpers.py": ""},
    )
    plan, reference, samples = bundler.plan(bundler.save("mlp"), hooks=HOOKS, wheels=[wheel])
    verified = bundler.verify(plan, reference, samples)
    assert verified.verification.restored == ("pkg.tests",)
    assert verified.verification.notes == ()


def test_hooks_that_miss_a_package_are_told_how_to_name_it(bundler):
    plan, reference, samples = bundler.plan(bundler.save("mlp"), hooks=HOOKS)
    with pytest.raises(VerifyError, match="No module named 'pkg'; name the packages that it needs with --requirement"):
        bundler.verify(plan, reference, samples)


def test_hooks_that_want_another_body_are_not_called_proven(bundler):
    hooks = "def preprocess(request):\n    return {'x': request.json()['pixels']}\n"
    plan, reference, samples = bundler.plan(bundler.save("mlp"), hooks=hooks)
    found = bundler.verify(plan, reference, samples).verification
    assert "/predict" in found.notes[0]
    assert "not proven" in found.notes[0]


def test_hooks_packages_for_another_machine_are_not_imported_here(bundler):
    wheel = make_wheel(bundler.folder, "pkg", files={"pkg/__init__.py": SCALED})
    plan, reference, samples = bundler.plan(bundler.save("mlp"), hooks=HOOKS, wheels=[wheel], architecture=ELSEWHERE)
    found = bundler.verify(plan, reference, samples).verification
    assert found.equal
    assert found.imported == ()
    assert any("not imported" in note for note in found.notes)


def test_top_level_modules_are_told_from_the_bundles_own_parts(tmp_path):
    for name in ("numpy/__init__.py", "six.py", "_fast.cpython-313-x86_64-linux-gnu.so", "app.py", "hooks.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    for name in ("coldpress_runtime", "lib", "model", "numpy.libs", "numpy-2.0.dist-info", "data", "__pycache__"):
        (tmp_path / name).mkdir()
    assert top_level(tmp_path) == ("_fast", "numpy", "six")


@pytest.mark.parametrize(
    ("text", "back"),
    [
        ("from pkg import tests", "pkg.tests"),
        ("import pkg.tests.deep", "pkg.tests"),
        ("open(__file__.replace('__init__.py', 'tests/data.txt'))", "pkg/tests/data.txt"),
    ],
)
def test_the_error_of_a_real_import_names_what_to_put_back(tmp_path, text, back):
    package = tmp_path / "tree" / "pkg"
    (package / "tests").mkdir(parents=True)
    (package / "__init__.py").write_text(text)
    for name in ("__init__.py", "deep.py", "data.txt"):
        (package / "tests" / name).write_text("")
    trimmed = trim(tmp_path / "tree", tmp_path / "attic")
    error = import_error(sys.executable, tmp_path / "tree", "pkg")
    left, name = restorable(trimmed, error)
    assert name == back
    assert len(left.removed) < len(trimmed.removed)
    assert import_error(sys.executable, tmp_path / "tree", "pkg") == ""


def test_an_error_about_something_else_puts_nothing_back(tmp_path):
    trimmed = Trimmed(tmp_path, tmp_path / "attic", ())
    assert restorable(trimmed, "ModuleNotFoundError: No module named 'requests'") is None
    assert restorable(trimmed, "ZeroDivisionError") is None


@pytest.mark.parametrize(
    ("hooks", "says"),
    [
        ("import not_there\n", r"No module named 'not_there'; name the packages .*--requirement"),
        ('raise ValueError("one\\ntwo")\n', r"ValueError: one two; mend it\.$"),
        ("import sys; sys.exit(3)\n", r"exit code 3; mend it\.$"),
    ],
)
def test_hooks_that_do_not_import_say_why_and_what_to_do(bundler, hooks, says):
    plan, reference, samples = bundler.plan(bundler.save("mlp"), hooks=hooks)
    with pytest.raises(VerifyError, match=r"hooks\.py does not import in the bundle: .*" + says):
        bundler.verify(plan, reference, samples)
