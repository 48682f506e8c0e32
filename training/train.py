"""Training job: a feature table becomes a calibrated model of one goal, with what training found out about its rows.

Comes in: channels ``features``, ``settings`` and ``code`` (the bundle this runs from). Goes out: the model artifact.
Nothing is judged here: what looks wrong is measured, and Evaluate decides. A feature that is a date in disguise is
left out, unless it is accepted by name.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contracts.evaluation import PartnerValue
from contracts.feature_table import LABEL_PREFIX, read_feature_table, read_part
from contracts.job import run_job
from contracts.model_artifact import CODE_DIR, JSON_NAME, ModelCard
from contracts.run_settings import Goal, RunSettings, read_run_settings
from contracts.training_facts import FILE_NAME, TrainingFacts, Trial
from training.drift import SCORES, measure_distributions, measure_numbers
from training.folds import random_folds, usable
from training.learn import SMALL_ROWS, Learned, Sample, calibrated, learn_sample, leave_out, select_party, take_sample
from training.partner_value import compare_models
from training.probes import find_disguised, measure_singles, probe_shuffled
from training.quality import auc_interval
from training.search import search_parameters
from training.trees import BAG, CANDIDATES, Parameters, cross_validate

PARTNER = "partner"
DEFAULT_CUT = 10.0  # percent, of a goal that fills no segment
GAP_FOLDS = 2  # enough to compare a random split with one in time

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trained:
    """A model and what training found out."""

    learned: Learned
    facts: TrainingFacts


def read_rows(folder: Path, label: str) -> pa.Table:
    """Read the parts that may be learned from, sorted, so that neither files nor hosts change a model."""
    parts = [read_part(folder, part, label) for part in ("train", "validation")]
    rows = pa.concat_tables(parts, promote_options="permissive")
    return rows.sort_by([("customer_key", "ascending"), ("snapshot_date", "ascending")])


def learn_goal(rows: pa.Table, folder: Path, goal: Goal, settings: RunSettings, checkpoints: Path) -> Trained:
    """Learn one goal's model from rows, and measure what its judges want to know.

    Parameters
    ----------
    folder : Path
        Where the contract of ``rows`` lies.
    checkpoints : Path
        Where a wide search keeps what it tried.
    """
    sample = take_sample(rows, read_feature_table(folder), LABEL_PREFIX + goal.name, settings.seed)
    disguised = find_disguised(sample.matrix, sample.table, sample.times)
    left_out = tuple(sorted({found.feature for found in disguised} - set(settings.training.accept_features)))
    singles = measure_singles(sample.matrix, sample.labels, sample.table, sample.folds)
    used = leave_out(sample, left_out) if left_out else sample
    candidates = CANDIDATES
    if settings.training.tuning == "search":
        seconds = 60.0 * settings.training.search_minutes
        candidates = (search_parameters(used, seconds, checkpoints / goal.name, settings.seed),)
    learned = learn_sample(used, settings.seed, candidates)
    scores = calibrated(learned, used)
    shuffled = probe_shuffled(
        used.matrix, used.labels, used.people, used.table, random_folds(used.people, settings.seed)[0], settings.seed
    )
    checked = used.checked
    bag, weight = BAG if len(used.labels) <= SMALL_ROWS else 1, learned.ensemble.settings.linear_weight
    kept = "kept: folds=%d rounds=%d members=%d linear_percent=%.0f"  # what MetricDefinitions read
    logger.info(kept, len(used.folds), learned.rounds, bag, 100 * weight)
    facts = TrainingFacts(
        checked=len(checked),
        positives=int(used.labels[checked].sum()),
        auc=auc_interval(scores, used.labels[checked])[0],
        label_rate=float(used.labels.mean()),
        match_rate=match_rate(sample),
        is_ordered=used.times is not None and len(used.labels) <= SMALL_ROWS,
        random_auc=measure_random(used, learned, settings.seed),
        linear_weight=learned.ensemble.settings.linear_weight,
        trials=tuple(Trial(trial.parameters, trial.rounds, trial.log_loss) for trial in learned.trials),
        singles=singles,
        disguised=disguised,
        left_out=left_out,
        shuffled_auc=shuffled[0],
        shuffled_error=shuffled[1],
        scores=measure_numbers(SCORES, "", scores),
        distributions=measure_distributions(used.matrix, used.table),
        partner_value=measure_value(used, learned, goal, settings, candidates),
    )
    return Trained(learned, facts)


def match_rate(sample: Sample) -> float | None:
    """Share of the rows in which the partner said anything; None without partner features."""
    places = [place for place, feature in enumerate(sample.table.features) if feature.party == PARTNER]
    return float((~np.isnan(sample.matrix[:, places])).any(axis=1).mean()) if places else None


def measure_random(sample: Sample, learned: Learned, seed: int) -> float | None:
    """Rank with customers dealt out at random, where the model was checked in time order: to see what time costs."""
    if sample.times is None or len(sample.labels) > SMALL_ROWS:
        return None
    folds = usable(random_folds(sample.people, seed)[:GAP_FOLDS], sample.labels)
    if not folds:
        return None
    found = cross_validate(sample.matrix, sample.labels, sample.table, folds, learned.parameters, seed)
    rows = np.concatenate([fold.check for fold in folds])
    return auc_interval(found.margins[rows], sample.labels[rows])[0]


def measure_value(
    sample: Sample, learned: Learned, goal: Goal, settings: RunSettings, candidates: tuple[Parameters, ...]
) -> PartnerValue | None:
    """Learn once more without the partner's features, and compare; None where either party has none."""
    known = [bool(np.isfinite(column).any()) for column in sample.matrix.T]
    parties = {feature.party for feature, is_known in zip(sample.table.features, known, strict=True) if is_known}
    if PARTNER not in parties or len(parties) == 1:
        return None
    own = learn_sample(select_party(sample, "brand"), settings.seed, candidates)
    segments = settings.segments_of(goal.name)
    percent = segments[0].top_percent if segments else DEFAULT_CUT
    return compare_models(sample, own, learned, percent, settings.seed)


def train(ml_dir: Path, goal_name: str) -> str:
    """Do the job's work and return its summary."""
    channels = ml_dir / "input" / "data"
    settings = read_run_settings(channels / "settings")
    goal = settings.goal(goal_name)
    rows = read_rows(channels / "features", LABEL_PREFIX + goal.name)
    trained = learn_goal(rows, channels / "features", goal, settings, ml_dir / "checkpoints")
    learned, facts = trained.learned, trained.facts
    model_dir = ml_dir / "model"
    learned.ensemble.save(model_dir)
    splits = pc.value_counts(rows.column("split")).to_pylist()
    counts = {pair["values"]: pair["counts"] for pair in splits}
    card = ModelCard(
        goal=goal.name,
        rounds=learned.rounds,
        parameters={**learned.parameters},
        seed=settings.seed,
        train_rows=counts.get("train", 0),
        validation_rows=counts.get("validation", 0),
        positives=int(pc.sum(rows.column(LABEL_PREFIX + goal.name)).as_py()),
        training_as_of=tuple(sorted(str(day) for day in pc.unique(rows.column("snapshot_date")).to_pylist() if day)),
        fingerprint=learned.table.fingerprint,
    )
    (model_dir / JSON_NAME).write_bytes(card.to_json())
    (model_dir / FILE_NAME).write_bytes(facts.to_json())
    (model_dir / "feature_table.json").write_bytes(learned.table.to_json())
    shutil.copytree(channels / "code", model_dir / CODE_DIR, ignore=shutil.ignore_patterns("__pycache__"))
    helped = f", {facts.linear_weight:.0%} linear" if facts.linear_weight else ""
    hidden = f", without {', '.join(facts.left_out)}" if facts.left_out else ""
    return (
        f"{rows.num_rows:,} customers, {card.positives:,} positives, {len(facts.trials)} candidate(s), "
        f"depth {learned.parameters['max_depth']}, {card.rounds} rounds{helped}{hidden}"
    )


def main(argv: list[str]) -> int:
    """Run the job."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ml-dir", type=Path, required=True)
    parser.add_argument("--goal", required=True)
    arguments = parser.parse_args(argv)
    (arguments.ml_dir / "model").mkdir(parents=True, exist_ok=True)
    return run_job(lambda: train(arguments.ml_dir, arguments.goal), note=arguments.ml_dir / "output" / "failure")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
