import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldpress.report.words import (
    bytes_text,
    check_value,
    figure,
    loss,
    milliseconds,
    shorten,
    step,
    times,
    use_value,
    visible,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.00 kB"), (999_600, "1.00 MB"), (12_150_000, "12.2 MB"), (3.2e9, "3.20 GB")],
)
def test_sizes_are_in_decimal_units(value, text):
    assert bytes_text(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.0031, "0.0031"), (6.1e-8, "6.1e-8"), (1, "1.00"), (9.999, "10.0"), (99.96, "100"), (1234.5, "1,234")],
)
def test_figures_have_three_digits(value, text):
    assert figure(value) == text


def test_units_follow_what_is_counted():
    assert milliseconds(12_300) == "12.3 s"
    assert milliseconds(0.1) == "0.1 ms"
    assert milliseconds(0.02494) == "24.9 µs"
    assert check_value("cold start", 48.04) == "48.0 ms"
    assert check_value("bytes", 2e6) == "2.00 MB"
    assert check_value("memory", 92.1) == "92.1 MB"
    assert check_value("likeness", 0.99921) == "0.99921"
    assert check_value("quality", None) == ""
    assert use_value("zip_bytes", 52_428_800) == "52.4 MB"
    assert use_value("memory_mb", 1024) == "1,024 MB"
    assert use_value("init_s", None) == "not measured"


@pytest.mark.parametrize(
    ("value", "text"), [(0.97, "0.97"), (0.986, "0.99"), (1, "1.00"), (12.34, "12.3"), (0.0123, "0.0123")]
)
def test_ratios_near_one_have_two_decimals(value, text):
    assert times(value) == text + "\N{MULTIPLICATION SIGN}"


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.0347, "0.0347"), (0.00129, "1.3*10⁻³"), (7.9e-10, "7.9*10⁻¹⁰"), (1.5, "1.50")]
)
def test_small_losses_are_written_as_their_axis_is(value, text):
    assert loss(value).replace("\N{MULTIPLICATION SIGN}", "*") == text


def test_steps_have_the_decimals_of_their_total():
    assert [step(ms, 24.5) for ms in (24.1, 0.421)] == ["24.1", "0.4"]
    assert step(0.421, 0.5) == "0.421"


def test_what_cannot_be_seen_is_written_out():
    assert visible("a\u202eb\x00c\ud800d\u2028") == "a\\u202eb\\u0000c\\ud800d\\u2028"


@given(st.text(st.characters()), st.integers(3, 60))
def test_shortened_names_are_short_printable_and_keep_both_ends(text, limit):
    short = shorten(text, limit)
    assert len(short) <= limit
    short.encode()
    whole = visible(text)
    assert short == whole or (whole.startswith(short.split("…")[0]) and "…" in short)
