"""Bytecode: of the function's own Python, valid whatever happens to times, the same bytes in any folder."""

import importlib.util
import marshal
import struct
import subprocess
import sys
from pathlib import PurePosixPath

import pytest

from coldpress.bundle.bytecode import compile_tree
from coldpress.errors import BundleError
from coldpress.interpreters import find_interpreter

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
SOURCES = {
    "app.py": "import pack.deep\n",
    "pack/__init__.py": "NAMES = {'a', 'b', 'c', 'd'}\n",
    "pack/deep.py": "def f(x):\n    'doc'\n    return x in {'one', 'two', 'three'}\n",
}


@pytest.fixture
def interpreter():
    return find_interpreter(HERE)


def _tree(folder, sources=SOURCES):
    for name, text in sources.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def _bytecode(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.pyc")}


def test_every_module_gets_an_unchecked_hash_pyc_of_that_python(tmp_path, interpreter):
    done = compile_tree(_tree(tmp_path), HERE, interpreter)
    assert done.files == len(SOURCES)
    tag = HERE.replace(".", "")
    found = _bytecode(tmp_path)
    places = [(name.parent, name.stem) for name in map(PurePosixPath, SOURCES)]
    assert set(found) == {str(parent / "__pycache__" / f"{stem}.cpython-{tag}.pyc") for parent, stem in places}
    for data in found.values():
        assert data[:4] == importlib.util.MAGIC_NUMBER
        assert struct.unpack("<L", data[4:8]) == (0b01,)  # PEP 552: hash-based, not checked against the source


def test_tracebacks_show_where_the_function_has_its_files(tmp_path, interpreter):
    compile_tree(_tree(tmp_path), HERE, interpreter)
    (data,) = [data for name, data in _bytecode(tmp_path).items() if "deep" in name]
    assert marshal.loads(data[16:]).co_filename == "/var/task/pack/deep.py"


def test_the_bytecode_is_what_python_loads_even_when_the_source_looks_newer(tmp_path, interpreter):
    compile_tree(_tree(tmp_path), HERE, interpreter)
    (tmp_path / "pack" / "deep.py").write_text("raise SystemExit('compiled again')\n")
    subprocess.run([interpreter, "-c", "import app"], cwd=tmp_path, check=True)


def test_same_sources_in_another_folder_and_environment_give_the_same_bytes(tmp_path, interpreter, monkeypatch):
    compile_tree(_tree(tmp_path / "one"), HERE, interpreter)
    monkeypatch.setenv("PYTHONHASHSEED", "12345")
    compile_tree(_tree(tmp_path / "a" / "much" / "longer" / "place"), HERE, interpreter)
    assert _bytecode(tmp_path / "one") == _bytecode(tmp_path / "a" / "much" / "longer" / "place")


def test_pythons_own_switches_do_not_matter(tmp_path, interpreter, monkeypatch):
    compile_tree(_tree(tmp_path / "one"), HERE, interpreter)
    for name, value in {"OPTIMIZE": "2", "PYCACHEPREFIX": str(tmp_path / "away"), "HOME": str(tmp_path)}.items():
        monkeypatch.setenv(f"PYTHON{name}", value)
    compile_tree(_tree(tmp_path / "two"), HERE, interpreter)
    assert _bytecode(tmp_path / "one") == _bytecode(tmp_path / "two")


def test_without_an_interpreter_nothing_is_written_and_the_price_is_said(tmp_path):
    done = compile_tree(_tree(tmp_path), "3.14", None)
    assert (done.files, done.interpreter) == (0, None)
    assert "3 modules" in done.note
    assert "every cold start" in done.note
    assert _bytecode(tmp_path) == {}


def test_a_hook_that_is_not_python_stops_with_its_line(tmp_path, interpreter):
    tree = _tree(tmp_path, {**SOURCES, "hooks.py": "def preprocess(:\n"})
    with pytest.raises(BundleError, match=r"hooks\.py is not valid Python .*line 1"):
        compile_tree(tree, HERE, interpreter, own=("hooks.py",))


def test_a_package_may_hold_files_that_are_not_python(tmp_path, interpreter):
    tree = _tree(tmp_path, {**SOURCES, "pack/template.py": "{{ name }} = (\n", "pack/nul.py": "a\0b"})
    done = compile_tree(tree, HERE, interpreter, own=("app.py",))
    assert done.failed == ("pack/nul.py", "pack/template.py")
    assert "pack/template.py" in done.note


@pytest.mark.parametrize("minor", ["3.12", "3.13", "3.14"])
def test_each_minor_found_here_loads_its_own_bytecode(tmp_path, minor):
    found = find_interpreter(minor)
    if not found:
        pytest.skip(f"no CPython {minor} here")
    compile_tree(_tree(tmp_path), minor, found)
    (tmp_path / "pack" / "deep.py").write_text("raise SystemExit('compiled again')\n")
    subprocess.run([found, "-c", "import app"], cwd=tmp_path, check=True)
