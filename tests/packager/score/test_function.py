"""A built function as workers open it: on this machine's engine, on the Python that its hooks need, with one thread."""

import hashlib
import json
import os
import subprocess
import sys
import zipfile

import pytest

from coldpress.errors import EmulateError
from coldpress.interpreters import find_interpreter
from coldpress.score.function import prepared
from coldpress.score.local import LocalEngine, own_cores
from coldpress.score.plan import make_plan
from coldpress.score.sources import find_inputs
from coldpress_runtime.batch.layout import Model
from coldpress_runtime.batch.options import Options
from coldpress_runtime.service import Service
from tests.support.tiny import write_bundle

OTHER = "3.12" if sys.version_info[:2] != (3, 12) else "3.13"
HOOKS = """
import sys

def preprocess(request):
    return {"x": [[float(request.json()), float(sys.version_info[1])]]}
"""


@pytest.fixture
def bundle(tmp_path):
    """A function with hooks, as ``pack`` would lay it out for AWS."""
    root = write_bundle(tmp_path / "bundle", "fp32", HOOKS, threads=8)
    (root / "app.py").touch()
    (root / "coldpress_runtime").mkdir()
    return root


def score(function, here):
    """The minor version of the Python that two rows were scored on."""
    (here / "rows.jsonl").write_text("1\n2\n")
    options = Options()
    with LocalEngine(function, options, 1) as engine:
        sources = find_inputs([str(here / "rows.jsonl")])
        plan = make_plan(sources, str(here / "s.jsonl"), Model("m", "1", "0" * 64), options, engine.open_scoring)
        (outcome,) = engine.score(plan.jobs, lambda _done: None)
    assert outcome.manifest["rows"]["scored"] == 2
    return json.loads((here / "s.jsonl").read_text().splitlines()[1])["y"][1]


def compiled_for(minor, bundle, name="module"):
    (bundle / name).mkdir()
    tag = minor.replace(".", "")
    (bundle / name / f"part.cpython-{tag}-x86_64-linux-gnu.so").touch()


def test_sessions_have_one_thread_and_the_bundle_stays_as_it_is(bundle):
    before = (bundle / "coldpress.json").read_bytes()
    with prepared(bundle) as function:
        root = function.root
        assert Service.open(str(root)).manifest.threads == 1
        assert not (root / "coldpress_runtime").exists()
        assert (function.target, function.manifest.threads) == ("aws", 8)
    assert not root.exists()
    assert (bundle / "coldpress.json").read_bytes() == before


def test_an_engine_that_is_not_for_this_machine_is_replaced_by_its_own(bundle, tmp_path):
    library = bundle / "lib" / "libonnxruntime.so"
    library.unlink()
    library.write_bytes(b"\x7fELF" + bytes(14) + (243).to_bytes(2, "little"))  # RISC-V
    with prepared(bundle) as function:
        assert score(function, tmp_path) == sys.version_info[1]


def test_a_zip_s_engine_is_unpacked_where_this_machine_has_another(bundle, tmp_path):
    document = json.loads((bundle / "coldpress.json").read_text())
    engine = bundle / document["engine"]["library"]
    for digest, inside in (("0" * 64, True), (hashlib.sha256(engine.read_bytes()).hexdigest(), False)):
        document["engine"]["sha256"] = digest
        archive = tmp_path / "function.zip"
        with zipfile.ZipFile(archive, "w") as into:
            into.writestr("coldpress.json", json.dumps(document))
            for name in ("app.py", "hooks.py", document["engine"]["library"], document["model"]["path"]):
                into.write(bundle / name, name)
            into.writestr("numpy/core.so", b"never needed")
        with prepared(archive) as function:
            assert (function.root / document["engine"]["library"]).is_symlink() is not inside
            assert not (function.root / "numpy").exists()
            assert score(function, tmp_path) == sys.version_info[1]
            (tmp_path / "s.jsonl.manifest.json").unlink()
            (tmp_path / "s.jsonl").unlink()


@pytest.mark.parametrize("name", ["numpy", "httptools"])
def test_packages_that_workers_bring_or_do_without_bind_to_no_python(bundle, tmp_path, name):
    compiled_for(OTHER, bundle, name)
    with prepared(bundle) as function:
        assert score(function, tmp_path) == sys.version_info[1]


@pytest.mark.skipif(find_interpreter(OTHER) is None, reason=f"there is no Python {OTHER} here")
def test_hooks_whose_packages_are_for_another_python_run_on_that(bundle, tmp_path):
    compiled_for(OTHER, bundle)
    with prepared(bundle) as function:
        assert f"3.{score(function, tmp_path):.0f}" == OTHER


def test_a_python_that_is_missing_is_named(bundle):
    compiled_for("3.99", bundle)
    with pytest.raises(EmulateError, match=r"compiled for Python 3\.99.*install Python 3\.99"), prepared(bundle):
        pass


def test_a_zip_without_a_manifest_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "function.zip", "w") as archive:
        archive.writestr("app.py", "")
    with pytest.raises(EmulateError, match=r"holds no coldpress\.json"), prepared(tmp_path):
        pass


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="affinity is Linux's")
def test_the_cores_are_those_that_this_process_may_use():
    question = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "
    question += "from coldpress.score.local import own_cores; print(own_cores())"
    told = subprocess.run([sys.executable, "-c", question], capture_output=True, text=True, check=True)
    assert told.stdout == "1\n"
    assert own_cores() >= 1
