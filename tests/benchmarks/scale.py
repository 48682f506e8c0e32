"""Our steps beside the bare engines that they are made of, at one size, in one run: ``make bench``.

Each side is a process on local files with two threads. What is read are the ratios: seconds on a shared machine are
noise. Bare engines: DuckDB runs the same SQL and writes Parquet; XGBoost trains with the same settings on a matrix that
pyarrow read; XGBoost predicts in place and pyarrow writes CSV. Beside scoring stands what people write first: pandas.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb

from contracts.run_settings import FILE_NAME
from tests.worlds import AS_OF, SETTINGS, TRAINING_DATE

PARTNER_COLUMNS = tuple(f"p{number:02d}" for number in range(26))  # with 24 of our own: 50 features
BARE_FEATURES = """
import sys, duckdb
from pathlib import Path
from processing.features import FEATURES_SQL
ml, training, scoring = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
inputs, out = ml / "processing" / "input", ml / "bare"
out.mkdir(exist_ok=True)
con = duckdb.connect(config={"temp_directory": str(out / "spill")})
con.execute("SET TimeZone = 'UTC'")
con.execute(f"CREATE VIEW events AS SELECT customer_key, event_type, event_time::TIMESTAMP::DATE AS event_day, "
            f"amount, quantity FROM '{inputs}/events/*.parquet'")
for day, name in ((training, "features"), (scoring, "scoring")):
    con.execute(f"COPY (SELECT * FROM ({FEATURES_SQL.replace('$as_of', repr(day))}) LEFT JOIN "
                f"'{inputs}/query_result/*.parquet' USING (customer_key) ORDER BY 1) TO '{out}/{name}.parquet'")
"""
BARE_TRAINING = """
import sys
from pathlib import Path
import numpy as np, pyarrow.parquet as pq, xgboost as xgb
from training.train import MAX_ROUNDS, PARAMETERS, PATIENCE_ROUNDS
table = pq.read_table(Path(sys.argv[1]) / "input/data/features/feature_table.parquet")
split, label = table["split"].to_numpy(), table["label__buy"].to_numpy()
names = [name for name in table.column_names if name not in ("customer_key", "snapshot_date", "split", "label__buy")]
matrix = np.column_stack([table[name].to_numpy().astype(np.float32) for name in names])
train = xgb.QuantileDMatrix(matrix[split == "train"], label[split == "train"])
validation = xgb.QuantileDMatrix(matrix[split == "validation"], label[split == "validation"], ref=train)
xgb.train({**PARAMETERS, "seed": 7}, train, MAX_ROUNDS, evals=[(validation, "v")],
          early_stopping_rounds=PATIENCE_ROUNDS, verbose_eval=False).save_model(f"{sys.argv[1]}/bare/booster.ubj")
"""
OUR_SCORING = """
import sys
from pathlib import Path
from inference.handler import CONTENT_TYPE, model_fn, transform_fn
ml = Path(sys.argv[1])
model = model_fn(str(ml / "model"))
(ml / "scored").mkdir()
for shard in sorted((ml / "processing/shards").glob("*.parquet")):
    text, _ = transform_fn(model, shard.read_bytes(), CONTENT_TYPE, "text/csv")
    (ml / "scored" / f"{shard.name}.out").write_text(text)
"""
BARE_SCORING = """
import sys
from pathlib import Path
import numpy as np, pyarrow as pa, pyarrow.csv, pyarrow.parquet as pq, xgboost as xgb
ml = Path(sys.argv[1])
booster = xgb.Booster(model_file=ml / "model" / "booster.ubj")
for shard in sorted((ml / "processing/shards").glob("*.parquet")):
    table = pq.read_table(shard)
    names = table.column_names[4:]
    matrix = np.column_stack([table[name].to_numpy().astype(np.float32) for name in names])
    scores = pa.array(booster.inplace_predict(matrix))
    scored = table.select(table.column_names[:4]).append_column("score", scores)
    pyarrow.csv.write_csv(scored, ml / "bare" / f"{shard.name}.csv")
"""
PANDAS_SCORING = """
import sys
from pathlib import Path
import pandas as pd, xgboost as xgb
ml = Path(sys.argv[1])
booster = xgb.XGBClassifier()
booster.load_model(ml / "model" / "booster.ubj")
for shard in sorted((ml / "processing/shards").glob("*.parquet")):
    rows = pd.read_parquet(shard)
    rows["Metrics.buy_score"] = booster.predict_proba(rows.iloc[:, 4:])[:, 1]
    rows.iloc[:, [0, 1, 2, 3, -1]].to_csv(ml / "bare" / f"{shard.name}.pandas.csv", index=False)
"""


@dataclass(frozen=True)
class Cost:
    """What one process took: wall clock and peak memory."""

    seconds: float
    peak_mb: float


def measure(*command: str) -> Cost:
    """Run a Python process to its end and measure it; its failure ends the benchmark."""
    environment = os.environ | {"OMP_NUM_THREADS": "2", "PYTHONPATH": str(Path.cwd())}
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, *command], env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command[:3]} ended with exit code {process.returncode}")
    return Cost(time.perf_counter() - began, usage.ru_maxrss / 1024)


def make_inputs(inputs: Path, customers: int) -> None:
    """Draw a world of this many customers with about five purchases each, by DuckDB's own generator."""
    for name in ("events", "contacts", "query_result", "settings"):
        (inputs / name).mkdir(parents=True)
    query = replace(SETTINGS.query, partner_columns=(*PARTNER_COLUMNS, "attribute_date"))
    (inputs / "settings" / FILE_NAME).write_bytes(replace(SETTINGS, query=query).to_json())
    con = duckdb.connect()
    con.execute("SELECT setseed(0.5)")
    key = "'k' || lpad(n::VARCHAR, 8, '0')"
    con.execute(
        f"""COPY (SELECT {key} AS customer_key, 'purchase' AS event_type,
            (TIMESTAMPTZ '{AS_OF} 09:00:00+00' - to_days((730 * random())::INTEGER)) AS event_time,
            round(60 * random(), 2) AS amount, (1 + 4 * random())::INTEGER::DOUBLE AS quantity
            FROM range({customers}) t(n), range((1 + 9 * random())::INTEGER)) TO '{inputs}/events/events.parquet'"""
    )
    con.execute(
        f"""COPY (SELECT {key} AS customer_key, 'EMAIL' AS channel_type, {key} || '@example.com' AS address,
            true AS may_match, true AS may_contact FROM range({customers}) t(n))
            TO '{inputs}/contacts/contacts.parquet'"""
    )
    values = ", ".join(f"random() AS {name}" for name in PARTNER_COLUMNS)
    con.execute(
        f"""COPY (SELECT {key} AS customer_key, {values}, DATE '{TRAINING_DATE}' AS attribute_date
            FROM range({customers}) t(n) WHERE n % 3 > 0) TO '{inputs}/query_result/result.parquet'"""
    )


def run(customers: int, work: Path) -> list[tuple[str, Cost, str, Cost]]:
    """Measure each step beside its bare engine."""
    ml = work / "ml"
    inputs = ml / "processing" / "input"
    make_inputs(inputs, customers)
    day, folder = str(AS_OF), str(ml)
    rows = []
    ours = measure("-m", "processing.build_features", "--ml-dir", folder, "--as-of", day, "--for", "train")
    bare = measure("-c", BARE_FEATURES, folder, str(TRAINING_DATE), day)
    rows.append(("BuildFeatures", ours, "DuckDB", bare))
    data = ml / "input" / "data"
    shutil.copytree(ml / "processing" / "features", data / "features")
    shutil.copytree(inputs / "settings", data / "settings")
    (data / "code").mkdir()
    ours = measure("-m", "training.train", "--ml-dir", folder, "--goal", "buy")
    rows.append(("Train", ours, "XGBoost", measure("-c", BARE_TRAINING, folder)))
    ours = measure("-c", OUR_SCORING, folder)
    rows.append(("Score", ours, "XGBoost, pyarrow CSV", measure("-c", BARE_SCORING, folder)))
    rows.append(("Score", ours, "pandas", measure("-c", PANDAS_SCORING, folder)))
    return rows


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=1_000_000)
    customers = parser.parse_args().customers
    with tempfile.TemporaryDirectory() as work:
        rows = run(customers, Path(work))
    print(f"{customers:,} customers x {24 + len(PARTNER_COLUMNS)} features, 2 threads")  # noqa: T201
    heading = f"{'step':<14} {'ours':>8} {'peak':>8}   {'beside':<21} {'theirs':>8} {'peak':>8}   ours / theirs"
    print(heading)  # noqa: T201
    for step, ours, name, theirs in rows:
        left = f"{step:<14} {ours.seconds:>6.1f} s {ours.peak_mb:>5,.0f} MB"
        right = f"{name:<21} {theirs.seconds:>6.1f} s {theirs.peak_mb:>5,.0f} MB"
        print(f"{left}   {right}   {ours.seconds / theirs.seconds:.2f}")  # noqa: T201


if __name__ == "__main__":
    main()
