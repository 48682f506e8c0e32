"""The reach panel: one source, whole percents as published, between them a line, and no row made up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from activation.selection import share
from contracts.errors import ContractError
from contracts.run_settings import Money
from insights import reach
from tests.report_runs import failed_run, rich_run

RUN = rich_run(1)
MANIFEST, EVALUATION = RUN.manifests[0], RUN.evaluations[0]
CUTS = reach.expected_cuts(MANIFEST)


def test_cuts_are_the_published_rows() -> None:
    assert [(c.percent, c.people, c.positives, c.low, c.high) for c in CUTS] == [
        (row.percent, row.people, row.expected, row.low, row.high) for row in MANIFEST.reach
    ]
    assert CUTS[-1].share == 1
    assert CUTS[-1].lift == pytest.approx(1)


def test_lift_is_the_rate_against_that_of_everyone() -> None:
    assert CUTS[9].lift == pytest.approx(CUTS[9].rate / CUTS[-1].rate)


def test_whole_percent_is_read_and_what_lies_between_is_on_the_line() -> None:
    assert reach.cut_at(CUTS, 10) == CUTS[9]
    middle = reach.cut_at(CUTS, 10.5)
    part = (middle.people - CUTS[9].people) / (CUTS[10].people - CUTS[9].people)
    assert part == pytest.approx(0.5, abs=0.001)
    assert middle.positives == pytest.approx(CUTS[9].positives + part * (CUTS[10].positives - CUTS[9].positives))
    assert reach.cut_at(CUTS, 0.5).people == pytest.approx(CUTS[0].people / 2)


@pytest.mark.parametrize("rows", [MANIFEST.reach[:99], MANIFEST.reach[1:], (*MANIFEST.reach, MANIFEST.reach[-1])])
def test_reach_without_its_hundred_rows_is_refused(rows: tuple[object, ...]) -> None:
    with pytest.raises(ContractError, match="the reach of buy has not one row for each percent"):
        reach.expected_cuts(replace(MANIFEST, reach=rows))  # type: ignore[arg-type]


def test_reach_of_a_test_that_ends_before_everyone_is_refused() -> None:
    with pytest.raises(ContractError, match="does not end with everyone"):
        reach.tested_cuts(replace(EVALUATION, reach=EVALUATION.reach[:50]))


def test_reach_of_a_test_counts_and_estimates_nothing() -> None:
    cuts = reach.tested_cuts(failed_run().evaluations[1])
    assert {cut.low for cut in cuts} == {None}
    assert cuts[-1].positives == failed_run().evaluations[1].positives


@pytest.mark.parametrize(
    ("top_percent", "changes", "start"),
    [
        (10.0, {}, 10.0),
        (0.5, {}, 0.5),
        (10.0, {"channel": "SMS", "people": 15}, None),
        (10.0, {"minimum_score": 0.9, "people": 15}, None),
        (10.0, {"max_size": 15, "people": 15}, None),
        (10.0, {"channel": "EMAIL", "people": 30_075, "holdout": 2_000}, 10.0),
        (0.5, {"minimum_score": 0.01, "people": 1_604}, 0.5),
    ],
    ids=["percent", "fraction", "channel", "minimum", "cap", "all are on the channel", "minimum takes nobody"],
)
def test_segment_starts_at_a_cut_only_if_its_people_are_those_of_the_cut(
    top_percent: float, changes: dict[str, Any], start: float | None
) -> None:
    plain = {"channel": "", "minimum_score": 0.0, "max_size": 0, "holdout": 0}
    segment = replace(MANIFEST.segments[0], top_percent=top_percent, **{**plain, **changes})
    assert reach.percent_of(segment, CUTS) == start


@pytest.mark.parametrize(
    ("people", "held", "start"), [(0, 0, 1), (15, 0, 1), (3_208, 0, 1), (3_000, 209, 2), (320_742, 0, 100)]
)
def test_slider_starts_at_the_first_cut_with_as_many_people(people: int, held: int, start: int) -> None:
    assert reach.start_of(replace(MANIFEST.segments[0], people=people, holdout=held), CUTS) == start


@pytest.mark.parametrize("percent", [0.01, 0.0001, 0.5, 12.34, 99.99])
def test_people_of_a_cut_are_rounded_up_as_in_the_file(percent: float) -> None:
    assert reach.cut_at(CUTS, percent).people == share(CUTS[-1].people, percent)
    few = tuple(replace(cut, people=share(72, cut.percent)) for cut in CUTS)
    assert reach.cut_at(few, percent).people == share(72, percent) >= 1


def test_table_has_the_fixed_cuts_and_each_segment_once() -> None:
    rows = reach.table_rows(CUTS, {"a": 10.0, "b": 12.5})
    assert [(row.cut.percent, row.segment) for row in rows] == [
        (1, ""), (5, ""), (10, "a"), (12.5, "b"), (20, ""), (30, ""), (50, ""), (100, "")
    ]  # fmt: skip


def test_two_segments_with_one_cut_have_a_row_each() -> None:
    assert [row.segment for row in reach.table_rows(CUTS, {"a": 10.0, "b": 10.0}) if row.segment] == ["a", "b"]


def test_of_two_presets_at_one_place_the_segment_stays() -> None:
    presets = reach.presets(CUTS, {"tiny": 0.4, "all": 100.0})
    assert [(one.percent, one.kind) for one in presets] == [(1, "segment"), (15, "half"), (100, "segment")]


def test_half_is_the_first_cut_that_reaches_half() -> None:
    half = next(one.percent for one in reach.presets(CUTS, {}) if one.kind == "half")
    assert CUTS[half - 1].share >= 0.5 > CUTS[half - 2].share


def test_readout_says_the_row_and_money_only_where_a_contact_has_a_price() -> None:
    texts = reach.readout(CUTS[9], Money("$", 0.5))
    assert texts["people"] == "32,075"
    assert texts["cost"] == "$16,038"
    assert texts["dots"] == round(100 * CUTS[9].rate)
    assert {"cost", "each"} & reach.readout(CUTS[9], Money()).keys() == set()
    assert reach.readout(CUTS[99], Money())["share"] == "all"
