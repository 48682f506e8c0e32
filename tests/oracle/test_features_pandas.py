"""The features of ``features.sql``, computed again in pandas by other means: both must agree."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from processing import features
from processing.sql import connect
from tests.worlds import TRAINING_DATE, make_events, write_table


def pandas_features(events: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
    """Compute every feature customer by customer."""
    days = events["event_time"].dt.tz_localize(None).dt.normalize()
    history = events.assign(day=days, age=(as_of - days).dt.days)
    history = history[history["age"] >= 0]
    rows = {}
    for key, own in history.groupby("customer_key"):
        age, amount = own["age"], own["amount"]
        gaps = np.diff(np.sort(own["day"].unique())).astype("timedelta64[D]").astype(float)
        row = {
            "recency_days": age.min(),
            "tenure_days": age.max(),
            "events_total": len(own),
            "days_active": own["day"].nunique(),
            "amount_total": amount.sum(),
            "amount_mean": amount.mean(),
            "amount_max": amount.max(),
            "quantity_total": own["quantity"].sum(),
            "quantity_mean": own["quantity"].mean(),
        }
        for window in (30, 90, 180, 365):
            row[f"events_{window}d"] = (age < window).sum()
            row[f"amount_{window}d"] = amount[age < window].sum()
        row["events_trend_90d"] = (age < 90).sum() - ((age >= 90) & (age < 180)).sum()
        row["events_share_90d"] = (age < 90).mean()
        row["gap_days_mean"] = gaps.mean() if len(gaps) else np.nan
        row["gap_days_std"] = gaps.std() if len(gaps) else np.nan
        row["gap_days_max"] = gaps.max() if len(gaps) else np.nan
        row["recency_in_gaps"] = age.min() / gaps.mean() if len(gaps) else np.nan
        rows[key] = row
    return pd.DataFrame.from_dict(rows, orient="index").astype(float).sort_index()


@pytest.mark.parametrize("seed", [1, 2])
def test_sql_and_pandas_agree_on_every_feature(tmp_path: Path, seed: int) -> None:
    events = make_events(400, seed)
    write_table(tmp_path, "events", events)
    connection = connect(tmp_path / "spill")
    features.register_events(connection, [tmp_path / "events" / "events.parquet"])
    table = features.brand_features(connection, TRAINING_DATE)
    found = connection.execute(f"SELECT * FROM {table}").df().set_index("customer_key").sort_index()
    expected = pandas_features(events, pd.Timestamp(TRAINING_DATE))
    assert set(found.columns) == set(expected.columns)
    pd.testing.assert_frame_equal(
        found[expected.columns.tolist()], expected, check_names=False, check_dtype=False, check_index_type=False
    )
