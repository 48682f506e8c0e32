"""A ready customer table becomes features as it is: any type, any name; who is scored; how it is split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contracts.errors import PsegError
from contracts.feature_table import read_feature_table
from contracts.run_facts import read_run_facts
from contracts.run_settings import Goal
from processing.build_features import Job, build_features, main
from tests.ready_worlds import (
    READY,
    build,
    make_customers,
    scored_rows,
    training_rows,
    with_column,
    with_roles,
    write_customers,
    write_settings,
)

AWKWARD = [
    "a b",
    'quo"te',
    "com,ma",
    "new\nline",
    "שלום",
    "percent %s $as_of",
    "select",
    "c",
    "s",
    "😀",
    "semi;colon--",
]


def test_columns_become_features_in_their_order_and_of_their_kinds(tmp_path: Path) -> None:
    customers = make_customers()
    out = build(tmp_path, customers)
    contract = read_feature_table(out / "features")
    assert [(feature.name, feature.kind, feature.party) for feature in contract.features] == [
        ("age", "number", "brand"),
        ("income", "number", "brand"),
        ("job", "category", "brand"),
        ("is_member", "number", "brand"),
    ]
    found, given = training_rows(out), customers.set_index("customer_id")
    assert found.index.tolist() == sorted(given.index)
    for name in ("age", "income", "is_member"):
        pd.testing.assert_series_equal(
            found[name], given[name].astype("float32").loc[found.index], check_names=False, check_index_type=False
        )
    assert (found["job"] == given["job"].loc[found.index]).all()
    assert (found["label__subscribes"] == given["y"].loc[found.index]).all()
    assert found["snapshot_date"].isna().all()


def test_every_customer_is_scored_under_its_own_key_where_there_are_no_contacts(tmp_path: Path) -> None:
    customers = make_customers()
    out = build(tmp_path, customers)
    scored = scored_rows(out)
    assert scored.index.tolist() == sorted(customers["customer_id"])
    assert set(scored["ChannelType"]) == {"CUSTOM"}
    assert (scored["Address"] == scored.index).all()
    facts = read_run_facts(out / "run_facts")
    assert (facts.customers, facts.matched, facts.query, facts.as_of) == (400, None, None, "undated")
    assert facts.scored == {"": 400, "CUSTOM": 400}
    assert facts.partner_columns == ()


def test_column_more_is_a_feature_and_ignored_ones_are_none(tmp_path: Path) -> None:
    out = build(tmp_path, make_customers().assign(more=1.5, duration="x"))
    assert [feature.name for feature in read_feature_table(out / "features").features][-1] == "more"
    assert "duration" not in training_rows(out).columns


@pytest.mark.parametrize(
    "values",
    [
        pa.array([number % 100 for number in range(400)], pa.int8()),
        pa.array(range(400), pa.uint64()),
        pa.array([1.5, None] * 200, pa.float32()),
        pa.array([1, None] * 200, pa.decimal128(20, 4)),
        pa.array([True, None] * 200),
        pa.array(["a", None] * 200, pa.large_string()),
        pa.array(["a", "é\u202e,\"'\n\t\x00"] * 200),
        pa.array(["x" * 256, ""] * 200),
        pa.array(["a", None] * 200).dictionary_encode(),
        pa.nulls(400),
    ],
    ids=lambda values: f"{values.type} {str(values[1])[:9]!r}",
)
def test_feature_keeps_its_values_however_they_are_stored(tmp_path: Path, values: pa.Array) -> None:
    found = training_rows(build(tmp_path, with_column("more", values)))["more"]
    for before, after in zip(values.to_pylist(), found, strict=True):
        assert (before is None and pd.isna(after)) or before == after


def test_nan_is_missing(tmp_path: Path) -> None:
    customers = make_customers()
    table = with_column("income", pa.array(customers["income"].to_numpy(), from_pandas=False))
    assert table["income"].null_count == 0
    found = training_rows(build(tmp_path, table))["income"]
    assert (found.isna().to_numpy() == customers["income"].isna().to_numpy()).all()
    assert found.isna().sum() > 10


@pytest.mark.parametrize("name", AWKWARD)
def test_names_may_hold_whatever_they_do(tmp_path: Path, name: str) -> None:
    renamed = make_customers().rename(
        columns={"customer_id": f"{name}1", "age": name, "y": f"{name}2", "job": f"{name}3"}
    )
    settings = with_roles(customer_key=f"{name}1", ignore=("duration", f"{name}3"))
    settings = replace(settings, goals=(Goal("subscribes", "", 0, 0.6, label=f"{name}2"),))
    out = build(tmp_path, renamed, settings)
    assert [feature.name for feature in read_feature_table(out / "features").features] == [name, "income", "is_member"]
    assert training_rows(out)[name].tolist() == make_customers()["age"].tolist()
    assert scored_rows(out)[name].tolist() == make_customers()["age"].tolist()


@pytest.mark.parametrize("key", ["é שלום", 'a "b", c', "o'clock", "😀", "x" * 100])
def test_keys_may_hold_whatever_they_do(tmp_path: Path, key: str) -> None:
    customers = make_customers()
    customers.loc[3, "customer_id"] = key
    out = build(tmp_path, customers)
    assert key in training_rows(out).index
    assert scored_rows(out).loc[key, "Address"] == key


@pytest.mark.parametrize("key", ["tab\tbed", "new\nline", "nul\x00", "x" * 101])
def test_key_that_no_segment_file_can_hold_is_learned_from_but_not_scored_and_counted(tmp_path: Path, key: str) -> None:
    customers = make_customers()
    customers.loc[3, "customer_id"] = key
    out = build(tmp_path, customers)
    assert key in training_rows(out).index
    assert len(scored_rows(out)) == 399
    assert read_run_facts(out / "run_facts").drops[""][-1] == ("no usable address", 1)


def test_integer_keys_are_written_as_text(tmp_path: Path) -> None:
    customers = make_customers().assign(customer_id=range(1_000_000_000_000, 1_000_000_000_400))
    out = build(tmp_path, customers)
    assert scored_rows(out).index[0] == "1000000000000"
    assert training_rows(out).index[-1] == "1000000000399"


def test_ignored_column_may_have_one_of_our_names(tmp_path: Path) -> None:
    customers = make_customers().assign(customer_key="other", split="whatever", snapshot_date="never")
    ignored = ("duration", "customer_key", "split", "snapshot_date")
    assert training_rows(build(tmp_path, customers, with_roles(ignore=ignored))).index[0] == "c00000"


@pytest.mark.parametrize("kind", ["bool", "float", "Int64"])
def test_label_may_be_stored_in_several_ways(tmp_path: Path, kind: str) -> None:
    customers = make_customers()
    before = training_rows(build(tmp_path / "a", customers))
    after = training_rows(build(tmp_path / "b", customers.assign(y=customers["y"].astype(kind))))  # type: ignore[call-overload]
    pd.testing.assert_frame_equal(before, after)


def test_customer_without_a_label_is_scored_but_not_learned_from(tmp_path: Path) -> None:
    customers = make_customers().astype({"y": "Int64"})
    customers.loc[:99, "y"] = pd.NA
    out = build(tmp_path, customers)
    assert set(training_rows(out).index) == set(customers["customer_id"][100:])
    assert len(scored_rows(out)) == 400


def test_each_goal_has_its_own_label(tmp_path: Path) -> None:
    customers = make_customers().astype({"y": "Int64"})
    customers["z"] = 1 - customers["y"]
    customers.loc[:99, "y"] = pd.NA
    customers.loc[50:149, "z"] = pd.NA
    goals = (*READY.goals, Goal("leaves", "", 0, 0.6, label="z"))
    found = training_rows(build(tmp_path, customers, replace(READY, goals=goals)))
    assert (found["label__subscribes"].notna().sum(), found["label__leaves"].notna().sum()) == (300, 300)
    assert len(found) == 350
    assert "z" not in found.columns


def test_labels_split_and_time_are_not_needed_to_score(tmp_path: Path) -> None:
    settings = with_roles(split="part", time="day")
    trained = make_customers().assign(part=["train", "test"] * 200, day=range(400))
    build(tmp_path / "a", trained, settings)
    today = make_customers(seed=2).drop(columns="y")
    out = build(tmp_path / "b", today, settings, is_training=False)
    assert not (out / "features").exists()
    assert scored_rows(out)["age"].tolist() == today["age"].tolist()
    kept = [pq.read_schema(tmp_path / each / "out" / "shards" / "shard-00000.parquet").metadata for each in "ab"]
    assert kept[0] == kept[1]


def test_given_split_is_kept(tmp_path: Path) -> None:
    parts = np.resize(["train", "train", "validation", "test"], 400)
    found = training_rows(build(tmp_path, make_customers().assign(part=parts), with_roles(split="part")))
    assert found["split"].tolist() == parts.tolist()


@pytest.mark.parametrize("time", ["", "day"])
def test_given_split_without_validation_gives_a_quarter_of_its_training_part(tmp_path: Path, time: str) -> None:
    parts = np.resize(["train", "train", "test"], 400)
    customers = make_customers().assign(part=parts, day=range(400, 0, -1))
    ignored = ("duration",) if time else ("duration", "day")
    found = training_rows(build(tmp_path, customers, with_roles(split="part", time=time, ignore=ignored)))
    assert (found["split"] == "test").tolist() == (parts == "test").tolist()
    learned = found[parts == "train"]
    assert 0.15 < (learned["split"] == "validation").mean() < 0.35
    if time:
        days = customers.set_index("customer_id")["day"]
        held_out = days[learned.index[learned["split"] == "validation"]]
        assert held_out.min() > days[learned.index[learned["split"] == "train"]].max()
        assert len(held_out) == pytest.approx(len(learned) / 4, abs=1)


@pytest.mark.parametrize(
    "day",
    [
        lambda n: n,
        lambda n: float(n) / 7,
        lambda n: pd.Timestamp("2026-01-01") + pd.Timedelta(n, "h"),
        lambda n: f"{pd.Timestamp('2025-12-01') + pd.Timedelta(n, 'D'):%Y-%m-%d}",
        lambda n: f"{pd.Timestamp('2025-12-31') + pd.Timedelta(n, 'h'):%Y-%m-%dT%H:%M:%S.00Z}",
    ],
    ids=["int", "float", "timestamp", "text of a day", "text of a moment"],
)
def test_split_by_time_tests_on_the_newest(tmp_path: Path, day: Callable[[int], Any]) -> None:
    order = np.random.default_rng(5).permutation(400).tolist()
    customers = make_customers().assign(when=[day(place) for place in order])
    found = training_rows(build(tmp_path, customers, with_roles(time="when")))
    places = pd.Series(order, index=customers["customer_id"])
    spans = [places[found.index[found["split"] == part]] for part in ("train", "validation", "test")]
    assert [len(span) for span in spans] == pytest.approx([240, 80, 80], abs=1)
    assert spans[0].max() < spans[1].min() <= spans[1].max() < spans[2].min()
    assert "when" not in found.columns


def test_rows_of_one_time_are_dealt_out_whatever_their_keys_tell(tmp_path: Path) -> None:
    customers = make_customers().assign(when=1)
    found = training_rows(build(tmp_path, customers, with_roles(time="when")))
    test = found.index[found["split"] == "test"]
    assert len(test) == pytest.approx(80, abs=1)
    assert (test < sorted(found.index)[200]).mean() == pytest.approx(0.5, abs=0.15)


def test_split_without_any_of_these_goes_by_the_key_alone(tmp_path: Path) -> None:
    customers = make_customers()
    found = training_rows(build(tmp_path / "a", customers))["split"]
    again = training_rows(build(tmp_path / "b", customers.assign(age=1).sample(frac=0.9, random_state=1)))["split"]
    assert (found.loc[again.index] == again).all()
    assert found.value_counts(normalize=True).to_dict() == pytest.approx(
        {"train": 0.6, "validation": 0.2, "test": 0.2}, abs=0.06
    )


def test_missing_split_of_who_is_only_scored_is_allowed(tmp_path: Path) -> None:
    customers = make_customers().astype({"y": "Int64"}).assign(part=np.resize(["train", "validation", "test"], 400))
    customers.loc[:9, ["y", "part"]] = [pd.NA, None]
    assert len(training_rows(build(tmp_path, customers, with_roles(split="part")))) == 390


def test_files_of_a_folder_are_one_table(tmp_path: Path) -> None:
    customers = make_customers()
    whole = training_rows(build(tmp_path / "a", customers))
    write_customers(tmp_path / "b" / "input", customers[300:], "more/part-1")
    pd.testing.assert_frame_equal(whole, training_rows(build(tmp_path / "b", customers[:300])))


def test_consent_decides_who_is_scored_and_is_no_feature(tmp_path: Path) -> None:
    customers = make_customers().assign(ok=[number % 4 != 0 for number in range(400)], may=True)
    out = build(tmp_path, customers, with_roles(may_contact="ok", may_match="may"))
    assert set(scored_rows(out).index) == set(customers.loc[customers["ok"], "customer_id"])
    assert not {"ok", "may"} & set(training_rows(out).columns)
    drops = read_run_facts(out / "run_facts").drops
    assert drops == {
        channel: ((f"no {channel} address".replace("  ", " "), 0), ("no consent", 100), ("no usable address", 0))
        for channel in ("", "CUSTOM")
    }


def test_a_day_that_is_given_dates_the_rows(tmp_path: Path) -> None:
    inputs = write_customers(tmp_path / "input", make_customers())
    build_features(Job(READY, date(2026, 5, 1), inputs, tmp_path / "out", True))
    assert {str(day) for day in training_rows(tmp_path / "out")["snapshot_date"]} == {"2026-05-01"}
    facts = read_run_facts(tmp_path / "out" / "run_facts")
    assert (facts.as_of, facts.training_dates) == ("2026-05-01", ("2026-05-01",))


def test_order_of_the_rows_changes_no_byte(tmp_path: Path) -> None:
    customers = make_customers()
    names = ("features/feature_table.parquet", "features/feature_table.json", "shards/shard-00000.parquet")
    first = build(tmp_path / "a", customers)
    other = build(tmp_path / "b", customers.sample(frac=1.0, random_state=3))
    assert [(first / name).read_bytes() for name in names] == [(other / name).read_bytes() for name in names]


def test_own_query_over_a_ready_table_sees_no_label_and_no_split(tmp_path: Path) -> None:
    settings = replace(
        with_roles(split="part"), features_sql="SELECT customer_key, age / 2 AS half, job || '!' AS loud FROM customers"
    )
    customers = make_customers().assign(part=np.resize(["train", "validation", "test"], 400))
    found = training_rows(build(tmp_path / "a", customers, settings))
    assert (found["half"] == found["age"] / 2).all()
    assert (found["loud"] == found["job"] + "!").all()
    for hidden in ("y", "part"):
        leak = replace(settings, features_sql=f"SELECT customer_key, {hidden} AS leak FROM customers")
        with pytest.raises(PsegError, match="the feature query can't be run"):
            build(tmp_path / hidden, customers, leak)


def test_step_runs_undated_and_says_what_it_did(tmp_path: Path) -> None:
    inputs = write_customers(tmp_path / "processing" / "input", make_customers())
    write_settings(inputs, READY)
    assert main(["--ml-dir", str(tmp_path), "--for", "train", "--as-of", "undated"]) == 0
    assert (tmp_path / "output" / "message").read_text() == "400 customers, 4 own columns, 400 endpoints in 1 shard(s)"
