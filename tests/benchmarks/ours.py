"""Our training, scoring and publishing on local files, without S3: ``python -m tests.benchmarks.ours STEP ML_DIR``."""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

SHARD_RUNS = 5


def learn(ml: Path) -> None:
    """Learn the model as the training job does, without what the job measures besides."""
    from contracts.feature_table import read_feature_table
    from training.learn import know_categories, learn_large
    from training.rows import open_rows

    folder = ml / "input" / "data" / "features"
    learned = learn_large(know_categories(open_rows(folder, read_feature_table(folder), "label__buy")), 7)
    learned.ensemble.save(ml / "learned")


def score(ml: Path) -> None:
    """Send each shard through the handler, as the model server does."""
    from inference.handler import CONTENT_TYPE, model_fn, transform_fn

    model = model_fn(str(ml / "model"))
    (ml / "scored").mkdir(exist_ok=True)
    for shard in sorted((ml / "processing/shards").glob("*.parquet")):
        answer = transform_fn(model, shard.read_bytes(), CONTENT_TYPE, "text/csv")
        assert isinstance(answer, tuple), answer.get_data(as_text=True)
        (ml / "scored" / f"{shard.name}.out").write_text(answer[0], encoding="utf-8")


def shard(ml: Path) -> None:
    """Time the first shard, Parquet bytes to CSV text, through the handler and as pandas does it."""
    import pandas as pd

    from inference.handler import CONTENT_TYPE, model_fn, transform_fn
    from tests.benchmarks.plain_pandas import ENDPOINT, load

    model, plain = model_fn(str(ml / "model")), load(ml)
    body = (ml / "processing/shards/shard-00000.parquet").read_bytes()

    def with_pandas() -> None:
        rows = pd.read_parquet(io.BytesIO(body))
        rows["score"] = plain.predict_proba(rows.drop(columns=ENDPOINT))[:, 1]
        rows[[*ENDPOINT, "score"]].to_csv(index=False)

    found = {
        "ours": fastest(lambda: transform_fn(model, body, CONTENT_TYPE, "text/csv")),
        "pandas": fastest(with_pandas),
    }
    answer = transform_fn(model, body, CONTENT_TYPE, "text/csv")
    assert isinstance(answer, tuple), answer.get_data(as_text=True)
    print(json.dumps(found | {"rows": answer[0].count("\n") - 1, "trees": model.card.rounds}))  # noqa: T201


def fastest(work: Callable[[], object]) -> tuple[float, float]:
    """Repeat some work; return the least wall clock and the least CPU time in seconds."""
    costs = []
    for _ in range(SHARD_RUNS):
        began, cpu = time.perf_counter(), time.process_time()
        work()
        costs.append((time.perf_counter() - began, time.process_time() - cpu))
    return min(wall for wall, _ in costs), min(cpu for _, cpu in costs)


def publish(ml: Path) -> None:
    """Read, check, rank and choose as the step does, and write segment and manifest."""
    from activation.population import read_population
    from activation.segment_files import write_segment
    from activation.selection import expected_reach
    from contracts.evaluation import FILE_NAME, read_evaluation
    from contracts.run_facts import RunFacts
    from contracts.run_settings import Segment
    from contracts.segment_manifest import SegmentManifest

    population, evaluation = read_population(ml / "scored", "buy"), read_evaluation(ml / FILE_NAME)
    people = len(population.customer)
    facts = RunFacts("2026-06-30", people, None, (), (), (), None, drops={"": ()}, scored={"": people})
    segment = write_segment(ml / "published", Segment("best", "buy", 10.0), population, facts, evaluation, 7)
    reach = expected_reach(population, evaluation)
    manifest = SegmentManifest("spring", "buy", "candidate", "2026-06-30", "1", "s3://m", "", (segment,), reach)
    (ml / "published" / "manifest.json").write_bytes(manifest.to_json())


STEPS: dict[str, Callable[[Path], None]] = {"learn": learn, "score": score, "shard": shard, "publish": publish}

if __name__ == "__main__":
    STEPS[sys.argv[1]](Path(sys.argv[2]))
