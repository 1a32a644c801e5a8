import pytest

from tests.conformance.cases import COUNT, MissingError, cases
from tests.conformance.crew import outcomes

_STEP = 12  # `make conformance` runs them all


@pytest.fixture(scope="module")
def share():
    try:
        return cases()[::_STEP]
    except MissingError as error:
        pytest.skip(str(error))


@pytest.mark.models
def test_a_share_of_the_onnx_conformance_cases_comes_out_as_with_the_binding(share):
    worse, matches = {}, 0
    for folder, found in outcomes(share):
        if found["plain"] == "match":
            matches += 1
            if found["lean"] != "match" or not found["same"]:
                worse[folder.name] = found["lean"]
    assert worse == {}
    assert matches > COUNT / _STEP * 0.8, "too few cases run at all: the comparison says little"
