import pytest

from coldpress.fallback.price import cascade_price, endpoint_hour


def price(**changed):
    given = {"small_ms": 2.0, "large_ms": 50.0, "escalated": 0.1} | changed
    return cascade_price("aws", "x86_64", 1769, "cloud-run-gpu", **given)


def test_both_sides_are_told():
    found = price()
    # a request is 0.2 / 1e6 and 2 ms of 1.7275 GB; one in a hundred starts cold, at no extra time here
    assert found.function == pytest.approx(0.2 + 0.002 * 1769 / 1024 * 0.0000166667 * 1e6, rel=1e-3)
    assert found.endpoint_alone == pytest.approx(1.046 * 50 / 3600 / 1000 * 1e6)
    assert found.endpoint == pytest.approx(0.1 * found.endpoint_alone)
    assert found.always_on == pytest.approx(1.046 * 730)


def test_a_function_is_billed_while_it_waits():
    assert price().waiting == pytest.approx(0.1 * 0.050 * 1769 / 1024 * 0.0000166667 * 1e6, rel=0.01)
    assert price(escalated=0.0).waiting == 0


def test_from_the_break_even_on_an_endpoint_alone_is_no_dearer():
    found = price(small_ms=100.0, large_ms=5.0)
    each = (found.function + found.waiting + found.endpoint) / 1e6
    assert found.break_even * each >= found.always_on > (found.break_even - 1) * each


def test_there_is_no_break_even_beyond_what_one_endpoint_answers():
    assert price(large_ms=5000.0, escalated=0.001).break_even is None


def test_what_has_no_list_price_says_so():
    assert endpoint_hour("kubernetes") is None
    found = cascade_price("aws", "x86_64", 1769, "kubernetes", small_ms=2.0, large_ms=50.0, escalated=0.1)
    assert found.endpoint is None
    assert found.function > 0
    assert cascade_price("container", "x86_64", 1769, "kserve", small_ms=2.0, large_ms=50.0, escalated=0.1) is None
