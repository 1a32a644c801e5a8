from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from coldpress.report.treemap import Box, squarify

SIZES = st.lists(st.integers(1, 10**9), min_size=1, max_size=40).map(lambda sizes: sorted(sizes, reverse=True))


@given(SIZES)
def test_areas_are_in_proportion_and_fill_the_frame(sizes):
    boxes = squarify(sizes, Box(0, 0, 3, 2))
    for size, box in zip(sizes, boxes, strict=True):
        assert abs(box.width * box.height - 6 * size / sum(sizes)) < 1e-6
    assert all(box.left >= -1e-9 and box.left + box.width <= 3 + 1e-6 for box in boxes)
    assert all(box.top >= -1e-9 and box.top + box.height <= 2 + 1e-6 for box in boxes)


@given(SIZES)
def test_rectangles_do_not_overlap(sizes):
    for one, other in combinations(squarify(sizes, Box(0, 0, 3, 2)), 2):
        across = min(one.left + one.width, other.left + other.width) - max(one.left, other.left)
        down = min(one.top + one.height, other.top + other.height) - max(one.top, other.top)
        assert min(across, down) < 1e-6


def test_the_example_of_the_paper_is_laid_out_as_there():
    # Bruls, Huizing and van Wijk, figure 4: areas 6 6 4 3 2 2 1 in a rectangle of 6 by 4.
    boxes = squarify([6, 6, 4, 3, 2, 2, 1], Box(0, 0, 6, 4))
    assert boxes[:2] == [Box(0, 0, 3, 2), Box(0, 2, 3, 2)]
    assert [round(box.width / box.height, 2) for box in boxes[2:4]] == [0.73, 0.55]


def test_equal_sizes_become_near_squares():
    for box in squarify([1.0] * 16, Box(0, 0, 4, 4)):
        assert box.width == box.height == 1


def test_nothing_takes_no_room():
    assert squarify([], Box(0, 0, 1, 1)) == []
