"""One function beside all providers: sizes that each sells, what it would take, and prices where there are some."""

import pytest

from coldpress.errors import FitError
from coldpress.fit.compare import Demand, Subject, compare
from coldpress.fit.cost import Load
from coldpress.fit.sizes import Entry, Sizes

MB = 1_000_000
ALL = ("aws", "gcp", "azure", "alibaba", "container")


def _subject(model=10 * MB, **changes):
    files = [Entry("lib/libonnxruntime.so", 29_352_200, 0, "engine"), Entry("model/model.onnx", model, 0, "model")]
    settings = {
        "name": "build/aws",
        "target": "aws",
        "sizes": Sizes(tuple(files), None),
        "python": "3.12",
        "architecture": "x86_64",
        "memory_mb": 1024,
        "timeout_s": 30,
        "load": Load(20.0, 30.0, 200.0),
        "peak_mb": 120.0,
    }
    return Subject(**{**settings, **changes})


def _offers(subject, targets=ALL, demand=None, **options):
    return {offer.target: offer for offer in compare([subject], targets, demand or Demand(), **options)}


def test_a_small_function_fits_everywhere_in_the_next_size_that_is_sold():
    offers = _offers(_subject())
    assert {target: offer.verdict for target, offer in offers.items()} == dict.fromkeys(ALL, "fits")
    assert {t: o.tier.memory_mb for t, o in offers.items()} == {**dict.fromkeys(ALL, 1024), "azure": 2048}


def test_times_are_those_on_the_cpu_that_comes_with_the_size():
    offers = _offers(_subject())
    assert offers["aws"].load.warm_ms == pytest.approx(20 * 1769 / 1024)
    assert offers["gcp"].load.warm_ms == 20


def test_what_was_built_for_several_targets_is_told_by_each_ones_own_figures():
    slow = _subject(target="gcp", load=Load(50.0, 60.0, 900.0))
    offers = {offer.target: offer for offer in compare([_subject(), slow], ALL, Demand())}
    assert [target for target, offer in offers.items() if offer.measured] == ["aws", "gcp"]
    assert (offers["gcp"].load.warm_ms, offers["alibaba"].load.warm_ms) == (50, 20)


def test_containers_have_no_price_of_their_own():
    container = _offers(_subject())["container"]
    assert (container.prices, container.cost) == (None, None)
    assert container.to_json()["cost"] is None


def test_a_function_that_needs_more_memory_than_it_was_packed_for_gets_the_size_that_has_it():
    offers = _offers(_subject(peak_mb=2500))  # 1.3 * 2500 * 10^6 bytes are 3,099.4 MB of 2^20
    assert {t: o.tier.memory_mb for t, o in offers.items() if o.target != "container"} == {
        "aws": 3100,
        "gcp": 3100,
        "azure": 4096,
        "alibaba": 3136,
    }


def test_where_no_size_has_the_memory_it_is_said_and_nothing_is_priced():
    azure = _offers(_subject(peak_mb=6000))["azure"]
    assert (azure.verdict, azure.tier, azure.cost) == ("needs-gpu", None, None)
    assert "ends at 4,096 MB" in azure.needs[0]
    record = azure.to_json()
    assert (record["memory_mb"], record["cold_ms"], record["prices"]) == (None, None, None)


def test_what_does_not_fit_says_what_it_would_take():
    offers = _offers(_subject(model=400 * MB, memory_mb=2048))
    assert offers["aws"].verdict == "needs-store"
    assert "S3" in offers["aws"].needs[1]
    assert offers["gcp"].verdict == "fits"
    assert offers["aws"].cost is not None


def test_a_setting_that_one_provider_does_not_offer_is_that_rows_own_matter():
    offers = _offers(_subject(architecture="arm64", python="3.13"))
    assert offers["aws"].verdict == "fits"
    assert offers["gcp"].verdict == "needs-change"
    assert "architecture is" in offers["gcp"].needs[0]


def test_for_another_target_it_is_packed_anew_for_a_python_that_is_there():
    assert _offers(_subject(python="3.13"))["alibaba"].verdict == "fits"
    its_own = _offers(_subject(python="3.13", target="alibaba"))["alibaba"]
    assert its_own.verdict == "needs-change"
    assert 'python is "3.13"' in its_own.needs[0]


def test_arm_is_cheaper_on_lambda():
    x86, arm = (_offers(_subject(architecture=name))["aws"].cost for name in ("x86_64", "arm64"))
    assert arm.monthly < x86.monthly


def test_a_size_asked_for_is_taken_exactly_or_refused():
    offers = _offers(_subject(), memory_mb=512)
    assert all(offer.tier.memory_mb == 512 for offer in offers.values())
    with pytest.raises(FitError, match=r"no instance of 1,000 MB: the nearest are 512 and 2,048 MB"):
        compare([_subject()], ALL, Demand(), memory_mb=1000)


def test_the_price_of_a_million_is_the_months_bill_by_its_requests():
    cost = _offers(_subject(), demand=Demand(requests=4_000_000))["aws"].cost
    assert cost.per_million == pytest.approx(cost.monthly / 4)


def test_prices_of_ones_own_are_used(tmp_path):
    mine = tmp_path / "mine.toml"
    mine.write_text('[aws.on_demand]\ngb_second = { value = 0, source = "ours", date = 2026-11-01 }\n')
    cost = _offers(_subject(), override=mine)["aws"].cost
    assert cost.monthly == pytest.approx(0.20)


def test_a_provider_that_is_not_known_is_named():
    with pytest.raises(FitError, match='no limits for the target "mars"'):
        compare([_subject()], ("mars",), Demand())


def test_the_record_of_a_row_is_complete():
    record = _offers(_subject())["aws"].to_json()
    assert record["verdict"] == "fits"
    assert record["vcpus"] == 0.579
    assert record["cost"].keys() == {"monthly", "per_million", "always_on", "break_even", "capacity"}
    assert record["prices"]["region"] == "us-east-1"
