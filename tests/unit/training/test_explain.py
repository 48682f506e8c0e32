"""Explanations: contributions add up to the score, traits are counted, and a partner's facts can go unnamed."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from contracts.feature_table import encode
from inference.handler import Model, model_fn
from tests.known_truth import make_customers, train_model
from training import explain_customers
from training.explain import contributions, find_traits, measure_strengths, write


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return model_fn(str(train_model(tmp_path_factory.mktemp("ml"))))


def test_contributions_add_up_to_the_raw_margin(model: Model) -> None:
    rows, _, _ = make_customers(500, seed=6)
    matrix = encode(rows, model.table, "here")
    left = model.ensemble.raw_margins(matrix) - contributions(model.ensemble, matrix, model.table).sum(axis=1)
    assert left == pytest.approx(np.full(500, left[0]), abs=1e-4)


def test_fact_that_says_nothing_is_the_weakest(model: Model) -> None:
    rows, _, _ = make_customers(2000, seed=6)
    strengths = measure_strengths(model.ensemble, encode(rows, model.table, "here"), model.table, 7)
    assert strengths[0].feature == "recency"
    assert all(strength.value > 0 for strength in strengths)


def test_traits_are_true_of_as_many_as_they_say(model: Model) -> None:
    rows, _, _ = make_customers(2000, seed=6)
    matrix = encode(rows, model.table, "here")
    chosen = np.argsort(-model.ensemble.predict(matrix))[:200]
    strengths = measure_strengths(model.ensemble, matrix, model.table, 7)
    traits = {trait.text: trait for trait in find_traits(matrix, model.table, chosen, strengths)}
    band = traits["band: high"]
    is_high = np.array([value == "high" for value in rows["band"].to_pylist()])
    assert (band.people, band.party) == (is_high[chosen].sum(), "partner")
    assert (band.in_segment, band.in_everyone) == (is_high[chosen].mean(), is_high.mean())
    (recency,) = (trait for text, trait in traits.items() if text.startswith("recency: "))
    assert recency.text.endswith(" or more")
    assert len({text.partition(":")[0] for text in traits}) == len(traits)


def test_customer_is_told_what_moved_his_score_and_which_way(model: Model) -> None:
    rows, _, _ = make_customers(50, seed=6)
    recency = np.r_[3.0, -3.0, rows["recency"].to_numpy()[2:]]
    bands = ["high", None, *rows["band"].to_pylist()[2:]]
    rows = rows.set_column(rows.column_names.index("recency"), "recency", pa.array(recency))
    rows = rows.set_column(rows.column_names.index("band"), "band", pa.array(bands))
    first, second = explain_customers(model, rows, count=3)[:2]
    assert first[0] == "recency: 3 raises it"
    assert second[0] == "recency: -3 lowers it"
    assert "band: high raises it" in first
    assert any(reason.startswith("band: not known") for reason in second)
    assert all(len(reasons) <= 1 for reasons in explain_customers(model, rows, count=1))


def test_partner_whose_columns_may_not_be_named_is_not_named(model: Model) -> None:
    rows, _, _ = make_customers(200, seed=6)
    reasons = explain_customers(model, rows, may_name_partner_columns=False)
    assert any("a fact from the partner raises it" in row for row in reasons)
    assert not any("band" in reason or "high" in reason for row in reasons for reason in row)


@pytest.mark.parametrize(
    ("number", "text"),
    [(46.0, "46"), (1234.5, "1,234"), (0.12345, "0.123"), (-3.0, "-3"), (12.34, "12.3"), (float("nan"), "not known")],
)
def test_numbers_are_written_as_people_write_them(number: float, text: str) -> None:
    assert write(number) == text
