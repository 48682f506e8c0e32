"""Training: stops early, repeats itself byte by byte, gives probabilities to believe, and says why it fails."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import xgboost as xgb

from contracts.feature_table import encode, read_feature_table
from contracts.model_artifact import read_model_card
from contracts.training_facts import read_training_facts
from tests.known_truth import make_customers, train_model, write_training_inputs
from tests.worlds import SETTINGS
from training import train
from training.learn import learn


def split(rows: pa.Table, part: str) -> pa.Table:
    """The rows of one part."""
    return rows.filter(pa.array(value == part for value in rows["split"].to_pylist()))


def learned_parts(rows: pa.Table) -> pa.Table:
    """The rows that may be learned from."""
    return rows.filter(pa.array(value != "test" for value in rows["split"].to_pylist()))


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of customers of known propensity, as its job leaves it."""
    return train_model(tmp_path_factory.mktemp("ml"))


def test_nothing_to_learn_stops_long_before_something_does() -> None:
    rows, table, _ = make_customers(3000, seed=5)
    labels = np.random.default_rng(9).permutation(rows["label__buy"].to_numpy())
    noise = rows.set_column(rows.column_names.index("label__buy"), "label__buy", pa.array(labels))
    found, nothing = (learn(data, table, "label__buy", seed=7) for data in (rows, noise))
    assert nothing.rounds < found.rounds / 2
    spread = [np.std(model.predict(encode(rows, model.table, "here"))) for model in (found, nothing)]
    assert spread[1] < spread[0] / 5


def test_probabilities_are_those_of_the_known_truth() -> None:
    rows, table, truth = make_customers(60_000, seed=11)
    is_test = np.array(rows["split"].to_pylist()) == "test"
    model = learn(rows.filter(pa.array(~is_test)), table, "label__buy", seed=7)
    tested = rows.filter(pa.array(is_test))
    scores, truth = model.predict(encode(tested, model.table, "here")).astype(float), truth[is_test]
    assert len(scores) > 10_000
    assert abs(scores.mean() - truth.mean()) < 0.01
    assert np.abs(scores - truth).mean() < 0.02
    for tenth in np.array_split(np.argsort(scores), 10):
        assert scores[tenth].mean() == pytest.approx(truth[tenth].mean(), abs=0.025)


def test_same_seed_gives_the_same_bytes_and_another_seed_others(model_dir: Path, tmp_path: Path) -> None:
    again, other = train_model(tmp_path / "again"), train_model(tmp_path / "other", training_seed=8)
    assert (again / "booster.ubj").read_bytes() == (model_dir / "booster.ubj").read_bytes()
    assert (again / "model.json").read_bytes() == (model_dir / "model.json").read_bytes()
    assert (other / "booster.ubj").read_bytes() != (model_dir / "booster.ubj").read_bytes()


def test_card_says_what_the_model_is(model_dir: Path) -> None:
    rows, table, _ = make_customers(3000, seed=5)
    card = read_model_card(model_dir)
    assert (card.goal, card.seed, card.fingerprint) == ("buy", SETTINGS.seed, table.fingerprint)
    assert (card.train_rows, card.validation_rows) == (
        split(rows, "train").num_rows,
        split(rows, "validation").num_rows,
    )
    assert card.positives == int(learned_parts(rows)["label__buy"].to_numpy().sum())
    assert card.training_as_of == ("2026-04-01",)
    assert card.rounds == xgb.Booster(model_file=model_dir / "booster.ubj").num_boosted_rounds()
    assert read_feature_table(model_dir) == table
    facts = read_training_facts(model_dir)
    assert facts.checked == learned_parts(rows).num_rows
    assert 0.7 < facts.auc < 0.9


def test_model_carries_the_code_it_was_trained_with_and_no_bytecode(tmp_path: Path) -> None:
    rows, table, _ = make_customers(600, seed=5)
    code = {"inference/handler.py": b"# this one", "inference/__pycache__/handler.cpython-311.pyc": b"junk"}
    write_training_inputs(tmp_path, rows, table, code=code)
    assert train.main(["--ml-dir", str(tmp_path), "--goal", "buy"]) == 0
    found = {str(path.relative_to(tmp_path / "model" / "code")) for path in (tmp_path / "model" / "code").rglob("*")}
    assert found == {"inference", "inference/handler.py"}
    assert not (tmp_path / "output" / "failure").exists()


def test_test_customers_are_not_learned_from(tmp_path: Path, model_dir: Path) -> None:
    rows, table, _ = make_customers(3000, seed=5)
    parts = np.array(rows["split"].to_pylist())
    labels = np.where(parts == "test", 1 - rows["label__buy"].to_numpy(), rows["label__buy"].to_numpy())
    changed = rows.set_column(rows.column_names.index("label__buy"), "label__buy", pa.array(labels))
    write_training_inputs(tmp_path, changed, table)
    assert train.main(["--ml-dir", str(tmp_path), "--goal", "buy"]) == 0
    assert (tmp_path / "model" / "booster.ubj").read_bytes() == (model_dir / "booster.ubj").read_bytes()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda data: (data / "features" / "feature_table.parquet").unlink(), "the feature table is missing"),
        (lambda data: (data / "features" / "feature_table.json").unlink(), "contract can't be read"),
        (lambda data: (data / "settings" / "run_settings.json").write_text("{}"), "the run settings can't be read"),
    ],
    ids=["no table", "no contract", "no settings"],
)
def test_reason_lands_where_the_service_reads_it(tmp_path: Path, spoil: object, reason: str) -> None:
    rows, table, _ = make_customers(300, seed=5)
    write_training_inputs(tmp_path, rows, table)
    spoil(tmp_path / "input" / "data")  # type: ignore[operator]
    assert train.main(["--ml-dir", str(tmp_path), "--goal", "buy"]) == 1
    assert reason in (tmp_path / "output" / "failure").read_text(encoding="utf-8")
    assert not (tmp_path / "model" / "booster.ubj").exists()


@pytest.mark.parametrize(
    ("column", "reason"),
    [("label__buy", "label label__buy is missing"), ("recency", "feature recency is missing")],
)
def test_missing_column_is_named_as_the_reason(tmp_path: Path, column: str, reason: str) -> None:
    rows, table, _ = make_customers(300, seed=5)
    write_training_inputs(tmp_path, rows.drop_columns([column]), table)
    assert train.main(["--ml-dir", str(tmp_path), "--goal", "buy"]) == 1
    assert reason in (tmp_path / "output" / "failure").read_text(encoding="utf-8")


def test_unknown_goal_is_the_reason(tmp_path: Path) -> None:
    rows, table, _ = make_customers(300, seed=5)
    write_training_inputs(tmp_path, rows, table)
    assert train.main(["--ml-dir", str(tmp_path), "--goal", "leave"]) == 1
    assert "there is no goal named leave" in (tmp_path / "output" / "failure").read_text(encoding="utf-8")


def test_card_is_plain_json(model_dir: Path) -> None:
    assert json.loads((model_dir / "model.json").read_text())["schema"] == "pseg.model/1"


def test_names_of_features_may_hold_whatever_they_do(tmp_path: Path, model_dir: Path) -> None:
    rows, table, _ = make_customers(3000, seed=5)
    names = dict(zip(table.names, ["a[0]<1, label", 'quo"te\nשלום', " "], strict=True))
    renamed = rows.rename_columns([names.get(column, column) for column in rows.column_names])
    features = tuple(replace(feature, name=names[feature.name]) for feature in table.features)
    write_training_inputs(tmp_path, renamed, replace(table, features=features))
    assert train.main(["--ml-dir", str(tmp_path), "--goal", "buy"]) == 0
    assert (tmp_path / "model" / "booster.ubj").read_bytes() == (model_dir / "booster.ubj").read_bytes()
    assert read_feature_table(tmp_path / "model").names == list(names.values())


def test_categories_are_those_of_the_rows_learned_from(tmp_path: Path) -> None:
    rows, table, _ = make_customers(3000, seed=5)
    is_learned = pa.array(part != "test" for part in rows["split"].to_pylist())
    bands = pc.if_else(is_learned, rows["band"], "unheard of")
    rows = rows.set_column(rows.column_names.index("band"), "band", bands)
    write_training_inputs(tmp_path, rows, table)
    assert train.main(["--ml-dir", str(tmp_path), "--goal", "buy"]) == 0
    assert read_feature_table(tmp_path / "model").features[2].categories == ("high", "low", "mid")


def test_model_of_undated_customers_has_no_date(tmp_path: Path) -> None:
    rows, table, _ = make_customers(600, seed=5)
    undated = rows.set_column(rows.column_names.index("snapshot_date"), "snapshot_date", pa.nulls(600, pa.date32()))
    write_training_inputs(tmp_path, undated, table)
    assert train.main(["--ml-dir", str(tmp_path), "--goal", "buy"]) == 0
    assert read_model_card(tmp_path / "model").training_as_of == ()


def test_customers_without_the_label_are_not_learned_from(tmp_path: Path, model_dir: Path) -> None:
    rows, table, _ = make_customers(3000, seed=5)
    extra = rows.slice(0, 500)
    unlabelled = extra.set_column(extra.column_names.index("label__buy"), "label__buy", pa.nulls(500, pa.int8()))
    write_training_inputs(tmp_path, pa.concat_tables([rows, unlabelled]), table)
    assert train.main(["--ml-dir", str(tmp_path), "--goal", "buy"]) == 0
    assert (tmp_path / "model" / "booster.ubj").read_bytes() == (model_dir / "booster.ubj").read_bytes()
