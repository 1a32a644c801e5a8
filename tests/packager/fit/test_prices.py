"""Prices: every figure dated and sourced, a user's own laid over them, and what cannot be right refused by name."""

import datetime as dt
import tomllib
from pathlib import Path

import pytest

from coldpress.errors import FitError
from coldpress.fit import prices as module
from coldpress.fit.prices import priced, read_prices

PROVIDERS = ("aws", "gcp", "azure", "alibaba")


def _override(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return path


def test_the_four_function_platforms_are_priced():
    assert priced() == PROVIDERS


@pytest.mark.parametrize("architecture", ["x86_64", "arm64"])
@pytest.mark.parametrize("name", PROVIDERS)
def test_every_figure_has_a_source_and_a_date_that_is_not_after_the_file(name, architecture):
    as_of = tomllib.loads(Path(module.__file__).with_name("prices.toml").read_text())["as_of"]
    prices = read_prices(name, architecture)
    for figure in prices.figures.values():
        assert figure.source
        assert figure.what
        assert dt.date(2019, 1, 1) < figure.date <= as_of
    assert prices.region
    assert prices.currency == "USD"
    assert prices["billing.step_ms"] >= 1
    assert prices["on_demand.gb_second"] > 0


def test_amounts_of_money_are_no_older_than_half_a_year():
    assert min(read_prices(name).as_of for name in PROVIDERS) > dt.date(2026, 5, 21)


@pytest.mark.parametrize("name", PROVIDERS)
def test_an_instance_that_is_always_on_is_never_dearer_by_the_request(name):
    """What makes the break-even a single point: only the standing charge is on top."""
    prices = read_prices(name)
    for rate in ("vcpu_second", "gb_second"):
        assert prices[f"always_on.busy_{rate}"] <= prices[f"on_demand.{rate}"]
    assert prices["always_on.request_million"] <= prices["on_demand.request_million"]


def test_lambda_is_a_fifth_cheaper_on_arm():
    x86, arm = read_prices("aws"), read_prices("aws", "arm64")
    for name in ("on_demand.gb_second", "always_on.standing_gb_second", "always_on.busy_gb_second"):
        assert arm[name] / x86[name] == pytest.approx(0.8, abs=1e-4)
    assert arm["on_demand.request_million"] == x86["on_demand.request_million"]


def test_what_a_provider_has_no_meter_for_costs_nothing():
    assert read_prices("aws")["on_demand.vcpu_second"] == 0


def test_a_file_of_ones_own_replaces_its_figures_and_leaves_the_others(tmp_path):
    mine = _override(
        tmp_path,
        'as_of = 2026-11-20\n[aws]\nregion = "eu-central-1"\n[aws.on_demand]\n'
        'gb_second = { value = 0.00001, source = "our contract", date = 2026-11-01 }\n',
    )
    prices, built_in = read_prices("aws", override=mine), read_prices("aws")
    assert prices.region == "eu-central-1"
    assert prices["on_demand.gb_second"] == 0.00001
    assert prices.figures["on_demand.gb_second"].source == "our contract"
    assert prices.figures["on_demand.gb_second"].date == dt.date(2026, 11, 1)
    assert {n for n in built_in.figures if prices.figures[n] != built_in.figures[n]} == {"on_demand.gb_second"}
    assert read_prices("gcp", override=mine) == read_prices("gcp")


def test_a_file_of_ones_own_may_hold_other_prices_for_arm(tmp_path):
    mine = _override(tmp_path, '[aws.arm64.on_demand]\ngb_second = { value = 1, source = "ours", date = 2026-11-01 }\n')
    assert read_prices("aws", "arm64", mine)["on_demand.gb_second"] == 1
    assert read_prices("aws", "x86_64", mine) == read_prices("aws")


def test_a_built_in_file_laid_over_itself_changes_nothing():
    own = Path(module.__file__).with_name("prices.toml")
    assert all(read_prices(name, "arm64", own) == read_prices(name, "arm64") for name in PROVIDERS)


def test_another_currency_is_taken_when_every_amount_is_in_it(tmp_path):
    amounts = {"on_demand": ("gb_second", "request_million"),
               "always_on": ("standing_gb_second", "busy_gb_second", "request_million")}  # fmt: skip
    text = '[azure]\ncurrency = "EUR"\n' + "".join(
        f"[azure.{section}]\n" + "".join(f'{key} = {{ value = 1, source = "s", date = 2026-11-01 }}\n' for key in keys)
        for section, keys in amounts.items()
    )  # fmt: skip
    assert read_prices("azure", override=_override(tmp_path, text)).currency == "EUR"
    with pytest.raises(FitError, match=r"counts in EUR and leaves always_on\.busy_gb_second in USD"):
        read_prices("azure", override=_override(tmp_path, text.replace("busy_gb_second", "busy_vcpu_second")))


FIGURE = '{ value = 1, source = "s", date = 2026-11-01 }'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[aws", "is not valid TOML"),
        ("[mars]", r"\[mars\] of .* is no provider; expected a table of aws, gcp, azure, alibaba"),
        ("aws = 3", r"\[aws\] of .* is no provider"),
        ("[aws]\nregion = 3", r"`aws\.region` .* holds 3; expected a text"),
        ("[aws]\ncolour = 'red'", r"`aws\.colour` .* is not known; \[aws\] takes region, currency"),
        (f"[aws.on_demand]\nsecond = {FIGURE}", r"`aws\.on_demand\.second` .* takes vcpu_second, gb_second"),
        (f"[aws.arm64.always]\nx = {FIGURE}", r"`aws\.arm64\.always` .* is not known"),
        ("[aws.on_demand]\ngb_second = 0.1", r"expected a figure with its source and date"),
        ("[aws.on_demand]\ngb_second = { value = 0.1, source = 's' }", "expected a figure with its source and date"),
        (f"[aws.on_demand]\ngb_second = {FIGURE.replace('1,', '-1,', 1)}", "holds -1; expected a number of 0 or more"),
        (f"[aws.on_demand]\ngb_second = {FIGURE.replace('1,', 'nan,', 1)}", "expected a number of 0 or more"),
        (f"[aws.on_demand]\ngb_second = {FIGURE.replace('1,', 'true,', 1)}", "expected a number of 0 or more"),
        (f"[aws.billing]\ninit = {FIGURE.replace('1,', '2,', 1)}", "expected 1 for yes or 0 for no"),
        (f"[aws.on_demand]\ngb_second = {FIGURE.replace('2026-11-01', chr(34) + 'May' + chr(34))}", "such as 2026-11"),
        (f"[aws.on_demand]\ngb_second = {FIGURE.replace(chr(34) + 's' + chr(34), '3')}", "holds 3; expected a text"),
    ],
)
def test_a_file_that_cannot_be_right_is_refused_where_it_is_wrong(tmp_path, text, said):
    with pytest.raises(FitError, match=said):
        read_prices("aws", override=_override(tmp_path, text))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FitError, match=r"none\.toml cannot be read \(No such file or directory\)"):
        read_prices("aws", override=tmp_path / "none.toml")
    with pytest.raises(FitError, match="cannot be read"):
        read_prices("aws", override=tmp_path)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "mine.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(FitError, match="is not valid TOML"):
        read_prices("aws", override=tmp_path / "mine.toml")


def test_a_provider_without_prices_is_named():
    with pytest.raises(FitError, match=r'no prices for "container": expected one of aws'):
        read_prices("container")


def test_the_record_holds_every_figure():
    record = read_prices("gcp").to_json()
    assert record["as_of"] == "2026-07-26"
    (cpu,) = [figure for figure in record["figures"] if figure["name"] == "on_demand.vcpu_second"]
    assert cpu == {
        "name": "on_demand.vcpu_second",
        "value": 0.000024,
        "what": "Services CPU (Request-based billing)",
        "source": "Cloud Billing Catalog API, Cloud Run",
        "date": "2026-09-26",
    }


def test_the_guides_example_of_ones_own_prices_is_one(tmp_path):
    guide = Path(__file__).parents[3] / "docs" / "costs.md"
    example = guide.read_text().split("```toml\n")[1].split("```")[0]
    assert read_prices("alibaba", override=_override(tmp_path, example)).currency == "CNY"
