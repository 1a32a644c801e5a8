import pytest

from coldpress.errors import TemplateError
from coldpress.report import render_report
from coldpress.report.curve import draw_curve
from coldpress.report.document import read_document
from tests.support.reports import cascade, small


def curve(document=None):
    read = read_document(document or cascade())
    return draw_curve(read.fallback.cascade)


def test_marks_lie_at_their_share_and_rise_with_the_metric():
    found = curve()
    assert [at for at, _, _ in found.marks] == pytest.approx([100 * each.escalated for _, _, each in found.marks])
    heights = [up for _, up, _ in found.marks]
    assert heights == sorted(heights)
    assert all(0 <= up <= 100 for up in heights)
    assert found.line[-1] == (100.0, found.large)
    assert found.floor < found.large
    assert found.budget == pytest.approx(20)
    assert [each.chosen for _, _, each in found.marks].count(True) == 1


def test_a_metric_that_should_fall_has_no_floor_to_draw():
    document = cascade()
    document["fallback"]["cascade"]["direction"] = "lower"
    assert curve(document).floor is None


def test_a_curve_without_any_rise_is_drawn():
    document = cascade()
    document["fallback"]["cascade"] |= {"large": 0.5, "max_drop": 0.0}
    for point in document["fallback"]["cascade"]["points"]:
        point["metric"] = 0.5
    assert {up for _, up, _ in curve(document).marks} == {8.0}
    assert "What goes out" in render_report(document)


def test_a_report_without_an_endpoint_says_nothing_of_one():
    assert read_document(small()).fallback is None
    assert "What goes out" not in render_report(small())
    bare = small(fallback={"when": ["does-not-fit"], "proposed": [], "cascade": None, "price": None})
    assert "does-not-fit" in render_report(bare)


def test_what_cannot_be_shown_is_refused_with_its_place():
    document = cascade()
    document["fallback"]["cascade"]["large"] = None
    with pytest.raises(TemplateError, match='"large" of "cascade" of "fallback" of the report is null'):
        read_document(document)
