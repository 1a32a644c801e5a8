from benchmarks.figures import Row, table, verdict

_ROWS = [Row("speed", ">= 2", "2.5", met=True), Row("size", "<= 1 MB", "2 MB", met=False)]


def test_a_table_tells_what_is_met():
    assert list(table(_ROWS, "figure, digits")) == [
        "1 of 2 figures met.",
        "",
        "| figure, digits | must reach | measured | |",
        "|---|---|---|---|",
        "| speed | >= 2 | 2.5 | met |",
        "| size | <= 1 MB | 2 MB | **missed** |",
        "",
    ]


def test_a_table_has_a_column_for_models():
    lines = list(table([Row("size", "a | b", "c | d", met=True, where="magika"), *_ROWS]))
    assert lines[2:5] == [
        "| figure | model | must reach | measured | |",
        "|---|---|---|---|---|",
        "| size | magika | a / b | c / d | met |",
    ]


def test_nothing_measured_is_no_table():
    assert list(table([])) == []


def test_the_verdict_leads_to_the_whole_table():
    assert verdict(_ROWS, "serve") == (
        "1 of 2 figures that had to be reached were: [the whole table](benchmarks/serve/results.md), measured by "
        "`make bench-serve`."
    )
