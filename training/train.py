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
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from contracts.errors import ContractError
from contracts.evaluation import PartnerValue
from contracts.feature_table import LABEL_PREFIX, PARQUET_NAME, read_feature_table
from contracts.job import run_job
from contracts.model_artifact import CODE_DIR, JSON_NAME, ModelCard
from contracts.run_settings import Goal, RunSettings, read_run_settings
from contracts.training_facts import FILE_NAME, SKETCH, Disguised, TrainingFacts, Trial, sketch
from training.drift import SCORES, measure_distributions, measure_numbers
from training.folds import random_folds, usable
from training.hosts import Hosts, add_up, read_hosts, refuse_hosts, together, unite
from training.learn import (
    SMALL_ROWS,
    Learned,
    Sample,
    calibrated,
    know_categories,
    learn_large,
    learn_once,
    learn_small,
    leave_out,
    select_party,
    take_sample,
)
from training.partner_value import compare_models
from training.probes import find_disguised, measure_singles, probe_shuffled
from training.quality import auc_interval
from training.rows import PARTS, Rows, open_rows
from training.search import refuse_search, search_parameters
from training.trees import BAG, CANDIDATES, Parameters, cross_validate

PARTNER = "partner"
DEFAULT_CUT = 10.0  # percent, of a goal that fills no segment
GAP_FOLDS = 2  # enough to compare a random split with one in time

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Lesson:
    """A model and what it was learned from: ``sample`` is all rows, or some of a large table; ``used`` of features.

    ``candidates`` are what a small sample could choose from, ``counts`` the rows of the train and validation part of
    all hosts, ``positives`` those of them with the label, ``learned_from`` the sketch of their customers.
    """

    learned: Learned
    sample: Sample
    used: Sample
    disguised: tuple[Disguised, ...]
    left_out: tuple[str, ...]
    is_large: bool
    candidates: tuple[Parameters, ...]
    counts: tuple[int, ...]
    positives: int
    learned_from: tuple[str, ...]


def learn_rows(rows: Rows, settings: RunSettings, hosts: Hosts, kept: Path) -> Lesson:
    """Learn a model from the rows of all hosts; of a large table, look for dates in disguise in a sample."""
    parts = pc.value_counts(rows.keys.column("split")).to_pylist()
    own = {pair["values"]: pair["counts"] for pair in parts}
    counts = tuple(add_up(own.get(part, 0)) for part in PARTS)
    positives = add_up(pc.sum(rows.keys.column(rows.label)).as_py())
    is_large = sum(counts) > SMALL_ROWS
    refuse_hosts(hosts, sum(counts), SMALL_ROWS)
    if is_large:
        rows = know_categories(rows)
        sample = take_sample(rows.some(SMALL_ROWS, settings.seed), rows.table, rows.label, settings.seed, True)
    else:
        sample = take_sample(rows.whole(), rows.table, rows.label, settings.seed)
    disguised = find_disguised(sample.matrix, sample.table, sample.times, settings.seed)
    left_out = unite(tuple({found.feature for found in disguised} - set(settings.training.accept_features)))
    used = leave_out(sample, left_out) if left_out else sample
    rows = replace(rows, left_out=left_out)
    candidates = CANDIDATES
    if settings.training.tuning == "search":
        folder = kept / rows.label.removeprefix(LABEL_PREFIX)
        refuse_search(sum(counts))
        candidates = (search_parameters(used, 60.0 * settings.training.search_minutes, folder, settings.seed),)
    if is_large:
        learned = learn_large(rows, settings.seed, kept if kept.is_dir() else None)
    else:
        learned = learn_small(used, settings.seed, candidates)
    people = unite(sketch(rows.keys.column("customer_key").to_pylist()))[:SKETCH]
    return Lesson(learned, sample, used, disguised, left_out, is_large, candidates, counts, positives, people)


def measure(lesson: Lesson, goal: Goal, settings: RunSettings) -> TrainingFacts:
    """Measure what a model's judges want to know."""
    sample, used, learned = lesson.sample, lesson.used, lesson.learned
    scores, labels = calibrated(learned), learned.checked[1]
    bag, weight = 1 if lesson.is_large else BAG, learned.ensemble.settings.linear_weight
    told = "kept: folds=%d rounds=%d members=%d linear_percent=%.0f"  # what MetricDefinitions read
    logger.info(told, len(used.folds), learned.rounds, bag, 100 * weight)
    shuffled = probe_shuffled(
        used.matrix, used.labels, used.people, used.table, random_folds(used.people, settings.seed)[0], settings.seed
    )
    return TrainingFacts(
        checked=len(labels),
        positives=lesson.positives,
        auc=auc_interval(scores, labels)[0],
        label_rate=lesson.positives / sum(lesson.counts),
        match_rate=match_rate(sample),
        is_ordered=used.times is not None and not lesson.is_large,
        random_auc=None if lesson.is_large else measure_random(used, learned, settings.seed),
        linear_weight=learned.ensemble.settings.linear_weight,
        trials=tuple(Trial(trial.parameters, trial.rounds, trial.log_loss) for trial in learned.trials),
        singles=measure_singles(sample.matrix, sample.labels, sample.table, sample.folds),
        disguised=lesson.disguised,
        left_out=lesson.left_out,
        shuffled_auc=shuffled[0],
        shuffled_error=shuffled[1],
        # of the final model, as today's are: that it learned from these rows moves their scores less than fold to fold
        scores=measure_numbers(SCORES, "", scores if lesson.is_large else learned.predict(used.matrix)),
        distributions=measure_distributions(used.matrix, used.table),
        partner_value=measure_value(lesson, goal, settings),
        learned_from=lesson.learned_from,
    )


def match_rate(sample: Sample) -> float | None:
    """Share of the rows in which the partner said anything; None without partner features."""
    places = [place for place, feature in enumerate(sample.table.features) if feature.party == PARTNER]
    return float((~np.isnan(sample.matrix[:, places])).any(axis=1).mean()) if places else None


def measure_random(sample: Sample, learned: Learned, seed: int) -> float | None:
    """Rank with customers dealt out at random, where the model was checked in time order: to see what time costs."""
    if sample.times is None:
        return None
    folds = usable(random_folds(sample.people, seed)[:GAP_FOLDS], sample.labels)
    if not folds:
        return None
    found = cross_validate(sample.matrix, sample.labels, sample.table, folds, learned.parameters, seed)
    rows = np.concatenate([fold.check for fold in folds])
    return auc_interval(found.margins[rows], sample.labels[rows])[0]


def measure_value(lesson: Lesson, goal: Goal, settings: RunSettings) -> PartnerValue | None:
    """Learn once more without the partner's features, and compare; None where either party has none that is used.

    Of a large table both are learned from the sample, so that neither has more rows.
    """
    used, seed = lesson.used, settings.seed
    known = [bool(np.isfinite(column).any()) for column in used.matrix.T]
    parties = {feature.party for feature, is_known in zip(used.table.features, known, strict=True) if is_known}
    if PARTNER not in parties or len(parties) == 1:
        return None
    own_sample = select_party(used, "brand")
    if lesson.is_large:
        own, both = learn_once(own_sample, seed), learn_once(used, seed)
    else:
        own, both = learn_small(own_sample, seed, lesson.candidates), lesson.learned
    segments = settings.segments_of(goal.name)
    return compare_models(used, own, both, segments[0].top_percent if segments else DEFAULT_CUT, seed)


def train(ml_dir: Path, goal_name: str) -> str:
    """Do the job's work and return its summary; of several hosts the first writes the model."""
    channels = ml_dir / "input" / "data"
    settings, hosts = read_run_settings(channels / "settings"), read_hosts(ml_dir)
    goal = settings.goal(goal_name)
    table = read_feature_table(channels / ("contract" if (channels / "contract").is_dir() else "features"))
    refuse_without_file(hosts, channels / "features")
    rows = open_rows(channels / "features", table, LABEL_PREFIX + goal.name)
    kept = ml_dir / "checkpoints"
    with together(hosts):
        lesson = learn_rows(rows, settings, hosts, kept)
    if not hosts.is_first:
        return f"host {hosts.name} took part with {rows.keys.num_rows:,} of {sum(lesson.counts):,} rows"
    learned, facts = lesson.learned, measure(lesson, goal, settings)
    model_dir = ml_dir / "model"
    learned.ensemble.save(model_dir)
    card = ModelCard(
        goal=goal.name,
        rounds=learned.rounds,
        parameters={**learned.parameters},
        seed=settings.seed,
        train_rows=lesson.counts[0],
        validation_rows=lesson.counts[1],
        positives=lesson.positives,
        training_as_of=tuple(
            sorted(str(day) for day in pc.unique(rows.keys.column("snapshot_date")).to_pylist() if day)
        ),
        fingerprint=learned.table.fingerprint,
    )
    (model_dir / JSON_NAME).write_bytes(card.to_json())
    (model_dir / FILE_NAME).write_bytes(facts.to_json())
    (model_dir / "feature_table.json").write_bytes(learned.table.to_json())
    shutil.copytree(channels / "code", model_dir / CODE_DIR, ignore=shutil.ignore_patterns("__pycache__"))
    helped = f", {facts.linear_weight:.0%} linear" if facts.linear_weight else ""
    hidden = f", without {len(facts.left_out)} date(s) in disguise" if facts.left_out else ""
    shared = f", on {len(hosts.names)} hosts" if hosts.are_several else ""
    return (
        f"{sum(lesson.counts):,} customers, {card.positives:,} positives, {len(facts.trials)} candidate(s), "
        f"depth {learned.parameters['max_depth']}, {card.rounds} rounds{helped}{hidden}{shared}"
    )


def refuse_without_file(hosts: Hosts, folder: Path) -> None:
    """Stop if no file of the feature table fell to this one of several hosts.

    Raises
    ------
    ContractError
        Naming the host.
    """
    if hosts.are_several and not list(folder.glob(PARQUET_NAME.replace(".", "*."))):
        raise ContractError(
            f"no file of the feature table fell to {hosts.name}",
            where="pipeline parameter TrainingInstanceCount",
            why=f"its files are shared out among {len(hosts.names)} instances, and there are too few of them",
            fix="start with fewer instances; one is enough for a million rows",
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
