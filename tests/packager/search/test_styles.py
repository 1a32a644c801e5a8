"""What is tried on all weights alike, and which styles have something to offer."""

import numpy as np
import pytest

from coldpress.encodings.menu import ENCODINGS
from coldpress.encodings.sites import find_sites
from coldpress.search.styles import FAMILIES, STYLES, families_of, uniform, uniform_choices
from coldpress.shrink.draft import Draft
from tests.support.graphs import model, node, tensor, value

RNG = np.random.default_rng(0)
NODES = [node("Conv", ["x", "k"], ["c"]), node("MatMul", ["c", "w"], ["y"])]
WEIGHTS = [
    tensor("k", RNG.standard_normal((64, 16, 1, 1)).astype(np.float32)),
    tensor("w", RNG.standard_normal((64, 64)).astype(np.float32)),
]
MADE = model(NODES, [value("x", (1, 16, 8, 64))], [value("y", None)], WEIGHTS)
SITES = {site.name: site for site in find_sites(Draft(MADE))}


def test_each_encoding_of_prune_is_tried_under_its_own_name():
    choices = uniform_choices("prune", SITES, FAMILIES)
    assert set(choices) == {encoding.name for encoding in ENCODINGS.values() if encoding.family == "prune"}
    for name, choice in choices.items():
        assert choice == dict.fromkeys(SITES, name)
        assert families_of(choice) == ("prune",)


def test_of_another_family_the_smallest_is_tried():
    assert uniform_choices("int8-storage", SITES, FAMILIES) == {
        "int8-storage": uniform("int8-storage", SITES, FAMILIES)
    }


def test_what_a_family_cannot_hold_is_stored_as_int8_where_that_is_allowed():
    assert ENCODINGS[uniform("nbits8", SITES, ["nbits8", "int8-storage"])["k"]].family == "int8-storage"
    assert set(uniform("nbits8", SITES, ["nbits8"])) == {"w"}


@pytest.mark.parametrize("family", ["prune", "int4", "fp16-storage"])
def test_of_no_weights_nothing_is_tried(family):
    assert uniform_choices(family, {}, FAMILIES) == {}


def test_a_style_serves_where_a_family_of_its_own_is_allowed_and_applies():
    served = {style.name for style in STYLES if style.serves(SITES, ["prune", "nbits8"])}
    assert served == {"native"}
    assert not any(style.serves({"k": SITES["k"]}, ["nbits8", "dynamic-int8"]) for style in STYLES)
