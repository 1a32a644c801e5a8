"""The bundle as a folder: everything a function needs, in the layout that the runtime and the provider expect.

::

    app.py                  the provider's entry point, constant; main.py, function_app.py ... with other targets
    coldpress.json          the manifest
    coldpress_runtime/      the runtime, byte for byte, but for the other providers' adapters; with bytecode
    lib/                    ONNX Runtime's C library
    model/                  the model, and what it needs beside it
    hooks.py                the user's hooks, and at the root the packages they import, as pip would install them
    licenses/               of coldpress and ONNX Runtime
    bom.cdx.json            what is inside, in CycloneDX
"""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coldpress._resources import license_file, runtime_root, template_root
from coldpress.bundle.archive import safe_name
from coldpress.bundle.bytecode import Bytecode, compile_tree
from coldpress.bundle.packages import install
from coldpress.bundle.sbom import bill_of_materials
from coldpress.bundle.swap import fresh_folder
from coldpress.bundle.trim import Trimmed, trim
from coldpress.bundle.wheels import Engine, Wheel
from coldpress.errors import BundleError
from coldpress.targets import TARGETS, runtime_modules

__all__ = ["Tree", "TreePlan", "build_tree", "finish_tree"]

_EPOCH = 315532800  # 1980-01-01T00:00:00Z, the earliest time that a zip can hold


@dataclass(frozen=True)
class TreePlan:
    """All that decides a bundle's bytes.

    Attributes:
        target: a name in ``TARGETS``, which says what goes to the root.
        python: CPython's minor version, for example ``"3.13"``.
        manifest: ``coldpress.json`` as plain values.
        engine: ONNX Runtime's library, placed where ``manifest["engine"]["library"]`` says; None: there is no model.
        files: path in the bundle (``model/model.onnx``) to the file or the bytes that go there.
        hooks: the user's module, or None.
        packages: wheels that the hooks import, and those that the target needs.
        interpreter: a CPython of that minor for the bytecode, or None.
    """

    target: str
    python: str
    manifest: Mapping[str, Any]
    engine: Engine | None
    files: Mapping[str, Path | bytes]
    hooks: Path | None = None
    packages: tuple[Wheel, ...] = ()
    interpreter: Path | None = field(default=None, compare=False)

    @property
    def batch(self) -> bool:
        """Whether the bundle scores uploads row by row."""
        return self.manifest.get("batch") is not None

    @property
    def fallback(self) -> bool:
        """Whether the bundle asks an endpoint."""
        return self.manifest.get("fallback") is not None

    @property
    def weights(self) -> bool:
        """Whether the bundle reads its model from elsewhere."""
        return self.manifest.get("weights") is not None

    @property
    def stubs(self) -> tuple[str, ...]:
        """The files of ``templates/<target>`` that go to the root."""
        target = TARGETS[self.target]
        return (*target.files, str(target.batch)) if self.batch and target.separate else target.files

    @property
    def modules(self) -> list[Path]:
        """The files of the runtime that ship."""
        return runtime_modules(self.target, batch=self.batch, fallback=self.fallback, weights=self.weights)


@dataclass(frozen=True)
class Tree:
    """A bundle on disk, what was trimmed from its packages, and what became of its bytecode."""

    folder: Path
    trimmed: Trimmed
    bytecode: Bytecode


def build_tree(plan: TreePlan, folder: Path) -> Tree:
    """Build the bundle in ``folder``, which it replaces as a whole; what is trimmed waits in ``<folder>.attic``.

    Raises:
        BundleError: two things want the same path, a path leads out of the bundle, hooks do not compile, or the disk is
            full; ``folder`` is then as it was.
    """
    attic = folder.with_name(folder.name + ".attic")
    shutil.rmtree(attic, ignore_errors=True)
    with fresh_folder(folder) as new:
        install(plan.packages, new)
        trimmed = trim(new, attic)
        _place_ours(plan, new)
        bytecode = _finish(plan, new)
    return Tree(folder, Trimmed(folder, attic, trimmed.removed), bytecode)


def finish_tree(plan: TreePlan, tree: Tree, trimmed: Trimmed) -> Tree:
    """Compile and normalise once more, after ``restore`` put something back."""
    return Tree(tree.folder, trimmed, _finish(plan, tree.folder))


def _finish(plan: TreePlan, folder: Path) -> Bytecode:
    own = (
        *(stub for stub in plan.stubs if stub.endswith(".py")),
        "hooks.py",
        *(f"coldpress_runtime/{path.relative_to(runtime_root()).as_posix()}" for path in plan.modules),
    )
    bytecode = compile_tree(folder, plan.python, plan.interpreter, own)
    _normalise(folder)
    return bytecode


def _place_ours(plan: TreePlan, folder: Path) -> None:
    put = _Placer(folder)
    for file in plan.stubs:
        put(file, template_root() / plan.target / file)
    put("coldpress.json", (json.dumps(plan.manifest, indent=2, ensure_ascii=False) + "\n").encode())
    for source in plan.modules:
        put(f"coldpress_runtime/{source.relative_to(runtime_root()).as_posix()}", source)
    if plan.engine is not None:
        put(plan.manifest["engine"]["library"], plan.engine.path, executable=True)
        for licence in plan.engine.licences:
            put(f"licenses/onnxruntime/{licence.name}", licence)
    for path, content in plan.files.items():
        put(path, content)
    if plan.hooks:
        put("hooks.py", plan.hooks)
    put("licenses/coldpress/LICENSE", license_file())
    models = {path: folder / path for path in sorted(plan.files)}
    put("bom.cdx.json", bill_of_materials(plan.manifest, plan.engine, models, plan.packages).encode())


class _Placer:
    """Copies files to paths inside one folder, and never over another file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, path: str, content: Path | bytes, *, executable: bool = False) -> None:
        place = self.folder / safe_name(path)
        if place.exists():
            raise BundleError(f"two things want to be {path} in the bundle: rename yours, or drop the package with it.")
        place.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            place.write_bytes(content)
        elif not content.is_file():
            raise BundleError(f"{content} is not a file: expected what goes to {path} in the bundle; check the path.")
        else:
            shutil.copyfile(content, place)
        place.chmod(0o755 if executable else 0o644)


def _normalise(folder: Path) -> None:
    """Give every file and folder the mode and time that a zip of it will say."""
    for base, folders, files in os.walk(folder, topdown=False):
        for name in files:
            place = Path(base) / name
            place.chmod(0o755 if place.stat().st_mode & 0o100 else 0o644)
            os.utime(place, (_EPOCH, _EPOCH))
        for name in folders:
            (Path(base) / name).chmod(0o755)
            os.utime(Path(base) / name, (_EPOCH, _EPOCH))
    folder.chmod(0o755)
