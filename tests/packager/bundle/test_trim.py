"""Trimming moves what no function needs, says why, and gives any of it back by path, folder or module."""

import subprocess

import pytest

from coldpress.bundle.packages import install
from coldpress.bundle.trim import culprits, restore, rules, trim
from coldpress.bundle.wheels import resolve
from coldpress.cache import cache_dir
from coldpress.errors import BundleError
from coldpress.interpreters import find_interpreter

KEPT = {
    "pkg/__init__.py": "x",
    "pkg/core.so": "elf",
    "pkg/data.json": "{}",
    "pkg/testing/__init__.py": "x",
    "pkg-1.0.dist-info/METADATA": "Name: pkg",
    "pkg-1.0.dist-info/entry_points.txt": "[x]",
    "pkg-1.0.dist-info/licenses/LICENSE": "text",
    "single.py": "x",
}
OUT = {
    "pkg/tests/__init__.py": "x",
    "pkg/tests/test_core.py": "x",
    "pkg/tests/data/big.bin": "x" * 100,
    "pkg/core.pyi": "x",
    "pkg/include/core.h": "x",
    "pkg/__pycache__/core.cpython-312.pyc": "x",
    "pkg-1.0.dist-info/RECORD": "x",
}


@pytest.fixture
def tree(tmp_path):
    for name, text in {**KEPT, **OUT}.items():
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_text(text)
    return tmp_path / "tree"


def _files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_what_goes_is_listed_with_its_size_and_reason(tree, tmp_path):
    trimmed = trim(tree, tmp_path / "attic")
    assert _files(tree) == set(KEPT)
    assert {item.path: item.bytes for item in trimmed.removed} == {name: len(text) for name, text in OUT.items()}
    assert trimmed.bytes == sum(map(len, OUT.values()))
    assert all(item.why for item in trimmed.removed)
    assert {i.why for i in trimmed.removed if i.path.startswith("pkg/tests")} == {"the package's own tests"}


def test_folders_that_became_empty_go_too(tree, tmp_path):
    trim(tree, tmp_path / "attic")
    assert not (tree / "pkg" / "tests").exists()
    assert not (tree / "pkg" / "include").exists()


@pytest.mark.parametrize(
    ("wanted", "back"),
    [
        ("pkg/core.pyi", {"pkg/core.pyi"}),
        ("pkg/tests", {"pkg/tests/__init__.py", "pkg/tests/test_core.py", "pkg/tests/data/big.bin"}),
        ("pkg.tests", {"pkg/tests/__init__.py", "pkg/tests/test_core.py", "pkg/tests/data/big.bin"}),
        ("pkg.tests.test_core", {"pkg/tests/test_core.py"}),
    ],
)
def test_a_path_a_folder_or_a_module_comes_back(tree, tmp_path, wanted, back):
    trimmed = trim(tree, tmp_path / "attic")
    left = restore(trimmed, wanted)
    assert _files(tree) == set(KEPT) | back
    assert {item.path for item in left.removed} == set(OUT) - back
    assert all((tree / name).read_text() == OUT[name] for name in back)


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ("ModuleNotFoundError: No module named 'pkg.tests'", ("pkg.tests",)),
        ("ModuleNotFoundError: No module named 'pkg.tests.test_core'", ("pkg.tests.test_core",)),
        ("FileNotFoundError: [Errno 2] No such file: '/var/task/pkg/tests/data/big.bin'", ("pkg/tests/data/big.bin",)),
        ("ImportError: cannot import name 'tests' from 'pkg'", ("pkg.tests",)),
        ("ModuleNotFoundError: No module named 'other'", ()),
        ("ValueError: 'pkg' is odd", ()),
    ],
)
def test_an_error_names_what_it_misses(tree, tmp_path, said, named):
    assert culprits(trim(tree, tmp_path / "attic"), said) == named


def test_what_was_not_taken_out_cannot_come_back(tree, tmp_path):
    trimmed = trim(tree, tmp_path / "attic")
    with pytest.raises(BundleError, match="was not trimmed"):
        restore(trimmed, "pkg/core.so")


def test_every_rule_has_a_reason_and_no_rule_takes_compiled_code_metadata_or_licences():
    from fnmatch import fnmatchcase

    sacred = ["pkg/a.so", "pkg.libs/liba.so.1", "p.dist-info/METADATA", "p.dist-info/entry_points.txt", "pkg/LICENSE"]
    for rule in rules():
        assert len(rule.why) > 10
        assert not [name for name in sacred for pattern in rule.patterns if fnmatchcase(name, pattern)]


def test_numpy_loses_a_tenth_and_still_computes(tmp_path):
    interpreter = find_interpreter("3.13")
    if not interpreter:
        pytest.skip("no CPython 3.13 here")
    wheels = resolve(["numpy==2.5.5"], "3.13", "x86_64", cache_dir("wheels"))
    install(wheels, tmp_path / "tree")
    before = sum(path.stat().st_size for path in (tmp_path / "tree").rglob("*") if path.is_file())
    trimmed = trim(tmp_path / "tree", tmp_path / "attic")
    assert trimmed.bytes > before / 10
    code = (
        "from numpy import *;"
        "import numpy as np, numpy.linalg, numpy.fft, numpy.random, numpy.testing, numpy.ma, numpy.polynomial;"
        "from importlib.metadata import version;"
        "a = np.arange(9.).reshape(3, 3) + np.eye(3);"
        "np.testing.assert_allclose(np.linalg.inv(a) @ a, np.eye(3), atol=1e-9);"
        "np.random.default_rng(0).normal(size=3); print(version('numpy'), np.__file__)"
    )
    done = subprocess.run(
        [interpreter, "-I", "-c", f"import sys; sys.path.insert(0, '.'); {code}"],
        cwd=tmp_path / "tree",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith(f"2.5.5 {tmp_path}"), done.stderr
