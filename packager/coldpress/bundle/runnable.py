"""A built bundle on this machine: how it can be started here, and what to put back when it misses something."""

import contextlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from coldpress.bundle.archive import Archive, write_zip
from coldpress.bundle.imports import import_error, last_words, restorable, top_level
from coldpress.bundle.tree import Tree, TreePlan, finish_tree
from coldpress.emulate.process import WEIGHTS
from coldpress.errors import VerifyError
from coldpress.forms.trial import Opening, try_model
from coldpress.machine import machine_of, own_library, runs_here

__all__ = ["Bundle"]

_NO_SUCH_FLAG = "coldpress-verification"


class Bundle:
    """A bundle that may change while it is verified.

    Attributes:
        plan, tree, archive: what it was built from, the folder, the zip; the latter two as they are now.
        python: the interpreter to start it with.
        hooks_run: whether the user's hooks, if any, can be run here.
        imported, restored, notes: what was found; see ``Verification``.
    """

    def __init__(self, plan: TreePlan, tree: Tree, archive: Archive) -> None:
        self.plan, self.tree, self.archive = plan, tree, archive
        self.imported: list[str] = []
        self.restored: list[str] = []
        self.notes: list[str] = []
        self.python = plan.interpreter or Path(sys.executable)
        engine = plan.engine
        self.foreign = engine is not None and not runs_here(engine.path)
        minor = f"{sys.version_info.major}.{sys.version_info.minor}"
        self.hooks_run = plan.hooks is not None
        if engine is not None and self.foreign:
            self.notes.append(
                f"This machine runs no Linux programs for {machine_of(engine.path)}: the model was verified with "
                "this machine's library of the same version, and the target's own was not loaded."
            )
        if plan.interpreter is None and minor != plan.python:
            self.notes.append(f"There is no Python {plan.python} on this machine; the bundle ran under {minor}.")
        self._other = self.foreign or (plan.interpreter is None and minor != plan.python)
        if self.hooks_run and plan.packages and self._other:
            self.hooks_run = False
            self.notes.append("The hooks' packages are for another machine or Python, so they were not imported.")

    def import_packages(self) -> None:
        """Import every package, then the hooks, as the function would; put back what trimming broke.

        Raises:
            VerifyError: The hooks do not import, though nothing was trimmed that they miss.
        """
        packages = self.hooks_run or (self.plan.batch and not self._other)
        for module in (*(top_level(self.tree.folder) if packages else ()), *(["hooks"] if self.hooks_run else [])):
            while error := import_error(self.python, self.tree.folder, module):
                if self.put_back(error):
                    continue
                last = last_words(error)
                if module == "hooks":
                    missing = "ImportError" in last or "ModuleNotFoundError" in last
                    advice = "name the packages that it needs with --requirement" if missing else "mend it"
                    raise VerifyError(f"hooks.py does not import in the bundle: {last}; {advice}.")
                self.notes.append(f"The package {module} does not import by itself: {last[:200]}")
                break
            else:
                self.imported.extend([module] if module != "hooks" else [])

    def put_back(self, error: str) -> bool:
        """Put back what ``error`` says is missing, if trimming took it, and write the zip anew."""
        found = restorable(self.tree.trimmed, error)
        if found is None:
            return False
        trimmed, name = found
        self.tree = finish_tree(self.plan, self.tree, trimmed)
        self.archive = write_zip(self.tree.folder, self.archive.path)
        self.restored.append(name)
        return True

    @contextlib.contextmanager
    def runnable(self, *, door: bool = False) -> Iterator[Path]:
        """Give what can be started here: the zip itself where this machine is like the target.

        Of a function that asks an endpoint, its own model is compared: a copy that asks nobody, unless ``door``.
        """
        apart = self.plan.fallback and not door
        if not self.foreign and not apart and (self.hooks_run or self.plan.hooks is None):
            yield self.archive.path
            return
        changes = {"hooks": self.plan.manifest["hooks"] if self.hooks_run else None}
        with self._copy(changes | ({"fallback": None} if apart else {})) as folder:
            yield folder

    @contextlib.contextmanager
    def stand_in(self) -> Iterator[Path]:
        """Give the bundle as a CPU would see it that lacks what the model needs."""
        model = {**self.plan.manifest["model"], "cpu": [_NO_SUCH_FLAG]}
        with self._copy({"model": model, "hooks": None, "fallback": None}) as folder:
            yield folder

    def answer_directly(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Run the bundle's model in the engine alone, for what is too large for the provider's events."""
        record = self.plan.manifest["model"]
        opening = Opening(self.plan.manifest["threads"], record["optimization"], record["mapped"], record["prepacking"])
        engine = self.plan.engine
        library = own_library() if self.foreign or engine is None else engine.path
        model = self.tree.folder / record["path"]
        if self.plan.weights:
            model = self.tree.folder.parent / WEIGHTS / f"{record['sha256']}.ort"
        return try_model(model, opening, [request], library=library, answers=True).answers[0]

    @contextlib.contextmanager
    def _copy(self, changes: Mapping[str, Any]) -> Iterator[Path]:
        """Give a copy of the folder, files shared, with a changed manifest and, on another machine, its own library."""
        manifest = {**self.plan.manifest, **changes}
        with tempfile.TemporaryDirectory(dir=self.tree.folder.parent, prefix=".verify-") as scratch:
            folder = Path(scratch, "task")
            if (weights := self.tree.folder.parent / WEIGHTS).is_dir():
                Path(scratch, WEIGHTS).symlink_to(weights.resolve())
            shutil.copytree(self.tree.folder, folder, copy_function=_share)
            place = folder / "coldpress.json"
            place.unlink()
            place.write_text(json.dumps(manifest), "utf-8")
            if self._other:
                for module in folder.rglob("*.cpython-*.so"):  # no hook runs here, and they are for another Python
                    module.unlink()
            if self.foreign:
                library = folder / manifest["engine"]["library"]
                library.unlink()
                shutil.copyfile(own_library(), library)
            yield folder


def _share(source: str, place: str) -> None:
    try:
        os.link(source, place)
    except OSError:
        shutil.copy2(source, place)
