"""The bundle's folder: the layout, the same bytes every time, and nothing in it that nobody asked for."""

import json
import stat
import subprocess
import sys

import pytest

from coldpress._resources import runtime_root
from coldpress.bundle.archive import write_zip
from coldpress.bundle.tree import TreePlan, build_tree, finish_tree
from coldpress.bundle.trim import restore
from coldpress.bundle.wheels import Wheel, engine_library, sha256_of
from coldpress.cache import cache_dir
from coldpress.errors import BundleError
from coldpress.fit.sizes import measure_sizes
from coldpress.interpreters import find_interpreter
from coldpress.targets import TARGETS, runtime_modules
from tests.support.wheels import make_wheel

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def plan(tmp_path):
    """A plan with every part: engine, model, warm-up data, hooks and a package."""
    engine = engine_library("3.13", "x86_64", cache_dir("wheels"))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "any.onnx").write_bytes(b"model" * 1000)
    (tmp_path / "in" / "my_hooks.py").write_text("import pkg\n\n\ndef preprocess(request):\n    return request\n")
    wheel = make_wheel(
        tmp_path / "in", "pkg", files={"pkg/__init__.py": "", "pkg/tests/test_a.py": "", "pkg/a.pyi": ""}
    )
    return TreePlan(
        target="aws",
        python=HERE,
        manifest={"name": "digits", "version": "1", "engine": {"library": f"lib/{engine.path.name}"}},
        engine=engine,
        files={"model/model.onnx": tmp_path / "in" / "any.onnx", "model/warmup.bin": b"\0" * 16},
        hooks=tmp_path / "in" / "my_hooks.py",
        packages=(Wheel("pkg", "1.0", wheel.name, wheel, sha256_of(wheel)),),
        interpreter=find_interpreter(HERE),
    )


def _replace(plan, **changes):
    from dataclasses import replace

    return replace(plan, **changes)


def _files(folder):
    return {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}


def test_everything_is_where_the_runtime_and_the_provider_look(plan, tmp_path):
    tree = build_tree(plan, tmp_path / "tree")
    found = set(_files(tree.folder))
    assert {
        "app.py",
        "coldpress.json",
        "bom.cdx.json",
        "hooks.py",
        "model/model.onnx",
        "model/warmup.bin",
        "lib/libonnxruntime.so.1.31.1",
        "pkg/__init__.py",
        "pkg-1.0.dist-info/METADATA",
        "licenses/onnxruntime/LICENSE",
        "licenses/onnxruntime/ThirdPartyNotices.txt",
        "licenses/coldpress/LICENSE",
        "coldpress_runtime/__init__.py",
    } <= found
    assert json.loads((tree.folder / "coldpress.json").read_text()) == plan.manifest
    assert not [name for name in found if name.startswith(("tests", "pkg/tests")) or name.endswith(".pyi")]


def test_the_runtime_is_there_byte_for_byte(plan, tmp_path):
    tree = build_tree(plan, tmp_path / "tree")
    root = runtime_root()
    ours = {p.name for p in root.glob("*.py")}
    there = {
        p.relative_to(tree.folder / "coldpress_runtime").as_posix()
        for p in tree.folder.glob("coldpress_runtime/**/*.py")
    }
    assert ours - there == {
        "alibaba_fc.py",
        "azure_functions.py",
        "cloud_functions.py",
        "gcs.py",
        "http_protocol.py",
        "oss.py",
        "uploads.py",
    }
    assert there < ours
    assert all((tree.folder / "coldpress_runtime" / name).read_bytes() == (root / name).read_bytes() for name in there)


def test_every_target_gets_what_its_adapter_needs_and_no_other_adapter():
    modules = {target: {path.stem for path in runtime_modules(target, batch=True)} for target in TARGETS}
    for name, target in TARGETS.items():
        assert set(target.adapter) <= modules[name]
    shared = set.intersection(*modules.values())
    assert {"service", "ort", "asgi"} <= shared
    assert not shared & {module for target in TARGETS.values() for module in target.adapter}


@pytest.mark.parametrize("part", ["batch", "fallback", "weights"])
def test_a_part_of_the_runtime_ships_where_it_is_asked_for(part):
    plain, more = runtime_modules("aws"), runtime_modules("aws", **{part: True})
    assert {path for path in plain if part in path.parts} == set()
    assert {path for path in more if part in path.parts} == set(more) - set(plain) != set()


def test_every_module_has_bytecode(plan, tmp_path):
    tree = build_tree(plan, tmp_path / "tree")
    found = _files(tree.folder)
    modules = [name for name in found if name.endswith(".py")]
    assert tree.bytecode.files == len(modules) == len([name for name in found if name.endswith(".pyc")])


def test_two_builds_in_different_folders_give_the_same_zip(plan, tmp_path):
    one = build_tree(plan, tmp_path / "one")
    two = build_tree(plan, tmp_path / "some" / "where" / "else")
    assert write_zip(one.folder, tmp_path / "1.zip").sha256 == write_zip(two.folder, tmp_path / "2.zip").sha256


def test_what_was_restored_is_compiled_and_gives_the_same_zip_wherever_it_happens(plan, tmp_path):
    zips = []
    for name in ("one", "other"):
        tree = build_tree(plan, tmp_path / name)
        tree = finish_tree(plan, tree, restore(tree.trimmed, "pkg.tests"))
        assert list((tree.folder / "pkg" / "tests" / "__pycache__").glob("test_a.*.pyc"))
        zips.append(write_zip(tree.folder, tmp_path / f"{name}.zip").sha256)
    assert zips[0] == zips[1]


def test_modes_and_times_do_not_depend_on_the_machine(plan, tmp_path):
    plan.hooks.chmod(0o700)
    tree = build_tree(plan, tmp_path / "tree")
    for name, path in _files(tree.folder).items():
        status = path.stat()
        assert stat.S_IMODE(status.st_mode) == (0o755 if name.startswith("lib/") else 0o644), name
        assert status.st_mtime == 315532800


def test_no_path_of_this_machine_is_in_the_bundle(plan, tmp_path):
    tree = build_tree(plan, tmp_path / "tree")
    told = [
        name
        for name, path in _files(tree.folder).items()
        if not name.startswith("lib/") and str(tmp_path).encode() in path.read_bytes()
    ]
    assert told == []


@pytest.mark.parametrize("path", ["../out.bin", "/tmp/out.bin", "model/../../out.bin"])
def test_a_path_that_leads_out_is_refused(plan, tmp_path, path):
    with pytest.raises(BundleError, match="entry named"):
        build_tree(_replace(plan, files={path: b"x"}), tmp_path / "a" / "tree")
    assert not list(tmp_path.rglob("out.bin"))


def test_two_things_at_one_path_are_refused(plan, tmp_path):
    with pytest.raises(BundleError, match=r"two things want to be hooks\.py"):
        build_tree(_replace(plan, files={"hooks.py": b"x"}), tmp_path / "tree")


def test_a_failed_build_leaves_the_last_good_one(plan, tmp_path):
    good = build_tree(plan, tmp_path / "tree")
    before = {name: path.read_bytes() for name, path in _files(good.folder).items()}
    plan.hooks.write_text("def preprocess(:\n")
    with pytest.raises(BundleError, match=r"hooks\.py is not valid Python"):
        build_tree(plan, tmp_path / "tree")
    assert {name: path.read_bytes() for name, path in _files(tmp_path / "tree").items()} == before


def test_a_model_that_went_away_is_named(plan, tmp_path):
    (tmp_path / "in" / "any.onnx").unlink()
    with pytest.raises(BundleError, match=r"any\.onnx is not a file"):
        build_tree(plan, tmp_path / "tree")


def test_the_runtimes_own_bytes_stay_within_their_budget(plan, tmp_path):
    tree = build_tree(_replace(plan, hooks=None, packages=()), tmp_path / "tree")
    archive = write_zip(tree.folder, tmp_path / "function.zip")
    sizes = measure_sizes(archive.path)
    assert sizes.runtime_bytes <= 31_000_000
    assert archive.zip_bytes - sizes.of("model").zip_bytes <= 11_500_000
    assert sizes.unzipped_bytes == archive.unzipped_bytes
    assert sum(kind["zip_bytes"] for kind in sizes.to_json().values()) == archive.zip_bytes


def test_the_bundles_python_starts_from_its_bytecode_alone(plan, tmp_path):
    tree = build_tree(plan, tmp_path / "tree")
    for module in (tree.folder / "coldpress_runtime").glob("*.py"):
        module.write_text("raise SystemExit('compiled again')\n")
    subprocess.run([plan.interpreter, "-c", "import coldpress_runtime.errors, hooks"], cwd=tree.folder, check=True)
