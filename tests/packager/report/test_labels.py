from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldpress.report.charts import draw_pareto
from coldpress.report.document import read_document
from coldpress.report.labels import FRAMES, Frame, Label, Rectangle, Spot, box_of, lay_out, text_width
from tests.support.reports import minilm, twins

PERCENT = st.floats(0, 100)
SPOTS = st.lists(st.builds(Spot, PERCENT, PERCENT, st.sampled_from([16, 24])), min_size=1, max_size=12)


NAMES = st.text("abcM 1", min_size=1, max_size=24)


def labelled(spots):
    return st.lists(NAMES, min_size=len(spots), max_size=len(spots)).map(
        lambda texts: [Label(number, text) for number, text in enumerate(texts)]
    )


def shape(spot, frame):
    x, y = frame.width * spot.at / 100, frame.height * (1 - spot.up / 100)
    return Rectangle(x - spot.size / 2, y - spot.size / 2, x + spot.size / 2, y + spot.size / 2)


@given(st.data(), SPOTS, st.sampled_from(sorted(FRAMES)))
def test_no_label_lies_on_another_on_a_mark_or_outside_in_any_frame(data, spots, size):
    labels = data.draw(labelled(spots))
    found = lay_out(spots, labels, FRAMES[size])
    for frame in FRAMES[size]:
        boxes = {n: box_of(spots[n], found[n], text.text, frame) for n, text in enumerate(labels) if n in found}
        assert not any(a.meets(b) for a, b in combinations(boxes.values(), 2))
        for number, box in boxes.items():
            assert box.left >= 0
            assert box.right <= frame.width
            assert not any(box.meets(shape(s, frame)) for n, s in enumerate(spots) if n != number)


def test_a_lone_mark_has_its_name_on_the_right_and_at_the_right_edge_on_the_left():
    assert lay_out([Spot(40, 50)], [Label(0, "int8")], FRAMES["large"]) == {0: "right"}
    assert lay_out([Spot(99, 50)], [Label(0, "int8")], FRAMES["large"]) == {0: "left"}


def test_the_more_important_of_two_names_gets_the_place():
    names = [Label(0, "original"), Label(1, "strip")]
    apart = [Spot(10, 50), Spot(90, 50)]
    assert list(lay_out(apart, names, [Frame(120, 40)])) == [0]
    assert list(lay_out(apart, names[::-1], [Frame(120, 40)])) == [1]


def test_names_keep_off_lines_where_they_can():
    spot, label = Spot(50, 50), Label(0, "int8")
    level = [((50, 50), (100, 50))]
    assert lay_out([spot], [label], FRAMES["large"], lines=level) == {0: "left"}
    every = [*level, ((0, 50), (50, 50)), ((50, 0), (50, 100))]
    assert lay_out([spot], [label], FRAMES["large"], lines=every)[0] in {"above-right", "above-left"}


def test_a_text_that_is_there_already_keeps_its_room():
    text = (Spot(50, 50), "right", "budget 25.0 MB")
    assert lay_out([Spot(50, 50)], [Label(0, "int8")], FRAMES["large"], taken=[text]) == {0: "left"}


def test_a_name_is_never_nearer_to_another_mark_than_to_its_own():
    frame = Frame(1000, 400)
    spots = [Spot(94, 5), Spot(93.3, 5)]  # 7 pixels apart
    found = lay_out(spots, [Label(0, "original"), Label(1, "strip")], [frame])
    assert found == {0: "above", 1: "left"}


def test_a_name_of_its_marks_own_colour_may_be_nearer_to_another_where_no_other_place_is():
    frame, spots = Frame(100, 60), [Spot(95, 10), Spot(93, 10)]
    assert lay_out(spots, [Label(0, "strip")], [frame]) == {}
    assert lay_out(spots, [Label(0, "strip", coloured=True)], [frame]) == {0: "above-left"}


def test_wide_letters_are_given_more_room():
    assert text_width("WWWW") > text_width("aaaa") > text_width("iiii")
    assert text_width("模型") > text_width("ab")


@pytest.mark.parametrize("size", FRAMES)
def test_an_original_beside_its_lossless_twin_has_its_name_and_so_has_what_ships(size):
    pareto = draw_pareto(read_document(twins()))
    named = {mark.name: side for mark in pareto.marks for side, sizes in mark.sides if size in sizes}
    assert {"original", "mixed-native"} <= set(named)
    assert "int4" not in named  # on what ships, and not on the line


def test_a_mark_has_one_side_for_each_size_of_window():
    for mark in draw_pareto(read_document(minilm())).marks:
        sizes = [size for _, each in mark.sides for size in each]
        assert len(sizes) == len(set(sizes))
        assert set(sizes) <= set(FRAMES)
