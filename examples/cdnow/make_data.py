"""Make the example's tables from the CDNOW purchases; run it from anywhere, the result is always the same.

Real: who bought what and when. Made up: the addresses (example.com), the consents, and the whole partner table. The
partner's ``music_affinity`` is drawn from N(0, 1) for customers who bought again after the training date and from
N(-0.5, 1) for the others, so by itself it ranks a buyer above a non-buyer with probability Phi(0.5 / sqrt 2) = 0.638
(its AUC); ``household_income_band`` knows nothing. It shows that the path works, not that partner data pays.
"""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from clean_rooms.identity import hash_email

HERE = Path(__file__).parent
TRAINING_DATE = pd.Timestamp("1997-09-30")
SEED = 19971
MEAN_SHIFT = 0.5
PARTNER_KNOWS = 0.65
INCOME_BANDS = ("under 30k", "30k to 60k", "60k to 100k", "over 100k")


def make_events(transactions: pd.DataFrame) -> pd.DataFrame:
    """Write each purchase as an event."""
    return pd.DataFrame(
        {
            "customer_key": transactions["customer_id"].map("c{:05d}".format),
            "event_type": "purchase",
            "event_time": transactions["date"].dt.tz_localize("UTC"),
            "amount": transactions["amount"],
            "quantity": transactions["cds"].astype("float64"),
        }
    ).sort_values(["customer_key", "event_time", "amount", "quantity"], ignore_index=True)


def make_contacts(keys: pd.Series, rng: np.random.Generator) -> pd.DataFrame:
    """Give each customer an address; 90 % allow matching and 85 % allow messages."""
    return pd.DataFrame(
        {
            "customer_key": keys,
            "channel_type": "EMAIL",
            "address": keys + "@example.com",
            "may_match": rng.random(len(keys)) < 0.90,
            "may_contact": rng.random(len(keys)) < 0.85,
        }
    )


def make_partner(events: pd.DataFrame, keys: pd.Series, rng: np.random.Generator) -> pd.DataFrame:
    """Give the partner 65 % of our customers and as many strangers, one row each, dated at the training date."""
    later = set(events.loc[events["event_time"] > TRAINING_DATE.tz_localize("UTC"), "customer_key"])
    known = keys[rng.random(len(keys)) < PARTNER_KNOWS]
    strangers = pd.Series([f"s{number:05d}" for number in range(len(known))])
    everyone = pd.concat([known, strangers], ignore_index=True)
    shift = np.where(everyone.isin(later), 0.0, -MEAN_SHIFT)
    return pd.DataFrame(
        {
            "hashed_id": (everyone + "@example.com").map(hash_email),
            "music_affinity": np.round(rng.normal(size=len(everyone)) + shift, 4),
            "household_income_band": rng.choice(INCOME_BANDS, size=len(everyone)),
            "attribute_date": TRAINING_DATE.date(),
        }
    ).sort_values("hashed_id", ignore_index=True)


def main() -> None:
    """Write the three tables."""
    rng = np.random.default_rng(SEED)
    events = make_events(duckdb.read_parquet(str(HERE / "source" / "transactions.parquet")).df())
    keys = pd.Series(sorted(events["customer_key"].unique()))
    (HERE / "data").mkdir(exist_ok=True)
    tables = {"events": events, "contacts": make_contacts(keys, rng), "partner": make_partner(events, keys, rng)}
    for name, table in tables.items():
        table.to_parquet(HERE / "data" / f"{name}.parquet", index=False, compression="zstd")


if __name__ == "__main__":
    main()
