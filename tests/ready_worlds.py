"""Made-up ready customer tables: one row per customer, features of every kind, a label that depends on them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from contracts.run_settings import FILE_NAME, Goal, ReadyTable, RunSettings
from processing.build_features import Job, build_features
from tests.worlds import SETTINGS

ROLES = ReadyTable("customer_id", ignore=("duration",))
READY = replace(
    SETTINGS,
    query=None,
    goals=(Goal("subscribes", "", 0, 0.6, label="y"),),
    segments=(),
    customers=ROLES,
    has_contacts=False,
)


def make_customers(size: int = 400, seed: int = 1) -> pd.DataFrame:
    """Draw customers: a third of them, the older and richer ones more often, have the label."""
    rng = np.random.default_rng(seed)
    age, income = rng.integers(18, 90, size=size), rng.gamma(2.0, 20.0, size=size)
    chance = 1 / (1 + np.exp(-(0.05 * (age - 60) + 0.02 * (income - 40))))
    return pd.DataFrame(
        {
            "customer_id": [f"c{number:05d}" for number in range(size)],
            "age": age,
            "income": np.where(rng.random(size) < 0.1, np.nan, income),
            "job": rng.choice(["nurse", "smith", "none"], size=size),
            "is_member": rng.random(size) < 0.5,
            "duration": rng.integers(1, 999, size=size),
            "y": (rng.random(size) < chance).astype(int),
        }
    )


def with_roles(**roles: Any) -> RunSettings:
    """Settings whose table has other roles besides its key."""
    return replace(READY, customers=replace(ROLES, **roles))


def with_column(name: str, values: pa.Array) -> pa.Table:
    """The plain table with one column more, or another one of this name."""
    table = pa.Table.from_pandas(make_customers(), preserve_index=False)
    if name in table.column_names:
        return table.set_column(table.column_names.index(name), name, values)
    return table.append_column(name, values)


def write_customers(folder: Path, customers: pd.DataFrame | pa.Table, name: str = "customers") -> Path:
    """Write a ready table as an input of BuildFeatures; return the inputs' folder."""
    path = folder / "customers" / f"{name}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    table = customers if isinstance(customers, pa.Table) else pa.Table.from_pandas(customers, preserve_index=False)
    pq.write_table(table, path)
    return folder


def write_settings(folder: Path, settings: RunSettings) -> None:
    """Write the settings as an input of a step."""
    (folder / "settings").mkdir(parents=True, exist_ok=True)
    (folder / "settings" / FILE_NAME).write_bytes(settings.to_json())


def build(
    folder: Path, customers: pd.DataFrame | pa.Table, settings: RunSettings = READY, *, is_training: bool = True
) -> Path:
    """Run BuildFeatures on a ready table; return the folder of its outputs."""
    build_features(Job(settings, None, write_customers(folder / "input", customers), folder / "out", is_training))
    return folder / "out"


def training_rows(out: Path) -> pd.DataFrame:
    """The training table of one host, by customer."""
    return pq.read_table(out / "features" / "feature_table.parquet").to_pandas().set_index("customer_key")


def scored_rows(out: Path) -> pd.DataFrame:
    """The rows to score of all hosts, in the order of their shards, by customer."""
    return pq.read_table(out / "shards").to_pandas().set_index("User.UserId")
