"""What BuildFeatures promises: no time travel, a split that leaks nobody, everyone scored, junk refused."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from contracts.errors import ContractError
from contracts.run_settings import RunSettings
from processing.build_features import Job, build_features, main
from tests.worlds import AS_OF, HORIZON_DAYS, SETTINGS, TRAINING_DATE, with_snapshots, write_inputs, write_table


def job(tmp_path: Path, settings: RunSettings = SETTINGS, *, is_training: bool = True) -> Job:
    """The step's job on the inputs in ``tmp_path``."""
    return Job(settings, AS_OF, tmp_path / "input", tmp_path / "out", is_training)


def build(tmp_path: Path, settings: RunSettings = SETTINGS, *, is_training: bool = True) -> Path:
    """Run the step on the inputs in ``tmp_path`` and return the folder of its outputs."""
    build_features(job(tmp_path, settings, is_training=is_training))
    return tmp_path / "out"


def feature_table(out: Path) -> pd.DataFrame:
    """Read the feature table."""
    return pq.read_table(out / "features" / "feature_table.parquet").to_pandas()


def shards(out: Path) -> pd.DataFrame:
    """Read all score shards."""
    return pq.read_table(out / "shards").to_pandas()


def test_events_after_as_of_change_no_feature(tmp_path: Path) -> None:
    tables = write_inputs(tmp_path / "input")
    before = feature_table(build(tmp_path))
    events = tables["events"]
    is_later = events["event_time"].dt.date > TRAINING_DATE
    assert is_later.sum() > 100
    changed = events.assign(
        amount=events["amount"].where(~is_later, 9_999.0), quantity=events["quantity"].where(~is_later, 77.0)
    )
    write_table(tmp_path / "input", "events", changed)
    pd.testing.assert_frame_equal(before, feature_table(build(tmp_path)))


def test_events_after_as_of_change_nothing_that_is_scored(tmp_path: Path) -> None:
    tables = write_inputs(tmp_path / "input")
    before = shards(build(tmp_path, is_training=False))
    future = tables["events"].tail(50).assign(event_time=pd.Timestamp(AS_OF + timedelta(days=1), tz="UTC"), amount=1e6)
    write_table(tmp_path / "input", "events", pd.concat([tables["events"], future]))
    pd.testing.assert_frame_equal(before, shards(build(tmp_path, is_training=False)))


def test_events_before_as_of_do_change_features(tmp_path: Path) -> None:
    tables = write_inputs(tmp_path / "input")
    before = feature_table(build(tmp_path))
    events = tables["events"]
    write_table(tmp_path / "input", "events", events.assign(amount=events["amount"] + 1))
    assert (feature_table(build(tmp_path))["amount_mean"] > before["amount_mean"] + 0.9).all()


def test_partner_value_dated_after_as_of_stops_the_run_by_name(tmp_path: Path) -> None:
    tables = write_inputs(tmp_path / "input")
    result = tables["query_result"]
    result.loc[result.index[0], "attribute_date"] = TRAINING_DATE + timedelta(days=1)
    write_table(tmp_path / "input", "query_result", result)
    with pytest.raises(ContractError, match="affinity, band of 1 customers") as caught:
        build(tmp_path)
    assert "partner_columns_are_static" in caught.value.fix
    assert not (tmp_path / "out" / "features").exists()


def test_static_partner_columns_may_be_newer(tmp_path: Path) -> None:
    tables = write_inputs(tmp_path / "input")
    write_table(tmp_path / "input", "query_result", tables["query_result"].assign(attribute_date=AS_OF))
    table = feature_table(build(tmp_path, replace(SETTINGS, partner_columns_are_static=True)))
    assert table["affinity"].notna().mean() > 0.4


def test_newest_partner_row_known_on_the_date_is_taken(tmp_path: Path) -> None:
    tables = write_inputs(tmp_path / "input")
    result = tables["query_result"]
    older = result.assign(attribute_date=TRAINING_DATE - timedelta(days=30), affinity=-100.0)
    newer = result.assign(attribute_date=AS_OF, affinity=100.0)
    write_table(tmp_path / "input", "query_result", pd.concat([newer, result, older]))
    out = build(tmp_path)
    known = result.set_index("customer_key")["affinity"].astype("float32")
    training = feature_table(out).set_index("customer_key")["affinity"].dropna()
    assert (training == known.loc[training.index]).all()
    assert set(shards(out)["affinity"].dropna()) == {100.0}


def test_duplicate_partner_rows_are_stopped_above_the_set_share(tmp_path: Path) -> None:
    tables = write_inputs(tmp_path / "input")
    result = tables["query_result"]
    write_table(tmp_path / "input", "query_result", pd.concat([result, result.head(60).assign(band="other")]))
    with pytest.raises(ContractError, match="several partner rows of one date"):
        build(tmp_path)
    build(tmp_path, replace(SETTINGS, max_duplicate_percent=50.0))


def test_row_order_of_inputs_changes_no_byte(tmp_path: Path) -> None:
    tables = write_inputs(tmp_path / "input")
    first = build(tmp_path)
    names = ("features/feature_table.parquet", "features/feature_table.json", "shards/shard-00000.parquet")
    before = {name: (first / name).read_bytes() for name in names}
    for name, table in tables.items():
        write_table(tmp_path / "input", name, table.sample(frac=1.0, random_state=3))
    assert before == {name: (build(tmp_path) / name).read_bytes() for name in names}


@pytest.mark.parametrize("snapshots", [1, 2])
def test_no_customer_is_in_two_parts(tmp_path: Path, snapshots: int) -> None:
    settings = with_snapshots(snapshots)
    write_inputs(tmp_path / "input", settings)
    table = feature_table(build(tmp_path, settings))
    parts = table.groupby("customer_key")["split"].nunique()
    assert (parts == 1).all()
    assert set(table["split"]) == {"train", "validation", "test"}


def test_several_snapshots_split_by_time_too(tmp_path: Path) -> None:
    settings = with_snapshots(2)
    write_inputs(tmp_path / "input", settings)
    table = feature_table(build(tmp_path, settings))
    tested = table.loc[table["split"] == "test", "snapshot_date"]
    learned = table.loc[table["split"] != "test", "snapshot_date"]
    assert set(tested) == {TRAINING_DATE}
    assert set(learned) == {TRAINING_DATE - timedelta(days=HORIZON_DAYS)}


def test_unmatched_customers_stay_with_missing_partner_columns(tmp_path: Path) -> None:
    tables = write_inputs(tmp_path / "input")
    scored = shards(build(tmp_path))
    matched = set(tables["query_result"]["customer_key"])
    allowed = set(tables["contacts"].loc[tables["contacts"]["may_contact"], "customer_key"])
    assert set(scored["User.UserId"]) == allowed
    assert (scored["affinity"].notna() == scored["User.UserId"].isin(matched)).all()


def test_customer_without_consent_is_not_scored(tmp_path: Path) -> None:
    tables = write_inputs(tmp_path / "input")
    refused = set(tables["contacts"].loc[~tables["contacts"]["may_contact"], "customer_key"])
    assert refused
    assert not refused & set(shards(build(tmp_path))["User.UserId"])


def test_feature_table_holds_no_address_and_no_other_identifier(tmp_path: Path) -> None:
    write_inputs(tmp_path / "input")
    table = feature_table(build(tmp_path))
    assert not {"address", "Address", "Id", "hashed_id", "User.UserId"} & set(table.columns)
    assert not table.map(lambda value: "@" in str(value)).to_numpy().any()


@pytest.mark.parametrize(
    ("table", "change", "message"),
    [
        ("events", lambda t: t.drop(columns="event_time"), "column event_time is missing from events"),
        ("events", lambda t: t.assign(amount="many"), "column amount of events must be number"),
        ("events", lambda t: t.assign(amount=float("inf")), "NaN or an infinite value"),
        ("events", lambda t: t.assign(customer_key=""), "an empty value"),
        ("events", lambda t: t.iloc[:0], "events has no rows"),
        ("contacts", lambda t: t.drop(columns="may_contact"), "column may_contact is missing from contacts"),
        ("contacts", lambda t: t.assign(may_contact=False), "there is nobody to score"),
        ("events", lambda t: t.assign(event_type="visit"), "goal buy can't be learned: 0 of"),
        ("query_result", lambda t: t.drop(columns="band"), "column band is missing from query result"),
    ],
)
def test_bad_table_is_refused_and_nothing_written(tmp_path: Path, table: str, change, message: str) -> None:  # type: ignore[no-untyped-def]
    tables = write_inputs(tmp_path / "input")
    write_table(tmp_path / "input", table, change(tables[table]))
    with pytest.raises(ContractError, match=message):
        build(tmp_path)
    assert not (tmp_path / "out" / "features").exists()
    assert not list((tmp_path / "out").rglob("feature_table*"))


def test_addresses_that_the_format_forbids_are_dropped_and_counted(tmp_path: Path) -> None:
    tables = write_inputs(tmp_path / "input")
    contacts = tables["contacts"]
    contacts.loc[[1, 2, 3], "address"] = ["a\tb@example.com", "x" * 101 + "@example.com", "line\nbreak@example.com"]
    write_table(tmp_path / "input", "contacts", contacts)
    summary = build_features(job(tmp_path, is_training=False))
    assert "3 endpoints left out (no such address)" in summary
    assert not {"k000001", "k000002", "k000003"} & set(shards(tmp_path / "out")["User.UserId"])


def test_step_leaves_its_summary_and_its_reason_as_exit_message(tmp_path: Path) -> None:
    ml_dir = tmp_path / "ml"
    tables = write_inputs(ml_dir / "processing" / "input")
    command = ["--ml-dir", str(ml_dir), "--for", "train", "--as-of"]
    assert main([*command, str(AS_OF)]) == 0
    matched = tables["query_result"]["customer_key"].nunique()
    assert f"{matched:,} matched" in (ml_dir / "output" / "message").read_text()
    assert main([*command, "yesterday"]) == 1
    assert "AsOf = 'yesterday' is not a date" in (ml_dir / "output" / "message").read_text()


def test_fingerprint_is_that_of_the_shards(tmp_path: Path) -> None:
    write_inputs(tmp_path / "input")
    out = build(tmp_path)
    metadata = pq.read_schema(out / "shards" / "shard-00000.parquet").metadata
    document = json.loads((out / "features" / "feature_table.json").read_text())
    assert metadata[b"pseg.fingerprint"].decode() == document["fingerprint"]


def test_one_refusal_of_an_address_counts_for_all(tmp_path: Path) -> None:
    tables = write_inputs(tmp_path / "input")
    contacts = tables["contacts"]
    refusal = contacts.iloc[[1]].assign(may_contact=False, address=" K000001@Example.com")
    write_table(tmp_path / "input", "contacts", pd.concat([contacts, refusal]))
    assert contacts.loc[1, "may_contact"]
    assert "k000001" not in set(shards(build(tmp_path))["User.UserId"])


def test_events_that_end_long_before_the_run_are_refused(tmp_path: Path) -> None:
    tables = write_inputs(tmp_path / "input")
    events = tables["events"]
    known = events[events["event_time"].dt.date <= AS_OF - timedelta(days=15)]
    write_table(tmp_path / "input", "events", known)
    with pytest.raises(ContractError, match="the events end on"):
        build(tmp_path)


@pytest.mark.parametrize(("days", "is_refused"), [(8, False), (9, True), (3_000, True)])
def test_events_that_end_long_before_the_day_of_scoring_are_refused(
    tmp_path: Path, days: int, is_refused: bool
) -> None:
    late, soon = (replace(SETTINGS.goals[0], name=f"in_{horizon}", horizon_days=horizon) for horizon in (300, 80))
    settings = replace(SETTINGS, query=None, goals=(late, soon), segments=())
    last = write_inputs(tmp_path / "input")["events"]["event_time"].max().date()
    scoring = Job(settings, last + timedelta(days=days), tmp_path / "input", tmp_path / "out", is_training=False)
    if not is_refused:
        assert "endpoints in 1 shard" in build_features(scoring)
        return
    with pytest.raises(ContractError, match=f"the events end on {last}, {days} days before the run's date") as caught:
        build_features(scoring)
    assert "8 may be missing" in caught.value.where
    assert not list((tmp_path / "out").rglob("*.parquet"))


def test_day_of_scoring_before_all_events_is_refused_by_name(tmp_path: Path) -> None:
    write_inputs(tmp_path / "input")
    early = Job(SETTINGS, date(2001, 1, 1), tmp_path / "input", tmp_path / "out", is_training=False)
    with pytest.raises(ContractError, match="no event is dated on or before the run's date 2001-01-01") as caught:
        build_features(early)
    assert caught.value.why == "no customer is known on that day"


@pytest.mark.parametrize("is_training", [True, False], ids=["train", "score"])
def test_query_result_about_nobody_of_ours_is_refused(tmp_path: Path, is_training: bool) -> None:
    tables = write_inputs(tmp_path / "input")
    others = tables["query_result"].assign(customer_key=lambda rows: "other-" + rows["customer_key"])
    write_table(tmp_path / "input", "query_result", others)
    with pytest.raises(ContractError, match="the query result is about none of our customers") as caught:
        build(tmp_path, is_training=is_training)
    assert "QueryResultUri" in caught.value.fix
    assert not list((tmp_path / "out").rglob("*.parquet"))
    build_features(Job(SETTINGS, AS_OF, tmp_path / "input", tmp_path / "out", is_training, 0, 2))


@pytest.mark.parametrize("name", ["place", "copies", "group", "order", "select"])
def test_partner_column_may_be_a_word_of_sql(tmp_path: Path, name: str) -> None:
    query = replace(SETTINGS.query, partner_columns=(name, "band", "attribute_date"))
    settings = replace(SETTINGS, query=query)
    tables = write_inputs(tmp_path / "input", settings)
    result = tables["query_result"].rename(columns={"affinity": name})
    write_table(tmp_path / "input", "query_result", result)
    assert feature_table(build(tmp_path, settings))[name].notna().mean() > 0.4


def test_event_times_may_be_nanoseconds_in_any_zone(tmp_path: Path) -> None:
    tables = write_inputs(tmp_path / "input")
    before = feature_table(build(tmp_path))
    times = tables["events"]["event_time"].dt.tz_convert("Asia/Tokyo").astype("datetime64[ns, Asia/Tokyo]")
    write_table(tmp_path / "input", "events", tables["events"].assign(event_time=times))
    pd.testing.assert_frame_equal(before, feature_table(build(tmp_path)))


@pytest.mark.parametrize(
    ("channel", "address"), [("EMAIL", "not an address"), ("SMS", "030 123456"), ("SMS", "+0123456789")]
)
def test_what_can_not_be_an_address_is_dropped_and_counted(tmp_path: Path, channel: str, address: str) -> None:
    tables = write_inputs(tmp_path / "input")
    contacts = tables["contacts"]
    contacts.loc[1, ["channel_type", "address"]] = [channel, address]
    write_table(tmp_path / "input", "contacts", contacts)
    summary = build_features(job(tmp_path, is_training=False))
    assert "1 endpoints left out (no such address)" in summary


def test_unknown_channel_is_refused(tmp_path: Path) -> None:
    tables = write_inputs(tmp_path / "input")
    write_table(tmp_path / "input", "contacts", tables["contacts"].assign(channel_type="email"))
    with pytest.raises(ContractError, match="another value than EMAIL, SMS"):
        build(tmp_path)


def test_events_after_the_date_are_not_used_and_counted(tmp_path: Path) -> None:
    tables = write_inputs(tmp_path / "input")
    later = (
        tables["events"]
        .head(7)
        .assign(
            customer_key=["only-later"] * 3 + tables["events"]["customer_key"].tolist()[:4],
            event_time=pd.Timestamp("2200-01-01", tz="UTC"),
        )
    )
    write_table(tmp_path / "input", "events", pd.concat([tables["events"], later]))
    summary = build_features(Job(SETTINGS, AS_OF, tmp_path / "input", tmp_path / "out", is_training=False))
    assert f"7 events after {AS_OF} not used (1 customers have no others)" in summary
    assert "only-later" not in set(shards(tmp_path / "out")["User.UserId"])


def test_one_event_from_the_future_does_not_hide_that_the_others_end_early(tmp_path: Path) -> None:
    tables = write_inputs(tmp_path / "input")
    events = tables["events"]
    known = events[events["event_time"].dt.date <= AS_OF - timedelta(days=15)]
    future = known.tail(1).assign(event_time=pd.Timestamp("2200-01-01", tz="UTC"))
    write_table(tmp_path / "input", "events", pd.concat([known, future]))
    with pytest.raises(ContractError, match="the events end on"):
        build(tmp_path)


def test_segment_for_a_channel_that_nobody_has_is_refused_by_name(tmp_path: Path) -> None:
    write_inputs(tmp_path / "input")
    settings = replace(SETTINGS, segments=(replace(SETTINGS.segments[0], channel="SMS"),))
    with pytest.raises(ContractError, match="segment likely_buyers is for SMS, and nobody can be written to there"):
        build(tmp_path, settings)
