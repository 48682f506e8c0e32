"""What people write first: pandas, XGBoost at its defaults, ``to_csv``; run with STEP and ML_DIR.

``fit`` makes the model, which no one times. ``events`` scores from the raw tables, ``table`` from ready features.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import xgboost as xgb

from tests.benchmarks.inputs import PARTNER_COLUMNS
from tests.worlds import AS_OF

ENDPOINT = ["ChannelType", "Address", "Id", "User.UserId"]
WINDOWS = (30, 90, 180, 365)


def make_features(inputs: Path) -> pd.DataFrame:
    """Compute the same 23 features of purchases with groupby, and join the partner's columns."""
    events = pd.read_parquet(inputs / "events")
    events["age"] = (pd.Timestamp(AS_OF) - events["event_time"].dt.tz_localize(None).dt.normalize()).dt.days
    events = events[events["age"] >= 0]
    table = events.groupby("customer_key").agg(
        recency_days=("age", "min"),
        tenure_days=("age", "max"),
        events_total=("age", "size"),
        days_active=("age", "nunique"),
        amount_total=("amount", "sum"),
        amount_mean=("amount", "mean"),
        amount_max=("amount", "max"),
        quantity_total=("quantity", "sum"),
        quantity_mean=("quantity", "mean"),
    )
    for days in WINDOWS:
        table[f"events_{days}d"] = events[events["age"] < days].groupby("customer_key").size()
    for days in WINDOWS:
        table[f"amount_{days}d"] = events[events["age"] < days].groupby("customer_key")["amount"].sum()
    table = table.fillna(0)
    table["events_trend_90d"] = 2 * table["events_90d"] - table["events_180d"]
    table["events_share_90d"] = table["events_90d"] / table["events_total"]
    days_apart = events[["customer_key", "age"]].drop_duplicates().sort_values(["customer_key", "age"])
    days_apart["gap"] = days_apart.groupby("customer_key")["age"].diff()
    gaps = days_apart.groupby("customer_key")["gap"].agg(["mean", "std", "max"]).add_prefix("gap_days_")
    table = table.join(gaps)
    table["recency_in_gaps"] = table["recency_days"] / table["gap_days_mean"]
    partner = pd.read_parquet(inputs / "query_result").set_index("customer_key")[list(PARTNER_COLUMNS)]
    return table.join(partner)


def write(scored: pd.DataFrame, folder: Path) -> None:
    """Write everybody's score, and the best tenth."""
    scored.to_csv(folder / "pandas_scored.csv", index=False)
    best = scored.sort_values("Metrics.buy_score", ascending=False).head(len(scored) // 10)
    best.to_csv(folder / "pandas_segment.csv", index=False)


def fit(ml: Path) -> None:
    """Fit XGBoost at its defaults on the feature table."""
    table = pd.read_parquet(sorted((ml / "input/data/features").glob("*.parquet")))
    table = table[table["split"] == "train"]
    features = table.drop(columns=["customer_key", "snapshot_date", "split", "label__buy"])
    xgb.XGBClassifier().fit(features, table["label__buy"]).save_model(ml / "bare" / "pandas.ubj")


def load(ml: Path) -> xgb.XGBClassifier:
    """Load that model."""
    model = xgb.XGBClassifier()
    model.load_model(ml / "bare" / "pandas.ubj")
    return model


def events(ml: Path) -> None:
    """Score from events, contacts and the partner's rows."""
    inputs = ml / "processing" / "input"
    features = make_features(inputs)
    contacts = pd.read_parquet(inputs / "contacts").query("may_contact").drop_duplicates(["channel_type", "address"])
    features["Metrics.buy_score"] = load(ml).predict_proba(features.to_numpy())[:, 1]
    scored = contacts.merge(features[["Metrics.buy_score"]], left_on="customer_key", right_index=True)
    scored["Id"] = scored["channel_type"] + ":" + scored["address"]
    names = {"channel_type": "ChannelType", "address": "Address", "customer_key": "User.UserId"}
    write(scored.rename(columns=names)[[*ENDPOINT, "Metrics.buy_score"]], ml / "bare")


def table(ml: Path) -> None:
    """Score from ready features with their endpoints."""
    rows = pd.read_parquet(ml / "processing" / "shards")
    rows["Metrics.buy_score"] = load(ml).predict_proba(rows.drop(columns=ENDPOINT))[:, 1]
    write(rows[[*ENDPOINT, "Metrics.buy_score"]], ml / "bare")


STEPS: dict[str, Callable[[Path], None]] = {"fit": fit, "events": events, "table": table}

if __name__ == "__main__":
    STEPS[sys.argv[1]](Path(sys.argv[2]))
