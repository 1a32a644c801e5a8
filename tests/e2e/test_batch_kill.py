"""Processes that score are killed at random moments; in the end every row is there once.

The short form. ``python -m tests.support.batch_kill`` kills fifty in each store.
"""

import pytest

from tests.support.batch_kill import survive
from tests.support.batch_kill.servers import bucket
from tests.support.tiny import write_bundle


@pytest.fixture
def bundle(tmp_path):
    return write_bundle(tmp_path / "bundle", "fp32")


def test_every_row_survives_kills_in_a_folder(bundle, tmp_path):
    survived = survive(bundle, f"{tmp_path}/store/", kills=6)
    assert survived.killed >= 6
    hidden = [path for path in (tmp_path / "store").rglob(".*") if not path.name.endswith("-put")]
    assert hidden == []


@pytest.mark.cloud
def test_every_row_survives_kills_in_s3(bundle, monkeypatch):
    with bucket() as (url, variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        assert survive(bundle, url, kills=3, rows=10_000).killed >= 3
