"""`--allow prune` from the outside: what ships is smallest in a zip."""

import json

import numpy as np
import pytest

from coldpress.cli import main
from tests.support import models


@pytest.mark.models
def test_where_prune_is_allowed_the_smallest_zip_ships(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLDPRESS_CACHE", str(tmp_path / "cache"))
    _, _, x, y = models.digits()
    np.savez("samples.npz", X=x, label=y)
    families = [word for family in ("strip", "int8-storage", "prune") for word in ("--allow", family)]
    model = str(models.fetch("digits_mlp"))
    assert main(["shrink", model, "-o", "small.onnx", "--samples", "samples.npz", "--max-slowdown", "1000",
                 "--max-drop", "0.05", *families, "--json"]) == 0  # fmt: skip
    told = json.loads(capsys.readouterr().out)
    assert told["recipe"] == ["strip", "prune"]
    tried = {candidate["name"]: candidate for candidate in told["candidates"]}
    assert {"int8-storage", "int8-storage-64-levels", "int8-storage-half-zeros"} <= set(tried)
    (chosen,) = (candidate for candidate in tried.values() if candidate["chosen"])
    plain = tried["int8-storage"]
    assert chosen["zip_bytes"] < 0.85 * plain["zip_bytes"]
