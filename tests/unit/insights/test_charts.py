"""The drawings: marks lie where the numbers say, every text is escaped, and an interval of 0 to 1 is none."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from contracts.evaluation import Gain
from insights import charts, reach
from tests.report_runs import rich_run

RUN = rich_run(1)
EVALUATION, CUTS = RUN.evaluations[0], reach.expected_cuts(RUN.manifests[0])


def parse(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def by_class(root: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [element for element in root.iter() if name in element.get("class", "").split()]


def test_reach_curve_passes_through_every_cut() -> None:
    root = parse(charts.draw_reach("k", CUTS, CUTS[9], (), "buyers"))
    points = [tuple(map(float, pair.split(","))) for pair in by_class(root, "model")[0].get("points", "").split()]
    assert len(points) == 101
    (x0, y0), (x1, y1) = points[0], points[-1]
    for cut, (x, y) in zip(CUTS, points[1:], strict=True):
        assert (x - x0) / (x1 - x0) == pytest.approx(cut.percent / 100, abs=2e-3)
        assert (y - y0) / (y1 - y0) == pytest.approx(cut.share, abs=2e-3)
    dot = by_class(by_class(root, "marker")[0], "dot")[0]
    assert (float(dot.get("cx", "")), float(dot.get("cy", ""))) == points[10]


def test_bars_are_as_high_as_what_happened() -> None:
    root = parse(charts.draw_tenths("k", EVALUATION.tenths, EVALUATION.base_rate, "bought"))
    heights = [float(bar.get("height", "")) for bar in by_class(root, "bar")]
    for height, row in zip(heights, EVALUATION.tenths, strict=True):
        assert height / heights[0] == pytest.approx(row.happened / EVALUATION.tenths[0].happened, abs=0.01)
    assert len(by_class(root, "whisker")) == 10


def test_interval_that_says_nothing_is_not_drawn() -> None:
    bare = tuple(replace(row, low=0.0, high=1.0) for row in EVALUATION.tenths)
    assert by_class(parse(charts.draw_tenths("k", bare, EVALUATION.base_rate, "bought")), "whisker") == []
    groups = tuple(replace(row, low=0.0, high=1.0) for row in EVALUATION.calibration)
    root = parse(charts.draw_calibration("k", groups))
    assert by_class(root, "whisker") == []
    assert len(by_class(root, "dot")) == 12


def test_gain_lies_right_of_zero_and_loss_left() -> None:
    gains = (Gain(10, 6.0, 2.0, 10.0), Gain(20, -6.0, -10.0, -2.0))
    root = parse(charts.draw_gains("k", gains, "buyers", "P"))
    zero = float(by_class(root, "zero")[0].get("x1", ""))
    right, left = (float(dot.get("cx", "")) for dot in by_class(root, "dot"))
    assert left < zero < right
    assert right - zero == pytest.approx(zero - left, abs=0.2)


@pytest.mark.parametrize(("share", "filled"), [(0.0, 0), (0.244, 24), (1.0, 100)])
def test_hundred_people_of_whom_so_many_are_filled(share: float, filled: int) -> None:
    root = parse(charts.draw_hundred(share, "24 of every 100"))
    assert (len(by_class(root, "on")), len(by_class(root, "off"))) == (filled, 100 - filled)


@pytest.mark.parametrize("name", ["</script><script>", "a & b < c \"q\" 'r'", "שלום\u202e", "n" * 200])
def test_user_words_stay_text_and_long_ones_are_cut_in_the_drawing_only(name: str) -> None:
    for svg in (
        charts.draw_reach("k", CUTS, CUTS[9], (), name),
        charts.draw_tenths("k", EVALUATION.tenths, EVALUATION.base_rate, name),
        charts.draw_gains("k", (Gain(10, 1, 0, 2),), name, name),
    ):
        root = parse(svg)
        assert "".join(root[1].itertext()) or root[0].text
        assert name.lower() in (root[0].text or "").lower()
        assert max(len(element.text or "") for element in root.iter("text")) <= 54
        assert [element.tag for element in root.iter() if element.tag == "script"] == []


def test_nothing_is_drawn_outside_the_picture() -> None:
    for svg in (
        charts.draw_reach("k", CUTS, CUTS[99], CUTS[:1], "buyers"),
        charts.draw_tenths("k", EVALUATION.tenths, EVALUATION.base_rate, "bought"),
        charts.draw_calibration("k", EVALUATION.calibration),
        charts.draw_gains("k", (Gain(10, 160.0, 90.0, 240.0), Gain(20, -30.0, -95.5, 2)), "buyers", "P"),
    ):
        root = parse(svg)
        _, _, width, height = map(float, root.get("viewBox", "").split())
        for element in root.iter():
            for name, most in (
                ("x", width),
                ("cx", width),
                ("x1", width),
                ("x2", width),
                ("y", height),
                ("cy", height),
            ):
                assert 0 <= float(element.get(name, 0)) <= most
        assert not re.search(r"nan|inf", svg.removeprefix("<svg"))


def test_model_that_finds_nothing_and_a_goal_nobody_reaches_are_drawn() -> None:
    flat = tuple(replace(row, happened=0.0, predicted=0.0, lift=0.0, low=0.0, high=1.0) for row in EVALUATION.tenths)
    assert parse(charts.draw_tenths("k", flat, 0.0001, "bought")) is not None
