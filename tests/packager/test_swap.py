"""Whatever goes wrong while writing, what was there before is still there, whole, and nothing else is."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest

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


def test_a_folder_that_may_not_be_written_is_one_sentence(built):
    built.chmod(0o555)
    for parent in built.parents[:3]:
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


def test_a_file_where_the_folder_should_be_is_not_replaced(built):
    with pytest.raises(BundleError, match="in the way"), fresh_folder(built / "function.zip"):
        pass
    assert _is_untouched(built)


def test_a_link_where_the_folder_should_be_is_not_followed(built, tmp_path):
    (tmp_path / "elsewhere").symlink_to(built / "tree")
    with pytest.raises(BundleError, match="in the way"), fresh_folder(tmp_path / "elsewhere"):
        pass
    assert _is_untouched(built)
