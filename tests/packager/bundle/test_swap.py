"""Whatever goes wrong while writing, what was there before is still there, whole, and nothing else is."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap

import pytest

from coldpress.bundle import swap
from coldpress.bundle.swap import fresh_file, fresh_folder
from coldpress.errors import BundleError


def _python(code, *args, **options):
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


@pytest.fixture
def built(tmp_path):
    """An output folder that holds a good build."""
    (tmp_path / "out" / "tree").mkdir(parents=True)
    (tmp_path / "out" / "tree" / "good").write_text("tree")
    (tmp_path / "out" / "function.zip").write_text("zip")
    return tmp_path / "out"


def _is_untouched(out):
    return (
        sorted(path.relative_to(out).as_posix() for path in out.rglob("*")) == ["function.zip", "tree", "tree/good"]
        and (out / "tree" / "good").read_text() == "tree"
        and (out / "function.zip").read_text() == "zip"
    )


def test_a_new_folder_takes_the_place_of_the_old_as_a_whole(built):
    with fresh_folder(built / "tree") as new:
        (new / "better").write_text("new")
        assert (built / "tree" / "good").exists()
    assert [path.name for path in (built / "tree").iterdir()] == ["better"]
    assert sorted(path.name for path in built.iterdir()) == ["function.zip", "tree"]


def _fail_after(path):
    path.write_text("half")
    raise LookupError


def test_a_failure_leaves_the_old_folder_and_file(built):
    with pytest.raises(LookupError), fresh_folder(built / "tree") as new:
        _fail_after(new / "half")
    with pytest.raises(LookupError), fresh_file(built / "function.zip") as new:
        _fail_after(new)
    assert _is_untouched(built)


WRITE = """
    import resource, sys
    from pathlib import Path
    from coldpress.bundle.swap import fresh_file, fresh_folder
    from coldpress.errors import BundleError
    out = Path(sys.argv[1])
    {before}
    said = []
    for place, manager in ((out / "function.zip", fresh_file), (out / "tree", fresh_folder)):
        try:
            with manager(place) as new:
                (new / "large" if new.is_dir() else new).write_bytes(bytes(1 << 20))
        except BundleError as error:
            said.append(str(error))
    print(len(said), said[0])
"""


def test_a_full_disk_is_one_sentence_and_leaves_the_last_good_build(built):
    code = WRITE.format(before="resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))")
    said, stderr = _python(code, built).communicate()
    assert said.startswith("2 could not write"), stderr
    assert "untouched" in said
    assert _is_untouched(built)


REAL = """
    import os, resource, sys
    from pathlib import Path
    from coldpress.bundle.archive import write_zip
    from coldpress.bundle.tree import TreePlan, build_tree
    from coldpress.bundle.wheels import engine_library
    from coldpress.cache import cache_dir
    from coldpress.errors import BundleError
    source, out = map(Path, sys.argv[1:])
    engine = engine_library("3.13", "x86_64", cache_dir("wheels"))
    manifest = {{"name": "m", "version": "1", "engine": {{"library": "lib/" + engine.path.name}}}}
    plan = TreePlan("aws", "3.13", manifest, engine, {{"model/model.onnx": b"model"}})
    source.mkdir()
    (source / "noise").write_bytes(os.urandom(3 << 20))
    {limit}
    for write in (lambda: write_zip(source, out / "function.zip"), lambda: build_tree(plan, out / "tree")):
        try:
            write()
            print("written")
        except BundleError as error:
            print(error)
"""


def test_a_zip_and_a_tree_that_do_not_fit_the_disk_leave_the_last_good_ones(built, tmp_path):
    code = REAL.format(limit="resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, 2 << 20))")
    said, stderr = _python(code, tmp_path / "source", built).communicate()
    assert [line.split(" /")[0] for line in said.splitlines()] == ["could not write"] * 2, stderr
    assert "File too large" in said
    assert _is_untouched(built)


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="mounting a small disk needs root")
def test_on_a_disk_that_is_really_full_the_last_good_zip_and_tree_stay(built, tmp_path):
    script = tmp_path / "write.py"
    script.write_text(textwrap.dedent(REAL.format(limit="")))
    (tmp_path / "disk").mkdir()
    mounted = (
        'mount -t tmpfs -o size=2m none "$1" && cp -r "$2"/. "$1" && "$3" "$4" "$5" "$1" && '
        'cat "$1/tree/good" "$1/function.zip" && ls -A "$1"'
    )
    arguments = [tmp_path / "disk", built, sys.executable, script, tmp_path / "source"]
    command = ["unshare", "-m", "sh", "-c", mounted, "sh", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "mount" in done.stderr or "unshare" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.stdout.count("No space left on device") == 2, done.stderr
    assert done.stdout.endswith("treezipfunction.zip\ntree\n")


def test_a_folder_that_may_not_be_written_is_one_sentence(built):
    built.chmod(0o555)
    for parent in built.parents:
        if "pytest-of" in str(parent):
            parent.chmod(0o755)  # pytest's own are private
    drop = "import os; os.setegid(65534); os.seteuid(65534)" if os.geteuid() == 0 else ""
    try:
        said, stderr = _python(WRITE.format(before=drop), built).communicate()
    finally:
        built.chmod(0o755)
    assert said.startswith("2 could not write"), stderr
    assert "Permission denied" in said
    assert _is_untouched(built)


@pytest.mark.parametrize("what", ["fresh_file", "fresh_folder"])
def test_ctrl_c_while_writing_leaves_the_last_good_build(built, what):
    code = f"""
        import sys, time
        from pathlib import Path
        from coldpress.bundle import swap
        place = Path(sys.argv[1]) / {"function.zip" if what == "fresh_file" else "tree"!r}
        with swap.{what}(place) as new:
            (new / "half" if new.is_dir() else new).write_text("half")
            print("writing", flush=True)
            time.sleep(60)
    """
    process = _python(code, built)
    assert process.stdout.readline() == "writing\n"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode != 0
    assert _is_untouched(built)


def _written_until(built, step):
    """Write a new folder, with a Ctrl-C before the given step of the module; tell whether there were so many."""
    left = step

    def trace(frame, event, _):
        nonlocal left
        if frame.f_code.co_filename != swap.__file__:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            left -= 1
            if left == 0:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        with fresh_folder(built / "tree") as new:
            (new / "good").write_text("new")
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


def test_ctrl_c_at_any_step_leaves_the_last_good_build_or_the_new_one(built):
    found = []
    while _written_until(built, len(found) + 1):
        found.append((built / "tree" / "good").read_text())
        (built / "tree" / "good").write_text("tree")
    assert set(found) == {"tree", "new"}


def test_a_file_where_the_folder_should_be_is_not_replaced(built):
    with pytest.raises(BundleError, match="in the way"), fresh_folder(built / "function.zip"):
        pass
    assert _is_untouched(built)


def test_a_link_where_the_folder_should_be_is_not_followed(built, tmp_path):
    (tmp_path / "elsewhere").symlink_to(built / "tree")
    with pytest.raises(BundleError, match="in the way"), fresh_folder(tmp_path / "elsewhere"):
        pass
    assert _is_untouched(built)
