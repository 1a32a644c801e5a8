"""The road of choices: monotone, optimal along the hull, and never beyond a site's own options."""

from itertools import pairwise, product

from hypothesis import given
from hypothesis import strategies as st

from coldpress.search.knapsack import Option, greedy_road

options = st.lists(
    st.builds(Option, st.uuids().map(str), st.integers(1, 1000), st.floats(0, 10, allow_subnormal=False)),
    min_size=1,
    max_size=4,
)
menus = st.dictionaries(st.sampled_from("abcde"), options, min_size=1, max_size=4)


@given(menus)
def test_every_step_saves_bytes_and_the_road_starts_where_loss_is_least(menu):
    road = greedy_road(menu)
    sizes = [road.nbytes(k) for k in range(len(road))]
    assert all(a > b for a, b in pairwise(sizes))
    assert all(road.start[site].loss == min(o.loss for o in menu[site]) for site in menu)


@given(menus)
def test_the_road_ends_at_the_fewest_bytes_each_weight_can_have(menu):
    road = greedy_road(menu)
    assert road.nbytes(len(road) - 1) == sum(min(o.nbytes for o in choices) for choices in menu.values())


@given(menus)
def test_each_choice_is_one_of_the_sites_own_and_adds_up(menu):
    road = greedy_road(menu)
    for k in range(len(road)):
        chosen = road.choice(k)
        assert all(chosen[site] in menu[site] for site in menu)
        assert sum(o.nbytes for o in chosen.values()) == road.nbytes(k)
        assert abs(sum(o.loss for o in chosen.values()) - road.loss(k)) < 1e-6


@given(menus)
def test_no_other_choice_is_both_smaller_and_more_faithful_than_a_point_of_the_road(menu):
    road = greedy_road(menu)
    everything = [
        (sum(o.nbytes for o in combination), sum(o.loss for o in combination))
        for combination in product(*menu.values())
    ]
    for k in range(len(road)):
        assert not any(size <= road.nbytes(k) and loss < road.loss(k) - 1e-6 for size, loss in everything)


def test_within_gives_the_most_faithful_choice_that_fits_and_none_when_nothing_does():
    road = greedy_road({"w": [Option("keep", 100, 0.0), Option("half", 50, 0.1), Option("quarter", 25, 1.0)]})
    assert [road.within(size) for size in (100, 60, 50, 25, 24)] == [0, 1, 1, 2, None]


def test_of_two_weights_the_one_that_loses_less_a_byte_goes_first():
    road = greedy_road(
        {
            "loud": [Option("keep", 100, 0), Option("int8", 25, 9)],
            "quiet": [Option("keep", 40, 0), Option("int8", 10, 1)],
        }
    )
    assert [option.encoding for option in road.choice(1).values()] == ["keep", "int8"]
