"""Exact files for the function's machine: the pinned engine, and packages chosen by the target's rules and hashes."""

import platform
import re
import shutil
import subprocess
import sys

import pytest

from coldpress.bundle.pip import Target
from coldpress.bundle.wheels import engine_library, engine_pins, lock_text, resolve, sha256_of
from coldpress.errors import ResolveError
from tests.support.wheels import make_wheel, only_from

ON_LINUX_X86 = sys.platform == "linux" and platform.machine() == "x86_64"


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder that is the only place pip gets wheels from."""
    only_from(monkeypatch, tmp_path / "index")
    (tmp_path / "index").mkdir()
    return tmp_path / "index"


def _names(wheels):
    return [wheel.name for wheel in wheels]


# The engine


@pytest.mark.skipif(not ON_LINUX_X86, reason="the installed engine is for another machine")
def test_the_installed_engine_is_used_without_asking_an_index(tmp_path, index):
    engine = engine_library("3.13", "x86_64", tmp_path / "cache")
    assert engine.sha256 == sha256_of(engine.path) == engine_pins()["x86_64"]["sha256"]
    assert sorted(path.name for path in engine.licences) == ["LICENSE", "ThirdPartyNotices.txt"]
    assert not (tmp_path / "cache").exists()


def test_the_engine_for_another_architecture_is_fetched_once_and_is_the_pinned_file(tmp_path, monkeypatch):
    other = "arm64" if platform.machine() == "x86_64" else "x86_64"
    engine = engine_library("3.13", other, tmp_path)
    assert sha256_of(engine.path) == engine_pins()[other]["sha256"]
    assert engine.path.stat().st_size == engine_pins()[other]["bytes"]
    only_from(monkeypatch, tmp_path / "nothing")
    assert engine_library("3.12", other, tmp_path) == engine


def test_an_engine_damaged_in_the_cache_is_not_used(tmp_path, monkeypatch):
    other = "arm64" if platform.machine() == "x86_64" else "x86_64"
    place = tmp_path / "engine" / engine_pins()[other]["sha256"] / engine_pins()[other]["path"]
    place.parent.mkdir(parents=True)
    place.write_bytes(b"not the engine")
    only_from(monkeypatch, tmp_path / "nothing")
    with pytest.raises(ResolveError, match="onnxruntime=="):
        engine_library("3.13", other, tmp_path)


def test_a_wheel_with_other_bytes_under_the_engines_name_is_refused(tmp_path, index):
    version = engine_pins()["version"]
    other = "arm64" if platform.machine() == "x86_64" else "x86_64"
    machine = Target("3.13", other).machine
    make_wheel(index, "onnxruntime", version, tag=f"cp313-cp313-manylinux_2_28_{machine}")
    with pytest.raises(ResolveError, match="SHA-256 is not the one written down for onnxruntime"):
        engine_library("3.13", other, tmp_path / "cache")


def test_a_python_without_a_pinned_engine_is_named(tmp_path):
    other = "arm64" if platform.machine() == "x86_64" else "x86_64"
    with pytest.raises(ResolveError, match=r"python is 3\.9: the engine is pinned for 3\.11, 3\.12"):
        engine_library("3.9", other, tmp_path)


@pytest.mark.parametrize(
    ("python", "architecture", "said"),
    [("3.13", "riscv", "architecture is"), ("3", "x86_64", "python is"), ("3.13.1", "x86_64", "python is")],
)
def test_an_impossible_target_is_refused(tmp_path, python, architecture, said):
    with pytest.raises(ResolveError, match=said):
        engine_library(python, architecture, tmp_path)


def test_the_pin_is_the_version_that_is_installed_and_required():
    from importlib.metadata import requires, version

    assert version("onnxruntime") == engine_pins()["version"]
    assert f"onnxruntime=={engine_pins()['version']}" in requires("coldpress")


@pytest.mark.skipif(not ON_LINUX_X86 or not shutil.which("readelf"), reason="needs the x86_64 library and readelf")
def test_the_engine_asks_for_no_newer_c_library_than_written_down_and_than_the_function_has(tmp_path):
    from coldpress.bundle.pip import GLIBC

    path = engine_library("3.13", "x86_64", tmp_path).path
    said = subprocess.run(["readelf", "-V", path], capture_output=True, text=True, check=True).stdout
    newest = max(tuple(map(int, found)) for found in re.findall(r"GLIBC_(\d+)\.(\d+)", said))
    assert newest == tuple(map(int, engine_pins()["glibc"].split(".")))
    assert newest <= GLIBC


# Packages of hooks


def test_packages_for_another_python_and_architecture_come_with_the_right_tags(tmp_path):
    wheels = resolve(["numpy==2.5.5", "six"], "3.13", "arm64", tmp_path)
    assert _names(wheels) == ["numpy", "six"]
    assert "cp313" in wheels[0].filename
    assert "aarch64" in wheels[0].filename
    assert all(sha256_of(wheel.path) == wheel.sha256 for wheel in wheels)


def test_the_lock_gives_the_same_files_back_without_an_index(tmp_path, index, monkeypatch):
    make_wheel(index, "one", requires=["two>=1"])
    make_wheel(index, "two")
    wheels = resolve(["one"], "3.13", "x86_64", tmp_path / "cache")
    lock = lock_text(wheels)
    assert [line.split()[0] for line in lock.splitlines()] == ["one==1.0", "two==1.0"]
    only_from(monkeypatch, tmp_path / "nothing")
    assert resolve(["one"], "3.13", "x86_64", tmp_path / "cache", lock) == wheels


def test_the_lock_fetches_what_an_empty_cache_lacks_and_newer_versions_do_not_matter(tmp_path, index):
    make_wheel(index, "one")
    wheels = resolve(["one"], "3.13", "x86_64", tmp_path / "cache")
    make_wheel(index, "one", "2.0")
    again = resolve(["one"], "3.13", "x86_64", tmp_path / "other", lock_text(wheels))
    assert [(w.filename, w.sha256) for w in again] == [(w.filename, w.sha256) for w in wheels]


def test_a_file_that_changed_under_the_same_name_is_refused_by_the_lock(tmp_path, index):
    make_wheel(index, "one")
    lock = lock_text(resolve(["one"], "3.13", "x86_64", tmp_path / "cache"))
    make_wheel(index, "one", files={"one.py": "import os"})
    with pytest.raises(ResolveError, match="SHA-256"):
        resolve(["one"], "3.13", "x86_64", tmp_path / "other", lock)


def test_a_wheel_damaged_in_the_cache_is_refused_by_the_lock(tmp_path, index):
    make_wheel(index, "one")
    (wheel,) = resolve(["one"], "3.13", "x86_64", tmp_path / "cache")
    wheel.path.write_bytes(b"PK")
    with pytest.raises(ResolveError, match="not the locked file"):
        resolve(["one"], "3.13", "x86_64", tmp_path / "cache", lock_text([wheel]))


def test_a_locked_wheel_for_another_python_is_refused(tmp_path, index):
    make_wheel(index, "one", tag="cp312-cp312-manylinux_2_28_x86_64")
    lock = lock_text(resolve(["one"], "3.12", "x86_64", tmp_path / "cache"))
    with pytest.raises(ResolveError, match=r"does not run on CPython 3\.13"):
        resolve(["one"], "3.13", "x86_64", tmp_path / "cache", lock)


def test_a_lock_without_a_hash_is_refused(tmp_path):
    with pytest.raises(ResolveError, match="no SHA-256"):
        resolve(["one"], "3.13", "x86_64", tmp_path, "one==1.0\n")


def test_markers_are_those_of_the_function_and_not_of_this_machine(tmp_path, index):
    make_wheel(
        index,
        "one",
        requires=[
            'arm; platform_machine == "aarch64"',
            'intel; platform_machine == "x86_64"',
            'old; python_version < "3.13"',
            'mac; sys_platform == "darwin"',
            'optional; extra == "more"',
        ],
    )
    for name in ("arm", "intel", "old", "optional"):
        make_wheel(index, name)
    assert _names(resolve(["one"], "3.13", "arm64", tmp_path / "cache")) == ["arm", "one"]
    assert _names(resolve(["one"], "3.12", "x86_64", tmp_path / "cache")) == ["intel", "old", "one"]
    assert _names(resolve(["one[more]"], "3.13", "arm64", tmp_path / "cache")) == ["arm", "one", "optional"]


def test_what_only_the_function_needs_brings_its_own_requirements(tmp_path, index):
    make_wheel(index, "one", requires=['arm; platform_machine == "aarch64"'])
    make_wheel(index, "arm", requires=["deep"])
    make_wheel(index, "deep")
    assert _names(resolve(["one"], "3.13", "arm64", tmp_path / "cache")) == ["arm", "deep", "one"]


def test_a_requirement_whose_marker_is_false_there_is_left_out(tmp_path, index):
    make_wheel(index, "one")
    lines = ["# comment", "", 'one ; sys_platform == "linux"  # why', 'two ; sys_platform == "win32"']
    assert _names(resolve(lines, "3.13", "x86_64", tmp_path / "cache")) == ["one"]


def test_a_wheel_for_a_newer_c_library_is_passed_over(tmp_path, index):
    make_wheel(index, "one", "2.0", tag="cp313-cp313-manylinux_2_39_x86_64")
    make_wheel(index, "one", "1.0", tag="cp313-cp313-manylinux_2_34_x86_64")
    (wheel,) = resolve(["one"], "3.13", "x86_64", tmp_path / "cache")
    assert wheel.version == "1.0"


@pytest.mark.parametrize(
    "tag",
    [
        "cp313-cp313-musllinux_1_2_x86_64",
        "cp313-cp313-manylinux_2_28_aarch64",
        "cp312-cp312-manylinux_2_28_x86_64",
        "cp313-cp313-macosx_14_0_x86_64",
        "cp313-cp313-linux_x86_64",
    ],
)
def test_a_package_without_a_wheel_for_the_function_is_named_with_the_machine(tmp_path, index, tag):
    make_wheel(index, "one", tag=tag)
    with pytest.raises(ResolveError, match=r"no wheel for one on CPython 3\.13, Linux x86_64, glibc 2\.34"):
        resolve(["one"], "3.13", "x86_64", tmp_path / "cache")


@pytest.mark.parametrize(
    "tag", ["cp312-abi3-manylinux2014_x86_64", "py3-none-manylinux_2_17_x86_64", "py2.py3-none-any"]
)
def test_stable_abi_and_pure_wheels_are_taken(tmp_path, index, tag):
    make_wheel(index, "one", tag=tag)
    assert _names(resolve(["one"], "3.13", "x86_64", tmp_path / "cache")) == ["one"]


def test_an_index_that_does_not_answer_is_not_taken_for_a_missing_wheel(tmp_path, monkeypatch):
    dead = {"INDEX_URL": "http://127.0.0.1:9/simple", "EXTRA_INDEX_URL": "", "FIND_LINKS": "", "RETRIES": "1"}
    for name, value in dead.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    with pytest.raises(ResolveError, match="index did not answer when asked for one"):
        resolve(["one"], "3.13", "x86_64", tmp_path)


def test_requirements_that_exclude_each_other_are_said_to(tmp_path, index):
    make_wheel(index, "one", requires=["two<1"])
    make_wheel(index, "two")
    with pytest.raises(ResolveError, match="no versions of one two==1 go together"):
        resolve(["one", "two==1"], "3.13", "x86_64", tmp_path / "cache")


def test_a_source_distribution_is_never_built(tmp_path, index):
    (index / "one-1.0.tar.gz").write_bytes(b"")
    with pytest.raises(ResolveError, match="no wheel for one"):
        resolve(["one"], "3.13", "x86_64", tmp_path / "cache")


@pytest.mark.parametrize("line", ["-r other.txt", "--index-url http://x", "one==", "./local", "one @@ x"])
def test_a_line_that_is_not_a_requirement_is_quoted(tmp_path, line):
    with pytest.raises(ResolveError, match=re.escape(line)):
        resolve([line], "3.13", "x86_64", tmp_path)


def test_nothing_required_is_nothing_asked(tmp_path, index):
    assert resolve([], "3.13", "x86_64", tmp_path) == ()
    assert lock_text(()) == ""
