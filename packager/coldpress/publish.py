"""The output folder: the function, the provider's templates and the report, swapped in whole."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from coldpress.bundle.archive import safe_extract
from coldpress.bundle.swap import fresh_folder
from coldpress.emulate.process import WEIGHTS
from coldpress.fallback.endpoint import write_endpoint
from coldpress.plan import REPORT, Plan
from coldpress.render.template import write_files
from coldpress.report.page import render_report
from coldpress.targets import TARGETS

__all__ = ["publish"]

_PASSING = ("out", "seconds", "slowdown", "checks")


def publish(
    plan: Plan,
    archive: Path,
    report: Mapping[str, Any],
    document: Mapping[str, Any] | None,
    *,
    tokenizer: str | None = None,
    batch: Path | None = None,
    weights: Path | None = None,
    served: Path | None = None,
) -> None:
    """Put the finished folder in the place of ``plan.out``, whole; what the provider's tool keeps there moves along.

    Args:
        plan: What was packed.
        archive: The verified zip.
        report: What ``pack --json`` prints.
        document: What the page shows; times among it, so that two packs do not give the same page. None: no page.
        batch: The verified zip of the function that scores uploads, where it is one of its own.
        weights: The model's file, where it does not travel in the package.
        served: The endpoint's model, where it is not ``plan.large`` as it came.
        tokenizer: Text of the ``tokenizer.json`` that requests must be made with, where it is not the user's own.

    Raises:
        BundleError: The folder cannot be written; it is then as it was.
    """
    target = TARGETS[plan.target]
    files = target.render(plan.values) | {REPORT: _lasting(report)}
    if document is not None:
        files["report.html"] = render_report(document)
    if tokenizer is not None:
        files["tokenizer.json"] = tokenizer
    with fresh_folder(plan.out) as folder:
        if target.ships == "zip":
            shutil.copyfile(archive, folder / "function.zip")
        else:
            safe_extract(archive, folder / "function")
        if batch is not None:
            shutil.copyfile(batch, folder / "batch.zip")
        if weights is not None:
            (folder / WEIGHTS).mkdir()
            shutil.copyfile(weights, folder / WEIGHTS / weights.name)
        if plan.endpoint is not None:
            write_endpoint(plan.endpoint, served or plan.large, folder)
        write_files(files, folder)
        for script in folder.glob("*.sh"):
            script.chmod(0o755)
        for name in target.keeps:
            _move_along(plan.out / name, folder / name)


def _move_along(old: Path, new: Path) -> None:
    """Copy what is the user's out of the folder that is about to be replaced: links as links, secrets as private."""
    if old.is_dir() and not old.is_symlink():
        shutil.copytree(old, new, symlinks=True, dirs_exist_ok=True)
    elif old.is_symlink() or old.is_file():
        new.unlink(missing_ok=True)
        shutil.copy2(old, new, follow_symlinks=False)


def _lasting(value: Any) -> str:
    """Write the report without what differs from one run to the next: wall times, peaks of memory, checks of these."""

    def kept(node: Any) -> Any:
        if isinstance(node, dict):
            passing = {key for key in node if key.endswith(("_ms", "_mb")) or key in _PASSING}
            return {key: kept(item) for key, item in node.items() if key not in passing}
        return [kept(item) for item in node] if isinstance(node, list) else node

    return json.dumps(kept(value), indent=2, ensure_ascii=False) + "\n"
