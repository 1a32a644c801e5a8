"""The README's table of targets says what the tests show; that it is the committed one: test_benchmark_report.py."""

import copy
import json

from coldpress.targets import TARGETS
from tests.support.packing import ROOT
from tests.support.support import missing_tests, table

RESULTS = ROOT / "benchmarks" / "targets" / "results.json"


def _cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_every_test_that_the_table_counts_on_is_there():
    assert missing_tests() == []


def test_the_table_has_a_column_for_every_target():
    head, _, *rows = table(json.loads(RESULTS.read_text())).splitlines()
    assert _cells(head)[1:-1] == [target.title for target in TARGETS.values()]
    rows = rows[: rows.index("")]
    assert len(rows) >= 10
    assert all(len(_cells(row)) == len(TARGETS) + 2 and all(_cells(row)) for row in rows)


def test_a_figure_that_is_over_its_limit_is_shown_as_missed():
    document = json.loads(RESULTS.read_text())
    changed = copy.deepcopy(document)
    changed["targets"]["gcp"]["added_ms"]["median"] = 0.151
    assert table(changed).count("**missed**") == table(document).count("**missed**") + 1
