"""What requests cost, by figures worked out by hand, and where an instance that is always on begins to pay."""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from coldpress.fit.cost import (
    MONTH_S,
    Load,
    active_seconds,
    always_on_cost,
    billed_ms,
    break_even,
    capacity,
    on_demand_cost,
)
from coldpress.fit.prices import Figure, Prices, read_prices
from coldpress.fit.tiers import Tier, smallest_tier, tier

PROVIDERS = ("aws", "gcp", "azure", "alibaba")
DAY = read_prices("aws").as_of


def _size(name, least=1024):
    found = smallest_tier(name, least)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "ms", "billed"),
    [
        ("aws", 0.4, 1),
        ("aws", 100.0, 100),
        ("aws", 100.2, 101),
        ("alibaba", 7.01, 8),
        ("gcp", 1, 100),
        ("gcp", 100, 100),
        ("gcp", 100.1, 200),
        ("azure", 1, 1000),
        ("azure", 1000.1, 1100),
        ("azure", 2345, 2400),
    ],
)
def test_a_time_is_rounded_up_as_the_provider_bills(name, ms, billed):
    assert billed_ms(read_prices(name), ms) == billed


def test_lambda_by_hand():
    """1,769 MB, one vCPU: 2 million requests of 49.5 ms, a hundredth of them cold with 450 ms of loading.

    Warm: 50 ms billed. Cold: 60 + 450 = 510 ms. Mean: 0.99 * 50 + 0.01 * 510 = 54.6 ms, so 109,200 s of 1.7275390625
    GB, 188,647.27 GB-s at 0.0000166667 = 3.14413..., and 2 * 0.20 for requests.
    """
    load = Load(49.5, 60, 450, 0.01)
    cost = on_demand_cost(read_prices("aws"), tier("aws", 1769), load, 2_000_000)
    assert cost == pytest.approx(109_200 * 1769 / 1024 * 0.0000166667 + 0.40)
    assert cost == pytest.approx(3.5441, abs=1e-4)


def test_lambdas_free_quantities_by_hand():
    """The same month: 188,647 GB-s are below the 400,000 that are free, and a million of the requests is."""
    load = Load(49.5, 60, 450, 0.01)
    assert on_demand_cost(read_prices("aws"), tier("aws", 1769), load, 2_000_000, free=True) == pytest.approx(0.20)
    assert on_demand_cost(read_prices("aws"), tier("aws", 1769), load, 900_000, free=True) == 0


def test_lambdas_provisioned_concurrency_by_hand():
    """One instance of 2 GB: 2,628,000 s * 2 GB * 0.0000041667 = 21.90..., and 5 million answers of 20 ms on top."""
    cost = always_on_cost(read_prices("aws"), tier("aws", 2048), Load(20, 20, 300, 0.01), 5_000_000)
    assert MONTH_S == 2_628_000
    assert cost == pytest.approx(2_628_000 * 2 * 0.0000041667 + 100_000 * 2 * 0.0000097222 + 1.0)


def test_the_break_even_on_lambda_by_hand():
    """Without cold starts: 0.0000041667 = busy share * (0.0000166667 - 0.0000097222), so busy three fifths of it.

    3/5 * 2,628,000 s / 0.02 s = 78,840,000 requests.
    """
    found = break_even(read_prices("aws"), tier("aws", 2048), Load(20, 20, 300))
    assert found == pytest.approx(78_840_000, abs=1)


def test_cloud_run_by_hand_while_requests_are_rare():
    """1 GiB, one vCPU, one request in ten seconds on average: each lights 100 ms, and hardly two overlap."""
    requests = MONTH_S // 10
    load = Load(30, 30, 900)
    alone = requests * 0.1
    seconds = active_seconds(read_prices("gcp"), load, requests)
    assert seconds == pytest.approx(MONTH_S * (1 - math.exp(-0.01)))
    assert 0.99 * alone < seconds < alone
    cost = on_demand_cost(read_prices("gcp"), tier("gcp", 1024), load, requests)
    assert cost == pytest.approx(seconds * (0.000024 + 0.0000025) + requests * 0.40 / 1e6)


def test_cloud_runs_instance_based_billing_by_hand():
    """2,628,000 * (0.000018 + 0.000002) = 52.56, whatever it answers."""
    for requests in (1, 10_000_000):
        assert always_on_cost(read_prices("gcp"), tier("gcp", 1024), Load(30, 30, 900), requests) == pytest.approx(
            52.56
        )


def test_flex_consumption_by_hand():
    """2 GB: an active minute costs 60 * 2 * 0.000026; a request alone lights a second, and a busy instance all time."""
    prices, size, load = read_prices("azure"), tier("azure", 2048), Load(5, 9, 400, 0.01)
    assert active_seconds(prices, load, 1000) == pytest.approx(1000, rel=1e-3)
    assert active_seconds(prices, load, 40_000_000) == pytest.approx(MONTH_S, rel=1e-3)
    assert on_demand_cost(prices, size, load, 1000) == pytest.approx(1000 * 2 * 0.000026 + 0.0004, rel=1e-3)
    always = always_on_cost(prices, size, load, 40_000_000)
    assert always == pytest.approx(MONTH_S * 2 * (0.000004 + 0.000016) + 16, rel=1e-3)


def test_the_break_even_on_flex_consumption_is_where_two_fifths_of_the_month_are_active():
    """Base 0.000004 = active share * (0.000026 - 0.000016), so 1 - exp(-n / month) = 0.4."""
    found = break_even(read_prices("azure"), tier("azure", 2048), Load(5, 5, 400))
    assert found == math.ceil(-MONTH_S * math.log(0.6))


def test_function_compute_by_hand():
    """1 GB, one vCPU, 100 ms: 1.15 CU a second and 0.0075 a request, at 0.00002; loading is not billed."""
    load = Load(100, 100, 5000, 0.5)
    cost = on_demand_cost(read_prices("alibaba"), tier("alibaba", 1024), load, 1_000_000)
    assert cost == pytest.approx((100_000 * 1.15 + 7_500) * 0.00002)


def test_function_computes_idle_instance_never_pays_for_itself():
    assert break_even(read_prices("alibaba"), tier("alibaba", 1024), Load(100, 120, 900, 0.01)) is None


@pytest.mark.parametrize(("name", "billed"), [("aws", True), ("gcp", True), ("azure", False), ("alibaba", False)])
def test_loading_is_billed_where_the_provider_bills_it(name, billed):
    prices, size = read_prices(name), _size(name)
    short, long = (on_demand_cost(prices, size, Load(50, 50, init, 0.1), 100_000) for init in (100, 9000))
    assert (long > short) is billed


def test_half_a_cpu_takes_twice_as_long_and_two_are_no_quicker():
    load = Load(10, 20, 400, 0.01)
    assert load.on(Tier(512, 0.5)) == Load(20, 40, 800, 0.01)
    assert load.on(Tier(8192, 2.0)) == load


def test_one_instance_is_for_four_fifths_of_the_time():
    assert capacity(Tier(2048, 1.0), Load(100, 100, 0)) == MONTH_S * 10 * 0.8


def test_more_requests_than_one_instance_is_for_take_a_second_one():
    prices, size, load = read_prices("gcp"), tier("gcp", 1024), Load(100, 100, 0)
    most = capacity(size, load)
    assert always_on_cost(prices, size, load, most) == pytest.approx(52.56)
    assert always_on_cost(prices, size, load, most + 1) == pytest.approx(2 * 52.56)


LOADS = st.builds(
    Load,
    warm_ms=st.floats(0.05, 20_000),
    first_ms=st.floats(0.05, 30_000),
    init_ms=st.floats(10, 30_000),
    cold_share=st.floats(0, 1),
)
NAMES = st.sampled_from(PROVIDERS)
REQUESTS = st.integers(0, 10**10)


@given(NAMES, LOADS, REQUESTS, REQUESTS, st.booleans())
def test_more_requests_never_cost_less(name, load, one, other, free):
    prices, size = read_prices(name), _size(name)
    few, many = sorted((one, other))
    assert on_demand_cost(prices, size, load, few, free=free) <= on_demand_cost(prices, size, load, many, free=free)
    assert always_on_cost(prices, size, load, few) <= always_on_cost(prices, size, load, many)


@given(NAMES, LOADS, REQUESTS)
def test_nothing_costs_nothing_and_free_quantities_only_help(name, load, requests):
    prices, size = read_prices(name), _size(name)
    assert on_demand_cost(prices, size, load, 0) == 0
    assert 0 <= on_demand_cost(prices, size, load, requests, free=True) <= on_demand_cost(prices, size, load, requests)


@given(NAMES, LOADS, REQUESTS, st.floats(0, 1))
def test_a_larger_share_of_cold_starts_never_costs_less(name, load, requests, more):
    assume(load.first_ms >= load.warm_ms)
    prices, size = read_prices(name), _size(name)
    share = max(load.cold_share, more)
    colder = Load(load.warm_ms, load.first_ms, load.init_ms, share)
    less, most = (on_demand_cost(prices, size, each, requests) for each in (load, colder))
    assert less <= most * (1 + 1e-12)


@given(NAMES, LOADS, st.sampled_from([512, 1024, 2048, 4096]), st.booleans())
def test_the_break_even_is_where_the_two_costs_cross(name, load, least, free):
    prices, size = read_prices(name), _size(name, least)
    found = break_even(prices, size, load, free=free)

    def pays(requests):
        return always_on_cost(prices, size, load, requests) <= on_demand_cost(prices, size, load, requests, free=free)

    if found is None:
        most = capacity(size, load)
        assert not most or not pays(most)
    else:
        assert pays(found)
        assert not pays(found - 1)


@given(NAMES, LOADS, st.integers(1, 10**9))
def test_an_instance_is_never_billed_for_less_than_it_works_nor_for_more_than_requests_alone_would(
    name, load, requests
):
    prices = read_prices(name)
    cold_ms = load.first_ms + (load.init_ms if prices["billing.init"] else 0)
    times = ((1 - load.cold_share, load.warm_ms), (load.cold_share, cold_ms))
    work = requests * sum(share * ms for share, ms in times) / 1000
    alone = requests * sum(share * billed_ms(prices, ms) for share, ms in times) / 1000
    assert work * (1 - 1e-9) <= active_seconds(prices, load, requests) <= alone * (1 + 1e-9)


def test_a_platform_that_sells_the_standing_charge_for_nothing_pays_from_the_first_request():
    figures = {
        "on_demand.gb_second": Figure("on_demand.gb_second", 0.00001, "w", "s", DAY),
        "always_on.busy_gb_second": Figure("always_on.busy_gb_second", 0.00001, "w", "s", DAY),
    }
    prices = Prices("mine", "here", "USD", "kept", figures)
    assert break_even(prices, Tier(1024, 1.0), Load(10, 10, 10)) == 1


def test_requests_so_long_that_one_instance_cannot_take_one_have_no_break_even():
    assert break_even(read_prices("aws"), Tier(1769, 1.0), Load(3e9, 3e9, 1)) is None
