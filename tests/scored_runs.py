"""Scored CSVs of a run, its facts and its evaluation: what publish starts from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from activation.population import Population, read_population
from contracts.evaluation import FILE_NAME as EVALUATION_NAME
from contracts.evaluation import Check, Evaluation, ReachPoint
from contracts.run_facts import ANY_CHANNEL, RunFacts, write_run_facts
from contracts.run_settings import FILE_NAME as SETTINGS_NAME
from contracts.run_settings import RunSettings, Segment
from contracts.segment_file import ENDPOINT_COLUMNS, header, write_scored_csv
from tests.strategies import endpoints_of
from tests.worlds import SETTINGS

HEADER = ",".join(header("buy")) + "\n"
TWO_SEGMENTS = replace(SETTINGS, segments=(Segment("likely", "buy", 10.0), Segment("all", "buy", 100.0)))
SCORED = RunFacts(
    *("2026-06-30", 130, None, (), (), (), None),
    drops={ANY_CHANNEL: (("no consent", 20), ("no address", 10)), "EMAIL": (("no consent", 20), ("no address", 10))},
    scored={ANY_CHANNEL: 100, "EMAIL": 100},
)

Row = tuple[str, str, str, str, float]  # channel, address, id, customer, score


def write_csv(folder: Path, rows: Sequence[Row], number: int = 0) -> None:
    """Write one scored CSV as the handler does."""
    columns = [pa.array([row[place] for row in rows], pa.string()) for place in range(len(ENDPOINT_COLUMNS))]
    scores = np.array([row[-1] for row in rows], dtype=np.float32)
    text = write_scored_csv(pa.table(columns, names=list(ENDPOINT_COLUMNS)), scores, "buy")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"shard-{number:05d}.parquet.out").write_bytes(text.encode())


def population_of(folder: Path, rows: Sequence[Row]) -> Population:
    """Write rows as one scored CSV and read them as publish does."""
    write_csv(folder, rows)
    return read_population(folder, "buy")


def facts_of(rows: Sequence[Row], dropped: int = 0) -> RunFacts:
    """Facts of a run in which so many customers were dropped before these were scored."""
    channels = {ANY_CHANNEL, *(row[0] for row in rows)}
    scored = {
        channel: len({row[3] for row in rows if channel in (ANY_CHANNEL, row[0])}) for channel in sorted(channels)
    }
    customers = scored[ANY_CHANNEL] + dropped
    return RunFacts(
        as_of="2026-06-30",
        customers=customers,
        matched=None,
        own_columns=("recency",),
        partner_columns=(),
        training_dates=("2026-04-01",),
        query=None,
        drops={channel: (("no consent", customers - count),) for channel, count in scored.items()},
        scored=scored,
    )


def evaluation_of(auc: float = 0.7, goal: str = "buy") -> Evaluation:
    """An evaluation whose best ``n`` percent of 1,000 test customers held ``2 n`` positives."""
    return Evaluation(
        goal=goal,
        notice="made-up world",
        split="customer",
        people=1000,
        positives=200,
        auc=auc,
        average_precision=0.4,
        log_loss=0.4,
        brier=0.1,
        base_rate=0.2,
        tenths=(),
        checks=(Check("auc", auc, 0.6, auc >= 0.6),),
        model={},
        reach=tuple(ReachPoint(percent, 10 * percent, 2 * percent) for percent in range(1, 101)),
    )


def scored_texts(size: int = 100, files: int = 3) -> list[str]:
    """Scored CSVs of so many customers, each with a score of its own."""
    rows = pa.table(endpoints_of(size))
    scores = np.random.default_rng(3).permutation(np.linspace(0, 1, size)).astype(np.float32)
    step = -(-size // files)
    return [
        write_scored_csv(rows.slice(start, step), scores[start : start + step], "buy") for start in range(0, size, step)
    ]


def write_run(
    ml_dir: Path,
    texts: list[str],
    settings: RunSettings = TWO_SEGMENTS,
    facts: RunFacts = SCORED,
    evaluation: Evaluation | None = None,
) -> Path:
    """Write the inputs of the step."""
    inputs = ml_dir / "processing" / "input"
    (inputs / "scored").mkdir(parents=True)
    for number, text in enumerate(texts):
        (inputs / "scored" / f"shard-{number:05d}.parquet.out").write_bytes(text.encode())
    (inputs / "settings").mkdir()
    (inputs / "settings" / SETTINGS_NAME).write_bytes(settings.to_json())
    write_run_facts(facts, inputs / "run_facts", 0)
    (inputs / "evaluation").mkdir()
    (inputs / "evaluation" / EVALUATION_NAME).write_bytes((evaluation or evaluation_of()).to_json())
    return ml_dir
