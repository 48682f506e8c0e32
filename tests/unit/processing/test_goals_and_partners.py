"""Several goals look ahead differently far, some wait for nothing to happen; and a brand may have no partner."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from contracts.errors import ContractError, SettingsError
from contracts.feature_table import read_feature_table, read_part
from contracts.run_facts import QueryFacts, read_run_facts
from contracts.run_settings import Goal
from processing.build_features import Job, build_features
from tests.worlds import AS_OF, SETTINGS, make_events, write_inputs, write_table

GOALS = (
    Goal("buy", "purchase", 90, 0.6),
    Goal("lapse", "purchase", 180, 0.6, is_absent=True),
    Goal("return", "return", 90, 0.6),
)
ALONE = replace(SETTINGS, query=None)
WORLD = replace(ALONE, goals=GOALS)


def build(folder: Path, settings: object = WORLD, events: pd.DataFrame | None = None) -> pd.DataFrame:
    """Run the step; return the training rows."""
    write_inputs(folder / "input", SETTINGS)
    if events is not None:
        write_table(folder / "input", "events", events)
    build_features(Job(settings, AS_OF, folder / "input", folder / "out", True))  # type: ignore[arg-type]
    return pq.read_table(folder / "out" / "features" / "feature_table.parquet").to_pandas()


def with_returns() -> pd.DataFrame:
    """Every fifth event is another one: a return."""
    events = make_events(800, 1)
    return events.assign(event_type=["return" if number % 5 == 0 else "purchase" for number in range(len(events))])


def happened(events: pd.DataFrame, goal: Goal, day: date, keys: pd.Series) -> list[bool]:
    """In pandas: whether each customer did it within the horizon after the day."""
    days = events["event_time"].dt.date
    window = (
        (days > day) & (days <= day + timedelta(days=goal.horizon_days)) & (events["event_type"] == goal.event_type)
    )
    return keys.isin(set(events.loc[window, "customer_key"])).tolist()


@pytest.mark.parametrize("snapshots", [1, 2])
def test_labels_are_those_of_each_goals_own_window(tmp_path: Path, snapshots: int) -> None:
    events = with_returns()
    found = build(tmp_path, replace(WORLD, training_snapshots=snapshots), events)
    for goal in GOALS:
        dates = [AS_OF - timedelta(days=goal.horizon_days * step) for step in range(1, snapshots + 1)]
        own = found[found[f"label__{goal.name}"].notna()]
        assert set(own["snapshot_date"]) == set(dates)
        for day in dates:
            rows = own[own["snapshot_date"] == day]
            did = happened(events, goal, day, rows["customer_key"])
            expected = [is_done != goal.is_absent for is_done in did]
            assert rows[f"label__{goal.name}"].astype(bool).tolist() == expected
            assert 0 < sum(expected) < len(expected)


def test_rows_of_another_horizon_have_no_label(tmp_path: Path) -> None:
    found = build(tmp_path, events=with_returns())
    is_far = found["snapshot_date"] == AS_OF - timedelta(days=180)
    assert found.loc[is_far, ["label__buy", "label__return"]].isna().all(axis=None)
    assert found.loc[~is_far, "label__lapse"].isna().all()
    assert found.loc[~is_far, ["label__buy", "label__return"]].notna().all(axis=None)


def test_each_goal_learns_from_its_own_rows_alone(tmp_path: Path) -> None:
    both = build(tmp_path / "both", events=with_returns())
    for goal in GOALS[:2]:
        build(tmp_path / goal.name, replace(ALONE, goals=(goal,)), with_returns())
        label = f"label__{goal.name}"
        for part in ("train", "validation", "test"):
            shared, own = (read_part(tmp_path / each / "out" / "features", part, label) for each in ("both", goal.name))
            assert shared.select(own.column_names).cast(own.schema).equals(own)
    assert both.groupby("customer_key")["split"].nunique().max() == 1


def test_training_dates_are_told(tmp_path: Path) -> None:
    build(tmp_path, events=with_returns())
    facts = read_run_facts(tmp_path / "out" / "run_facts")
    assert facts.training_dates == (str(AS_OF - timedelta(days=180)), str(AS_OF - timedelta(days=90)))


def test_event_that_never_happens_is_refused_also_where_absence_is_the_goal(tmp_path: Path) -> None:
    goals = (Goal("never", "nothing", 90, 0.6, is_absent=True),)
    with pytest.raises(ContractError, match=r"goal never can't be learned: ([0-9]+) of \1 customers have it"):
        build(tmp_path, replace(ALONE, goals=goals))
    assert not (tmp_path / "out" / "features").exists()


def test_longest_horizon_decides_how_old_the_events_may_be(tmp_path: Path) -> None:
    events = with_returns()
    late = events[events["event_time"].dt.date <= AS_OF - timedelta(days=12)]
    with pytest.raises(ContractError, match="the events end on") as caught:
        build(tmp_path / "a", events=late)
    assert "goal buy, label window of 90 days, 9 may be missing" in caught.value.where
    build(tmp_path / "b", replace(ALONE, goals=GOALS[1:2]), late)


def test_without_a_partner_there_are_no_partner_columns_and_nobody_is_matched(tmp_path: Path) -> None:
    found = build(tmp_path, ALONE)
    contract = read_feature_table(tmp_path / "out" / "features")
    assert {feature.party for feature in contract.features} == {"brand"}
    assert not {"affinity", "band", "attribute_date"} & set(found.columns)
    facts = read_run_facts(tmp_path / "out" / "run_facts")
    assert (facts.matched, facts.query, facts.partner_columns) == (None, None, ())
    assert list(facts.own_columns) == contract.names


def test_with_a_partner_the_matched_are_counted_and_the_query_is_told(tmp_path: Path) -> None:
    tables = write_inputs(tmp_path / "input")
    (tmp_path / "input" / "query_result" / "query.json").write_text(
        '{"query_id": "q-1", "location": "s3://r/q-1", "rule": "LIST", "seconds": 4.5, "billed_units": null, "rows": 7}'
    )
    summary = build_features(Job(SETTINGS, AS_OF, tmp_path / "input", tmp_path / "out", True))
    facts = read_run_facts(tmp_path / "out" / "run_facts")
    assert facts.matched == tables["query_result"]["customer_key"].nunique()
    assert facts.partner_columns == ("affinity", "band")
    assert facts.query == QueryFacts("q-1", "LIST", 4.5, None, 7)
    assert f"{facts.matched:,} matched (" in summary
    assert f"{len(facts.own_columns)} own + 2 partner columns" in summary


def test_events_without_a_date_are_refused(tmp_path: Path) -> None:
    write_inputs(tmp_path / "input")
    for is_training in (True, False):
        with pytest.raises((SettingsError, ContractError), match="events need a date to look back from"):
            build_features(Job(ALONE, None, tmp_path / "input", tmp_path / "out", is_training))
