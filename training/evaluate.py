"""Step Evaluate: how good is a model on the test customers, measured through the handler that will score everybody.

Comes in: the model artifact, the feature table, the settings. Goes out: ``evaluation.json``, which gate, registry and
report read. Scores are read back from the CSV that the handler writes, so what is measured is what is shipped.
"""

from __future__ import annotations

import argparse
import csv
import io
import math
import sys
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss

from contracts.errors import ContractError, ServiceError
from contracts.evaluation import ALL_SCORES, FILE_NAME, Evaluation, Interval, Shift
from contracts.feature_table import (
    FINGERPRINT_KEY,
    LABEL_PREFIX,
    TIME_ORDER,
    FeatureTable,
    encode,
    read_feature_table,
    read_keys,
    read_part,
)
from contracts.job import run_job
from contracts.model_artifact import unpack
from contracts.model_card import FILE_NAME as CARD_NAME
from contracts.model_card import TEXT_NAME, Origin, fill_card, plan_card, to_json, to_markdown
from contracts.partner_names import hide_in_evaluation, number_names
from contracts.run_facts import RunFacts, read_run_facts
from contracts.run_settings import RunSettings, read_run_settings
from contracts.segment_file import ENDPOINT_COLUMNS, score_column
from contracts.training_facts import TrainingFacts, read_training_facts, share_in
from inference.handler import CONTENT_TYPE, Model, model_fn, transform_fn
from training.checks import Rival, Split, Tested, check_champion, check_data, check_drift, check_leaks, check_quality
from training.drift import BINS, allowed, compare, psi, shares_of_numbers, shares_unknown, state_of
from training.explain import find_traits, measure_strengths
from training.quality import (
    Labels,
    Scores,
    auc_interval,
    judge,
    order_by_score,
    paired_auc,
    summarise_calibration,
    summarise_reach,
    summarise_tenths,
)
from training.sagemaker_model import find_champion, load_champion, version_of

SEEN = 0.01  # of the customers tested on may be known to the approved model: chance, not another split


def score_through_handler(model: Model, rows: pa.Table, table: FeatureTable) -> Scores:
    """Score feature rows as a shard is scored; row numbers stand in for address and id.

    Raises
    ------
    ContractError
        If the handler refuses the rows.
    """
    key = pa.array([str(number) for number in range(rows.num_rows)])
    channel = pa.array(["CUSTOM"] * rows.num_rows)
    shard = pa.table(
        [channel, key, key, key, *[rows.column(name) for name in table.names]], [*ENDPOINT_COLUMNS, *table.names]
    )
    sink = pa.BufferOutputStream()
    pq.write_table(shard.replace_schema_metadata({FINGERPRINT_KEY: table.fingerprint.encode()}), sink)
    answer = transform_fn(model, sink.getvalue().to_pybytes(), CONTENT_TYPE, "text/csv")
    if not isinstance(answer, tuple):
        raise ContractError(
            "the handler refused the test customers", why=answer.get_data(as_text=True), fix="train again"
        )
    column = score_column(model.card.goal)
    return np.array([float(line[column]) for line in csv.DictReader(io.StringIO(answer[0]))])


@dataclass(frozen=True)
class Part:
    """The test customers: their features, encoded, what the model says of them, what happened, and their keys."""

    matrix: npt.NDArray[np.float32]
    scores: Scores
    labels: Labels
    keys: list[str]


@dataclass(frozen=True)
class Evidence:
    """What else there is to judge by: how the parts stand to each other, today's customers, the approved model.

    ``today`` are rows of the scoring snapshot, None where there are none; ``feed_age_days`` is how much older than the
    training and the scoring snapshot the partner's newest value is; ``rival`` is what came of the comparison with the
    approved model, None where none is approved.
    """

    split: Split
    today: pa.Table | None = None
    feed_age_days: tuple[int | None, int | None] = (None, None)
    rival: Rival | None = None


def evaluate(part: Part, model: Model, facts: TrainingFacts, settings: RunSettings, evidence: Evidence) -> Evaluation:
    """Measure scores against what happened, and let every guard look.

    Raises
    ------
    ContractError
        If the labels do not vary.
    """
    goal = settings.goal(model.card.goal)
    scores, labels = part.scores, part.labels
    if not 0 < labels.sum() < len(labels):
        raise ContractError(
            f"the test part can't judge goal {goal.name}: {int(labels.sum()):,} of {len(labels):,} customers have it",
            fix="bring more events, or check event_type and horizon_days",
        )
    order = order_by_score(scores, part.keys)
    auc = auc_interval(scores, labels)
    tenths = summarise_tenths(scores, labels, order)
    rates = (float(scores.mean()), float(labels.mean()))
    worst = max((max(t.low - t.predicted, t.predicted - t.high, 0.0) for t in tenths), default=0.0)
    tested = Tested(len(labels), int(labels.sum()), *auc, *rates, worst)
    shifts, now_matched = measure_shifts(part, model, facts, evidence.today)
    checks = (
        *check_quality(goal, facts, tested),
        *check_data(goal, settings.training, facts, tested, evidence.split),
        *check_leaks(settings.training, facts, evidence.feed_age_days, settings.partner_columns_are_static),
        *check_champion(evidence.rival),
        *check_drift(shifts, facts, tested, now_matched),
    )
    strengths = measure_strengths(model.ensemble, part.matrix, model.table, settings.seed)
    return Evaluation(
        goal=goal.name,
        notice=settings.notice,
        split=split_words(settings),
        people=len(labels),
        positives=tested.positives,
        auc=auc[0],
        auc_low=auc[1],
        auc_high=auc[2],
        average_precision=float(average_precision_score(labels, scores)),
        log_loss=float(log_loss(labels, scores)),
        brier=float(brier_score_loss(labels, scores)),
        base_rate=rates[1],
        predicted_rate=rates[0],
        tenths=tenths,
        calibration=summarise_calibration(scores, labels, order),
        reach=summarise_reach(labels, order),
        quality=judge(auc, tenths, checks, tested.positives, rates, goal.words),
        checks=checks,
        words=goal.words,
        model=describe_model(model, facts),
        traits={
            segment.name: find_traits(part.matrix, model.table, best(order, segment.top_percent), strengths)
            for segment in settings.segments_of(goal.name)
        },
        strengths=strengths,
        partner_value=facts.partner_value,
        shifts=tuple(shifts),
    )


def best(order: npt.NDArray[np.int64], percent: float) -> npt.NDArray[np.int64]:
    """Take the best percent, rounded up as a segment's cut is."""
    return order[: max(1, math.ceil(len(order) * Fraction(str(percent)) / 100))]


def describe_model(model: Model, facts: TrainingFacts) -> dict[str, Any]:
    """Say what was learned, from what and how."""
    return {
        "rounds": model.card.rounds,
        "parameters": model.card.parameters,
        "train_rows": model.card.train_rows + model.card.validation_rows,
        "training_as_of": list(model.card.training_as_of),
        "fingerprint": model.card.fingerprint,
        "cross_validated_auc": facts.auc,
        "linear_weight": facts.linear_weight,
        "left_out": list(facts.left_out),
    }


def measure_shifts(
    part: Part, model: Model, facts: TrainingFacts, today: pa.Table | None
) -> tuple[list[Shift], float | None]:
    """Compare today's customers, or where there are none the test's, with those learned from.

    The scores are compared with the test's, too: where it is later in time, it is what scoring meets next.

    Returns
    -------
    tuple of (list of Shift, float or None)
        Shifts, the scores' first, and the share of rows in which the partner said anything.
    """
    matrix = part.matrix if today is None else encode(today, model.table, where="scoring snapshot")
    unknown = {} if today is None else shares_unknown(today, matrix, model.table)
    if facts.scores is None:
        return [], None
    edges, before = facts.scores.edges, facts.scores.shares
    found = [psi(before, shares_of_numbers(part.scores, edges))]
    if today is not None:
        found.append(psi(before, shares_of_numbers(model.ensemble.predict(matrix), edges)))
    index = max(found)
    shifts = compare(facts.distributions, matrix, model.table, facts.checked, unknown)
    shifts = [shift for shift in shifts if shift.name not in facts.left_out]
    moved = max(shifts, key=lambda shift: shift.psi, default=None)
    limit = allowed(BINS, facts.checked, len(part.scores))
    cause = f"{moved.name} moved most: {moved.cause}" if moved and moved.cause and index > limit else ""
    places = [place for place, feature in enumerate(model.table.features) if feature.party == "partner"]
    matched = float((~np.isnan(matrix[:, places])).any(axis=1).mean()) if places and len(matrix) else None
    return [Shift(ALL_SCORES, "", index, state_of(index, limit), cause), *shifts], matched


def read_split(folder: Path, label: str, test: pa.Table) -> Split:
    """Look how the test rows stand to the rows learned from.

    Raises
    ------
    ContractError
        If the feature table can't be read.
    """
    learned = read_keys(folder, label)
    shared = np.intersect1d(
        learned.column("customer_key").to_numpy(zero_copy_only=False),
        test.column("customer_key").to_numpy(zero_copy_only=False),
    )
    name = TIME_ORDER if TIME_ORDER in test.schema.names else "snapshot_date"
    times = pa.concat_tables([learned.select([name]), test.select([name])], promote_options="permissive").column(name)
    if times.null_count or pc.count_distinct(times).as_py() < 2:
        return Split(len(shared), None)
    places = np.unique(times.to_numpy(), return_inverse=True)[1]
    newest = places[: learned.num_rows].max()
    return Split(len(shared), float((places[learned.num_rows :] < newest).mean()))


def split_words(settings: RunSettings) -> str:
    """Say how the test customers were set apart."""
    if settings.customers is None:
        return "customer" if settings.training_snapshots == 1 else "customer and time"
    return "given" if settings.customers.split else "time" if settings.customers.time else "customer"


def read_today(folder: Path) -> pa.Table | None:
    """Read the sample of the scoring snapshot; None where the step was given none."""
    paths = sorted(folder.glob("*.parquet"))
    return pa.concat_tables([pq.read_table(path) for path in paths], promote_options="permissive") if paths else None


def compare_with_champion(part: Part, rows: pa.Table, model: Model, group: str) -> Rival | None:
    """Rank the test customers with the newest approved model, too, where that is fair; None where none is approved."""
    arn = find_champion(group)
    if not arn:
        return None
    version = version_of(arn)
    try:
        found = load_champion(arn)
    except (ServiceError, ContractError) as error:
        return Rival(version, None, f"it can't be read ({error.what}); reject it, or train and approve another")
    if found.model.card.fingerprint != model.card.fingerprint:
        return Rival(version, None, "it reads other features")
    if (seen := share_in(found.facts.learned_from, part.keys)) > SEEN:
        return Rival(version, None, f"it has learned from {seen:.0%} of the customers tested on")
    theirs = score_through_handler(found.model, rows, found.model.table)
    return Rival(version, Interval(*paired_auc(theirs, part.scores, part.labels)))


def write_card(
    folder: Path, result: Evaluation, model: Model, settings: RunSettings, facts: RunFacts, origin: Origin
) -> None:
    """Write the model card, for programs and for people."""
    hidden = result.model["left_out"]
    parties = [feature.party for feature in model.table.features if feature.name not in hidden]
    if not settings.may_name_partner_columns:
        result = hide_in_evaluation(result, number_names(settings.partner, facts.partner_columns, [result]))
    names = (settings.brand or settings.project, settings.partner)
    columns = (parties.count("brand"), parties.count("partner"))
    card = fill_card(plan_card(settings, settings.goal(result.goal)), result, columns, facts, names, origin)
    (folder / CARD_NAME).write_text(to_json(card) + "\n", encoding="utf-8")
    (folder / TEXT_NAME).write_text(to_markdown(card), encoding="utf-8")


def run(processing: Path, goal_name: str, group: str = "", origin: Origin | None = None) -> str:
    """Do the step's work and return its summary; ``group`` is where an approved model may be, empty for none."""
    inputs = processing / "input"
    settings = read_run_settings(inputs / "settings")
    goal = settings.goal(goal_name)
    folder = unpack(inputs / "model" / "model.tar.gz", processing / "model")
    model, facts = model_fn(str(folder)), read_training_facts(folder)
    label = LABEL_PREFIX + goal.name
    rows = read_part(inputs / "features", "test", label)
    part = Part(
        encode(rows, model.table, where="test customers"),
        score_through_handler(model, rows, read_feature_table(inputs / "features")),
        rows.column(label).to_numpy().astype(np.int8),
        rows.column("customer_key").to_pylist(),
    )
    rival = compare_with_champion(part, rows, model, group) if group else None
    run_facts = read_run_facts(inputs / "run_facts")
    evidence = Evidence(
        read_split(inputs / "features", label, rows),
        read_today(inputs / "scoring"),
        run_facts.feed_age_days,
        rival,
    )
    result = evaluate(part, model, facts, settings, evidence)
    output = processing / "evaluation"
    output.mkdir(parents=True, exist_ok=True)
    (output / FILE_NAME).write_bytes(result.to_json())
    write_card(output, result, model, settings, run_facts, origin or Origin())
    return summarise(result)


def summarise(result: Evaluation) -> str:
    """Say in one line how good a model is and what the checks found."""
    stopped = [check.name for check in result.checks if check.is_stop]
    passed = sum(check.is_passed for check in result.checks)
    watched = len(result.checks) - passed - len(stopped)
    verdict = f"stopped by {', '.join(stopped)}" if stopped else f"{passed} of {len(result.checks)} checks passed"
    quality = result.quality
    ranked = f"ranking score {quality.score:.0f} ({quality.low:.0f} to {quality.high:.0f})" if quality else ""
    word = f"{quality.word}, " if quality and not stopped else ""
    lift = f"the top tenth {result.words.past} {result.tenths[0].lift:.1f} times the average"
    more = f", {watched} to watch" if watched and not stopped else ""
    return f"{word}{ranked}, AUC {result.auc:.3f}, {lift}, {verdict}{more}"


def main(argv: list[str]) -> int:
    """Run the step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ml-dir", type=Path, required=True)
    parser.add_argument("--goal", required=True)
    parser.add_argument("--package-group", default="", help="where to look for an approved model to compare with")
    parser.add_argument("--execution-id", default="")
    parser.add_argument("--code-sha256", default="")
    parser.add_argument("--settings-sha256", default="")
    a = parser.parse_args(argv)
    origin = Origin(a.execution_id, a.code_sha256, a.settings_sha256)
    note = a.ml_dir / "output" / "message"
    return run_job(lambda: run(a.ml_dir / "processing", a.goal, a.package_group, origin), note=note)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
