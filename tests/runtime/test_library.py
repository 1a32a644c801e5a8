"""Finding and opening ONNX Runtime's library."""

import _ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import coldpress_runtime
from coldpress_runtime.capi import FUNCTIONS, Api, load
from coldpress_runtime.errors import LibraryError
from coldpress_runtime.library import API_VERSION, find_library, open_library

INSTALLED = find_library()
NAME = Path(INSTALLED).name
HANDLERS = str(Path(coldpress_runtime.__file__).parents[1])


@pytest.fixture(autouse=True)
def no_setting(monkeypatch):
    monkeypatch.delenv("COLDPRESS_ORT_LIBRARY", raising=False)


@pytest.fixture
def library(tmp_path):
    """Pretend libraries: enough to be found."""

    def make(*parts):
        path = tmp_path.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
        return str(path)

    return make


def test_the_installed_wheel_has_it():
    assert INSTALLED.endswith(str(Path("onnxruntime", "capi", NAME)))


def test_a_hint_is_a_file_or_the_folder_that_holds_one(library):
    path = library("here", NAME)
    assert find_library(path) == path
    assert find_library(str(Path(path).parent)) == path


def test_the_newest_of_several_is_taken(library):
    library("lib", NAME.replace("1.31.1", "1.9.2"))
    path = library("lib", NAME.replace("1.31.1", "1.31.10"))
    library("lib", NAME)
    library("lib", "libonnxruntime_providers_shared.so")
    assert find_library(str(Path(path).parent)) == path


def test_the_environment_variable_comes_before_the_installed_one_and_after_the_hint(library, monkeypatch):
    named, hinted = library("named", NAME), library("hinted", NAME)
    monkeypatch.setenv("COLDPRESS_ORT_LIBRARY", named)
    assert find_library() == named
    assert find_library(hinted) == hinted


def test_a_bundle_brings_its_own(tmp_path):
    shutil.copytree(Path(HANDLERS) / "coldpress_runtime", tmp_path / "coldpress_runtime")
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / NAME).write_bytes(b"")
    code = "import sys; sys.path[:0] = sys.argv[1:]; import coldpress_runtime.library as it; print(it.find_library())"
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(tmp_path / "lib" / NAME)


@pytest.mark.parametrize("way", ["hint", "variable"])
@pytest.mark.parametrize("made", [True, False], ids=["empty folder", "nothing there"])
def test_a_hint_or_variable_that_leads_nowhere_is_an_error(tmp_path, monkeypatch, way, made):
    folder = tmp_path / "engine"
    if made:
        folder.mkdir()
    if way == "variable":
        monkeypatch.setenv("COLDPRESS_ORT_LIBRARY", str(folder))
    with pytest.raises(LibraryError, match="names engine, which is no ONNX Runtime library; expected a file like"):
        find_library(str(folder) if way == "hint" else None)


def test_finding_none_says_what_was_looked_for(monkeypatch):
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(LibraryError, match=r"in lib/ beside coldpress_runtime nor in an installed onnxruntime package"):
        find_library()


def test_what_is_no_library_does_not_load(library, tmp_path):
    path = library(NAME)
    with pytest.raises(LibraryError, match=f"^{NAME} does not load here") as caught:
        open_library(path)
    assert str(tmp_path) not in str(caught.value)


def test_a_library_that_is_not_onnx_runtime_is_refused():
    with pytest.raises(LibraryError, match=r"does not load here .*OrtGetApiBase"):
        open_library(_ctypes.__file__)


@pytest.mark.parametrize("version", ["1.20.1", "2.0.0", "", "1.x"])
def test_a_library_of_another_age_is_refused_before_it_can_print(version, tmp_path, capfd):
    """A stand-in library in C, which answers with a version and would abort if asked for a table."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler (cc) to build a stand-in library with")
    source, path = tmp_path / "old.c", tmp_path / "libonnxruntime.so.old"
    source.write_text(
        "#include <stdlib.h>\n"
        "static const void *get(unsigned v) { abort(); }\n"
        f'static const char *version(void) {{ return "{version}"; }}\n'
        "static const void *base[2] = {(void *)get, (void *)version};\n"
        "const void *OrtGetApiBase(void) { return base; }\n"
    )
    subprocess.run([compiler, "-shared", "-fPIC", "-o", path, source], check=True, capture_output=True)
    with pytest.raises(LibraryError, match=rf"expected 1\.{API_VERSION} or newer; install a newer onnxruntime"):
        open_library(str(path))
    assert capfd.readouterr() == ("", "")


def test_every_function_of_the_table_can_be_bound():
    api = load(INSTALLED)
    for name in FUNCTIONS:
        assert callable(getattr(api, name))
    with pytest.raises(AttributeError, match="Nonsense"):
        _ = api.Nonsense


def test_a_library_is_opened_once_a_process():
    assert load(INSTALLED) is load(INSTALLED)
    assert isinstance(load(INSTALLED), Api)


def test_telemetry_is_off_unless_somebody_asked_for_it():
    """ONNX Runtime opens its telemetry's database when the environment is made."""
    code = (
        "import os, sys; sys.path.insert(0, sys.argv[1]); from coldpress_runtime.capi import load\n"
        "load(sys.argv[2]); print(os.environ['ORT_DISABLE_TELEMETRY'], [x for x in map(os.path.realpath, "
        "[f'/proc/self/fd/{n}' for n in os.listdir('/proc/self/fd')]) if 'onnxruntime.db' in x])"
    )
    if not Path("/proc/self/fd").exists():
        pytest.skip("there is no /proc to see open files in")
    environment = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"}
    command = [sys.executable, "-c", code, HANDLERS, INSTALLED]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1 []"
    assert done.stderr == ""
