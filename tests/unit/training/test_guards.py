"""Every guard stops a registration that would otherwise pass, names itself, and lets an honest model through."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contracts.evaluation import Check, Evaluation, Interval, Tenth, read_evaluation
from contracts.feature_table import TIME_ORDER, Feature, FeatureTable
from contracts.run_facts import RunFacts, write_run_facts
from contracts.run_settings import FILE_NAME, RunSettings, Training, Words
from contracts.training_facts import Disguised, TrainingFacts
from tests.known_truth import make_customers, write_training_inputs
from tests.worlds import SETTINGS
from training import evaluate, train
from training.checks import Rival, check_champion, check_leaks
from training.quality import judge as judge_word

SIZE = 6000
Labels = np.ndarray


@dataclass(frozen=True)
class World:
    """What the two steps are given."""

    rows: pa.Table
    table: FeatureTable
    settings: RunSettings = SETTINGS
    today: pa.Table | None = None
    feed_age_days: tuple[int | None, int | None] = (None, None)


def honest(size: int = SIZE) -> World:
    """Customers of known propensity; today's are like them."""
    rows, table, _ = make_customers(size, seed=5)
    today, _, _ = make_customers(2000, seed=6)
    return World(rows, table, today=today.select(table.names))


def column(rows: pa.Table, name: str, values: pa.Array | np.ndarray) -> pa.Table:
    """Put a column in, or another one in its place."""
    if name in rows.column_names:
        return rows.set_column(rows.column_names.index(name), name, pa.array(values))
    return rows.append_column(name, pa.array(values))


def part_of(rows: pa.Table) -> np.ndarray:
    return np.array(rows["split"].to_pylist())


def labels_of(rows: pa.Table) -> Labels:
    return rows["label__buy"].to_numpy().copy()


@cache
def train_world(size: int = SIZE) -> Path:
    """Train on the honest world once."""
    folder = Path(mkdtemp(prefix="honest-"))
    world = honest(size)
    write_training_inputs(folder, world.rows, world.table, world.settings)
    assert train.main(["--ml-dir", str(folder), "--goal", "buy"]) == 0
    return folder


def judge(world: World, folder: Path, model_dir: Path | None = None) -> Evaluation:
    """Train, unless there is a model already, and evaluate."""
    if model_dir is None:
        write_training_inputs(folder / "training", world.rows, world.table, world.settings)
        assert train.main(["--ml-dir", str(folder / "training"), "--goal", "buy"]) == 0
        model_dir = folder / "training" / "model"
    inputs = folder / "judging" / "processing" / "input"
    write_training_inputs(folder / "tested", world.rows, world.table, world.settings)
    shutil.copytree(folder / "tested" / "input" / "data", inputs)
    (inputs / "settings" / FILE_NAME).write_bytes(world.settings.to_json())
    (inputs / "model").mkdir()
    with tarfile.open(inputs / "model" / "model.tar.gz", "w:gz") as tar:
        tar.add(model_dir, arcname=".")
    if world.today is not None:
        (inputs / "scoring").mkdir()
        pq.write_table(world.today, inputs / "scoring" / "scoring-0000.parquet")
    facts = RunFacts("2026-06-30", 1, None, (), (), (), None, feed_age_days=world.feed_age_days)
    write_run_facts(facts, inputs / "run_facts", 0)
    assert evaluate.main(["--ml-dir", str(folder / "judging"), "--goal", "buy"]) == 0
    return read_evaluation(folder / "judging" / "processing" / "evaluation" / "evaluation.json")


def stops(evaluation: Evaluation) -> list[str]:
    return [check.name for check in evaluation.checks if check.is_stop]


def warnings(evaluation: Evaluation) -> list[str]:
    return [check.name for check in evaluation.checks if check.is_warning and not check.is_passed]


def test_honest_model_passes_every_guard(tmp_path: Path) -> None:
    found = judge(honest(), tmp_path, train_world() / "model")
    assert stops(found) == []
    assert warnings(found) == []
    assert found.is_passed
    assert {check.name for check in found.checks} >= {
        "enough_positives", "customers_in_both_parts", "shuffled_labels", "single_feature", "days_after_snapshot",
        "dates_in_disguise", "auc", "validation_test_gap", "calibration_in_the_large", "calibration_by_tenth",
        "drift_of_label_rate", "drift_of_scores", "facts_gone_missing", "drift_of_match_rate",
    }  # fmt: skip


def few_positives(world: World) -> World:
    """Just what is needed, and one more is asked for."""
    test = part_of(world.rows) == "test"
    needed = int(labels_of(world.rows)[test].sum()) + 1
    return replace(world, settings=replace(world.settings, training=Training(minimum_positives=needed)))


def one_customer_in_both_parts(world: World) -> World:
    keys, parts = np.array(world.rows["customer_key"].to_pylist(), dtype=object), part_of(world.rows)
    keys[np.flatnonzero(parts == "test")[0]] = keys[np.flatnonzero(parts == "train")[0]]
    return replace(world, rows=column(world.rows, "customer_key", pa.array(keys.tolist())))


def fewer_buyers_in_the_test(world: World) -> World:
    """A third of those who did it have not, so that more is predicted than happens."""
    labels, test = labels_of(world.rows), part_of(world.rows) == "test"
    labels[test & (labels == 1) & (np.random.default_rng(1).random(len(labels)) < 0.33)] = 0
    return replace(world, rows=column(world.rows, "label__buy", labels))


def more_buyers_in_the_test(world: World) -> World:
    """Six tenths of those who did not have left: the rate of the others rises."""
    test, labels = part_of(world.rows) == "test", labels_of(world.rows)
    gone = test & (labels == 0) & (np.random.default_rng(1).random(len(labels)) < 0.6)
    return replace(world, rows=world.rows.filter(pa.array(~gone)))


def labels_of_some_lost(world: World) -> World:
    """Of half of the test customers the labels went astray: right in number, wrong in place."""
    labels, rng = labels_of(world.rows), np.random.default_rng(2)
    astray = np.flatnonzero((part_of(world.rows) == "test") & (rng.random(len(labels)) < 0.4))
    labels[astray] = rng.permutation(labels[astray])
    return replace(world, rows=column(world.rows, "label__buy", labels))


def top_tenth_disappoints(world: World) -> World:
    """Those of the highest recency no longer do it more often than others; a few others do."""
    labels, rng, test = labels_of(world.rows), np.random.default_rng(3), part_of(world.rows) == "test"
    recency = world.rows["recency"].to_numpy()
    high = test & (recency > np.quantile(recency, 0.85))
    labels[high] = rng.random(int(high.sum())) < 0.35
    return replace(world, rows=column(world.rows, "label__buy", labels.astype(np.int8)))


def a_fact_gone(world: World) -> World:
    assert world.today is not None
    return replace(world, today=column(world.today, "amount", pa.nulls(world.today.num_rows, pa.float64())))


def values_from_later(world: World) -> World:
    return replace(world, feed_age_days=(-3, 0))


@pytest.mark.parametrize(
    ("spoil", "name", "says"),
    [
        (few_positives, "enough_positives", "Bring more customers"),
        (one_customer_in_both_parts, "customers_in_both_parts", "[columns] split"),
        (fewer_buyers_in_the_test, "calibration_in_the_large", "learn from newer ones"),
        (more_buyers_in_the_test, "drift_of_label_rate", "the market moved"),
        (labels_of_some_lost, "validation_test_gap", "in cross-validation and with"),
        (top_tenth_disappoints, "calibration_by_tenth", "worst tenth"),
        (
            a_fact_gone,
            "facts_gone_missing",
            "amount: missing in 20% of the rows then, in 100% now: ask whoever runs your",
        ),
        (values_from_later, "days_after_snapshot", "younger than the date"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_guard_stops_what_would_pass(tmp_path: Path, spoil: Callable[[World], World], name: str, says: str) -> None:
    found = judge(spoil(honest()), tmp_path, train_world() / "model")
    assert name in stops(found)
    assert not found.is_passed
    (check,) = (check for check in found.checks if check.name == name)
    assert says in check.text
    assert found.quality is not None
    assert found.quality.word.startswith("Stopped by ")
    alone = {"calibration_in_the_large", "drift_of_label_rate", "calibration_by_tenth", "validation_test_gap"}
    assert stops(found) == [name] or set(stops(found)) <= alone


def with_feature(world: World, name: str, values: np.ndarray, today: np.ndarray) -> World:
    """The world with one number more."""
    assert world.today is not None
    table = replace(world.table, features=(*world.table.features, Feature(name, "number", "partner")))
    return replace(world, rows=column(world.rows, name, values), table=table, today=column(world.today, name, today))


def leaking() -> World:
    """A number that is mostly known after the outcome only."""
    world, rng = honest(3000), np.random.default_rng(4)
    duration = labels_of(world.rows) * 2.0 + rng.normal(size=world.rows.num_rows)
    return with_feature(world, "duration", duration, rng.normal(size=2000) + 2.0 * (rng.random(2000) < 0.33))


def accepting(world: World, *names: str) -> World:
    return replace(world, settings=replace(world.settings, training=Training(accept_features=names)))


def test_fact_that_gives_the_answer_away_stops_the_model_and_is_named(tmp_path: Path) -> None:
    found = judge(leaking(), tmp_path)
    assert stops(found) == ["single_feature"]
    (check,) = (check for check in found.checks if check.is_stop)
    assert check.found > 0.85
    assert "duration alone ranks this well (from the partner)" in check.text
    assert 'accept_features = ["duration"]' in check.text


def test_fact_that_is_accepted_by_name_may_be_used(tmp_path: Path) -> None:
    assert judge(accepting(leaking(), "duration"), tmp_path).is_passed


def test_same_people_under_two_keys_stop_the_model(tmp_path: Path) -> None:
    world = honest(3000)
    twins = column(world.rows, "customer_key", pa.array([f"again {n}" for n in range(world.rows.num_rows)]))
    parts = np.random.default_rng(5).permutation(part_of(twins))
    both = pa.concat_tables([world.rows, column(twins, "split", pa.array(parts.tolist()))])
    found = judge(replace(world, rows=both), tmp_path)
    assert "shuffled_labels" in stops(found)
    assert set(stops(found)) <= {"shuffled_labels", "validation_test_gap"}


def timed(world: World) -> World:
    """The world in time order: training first, the test last."""
    order = {"train": 0, "validation": 1, "test": 2}
    rng = np.random.default_rng(6)
    place = np.array([order[part] for part in part_of(world.rows)]) + rng.random(world.rows.num_rows)
    ranks = place.argsort().argsort().astype(np.int32)
    return replace(world, rows=column(world.rows, TIME_ORDER, ranks))


def test_model_tested_on_what_came_later_passes_and_one_tested_on_the_past_does_not(tmp_path: Path) -> None:
    world = timed(honest(3000))
    assert judge(world, tmp_path / "later").is_passed
    ranks = np.random.default_rng(7).permutation(world.rows.num_rows).astype(np.int32)
    found = judge(replace(world, rows=column(world.rows, TIME_ORDER, ranks)), tmp_path / "past")
    assert stops(found) == ["tested_on_the_past"]


def levels(world: World) -> World:
    """A level that is the same for everybody at one time, and moves with it."""
    ranks = world.rows[TIME_ORDER].to_numpy()
    steps = np.random.default_rng(8).normal(size=31).cumsum()
    return with_feature(world, "interest_rate", steps[ranks // 100], np.full(2000, steps[-1]))


def test_date_in_disguise_is_left_out_and_named(tmp_path: Path) -> None:
    found = judge(levels(timed(honest(3000))), tmp_path)
    assert found.is_passed
    (check,) = (check for check in found.checks if check.name == "dates_in_disguise")
    assert "Left out, the same for everybody at one time: interest_rate" in check.text
    assert found.model["left_out"] == ["interest_rate"]
    assert "interest_rate" not in {strength.feature for strength in found.strengths}
    assert "interest_rate" not in {shift.name for shift in found.shifts}


def test_date_in_disguise_that_is_accepted_is_used(tmp_path: Path) -> None:
    found = judge(accepting(levels(timed(honest(3000))), "interest_rate"), tmp_path)
    assert found.model["left_out"] == []
    assert "interest_rate" in {shift.name for shift in found.shifts}


def test_date_in_disguise_that_a_model_uses_unaccepted_stops_it() -> None:
    facts = TrainingFacts(100, 50, 0.8, 0.5, disguised=(Disguised("interest_rate", "partner", 0.01),))
    stopped = [check.name for check in check_leaks(Training(), facts, (None, None), is_static=False) if check.is_stop]
    assert stopped == ["dates_in_disguise"]
    accepted = Training(accept_features=("interest_rate",))
    assert not any(check.is_stop for check in check_leaks(accepted, facts, (None, None), is_static=False))


@pytest.mark.parametrize(
    ("difference", "is_stopped"),
    [(Interval(-0.02, -0.03, -0.01), True), (Interval(-0.02, -0.05, 0.01), False), (Interval(0.02, 0.01, 0.03), False)],
    ids=["surely worse", "perhaps worse", "better"],
)
def test_model_surely_worse_than_the_approved_one_is_stopped(difference: Interval, is_stopped: bool) -> None:
    (check,) = check_champion(Rival("version 3", difference))
    assert check.is_stop == is_stopped
    assert "version 3" in check.text


def test_without_an_approved_model_there_is_nothing_to_compare() -> None:
    assert check_champion(None) == []


def test_customers_who_moved_are_a_reason_against_the_word_and_stop_nothing(tmp_path: Path) -> None:
    world = honest()
    assert world.today is not None
    moved = column(world.today, "recency", world.today["recency"].to_numpy() - 1.5)
    found = judge(replace(world, today=moved), tmp_path, train_world() / "model")
    assert (stops(found), warnings(found)) == ([], ["drift_of_scores"])
    assert found.quality is not None
    (reason,) = (row for row in found.quality.reasons if "score otherwise" in row.text)
    assert reason.state == "watch"
    assert "recency: values are lower than in training (your own feed)" in reason.text


def test_partner_who_knows_fewer_is_a_warning_with_its_owner(tmp_path: Path) -> None:
    world = honest()
    assert world.today is not None
    bands = np.array(world.today["band"].to_pylist(), dtype=object)
    bands[np.random.default_rng(9).random(len(bands)) < 0.3] = None
    today = column(world.today, "band", pa.array(bands.tolist()))
    found = judge(replace(world, today=today), tmp_path, train_world() / "model")
    assert stops(found) == []
    assert "drift_of_match_rate" in warnings(found)
    (check,) = (check for check in found.checks if check.name == "drift_of_match_rate")
    assert "ask the partner about the feed" in check.text


@pytest.mark.parametrize(("ages", "found"), [((2, 60), ["feed_age"]), ((2, 20), []), ((40, 60), [])])
def test_partner_whose_feed_grew_stale_is_a_warning(tmp_path: Path, ages: tuple[int, int], found: list[str]) -> None:
    evaluation = judge(replace(honest(), feed_age_days=ages), tmp_path, train_world() / "model")
    assert (stops(evaluation), warnings(evaluation)) == ([], found)


def test_word_is_fair_at_most_while_a_warning_stands() -> None:
    tenths = (Tenth(1, 1000, 900, 0.9, 0.9, 2.0, 0.88, 0.92), Tenth(2, 1000, 100, 0.1, 0.1, 0.2, 0.08, 0.12))
    plain, warned = (
        judge_word((0.9, 0.88, 0.92), tenths, (Check("w", 1, 0, is_fine, text="It moved.", is_warning=True),), 1000,
                   (0.5, 0.5), Words())
        for is_fine in (True, False)
    )  # fmt: skip
    assert (plain.word, warned.word) == ("Excellent", "Fair")
    assert [reason.text for reason in warned.reasons if reason.state == "watch"] == ["It moved."]
