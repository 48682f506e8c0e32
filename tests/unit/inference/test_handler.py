"""The handler: one shard in, one CSV out, and status 400 with the reason for whatever is not the model's."""

from __future__ import annotations

import csv
import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xgboost as xgb
from werkzeug import Response

from contracts.errors import ContractError
from contracts.feature_table import FINGERPRINT_KEY, FeatureTable, encode
from contracts.model_artifact import read_model_card
from contracts.segment_file import ENDPOINT_COLUMNS, header
from inference.handler import CONTENT_TYPE, Model, model_fn, transform_fn
from tests.known_truth import train_model
from tests.strategies import random_rows

ROWS, TABLE = random_rows(500, seed=21)
SHARD = ROWS.select([*ENDPOINT_COLUMNS, *TABLE.names])
OTHER = replace(TABLE, definition_sha256="b" * 64)


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained model's folder."""
    return train_model(tmp_path_factory.mktemp("ml"))


@pytest.fixture(scope="module")
def model(model_dir: Path) -> Model:
    """The same model, loaded."""
    return model_fn(str(model_dir))


def body_of(rows: pa.Table = SHARD, table: FeatureTable = TABLE) -> bytes:
    """Rows as a request's body, with a contract's fingerprint."""
    sink = io.BytesIO()
    pq.write_table(rows.replace_schema_metadata({FINGERPRINT_KEY: table.fingerprint.encode()}), sink)
    return sink.getvalue()


def answer_of(model: Model, body: bytes, accept: str = "text/csv") -> str:
    """The CSV that the handler answers."""
    answer = transform_fn(model, body, CONTENT_TYPE, accept)
    assert isinstance(answer, tuple), answer.get_data(as_text=True)
    text, content_type = answer
    assert content_type == "text/csv"
    return text


def score(model: Model, body: bytes) -> list[dict[str, str]]:
    """Rows of the CSV that the handler answers."""
    return list(csv.DictReader(io.StringIO(answer_of(model, body), newline="")))


def refusal(model: Model, body: bytes, content_type: str = CONTENT_TYPE) -> str:
    """Reason of the handler's refusal."""
    answer = transform_fn(model, body, content_type, "text/csv")
    assert isinstance(answer, Response)
    assert (answer.status_code, answer.mimetype) == (400, "text/plain")
    return answer.get_data(as_text=True)


def test_answer_has_one_header_and_the_rows_in_their_order(model: Model) -> None:
    order = np.random.default_rng(4).permutation(SHARD.num_rows)
    shuffled = SHARD.take(pa.array(order))
    lines = answer_of(model, body_of(shuffled), accept="*/*").splitlines()
    assert lines[0] == ",".join(header("buy"))
    assert len(lines) == SHARD.num_rows + 1
    found = score(model, body_of(shuffled))
    for name in ENDPOINT_COLUMNS:
        assert [row[name] for row in found] == shuffled[name].to_pylist()


def test_scores_are_the_members_averaged_in_log_odds_and_calibrated(model: Model, model_dir: Path) -> None:
    booster, document = (
        xgb.Booster(model_file=model_dir / "booster.ubj"),
        json.loads((model_dir / "ensemble.json").read_text()),
    )
    features = encode(SHARD, TABLE, "here")
    matrix = xgb.DMatrix(features, feature_types=["q", "q", "c"], enable_categorical=True)
    margins = booster.predict(matrix, output_margin=True).astype(float)
    linear, weight = document["linear"], document["linear_weight"]
    assert 0 < weight <= 1
    other = np.full(len(margins), linear["intercept"])
    for row, values in enumerate(features.astype(float)):
        for term in linear["numbers"]:
            value = values[term["feature"]]
            value = np.sign(value) * np.log1p(abs(value)) if term["is_log"] else value
            scaled = min(max((value - term["centre"]) / term["scale"], term["low"]), term["high"]) * term["coefficient"]
            other[row] += (term["missing"] if np.isnan(value) else scaled) - term["mean"]
        for term in linear["categories"]:
            code = values[term["feature"]]
            other[row] += (term["missing"] if np.isnan(code) else term["coefficients"][int(code)]) - term["mean"]
    raw = (1 - weight) * margins + weight * other
    table = document["calibration"]
    calibrated = np.interp(raw, table["raw"], table["calibrated"])
    inside = (raw >= table["raw"][0]) & (raw <= table["raw"][-1])
    found = np.array([float(row["Metrics.buy_score"]) for row in score(model, body_of())])
    assert inside.mean() > 0.9
    assert found[inside] == pytest.approx(1 / (1 + np.exp(-calibrated[inside])), abs=2e-6)
    assert len(set(found)) > 100


def test_score_of_a_row_does_not_depend_on_its_neighbours(model: Model) -> None:
    whole = score(model, body_of())
    assert score(model, body_of(SHARD.slice(100, 7))) == whole[100:107]


def test_order_of_the_columns_is_irrelevant(model: Model) -> None:
    assert score(model, body_of(SHARD.select(SHARD.column_names[::-1]))) == score(model, body_of())


def test_shard_without_rows_is_answered_with_the_header(model: Model) -> None:
    assert answer_of(model, body_of(SHARD.slice(0, 0))) == ",".join(header("buy")) + "\n"


def test_unknown_category_is_scored_as_a_missing_one(model: Model) -> None:
    place = SHARD.column_names.index("band")
    unheard = SHARD.set_column(place, "band", pa.array(["unheard of"] * SHARD.num_rows))
    missing = SHARD.set_column(place, "band", pa.nulls(SHARD.num_rows, pa.string()))
    assert score(model, body_of(unheard)) == score(model, body_of(missing))


def test_other_features_are_refused_with_both_fingerprints(model: Model) -> None:
    reason = refusal(model, body_of(table=OTHER))
    assert OTHER.fingerprint[:12] in reason
    assert TABLE.fingerprint[:12] in reason


@pytest.mark.parametrize("content_type", ["text/csv", "application/json", "", "application/x-parquet2"])
def test_other_content_type_is_refused_by_name(model: Model, content_type: str) -> None:
    assert f"content type must be {CONTENT_TYPE}, got {content_type}" in refusal(model, body_of(), content_type)


@pytest.mark.parametrize(
    "body", [b"", b"garbage", b"PAR1garbagePAR1", body_of()[:-50]], ids=["nothing", "text", "frame", "cut off"]
)
def test_body_that_is_no_shard_is_refused(model: Model, body: bytes) -> None:
    assert "the shard is not a Parquet file" in refusal(model, body)


@pytest.mark.parametrize("name", SHARD.column_names)
def test_missing_column_is_refused_by_name(model: Model, name: str) -> None:
    assert name in refusal(model, body_of(SHARD.drop_columns([name])))


@pytest.mark.parametrize("name", SHARD.column_names)
def test_column_of_another_kind_is_refused_by_name(model: Model, name: str) -> None:
    spoiled = SHARD.set_column(SHARD.column_names.index(name), name, pa.array([[1]] * SHARD.num_rows))
    reason = refusal(model, body_of(spoiled))
    assert name in reason
    assert "list<" in reason


def test_value_that_the_format_forbids_is_refused(model: Model) -> None:
    place = SHARD.column_names.index("Address")
    spoiled = SHARD.set_column(place, "Address", pa.array(["a\tb@example.com"] * SHARD.num_rows))
    assert "500 of 500 rows have a value that the format forbids" in refusal(model, body_of(spoiled))


def test_model_whose_card_belongs_to_other_features_is_refused(model_dir: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(model_dir, tmp_path / "model")
    card = read_model_card(copy)
    (copy / "model.json").write_bytes(replace(card, fingerprint=OTHER.fingerprint).to_json())
    with pytest.raises(ContractError, match="the model was trained on other features than it carries"):
        model_fn(str(copy))


@pytest.mark.parametrize("name", ["booster.ubj", "ensemble.json", "feature_table.json", "model.json"])
@pytest.mark.parametrize("content", [None, b"", b"junk"], ids=["missing", "empty", "junk"])
def test_broken_artifact_is_refused(model_dir: Path, tmp_path: Path, name: str, content: bytes | None) -> None:
    copy = shutil.copytree(model_dir, tmp_path / "model")
    if content is None:
        (copy / name).unlink()
    else:
        (copy / name).write_bytes(content)
    with pytest.raises(ContractError) as caught:
        model_fn(str(copy))
    assert caught.value.where == str(copy / name)
