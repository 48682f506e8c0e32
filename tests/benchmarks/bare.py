"""The bare engines at the work of each step, without any check: ``python -m tests.benchmarks.bare STEP ML_DIR``.

DuckDB runs the SQL of the features and joins, of a tenth of ten million customers where that is what is learned from;
XGBoost trains at our settings on a matrix that pyarrow read, and
predicts in place; pyarrow reads, sorts and writes CSV.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np


def features(ml: Path) -> None:
    """Compute the features on both dates and join the partner's columns."""
    import duckdb

    from processing.features import FEATURES_SQL
    from tests.worlds import AS_OF, TRAINING_DATE

    inputs = ml / "processing" / "input"
    con = duckdb.connect(config={"temp_directory": str(ml / "bare" / "spill")})
    con.execute("SET TimeZone = 'UTC'")
    con.execute(
        f"""CREATE VIEW events AS SELECT customer_key, event_type, event_time::TIMESTAMP::DATE AS event_day,
        amount, quantity FROM '{inputs}/events/*.parquet'"""
    )
    (share,) = con.execute("SELECT least(1, 1e6 / count(DISTINCT customer_key)) FROM events").fetchone() or (1,)
    con.execute(f"CREATE VIEW learned AS SELECT * FROM events WHERE hash(customer_key) >> 48 < {65536 * float(share)}")
    for day, name, source in ((TRAINING_DATE, "features", "learned"), (AS_OF, "scoring", "events")):
        sql = FEATURES_SQL.replace("$as_of", f"'{day}'").replace("FROM events", f"FROM {source}")
        con.execute(
            f"""COPY (SELECT * FROM ({sql}) LEFT JOIN '{inputs}/query_result/*.parquet' USING (customer_key)
            ORDER BY 1) TO '{ml}/bare/{name}.parquet'"""
        )


def train(ml: Path) -> None:
    """Train on the feature table."""
    import pyarrow.parquet as pq
    import xgboost as xgb

    from training.trees import COMMON, LARGE, MAX_ROUNDS, PATIENCE_ROUNDS

    table = pq.read_table(sorted((ml / "input/data/features").glob("*.parquet")))
    split, label = table["split"].to_numpy(), table["label__buy"].to_numpy()
    names = [
        name for name in table.column_names if name not in ("customer_key", "snapshot_date", "split", "label__buy")
    ]
    matrix = np.column_stack([table[name].to_numpy().astype(np.float32) for name in names])
    learned = xgb.QuantileDMatrix(matrix[split == "train"], label[split == "train"])
    validation = xgb.QuantileDMatrix(matrix[split == "validation"], label[split == "validation"], ref=learned)
    settings = {**COMMON, **LARGE, "seed": 7}
    stop = {"evals": [(validation, "v")], "early_stopping_rounds": PATIENCE_ROUNDS, "verbose_eval": False}
    xgb.train(settings, learned, MAX_ROUNDS, **stop).save_model(ml / "bare" / "booster.ubj")


def score(ml: Path) -> None:
    """Predict each shard and write a CSV."""
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet as pq
    import xgboost as xgb

    booster = xgb.Booster(model_file=ml / "model" / "booster.ubj")
    for shard in sorted((ml / "processing/shards").glob("*.parquet")):
        table = pq.read_table(shard)
        matrix = np.column_stack([table[name].to_numpy().astype(np.float32) for name in table.column_names[4:]])
        scores = pa.array(booster.inplace_predict(matrix))
        scored = table.select(table.column_names[:4]).append_column("score", scores)
        pyarrow.csv.write_csv(scored, ml / "bare" / f"{shard.name}.csv")


def publish(ml: Path) -> None:
    """Read the scored CSVs, sort by score, write the best tenth."""
    import pyarrow as pa
    import pyarrow.csv

    table = pa.concat_tables([pyarrow.csv.read_csv(path) for path in sorted((ml / "scored").glob("*.out"))])
    ranked = table.sort_by([("Metrics.buy_score", "descending"), ("Id", "ascending")])
    pyarrow.csv.write_csv(ranked.slice(0, table.num_rows // 10), ml / "bare" / "segment.csv")


STEPS: dict[str, Callable[[Path], None]] = {"features": features, "train": train, "score": score, "publish": publish}

if __name__ == "__main__":
    STEPS[sys.argv[1]](Path(sys.argv[2]))
