"""Bundles that score uploads row by row on Google Cloud and Azure, and what must be true of what they wrote."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.packing import coldpress, shared

__all__ = ["accounted", "packed", "table"]


def packed(tmp_path_factory: pytest.TempPathFactory, digits: Path, target: str, settings: str) -> Path:
    """Pack the digits model for ``target`` with ``[batch]``, once for all workers of a test run."""

    def make(folder: Path) -> None:
        folder.mkdir()
        config = folder / "coldpress.toml"
        config.write_text(
            f'[model]\nsource = "{digits}/model.onnx"\nname = "digits"\n[samples]\n'
            f'evaluation = "{digits}/evaluation.npz"\n[batch]\n[targets.{target}]\n{settings}\n'
        )
        run = coldpress("pack", "--config", config, "--target", target, "--out", folder / target)
        assert run.returncode == 0, run.stderr

    return shared(tmp_path_factory, f"digits_batch_{target}", make) / target


def table(rows: int, bad: tuple[int, ...] = (), seed: int = 0) -> bytes:
    """Return a CSV of digits, with a header; the rows ``bad`` hold a word where a number belongs."""
    numbers = np.random.default_rng(seed).integers(0, 16, (rows, 64)).astype(str)
    for row in bad:
        numbers[row, 5] = "no"
    head = ",".join(f"p{column}" for column in range(64))
    return "\n".join([head, *map(",".join, numbers.tolist()), ""]).encode()


def accounted(
    read: Callable[[str], bytes], names: list[str], key: str, content: bytes, bad: tuple[int, ...] = ()
) -> dict[str, Any]:
    """Check that each row of ``uploads/KEY`` is in one place, once, and nothing else lies there; return the manifest.

    Args:
        read: returns an object's bytes.
        names: all objects below ``scores/KEY/``.
        key: the upload's name.
        content: what it holds.
        bad: the rows that must be rejects.
    """
    (manifest_name,) = (name for name in names if name.endswith("/manifest.json"))
    manifest = json.loads(read(manifest_name))
    count = content.count(b"\n") - 1
    outputs = [name for name in manifest["outputs"].values() if name]
    assert sorted(names) == sorted([manifest_name, *outputs])  # no checkpoint is left, and no part
    assert manifest["rows"] == {"read": count, "scored": count - len(bad), "rejected": len(bad)}
    assert manifest["input"]["key"] == f"uploads/{key}"
    scores = [json.loads(line) for line in read(manifest["outputs"]["scores"]).splitlines()]
    assert [score["row"] for score in scores] == [row for row in range(count) if row not in bad]
    rejects = [json.loads(line) for line in read(manifest["outputs"]["rejects"]).splitlines()] if bad else []
    assert [reject["row"] for reject in rejects] == list(bad)
    return manifest
