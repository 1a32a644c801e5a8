import copy
import json
from html import unescape
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldpress.fit.limits import provider
from coldpress.report import render_report, write_report
from coldpress.report.page import canonical
from coldpress.targets import TARGETS
from tests.support.reports import EVIL, detector, minilm, small, spoil

VOID = {"meta", "br", "path", "rect", "circle", "use", "polyline"}


class Outline(HTMLParser):
    """Elements in order, with a check that each is closed in its turn."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.open, self.texts = [], [], {}
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        assert len(attrs) == len(dict(attrs)), f"an attribute of <{tag}> is given twice"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open:
            self.texts[self.open[-1]] = self.texts.get(self.open[-1], "") + data

    def having(self, tag, **attributes):
        return [a for t, a in self.elements if t == tag and all(a.get(k) == v for k, v in attributes.items())]

    @property
    def headings(self):
        return [a["id"] for a in self.having("h2")]


def test_a_whole_document_has_every_section():
    outline = Outline(render_report(minilm()))
    assert outline.headings == ["bytes", "tried", "candidates", "cold", "fit", "how"]
    assert len(outline.having("div", role="rowgroup")) == 10


def test_sections_without_data_are_left_out():
    assert Outline(render_report(small())).headings == ["how"]
    assert Outline(render_report(detector())).headings == ["bytes", "tried", "candidates", "how"]


@pytest.mark.parametrize("part", ["bundle", "cold_start"])
def test_any_part_may_be_null(part):
    Outline(render_report(minilm() | {part: None}))


def test_no_name_becomes_markup_and_no_text_ends_the_script():
    clean, spoilt = render_report(minilm()), render_report(spoil(minilm(), EVIL))
    outline = Outline(spoilt)
    assert [t for t, _ in outline.elements if t == "script"] == ["script", "script"]
    assert {t for t, _ in outline.elements} == {t for t, _ in Outline(clean).elements}
    assert "\u202e" not in spoilt
    assert "\x00" not in spoilt
    spoilt.encode()


@settings(max_examples=25, deadline=None)
@given(st.text(st.characters(), max_size=40))
def test_whatever_the_names_are_the_page_is_well_formed(text):
    document = spoil(detector(), text)
    outline = Outline(render_report(document))
    assert len(outline.having("script")) == 2
    assert not [name for _, attributes in outline.elements for name in attributes if name.startswith("on")]


def test_nothing_is_fetched_and_no_style_is_inline():
    for tag, attributes in Outline(render_report(minilm())).elements:
        assert tag not in {"link", "img", "iframe", "object", "embed", "base", "form"}
        assert "style" not in attributes
        assert "src" not in attributes
        assert attributes.get("href", "#").startswith("#")


def test_the_policy_allows_the_style_and_the_script_that_are_there():
    import base64
    import hashlib

    page = render_report(minilm())
    (policy,) = [a["content"] for a in Outline(page).having("meta") if a.get("http-equiv")]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for opening, closing in (("<style>", "</style>"), ("<script>", "</script>")):
        text = page.split(opening)[1].split(closing)[0]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy


def test_marks_lead_to_rows_that_exist_and_ids_are_unique():
    outline = Outline(render_report(minilm()))
    ids = [a["id"] for _, a in outline.elements if "id" in a]
    assert len(ids) == len(set(ids))
    assert {a["href"].removeprefix("#") for a in outline.having("a")} <= set(ids)


@pytest.mark.parametrize("target", TARGETS)
def test_what_a_limit_is_of_is_said_whole(target):
    limits = [
        {"name": each.name, "limit": each.limit, "used": None, "what": each.what}
        for each in provider(target).limits.values()
    ]
    page = render_report(small(fit=[{"target": target, "verdict": "fits", "limits": limits, "price": None}]))
    assert all(f"<bdi>{each['what']}</bdi>" in unescape(page) for each in limits)


def test_the_page_holds_the_document():
    page = render_report(minilm())
    held = page.split('<script type="application/json" id="document">')[1].split("</script>")[0]
    assert json.loads(held) == canonical(minilm()) == json.loads(json.dumps(canonical(minilm())))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "still right"),
        ({"verdict": None}, "not measured"),
        ({"chosen": False}, "nothing ships"),
    ],
)
def test_the_headline_says_the_verdict(change, words):
    document = minilm()
    document["candidates"][5] |= change
    assert words in Outline(render_report(document)).texts["bdi"] + render_report(document).split("</header>")[0]


def test_a_lossless_model_without_samples_is_not_called_unmeasured():
    document = minilm()
    document["candidates"][5]["chosen"] = False
    document["candidates"][1] |= {"chosen": True, "verdict": None}
    head = render_report(document).split("</header>")[0]
    assert "lossless" in head
    assert "not measured" not in head


def test_a_budget_that_nothing_meets_is_said_with_the_nearest_size():
    document = minilm()
    document["candidates"][5] |= {"chosen": False, "accepted": False}
    assert "takes 45.2 MB; the budget is 25.0 MB" in render_report(document)


def test_an_original_that_stays_is_unchanged():
    document = minilm()
    document["candidates"][5]["chosen"] = False
    document["candidates"][0]["chosen"] = True
    head = render_report(document).split("</header>")[0]
    assert "unchanged" in head
    assert "smaller</span>" not in head


def test_the_same_document_gives_the_same_bytes_whatever_order_it_was_made_in(tmp_path):
    document = minilm()
    turned = {key: copy.deepcopy(document[key]) for key in reversed(document)}
    for side in turned["tensors"].values():
        side.reverse()
    turned["bundle"]["files"].reverse()
    for number, each in enumerate((document, turned)):
        write_report(each, tmp_path / f"{number}.html", tmp_path / f"{number}.json")
    for kind in ("html", "json"):
        assert (tmp_path / f"0.{kind}").read_bytes() == (tmp_path / f"1.{kind}").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.html", "0.json", "1.html", "1.json"]


def test_steps_of_a_cold_start_keep_their_order(tmp_path):
    write_report(minilm(), tmp_path / "r.html", tmp_path / "r.json")
    steps = json.loads((tmp_path / "r.json").read_text())["cold_start"]["steps"]
    assert list(steps) == list(minilm()["cold_start"]["steps"])


def test_numbers_that_are_not_finite_are_null_in_the_json(tmp_path):
    document = minilm()
    document["candidates"][3]["loss"] = float("inf")
    write_report(document, tmp_path / "r.html", tmp_path / "r.json")
    assert json.loads((tmp_path / "r.json").read_text())["candidates"][3]["loss"] is None


def test_the_document_is_left_as_it_was(tmp_path):
    document = minilm()
    write_report(document, tmp_path / "r.html", tmp_path / "r.json")
    assert document == minilm()


def test_two_thousand_tensors_make_a_page_of_less_than_a_megabyte():
    many = [
        {"name": f"stack.{n % 40}.block.{n}.weight", "bytes": 900 + n, "dtype": "float32", "op": "MatMul"}
        for n in range(2000)
    ]
    page = render_report(minilm() | {"tensors": {"before": many, "after": many}})
    assert len(Outline(page).having("div", role="img")) <= 540
    assert len(page) < 1_000_000
