"""What a job takes, told from its beginning, and what that costs by the providers' own prices."""

import gzip
import json

import numpy as np
import pytest

from coldpress.fit.prices import read_prices
from coldpress.fit.tiers import smallest_tier
from coldpress.score.function import prepared
from coldpress.score.local import LocalEngine
from coldpress.score.plan import make_plan
from coldpress.score.price import Estimate, estimate
from coldpress.score.sources import find_inputs
from coldpress_runtime.batch.layout import Model
from coldpress_runtime.batch.options import Options
from tests.support.tiny import write_bundle

ROWS = 700


def write(path):
    """Write as many rows, in the format that the name says."""
    rows = np.arange(2.0 * ROWS, dtype=np.float32).reshape(ROWS, 2)
    if path.suffix == ".npy":
        np.save(path, rows)
        return
    text = "".join(json.dumps(row) + "\n" for row in rows.tolist()).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)


def estimated(here, entry, names, workers=2):
    bundle = write_bundle(here / "bundle", "fp32")
    (bundle / entry).touch()
    for name in names:
        write(here / name)
    options = Options()
    with prepared(bundle) as function, LocalEngine(function, options, workers) as engine:
        found = find_inputs([str(here / name) for name in names])
        plan = make_plan(found, f"{here}/out/", Model("m", "1", "0" * 64), options, engine.open_scoring)
        return estimate(plan, function, workers)


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz", "rows.npy"])
def test_rows_are_counted_where_all_of_them_are_scored_and_nothing_is_written(tmp_path, name):
    found = estimated(tmp_path, "app.py", [name])
    assert (found.inputs, found.rows, found.provider) == (1, ROWS, "AWS Lambda")
    assert found.bytes == (tmp_path / name).stat().st_size
    assert found.rows_per_s > 0
    assert found.function_s == pytest.approx(2 * found.seconds)
    assert found.function_s == pytest.approx(2 * ROWS / found.rows_per_s)
    assert not (tmp_path / "out").exists()


def test_the_rows_of_other_inputs_are_told_from_those_of_the_largest(tmp_path):
    found = estimated(tmp_path, "app.py", ["a.jsonl", "b.jsonl"])
    assert found.rows == 2 * ROWS


def test_a_function_costs_its_seconds_and_its_requests(tmp_path):
    found = estimated(tmp_path, "app.py", ["rows.jsonl"])
    prices, size = read_prices("aws"), smallest_tier("aws", 1769)
    least = found.function_s * size.memory_gb * prices["on_demand.gb_second"]
    request = prices["on_demand.request_million"] / 1e6
    assert least + request <= found.cost <= least + request + 1e-3 * size.memory_gb * prices["on_demand.gb_second"]
    assert found.currency == "USD"


def test_a_container_is_billed_by_its_host(tmp_path):
    found = estimated(tmp_path, "server.py", ["rows.jsonl"])
    assert (found.cost, found.currency) == (None, "")
    assert "USD" not in found.text()


@pytest.mark.parametrize(
    ("seconds", "words"), [(2.0, "2.0 s"), (600.0, "10 min"), (36_000.0, "10.0 h")], ids=["s", "min", "h"]
)
def test_people_are_told_in_their_units(seconds, words):
    text = Estimate(2, 5_000_000, 1000, 500.0, seconds, "AWS Lambda", 2 * seconds, 0.0123, "USD").text()
    assert text.splitlines()[0] == f"2 inputs, 5.0 MB; about 1,000 rows; here 500 rows/s, {words}."
    assert "0.012 USD" in text
