"""Evaluation: what is measured is what the handler writes, and every number is that of an independent computation."""

from __future__ import annotations

import csv
import io
import json
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn import metrics

from contracts.errors import ContractError
from contracts.evaluation import Evaluation, read_evaluation
from contracts.feature_table import FINGERPRINT_KEY, read_feature_table
from contracts.model_card import parse_card
from contracts.run_facts import RunFacts, write_run_facts
from contracts.run_settings import FILE_NAME as SETTINGS_NAME
from contracts.run_settings import ReadyTable, RunSettings, read_run_settings
from contracts.segment_file import ENDPOINT_COLUMNS
from contracts.training_facts import read_training_facts
from inference.handler import CONTENT_TYPE, Model, model_fn, transform_fn
from tests.known_truth import make_customers, train_model
from tests.worlds import SETTINGS
from training import evaluate
from training.checks import Split

GOAL = SETTINGS.goal("buy")


@pytest.fixture(scope="module")
def ml_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained model, laid out as the inputs of its evaluation."""
    folder = tmp_path_factory.mktemp("ml")
    model_dir = train_model(folder)
    shutil.copytree(folder / "input" / "data", folder / "processing" / "input")
    write_run_facts(
        RunFacts("2026-06-30", 3000, None, (), (), ("2026-04-01",), None), folder / "processing/input/run_facts", 0
    )
    (folder / "processing" / "input" / "model").mkdir()
    with tarfile.open(folder / "processing" / "input" / "model" / "model.tar.gz", "w:gz") as tar:
        tar.add(model_dir, arcname=".")
    return folder


@pytest.fixture(scope="module")
def model(ml_dir: Path) -> Model:
    """The same model, loaded."""
    return model_fn(str(ml_dir / "model"))


@pytest.fixture(scope="module")
def evaluation(ml_dir: Path) -> Evaluation:
    """What the step wrote."""
    assert evaluate.main(["--ml-dir", str(ml_dir), "--goal", "buy"]) == 0
    return read_evaluation(ml_dir / "processing" / "evaluation" / "evaluation.json")


@pytest.fixture(scope="module")
def shipped(ml_dir: Path, model: Model) -> tuple[np.ndarray, np.ndarray]:
    """Scores of the test customers from the CSV that the handler ships, and what happened."""
    rows, table, _ = make_customers(3000, seed=5)
    tested = rows.filter(pa.array(part == "test" for part in rows["split"].to_pylist()))
    columns = {name: tested["customer_key"] for name in ENDPOINT_COLUMNS}
    shard = pa.table(columns | {name: tested[name] for name in table.names})
    sink = io.BytesIO()
    pq.write_table(shard.replace_schema_metadata({FINGERPRINT_KEY: table.fingerprint.encode()}), sink)
    answer = transform_fn(model, sink.getvalue(), CONTENT_TYPE, "text/csv")
    assert isinstance(answer, tuple)
    scores = [float(line["Metrics.buy_score"]) for line in csv.DictReader(io.StringIO(answer[0]))]
    return np.array(scores), tested["label__buy"].to_numpy()


def test_metrics_are_scikit_learns_on_the_shipped_scores(
    evaluation: Evaluation, shipped: tuple[np.ndarray, np.ndarray]
) -> None:
    scores, labels = shipped
    assert evaluation.auc == pytest.approx(metrics.roc_auc_score(labels, scores), abs=1e-12)
    assert evaluation.average_precision == metrics.average_precision_score(labels, scores)
    assert evaluation.log_loss == metrics.log_loss(labels, scores)
    assert evaluation.brier == metrics.brier_score_loss(labels, scores)
    assert evaluation.base_rate == labels.mean()
    assert (evaluation.people, evaluation.positives) == (len(labels), labels.sum())


def test_metrics_are_those_of_their_definitions(evaluation: Evaluation, shipped: tuple[np.ndarray, np.ndarray]) -> None:
    scores, labels = shipped
    pairs = scores[labels == 1][:, None] - scores[labels == 0][None, :]
    assert evaluation.auc == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean())
    assert evaluation.brier == pytest.approx(((scores - labels) ** 2).mean())
    assert 0.7 < evaluation.auc < 0.9


def test_tenths_add_up_and_their_lift_is_rate_over_base_rate(evaluation: Evaluation) -> None:
    assert [tenth.tenth for tenth in evaluation.tenths] == list(range(1, 11))
    assert sum(tenth.people for tenth in evaluation.tenths) == evaluation.people
    assert sum(tenth.positives for tenth in evaluation.tenths) == evaluation.positives
    predicted = [tenth.predicted for tenth in evaluation.tenths]
    assert predicted == sorted(predicted, reverse=True)
    for tenth in evaluation.tenths:
        assert tenth.happened == pytest.approx(tenth.positives / tenth.people)
        assert tenth.lift == pytest.approx(tenth.happened / evaluation.base_rate)
    assert evaluation.tenths[0].lift > 1.5 > evaluation.tenths[-1].lift


def test_evaluation_says_which_model_it_is_of(evaluation: Evaluation, model: Model) -> None:
    assert evaluation.model["fingerprint"] == model.table.fingerprint
    assert evaluation.model["rounds"] == model.card.rounds
    assert (evaluation.goal, evaluation.notice, evaluation.split) == ("buy", SETTINGS.notice, "customer")


def judge(part: evaluate.Part, model: Model, ml_dir: Path, floor: float) -> Evaluation:
    """Judge the test part with another floor."""
    settings = replace(SETTINGS, goals=(replace(GOAL, minimum_auc=floor), *SETTINGS.goals[1:]))
    facts = read_training_facts(ml_dir / "model")
    return evaluate.evaluate(part, model, facts, settings, evaluate.Evidence(Split(0, None)))


def part_of(model: Model, scores: np.ndarray, labels: np.ndarray) -> evaluate.Part:
    """A test part of these scores and labels, whatever its customers are like."""
    matrix = np.zeros((len(scores), len(model.table.names)), np.float32)
    return evaluate.Part(matrix, scores, labels, [str(number) for number in range(len(scores))])


@pytest.mark.parametrize(("floor", "is_passed"), [(0.6, True), (0.99, False)])
def test_gate_compares_auc_with_the_goals_floor(
    ml_dir: Path, model: Model, shipped: tuple[np.ndarray, np.ndarray], floor: float, is_passed: bool
) -> None:
    found = judge(part_of(model, *shipped), model, ml_dir, floor)
    (check,) = (check for check in found.checks if check.name == "auc")
    assert (check.is_passed, check.allowed) == (is_passed, floor)
    assert not found.is_passed or is_passed


def test_auc_on_the_floor_passes(ml_dir: Path, model: Model) -> None:
    labels, scores = np.array([0, 1, 0, 1], np.int8), np.array([0.1, 0.2, 0.3, 0.4])
    found = judge(part_of(model, scores, labels), model, ml_dir, 0.75)
    assert next(check for check in found.checks if check.name == "auc").is_passed


@pytest.mark.parametrize("label", [0, 1])
def test_label_that_never_varies_is_refused(ml_dir: Path, model: Model, label: int) -> None:
    labels = np.full(50, label, np.int8)
    with pytest.raises(ContractError, match=f"can't judge goal buy: {50 * label} of 50 customers have it"):
        judge(part_of(model, np.linspace(0, 1, 50), labels), model, ml_dir, 0.5)


def test_summary_says_how_good_the_model_is(ml_dir: Path, evaluation: Evaluation) -> None:
    message = (ml_dir / "output" / "message").read_text()
    lift = evaluation.tenths[0].lift
    assert evaluation.quality is not None
    score, low, high = (
        round(value) for value in (evaluation.quality.score, evaluation.quality.low, evaluation.quality.high)
    )
    assert message.startswith(f"Fair, ranking score {score} ({low} to {high}), ")
    assert f"AUC {evaluation.auc:.3f}, the top tenth did it {lift:.1f} times the average" in message
    assert message.endswith("14 of 14 checks passed")


def test_summary_counts_what_is_to_watch_and_names_what_stops(evaluation: Evaluation) -> None:
    first, second, *others = evaluation.checks
    watched = replace(evaluation, checks=(replace(first, is_passed=False, is_warning=True), second, *others))
    assert evaluate.summarise(watched).endswith("13 of 14 checks passed, 1 to watch")
    stopped = replace(watched, checks=(first, replace(second, is_passed=False, is_warning=False), *others))
    assert evaluate.summarise(stopped).endswith(f"stopped by {second.name}")


def test_model_card_is_written_for_programs_and_for_people(ml_dir: Path, evaluation: Evaluation) -> None:
    folder = ml_dir / "processing" / "evaluation"
    card = parse_card((folder / "model_card.json").read_text(), "here")
    (metrics_group, checks) = card["evaluation_details"][0]["metric_groups"]
    found = {metric["name"]: metric["value"] for metric in metrics_group["metric_data"]}
    assert found["AUC"] == evaluation.auc
    assert [check["name"] for check in checks["metric_data"]] == [check.name for check in evaluation.checks]
    text = (folder / "model_card.md").read_text()
    assert "of the partner" in text
    assert "Propensity of purchase within 90 days" in text


def test_model_card_names_no_partner_column_where_that_is_forbidden(ml_dir: Path, tmp_path: Path) -> None:
    copy = tmp_path / "ml"
    shutil.copytree(ml_dir, copy)
    settings = replace(read_run_settings(copy / "processing/input/settings"), may_name_partner_columns=False)
    (copy / "processing/input/settings" / SETTINGS_NAME).write_bytes(settings.to_json())
    assert evaluate.main(["--ml-dir", str(copy), "--goal", "buy", "--execution-id", "run7"]) == 0
    table = read_feature_table(copy / "processing/input/features")
    columns = [feature.name for feature in table.features if feature.party == "partner"]
    for name in ("model_card.json", "model_card.md"):
        text = (copy / "processing/evaluation" / name).read_text()
        assert "run7" in text
        assert not [column for column in columns if column in text]


def test_model_of_other_features_is_refused_with_the_handlers_reason(ml_dir: Path, tmp_path: Path) -> None:
    copy = tmp_path / "ml"
    shutil.copytree(ml_dir / "processing" / "input", copy / "processing" / "input")
    path = copy / "processing" / "input" / "features"
    table = read_feature_table(path)
    (path / "feature_table.json").write_bytes(replace(table, definition_sha256="b" * 64).to_json())
    assert evaluate.main(["--ml-dir", str(copy), "--goal", "buy"]) == 1
    message = (copy / "output" / "message").read_text(encoding="utf-8")
    assert "the handler refused the test customers" in message
    assert "the shard's features are not the model's" in message
    assert not (copy / "processing" / "evaluation").exists()


def test_gate_is_a_number_in_the_file_that_the_pipeline_reads(ml_dir: Path, evaluation: Evaluation) -> None:
    document = json.loads((ml_dir / "processing" / "evaluation" / "evaluation.json").read_text())
    assert document["gate"] == {"is_passed": 1}


def test_evaluation_holds_intervals_calibration_reach_and_a_word_for_people(
    evaluation: Evaluation, shipped: tuple[np.ndarray, np.ndarray]
) -> None:
    scores, labels = shipped
    assert evaluation.auc_low < evaluation.auc < evaluation.auc_high
    assert evaluation.predicted_rate == pytest.approx(scores.mean())
    assert sum(group.people for group in evaluation.calibration) == evaluation.people
    assert (evaluation.reach[-1].people, evaluation.reach[-1].positives) == (len(labels), labels.sum())
    assert evaluation.words == GOAL.words
    assert evaluation.quality is not None
    assert evaluation.quality.score == pytest.approx(100 * (2 * evaluation.auc - 1))
    assert evaluation.quality.word == "Fair"
    assert any("Only 198 people who do it in the test" in reason.text for reason in evaluation.quality.reasons)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (SETTINGS, "customer"),
        (replace(SETTINGS, training_snapshots=2), "customer and time"),
        (replace(SETTINGS, customers=ReadyTable("id")), "customer"),
        (replace(SETTINGS, customers=ReadyTable("id", time="day")), "time"),
        (replace(SETTINGS, customers=ReadyTable("id", split="part", time="day")), "given"),
    ],
    ids=["events", "snapshots", "ready", "ready by time", "ready as given"],
)
def test_evaluation_says_how_its_customers_were_set_apart(settings: RunSettings, words: str) -> None:
    assert evaluate.split_words(settings) == words
