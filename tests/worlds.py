"""Small made-up worlds for tests: purchases by habit, contacts, and a partner who knows something."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from clean_rooms.identity import hash_email
from contracts.run_settings import FILE_NAME, Goal, Query, RunSettings, Segment

AS_OF = date(2026, 6, 30)
HORIZON_DAYS = 90
TRAINING_DATE = AS_OF - timedelta(days=HORIZON_DAYS)

SETTINGS = RunSettings(
    project="spring",
    region="us-east-1",
    notice="made-up world",
    data_bucket="spring-data",
    results_bucket="spring-results",
    query=Query("spring", "match_keys", "partner_attributes", ("affinity", "band", "attribute_date"), 600),
    goals=(Goal("buy", "purchase", HORIZON_DAYS, 0.6),),
    segments=(Segment("likely_buyers", "buy", 10.0),),
    training_snapshots=1,
    partner_columns_are_static=False,
    max_duplicate_percent=5.0,
    seed=7,
)


def make_events(customers: int, seed: int) -> pd.DataFrame:
    """Draw purchases over two years: each customer has a rate of their own, so the past tells of the future."""
    rng = np.random.default_rng(seed)
    rates = rng.gamma(0.5, 16.0, size=customers) + 0.5
    counts = rng.poisson(rates) + 1
    keys = np.repeat([f"k{number:06d}" for number in range(customers)], counts)
    days = rng.integers(0, 730, size=len(keys))
    return pd.DataFrame(
        {
            "customer_key": keys,
            "event_type": "purchase",
            "event_time": pd.Timestamp(AS_OF, tz="UTC") - pd.to_timedelta(days, unit="D") + pd.Timedelta(hours=9),
            "amount": np.round(rng.gamma(2.0, 15.0, size=len(keys)), 2),
            "quantity": rng.integers(1, 5, size=len(keys)).astype(float),
        }
    )


def make_contacts(keys: list[str]) -> pd.DataFrame:
    """Give everybody an address; every tenth may not be matched, every eighth not be contacted."""
    return pd.DataFrame(
        {
            "customer_key": keys,
            "channel_type": "EMAIL",
            "address": [f"{key}@example.com" for key in keys],
            "may_match": [number % 10 != 0 for number in range(len(keys))],
            "may_contact": [number % 8 != 0 for number in range(len(keys))],
        }
    )


def make_partner(keys: list[str], seed: int) -> pd.DataFrame:
    """Let the partner know two thirds of the customers, dated on the training date."""
    rng = np.random.default_rng(seed)
    known = [key for key in keys if rng.random() < 0.67]
    return pd.DataFrame(
        {
            "hashed_id": [hash_email(f"{key}@example.com") for key in known],
            "affinity": np.round(rng.normal(size=len(known)), 3),
            "band": rng.choice(["low", "mid", "high"], size=len(known)),
            "attribute_date": TRAINING_DATE,
        }
    )


def make_query_result(contacts: pd.DataFrame, partner: pd.DataFrame) -> pd.DataFrame:
    """Join as the protected query does."""
    keys = contacts.loc[contacts["may_match"], ["customer_key", "address"]]
    keys = keys.assign(hashed_id=keys["address"].map(hash_email)).drop(columns="address")
    return keys.merge(partner, on="hashed_id").drop(columns="hashed_id").drop_duplicates()


def write_inputs(
    folder: Path, settings: RunSettings = SETTINGS, customers: int = 800, seed: int = 1
) -> dict[str, pd.DataFrame]:
    """Write the inputs of BuildFeatures below ``folder`` and return them."""
    events = make_events(customers, seed)
    keys = sorted(events["customer_key"].unique())
    contacts = make_contacts(keys)
    tables = {
        "events": events,
        "contacts": contacts,
        "query_result": make_query_result(contacts, make_partner(keys, seed)),
    }
    for name, table in tables.items():
        write_table(folder, name, table)
    (folder / "settings").mkdir(parents=True, exist_ok=True)
    (folder / "settings" / FILE_NAME).write_bytes(settings.to_json())
    return tables


def write_table(folder: Path, name: str, table: pd.DataFrame) -> None:
    """Write one table as one Parquet file into its own folder."""
    (folder / name).mkdir(parents=True, exist_ok=True)
    table.to_parquet(folder / name / f"{name}.parquet", index=False)


def write_project(folder: Path, customers: int = 800, seed: int = 1, **changes: str) -> Path:
    """Write a whole project folder with its tables; ``changes`` replace lines of project.toml by their key."""
    events = make_events(customers, seed)
    keys = sorted(events["customer_key"].unique())
    (folder / "data").mkdir(parents=True)
    events.to_parquet(folder / "data" / "events.parquet", index=False)
    make_contacts(keys).to_parquet(folder / "data" / "contacts.parquet", index=False)
    make_partner(keys, seed).to_parquet(folder / "data" / "partner.parquet", index=False)
    lines = {
        "name": 'name = "spring"',
        "as_of": f"as_of = {AS_OF}",
        "notice": 'notice = "made-up world"',
        "tables": '[tables]\nevents = "data/events.parquet"\ncontacts = "data/contacts.parquet"',
        "partner": 'partner = "data/partner.parquet"',
        "query": '[query]\ncolumns = ["affinity", "band", "attribute_date"]',
        "goals": f'[[goals]]\nname = "buy"\nevent = "purchase"\nhorizon_days = {HORIZON_DAYS}\nminimum_auc = 0.60',
        "segments": '[[segments]]\nname = "likely_buyers"\ngoal = "buy"\ntop_percent = 10',
    } | changes
    (folder / "project.toml").write_text("\n".join(lines.values()) + "\n")
    return folder


def with_snapshots(number: int) -> RunSettings:
    """Settings that learn from several dates; the partner's one value per customer counts on all of them."""
    return replace(SETTINGS, training_snapshots=number, partner_columns_are_static=True)
