"""Customers whose propensities are known, and models of them: what training and inference tests start from."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from contracts.feature_table import JSON_NAME, PARQUET_NAME, FeatureTable
from contracts.run_settings import FILE_NAME, RunSettings
from pipelines.code_bundle import collect_code
from tests.strategies import random_rows
from tests.worlds import SETTINGS
from training import train

SHARES = (0.6, 0.2, 0.2)


def make_customers(size: int, seed: int) -> tuple[pa.Table, FeatureTable, npt.NDArray[np.float64]]:
    """Draw a feature table with labels, its contract, and the true propensity of each customer."""
    endpoints, table = random_rows(size, seed)
    rng = np.random.default_rng(seed + 1)
    band = np.array([{"high": 1.0, "mid": 0.3, "low": -0.8, None: 0.0}[value.as_py()] for value in endpoints["band"]])
    amount = np.nan_to_num(endpoints["amount"].to_numpy(zero_copy_only=False), nan=1.0)
    truth = 1 / (1 + np.exp(-(-1.2 + 0.9 * endpoints["recency"].to_numpy() + 0.4 * (amount - 2.0) + band)))
    rows = pa.table(
        {
            "customer_key": endpoints["User.UserId"],
            "snapshot_date": pa.array([date(2026, 4, 1)] * size),
            "split": rng.choice(["train", "validation", "test"], p=SHARES, size=size).tolist(),
            "label__buy": pa.array((rng.random(size) < truth).astype(np.int8)),
            **{name: endpoints[name] for name in table.names},
        }
    )
    return rows, table, truth


def write_training_inputs(
    ml_dir: Path,
    rows: pa.Table,
    table: FeatureTable,
    settings: RunSettings = SETTINGS,
    code: dict[str, bytes] | None = None,
) -> Path:
    """Write the channels of a training job."""
    data = ml_dir / "input" / "data"
    (data / "features").mkdir(parents=True)
    pq.write_table(rows, data / "features" / PARQUET_NAME)
    (data / "features" / JSON_NAME).write_bytes(table.to_json())
    (data / "settings").mkdir()
    (data / "settings" / FILE_NAME).write_bytes(settings.to_json())
    for name, content in (code or collect_code()).items():
        (data / "code" / name).parent.mkdir(parents=True, exist_ok=True)
        (data / "code" / name).write_bytes(content)
    return ml_dir


def train_model(ml_dir: Path, size: int = 3000, seed: int = 5, training_seed: int = SETTINGS.seed) -> Path:
    """Train on customers of known propensity; return the model's folder."""
    rows, table, _ = make_customers(size, seed)
    write_training_inputs(ml_dir, rows, table, replace(SETTINGS, seed=training_seed))
    if train.main(["--ml-dir", str(ml_dir), "--goal", "buy"]) != 0:
        raise AssertionError((ml_dir / "output" / "failure").read_text())
    return ml_dir / "model"
