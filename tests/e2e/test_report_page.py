"""The report as a reader sees it: a real Chromium opens the file, at desktop and phone widths, light and dark."""

import itertools

import pytest

from coldpress.report import render_report
from tests.support.browser import axe, find, open_browser
from tests.support.reports import EVIL, cascade, detector, minilm, small, spoil, twins

WIDTHS = {"desktop": 1440, "tablet": 768, "phone": 390}
DOCUMENTS = {
    "minilm": minilm,
    "detector": detector,
    "small": small,
    "twins": twins,
    "cascade": cascade,
    "hostile": lambda: spoil(cascade(), EVIL),
}


@pytest.fixture(scope="module")
def browser():
    program = find()
    if program is None:
        pytest.skip("there is no Chromium: `make browser` fetches one where npm is, or install your system's")
    with open_browser(program) as running:
        yield running


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports")
    for name, document in DOCUMENTS.items():
        (folder / f"{name}.html").write_text(render_report(document()), encoding="utf-8")
    return folder


@pytest.fixture
def look(browser, pages):
    def open_(name, width="desktop", scheme="light", **more):
        return browser.page((pages / f"{name}.html").as_uri(), WIDTHS.get(width, width), 900, scheme, **more)

    return open_


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_page_opens_quietly_asks_nothing_of_the_network_and_is_no_wider_than_the_window(look, name, width):
    with look(name, width) as page:
        page.value("document.querySelectorAll('details').forEach(each => each.open = true)")
        assert page.value("document.documentElement.scrollWidth") <= WIDTHS[width]
        assert page.events("Runtime.consoleAPICalled") == []
        assert page.events("Runtime.exceptionThrown") == []
        assert page.events("Log.entryAdded") == []
        asked = [event["request"]["url"] for event in page.events("Network.requestWillBeSent")]
        assert len(asked) == 1
        assert asked[0].startswith("file:")


@pytest.mark.parametrize("width", WIDTHS)
def test_charts_take_room_and_lie_inside_the_window(look, width):
    with look("minilm", width) as page:
        for what in (".map", ".plot", ".wf-bars", ".use-bar", ".tiles", ".candidate"):
            boxes = page.value(
                f"[...document.querySelectorAll('{what}')].map(e => e.getBoundingClientRect())"
                ".map(b => [b.left, b.right, b.width, b.height])"
            )
            assert boxes, what
            for left, right, wide, high in boxes:
                assert 0 <= left <= right <= WIDTHS[width], what
                assert min(wide, high) >= 5, what


BOXES = """
(what => [...document.querySelectorAll(what)]
  .map(e => [e.closest(".mark")?.getAttribute("aria-label"), e.getBoundingClientRect()])
  .filter(([name, b]) => b.width).map(([name, b]) => [name, b.x, b.y, b.right, b.bottom]))
"""


def meet(one, other):
    return one[1] < other[3] and other[1] < one[3] and one[2] < other[4] and other[2] < one[4]


@pytest.mark.parametrize("width", [1440, 1001, 1000, 768, 721, 720, 390, 320])
@pytest.mark.parametrize("name", ["minilm", "detector", "twins", "hostile"])
def test_names_in_the_chart_lie_on_nothing_and_in_the_window(look, name, width):
    with look(name, width) as page:
        names = page.value(f"{BOXES}('.mark-label')")
        shapes = page.value(f"{BOXES}('.mark > .shape')")
        budget = page.value(f"{BOXES}('.budget span')")
        assert names or name == "hostile"  # whose names have no room on a phone
        assert not any(meet(a, b) for a, b in itertools.combinations([*names, *budget], 2))
        assert not any(meet(a, b) for a in names for b in shapes if a[0] != b[0])
        assert all(left >= 0 and right <= width for _, left, _, right, _ in names)


@pytest.mark.parametrize("width", [1440, 1001, 1000, 768, 390, 320])
@pytest.mark.parametrize("name", ["minilm", "twins"])
def test_figures_keep_to_their_columns(look, name, width):
    with look(name, width) as page:
        page.value("document.querySelectorAll('details').forEach(each => each.open = true)")
        wide = page.value(
            "[...document.querySelectorAll('.candidate .num, .header span, .wf-row > *, .tiles div, .stack')]"
            ".filter(e => e.scrollWidth > e.clientWidth + 1 && e.clientWidth).map(e => e.outerHTML.slice(0, 200))"
        )
        assert wide == []
        beside = page.value(
            "[...document.querySelectorAll('.candidate')]"
            ".map(e => [e.querySelector('summary'), e.querySelector('.why')]).filter(([a, b]) => a && b)"
            ".map(each => each.map(e => e.getBoundingClientRect())).filter(([a, b]) =>"
            "a.x < b.right && b.x < a.right && a.y < b.bottom && b.y < a.bottom).length"
        )
        assert beside == 0


@pytest.mark.parametrize("width", WIDTHS)
def test_no_rectangle_is_outside_its_map(look, width):
    with look("minilm", width) as page:
        outside = page.value(
            "[...document.querySelectorAll('.map .cell')].map(e => [e.getBoundingClientRect(),"
            "e.closest('.map').getBoundingClientRect()]).filter(([c, m]) => c.left < m.left - .5 || c.top < m.top - .5"
            "|| c.right > m.right + .5 || c.bottom > m.bottom + .5).length"
        )
        assert outside == 0


def test_every_model_shows_its_figures_beside_the_originals(look):
    with look("twins") as page:
        rows = page.value(
            "[...document.querySelectorAll('.candidate .row')].map(e => [...e.querySelectorAll('.num')].map("
            "n => n.firstChild.textContent))"
        )
        assert rows[0] == ["70.9 kB", "0", "0.9704", "23.8 µs", "23.9 ms", "37.0 MB"]
        assert all(len(row) == 6 and all(any(map(str.isdigit, text)) for text in row) for row in rows)


@pytest.mark.parametrize("width", WIDTHS)
def test_areas_of_both_maps_are_in_proportion_to_bytes(look, width):
    with look("minilm", width) as page:
        before, after = page.value(
            "[...document.querySelectorAll('.map')].map(e => e.getBoundingClientRect()).map(b => b.width * b.height)"
        )
        document = minilm()
        around = sum(f["bytes"] for f in document["bundle"]["files"] if f["kind"] != "model")
        expected = (24_712_004 + around) / (90_387_606 + around)
        assert after / before == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_scheme_of_the_reader_is_followed(look, scheme):
    with look("minilm", scheme=scheme) as page:
        red = int(page.value("getComputedStyle(document.body).backgroundColor").split("(")[1].split(",")[0])
        assert (red > 128) == (scheme == "light")


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_keeps_people_from_reading(look, width, scheme):
    """Contrast, names, roles and focus, as axe-core judges them by WCAG 2.2 AA."""
    script = axe()
    if script is None:
        pytest.skip("there is no axe-core: `make browser` fetches it where npm is")
    with look("minilm", width, scheme) as page:
        page.value("document.querySelectorAll('details').forEach(each => each.open = true)")
        page.value(script + "; 0")
        tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
        # Marks lie where their figures are, so they may lie on each other; the table leads to the same places.
        found = page.value(
            f"axe.run({{runOnly: {tags}}}).then(r => r.violations.filter(v => v.id !== 'target-size' || "
            "v.nodes.some(n => !n.html.startsWith('<a class=\"mark'))).map("
            "v => [v.id, v.nodes.length, v.nodes[0].html.slice(0, 160), v.nodes[0].failureSummary]))"
        )
        assert found == []


def test_a_key_reaches_a_hint_and_another_closes_it(look):
    with look("minilm") as page:
        page.value("document.querySelector('.map .cell').focus({focusVisible: true})")
        page.press("ArrowRight")
        tip = "getComputedStyle(document.activeElement.querySelector('.tip')).display"
        assert page.value("[...document.querySelectorAll('.map .cell')].indexOf(document.activeElement)") == 1
        assert page.value(tip) == "block"
        page.press("Escape")
        assert page.value(tip) == "none"


def test_candidates_sort_by_a_column(look):
    with look("minilm") as page:
        page.value("document.querySelector('[data-sort=bytes] button').click()")
        sizes = page.value("[...document.querySelectorAll('.candidate')].map(e => Number(e.dataset.bytes))")
        assert sizes == sorted(sizes)
        page.value("document.querySelector('[data-sort=bytes] button').click()")
        turned = page.value("[...document.querySelectorAll('.candidate')].map(e => Number(e.dataset.bytes))")
        assert turned == sorted(sizes, reverse=True)
        page.value("document.querySelector('[data-sort=loss] button').click()")
        assert page.value("[...document.querySelectorAll('.candidate')].at(-1).dataset.name") == "static-int8"


def test_the_page_is_whole_without_scripts(look):
    with look("minilm", script=False) as page:
        snapshot = page.send("DOMSnapshot.captureSnapshot", computedStyles=[])
        texts = set(snapshot["strings"])
        assert {"24.7 MB", "still right", "mixed 24.7"} <= texts


def test_the_policy_stops_a_script_that_is_not_ours(look, pages):
    page_text = (pages / "small.html").read_text(encoding="utf-8")
    (pages / "planted.html").write_text(page_text.replace("<main>", "<main><script>document.title='planted'</script>"))
    with look("planted") as page:
        assert page.value("document.title") == "model.onnx"
        assert "Content Security Policy" in str(page.events("Log.entryAdded"))


def test_it_prints(look):
    with look("minilm") as page:
        assert len(page.send("Page.printToPDF", printBackground=True)["data"]) > 10_000
