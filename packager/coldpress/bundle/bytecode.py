"""Bytecode that a cold start can load as it is.

A function's folder is read-only, so a module without bytecode is compiled again at every cold start. Only the
function's own Python minor can write it; "unchecked hash" (PEP 552) makes it valid whatever the zip does to times.
"""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from coldpress.errors import BundleError

__all__ = ["ROOT", "Bytecode", "compile_tree"]

ROOT = "/var/task"  # where a function's files are on Lambda: what tracebacks should show

# Runs under the target's interpreter. Sorted names, one process and a fixed hash seed: marshal's output depends on
# what was interned before. `-S -s` keeps out whatever is installed there.
_COMPILE = r"""
import json, py_compile, sys
folder, root, names = json.load(sys.stdin)
failed = {}
for name in names:
    try:
        py_compile.compile(folder + "/" + name, dfile=root + "/" + name, doraise=True, optimize=0,
                           invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    except (py_compile.PyCompileError, ValueError) as error:
        failed[name] = str(getattr(error, "exc_value", error)).replace(folder + "/", "")
json.dump(failed, sys.stdout)
"""


@dataclass(frozen=True)
class Bytecode:
    """What was compiled: ``files`` modules by ``interpreter``, None when there is none here; ``note`` is for people."""

    python: str
    interpreter: Path | None
    files: int
    note: str
    failed: tuple[str, ...] = ()


def compile_tree(folder: Path, python: str, interpreter: Path | None, own: tuple[str, ...] = ()) -> Bytecode:
    """Compile every module below ``folder`` into its ``__pycache__``; the same sources give the same bytes.

    Args:
        folder: the bundle.
        python: the function's minor version, for example ``"3.13"``.
        interpreter: an interpreter of that minor, or None: then nothing is written and ``note`` says what it costs.
        own: names of files that must compile, such as ``"hooks.py"``; others (a package's templates) may be left out.

    Raises:
        BundleError: the interpreter fails, or a file in ``own`` is not valid Python.
    """
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.py"))
    if interpreter is None:
        note = (
            f"no CPython {python} on this machine: {len(names)} modules go without bytecode and the function compiles "
            f"those it imports at every cold start; install CPython {python} and pack again."
        )
        return Bytecode(python, None, 0, note)
    done = subprocess.run(
        [interpreter, "-S", "-s", "-c", _COMPILE],
        input=json.dumps([folder.as_posix(), ROOT, names]),
        capture_output=True,
        text=True,
        check=False,
        env={**_surroundings(), "PYTHONHASHSEED": "0", "PYTHONWARNINGS": "ignore", "PYTHONUTF8": "1"},
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise BundleError(f"{interpreter} could not compile the bundle: {last}; see that it starts.")
    failed: dict[str, str] = json.loads(done.stdout)
    for name in own:
        if name in failed:
            raise BundleError(f"{name} is not valid Python {python}: {failed[name]}; mend it.")
    note = f"{len(names) - len(failed)} modules compiled by CPython {python}"
    if failed:
        note += f"; {len(failed)} are not valid Python {python} and stay as they are ({', '.join(sorted(failed)[:3])})"
    return Bytecode(python, interpreter, len(names) - len(failed), note + ".", tuple(sorted(failed)))


def _surroundings() -> dict[str, str]:
    """Return this environment without Python's own switches, which say where bytecode goes and how it is made."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
