"""Why scores are what they are: what moves them, and who is in a segment, in words."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xgboost as xgb

from contracts.evaluation import Strength, Trait
from contracts.feature_table import FeatureTable, encode
from inference.ensemble import Ensemble
from inference.handler import Model

Matrix = npt.NDArray[np.float32]
Places = npt.NDArray[np.intp]

MAX_ROWS = 5_000
TRAITS = 6
STRONGEST = 12  # features that traits are looked for in
SMALLEST_SHARE = 0.05  # of everyone, that has a trait worth telling
SMALLEST_DIFFERENCE = 0.05
MEASURES = {"max": "largest", "mean": "mean", "min": "smallest", "std": "spread of", "total": "total"}


def contributions(ensemble: Ensemble, matrix: Matrix, table: FeatureTable) -> npt.NDArray[np.float64]:
    """Return what each feature adds to each row's raw margin, in log-odds.

    Parameters
    ----------
    matrix : ndarray of shape (n_rows, n_features), float32

    Returns
    -------
    ndarray of shape (n_rows, n_features), float64
        Trees: TreeSHAP (Lundberg et al., Nature Machine Intelligence 2, 2020) as XGBoost computes it. Linear member:
        what the feature adds against its mean in training, which is its SHAP value if features are independent.
    """
    types = ["c" if feature.kind == "category" else "q" for feature in table.features]
    rows = xgb.DMatrix(matrix, feature_types=types, enable_categorical=True)
    trees = ensemble.booster.predict(rows, pred_contribs=True)[:, :-1].astype(np.float64)
    linear, weight = ensemble.settings.linear, ensemble.settings.linear_weight
    if linear is None:
        return trees
    return np.asarray((1 - weight) * trees + weight * linear.contributions(matrix))


def measure_strengths(ensemble: Ensemble, matrix: Matrix, table: FeatureTable, seed: int) -> tuple[Strength, ...]:
    """Measure how much each feature moves the scores: its mean absolute contribution, the strongest first."""
    rows = matrix
    if len(matrix) > MAX_ROWS:
        rows = matrix[np.sort(np.random.default_rng(seed).choice(len(matrix), MAX_ROWS, replace=False))]
    means = np.abs(contributions(ensemble, rows, table)).mean(axis=0)
    found = [
        Strength(feature.name, feature.party, float(mean))
        for feature, mean in zip(table.features, means, strict=True)
        if mean > 0
    ]
    return tuple(sorted(found, key=lambda strength: (-strength.value, strength.feature)))


def find_traits(
    matrix: Matrix, table: FeatureTable, chosen: Places, strengths: tuple[Strength, ...]
) -> tuple[Trait, ...]:
    """Say in words how the chosen differ from everyone, most different first; one trait for each feature at most.

    Parameters
    ----------
    matrix : ndarray of shape (n_rows, n_features), float32
        Everyone.
    chosen : ndarray of shape (n_chosen,), intp
        Places of those in the segment.
    """
    strongest = {strength.feature for strength in strengths[:STRONGEST]}
    traits = []
    for place, feature in enumerate(table.features):
        if feature.name not in strongest:
            continue
        best: Trait | None = None
        for text, has in conditions(feature.name, feature.kind, feature.categories, matrix[:, place]):
            everyone = float(has.mean())
            if not SMALLEST_SHARE <= everyone <= 1 - SMALLEST_SHARE:
                continue
            people = int(has[chosen].sum())
            trait = Trait(text, feature.party, people, people / len(chosen), everyone)
            if best is None or difference(trait) > difference(best):
                best = trait
        if best and difference(best) >= SMALLEST_DIFFERENCE:
            traits.append(best)
    return tuple(sorted(traits, key=lambda trait: (-difference(trait), trait.text))[:TRAITS])


def difference(trait: Trait) -> float:
    """Return how much more often the segment has it than everyone, as a share."""
    return trait.in_segment - trait.in_everyone


def conditions(
    name: str, kind: str, categories: tuple[str, ...], values: npt.NDArray[np.float32]
) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
    """Yield what can be said of one feature, and of whom it is true."""
    words, unit = in_words(name)
    missing = np.isnan(values)
    yield f"{words}: not known", missing
    if kind == "category":
        for code, category in enumerate(categories):
            yield f"{words}: {category}", values == code
        return
    known = values[~missing]
    if not len(known):
        return
    for edge in np.unique(np.quantile(known, [0.25, 0.5, 0.75])):
        amount = f"{write(edge)} {unit[:-1] if edge == 1 else unit}".rstrip()
        yield f"{words}: {amount} or more", ~missing & (values >= edge)
        yield f"{words}: {amount} or less", ~missing & (values <= edge)


def in_words(name: str) -> tuple[str, str]:
    """Read a column's name: what it is in words, and its unit; ``gap_days_max`` is the largest gap, in days."""
    span = re.fullmatch(r"(.+)_(\d+)d", name)
    parts = (span[1] if span else name).split("_")
    unit = "days" if "days" in parts and len(parts) > 1 else ""
    words = [part for part in parts if not unit or part != "days"]
    if len(words) > 1 and words[-1] in MEASURES:
        words = [MEASURES[words[-1]], *words[:-1]]
    return " ".join(words) + (f" in {span[2]} days" if span else ""), unit


def write(number: float) -> str:
    """Write a number as people do: three digits that count, no exponent, thousands parted."""
    if np.isnan(number):
        return "not known"
    if abs(number) >= 100 or float(number).is_integer():
        return f"{number:,.0f}"
    return str(np.format_float_positional(number, precision=3, unique=False, fractional=False, trim="-"))


def explain_customers(
    model: Model, rows: pa.Table, count: int = 3, *, may_name_partner_columns: bool = True
) -> list[tuple[str, ...]]:
    """Say of each customer which facts moved the score most, and which way.

    Parameters
    ----------
    model : Model
        As ``load_model`` gives it.
    rows : Table of shape (n_rows, any)
        Customers with the model's features.
    count : int
        Reasons for each customer, the strongest first; fewer where fewer facts say anything.
    may_name_partner_columns : bool
        False where the contract forbids it: a partner's fact is then "a fact from the partner", without its value.

    Returns
    -------
    list of tuple of str, length n_rows
        Such as ``("recency days: 12 raises it", "band: not known lowers it")``. They predict; they don't prove a cause.

    Raises
    ------
    ContractError
        If a feature is missing from the rows.
    """
    matrix = encode(rows, model.table, where="rows to explain")
    added = contributions(model.ensemble, matrix, model.table)
    order = np.argsort(-np.abs(added), axis=1, kind="stable")[:, :count]

    def say(row: int, place: int) -> str:
        feature, value = model.table.features[place], matrix[row, place]
        way = "raises it" if added[row, place] > 0 else "lowers it"
        if feature.party == "partner" and not may_name_partner_columns:
            return f"a fact from the partner {way}"
        is_word = feature.kind == "category" and not np.isnan(value)
        known = feature.categories[int(value)] if is_word else write(float(value))
        return f"{feature.name.replace('_', ' ')}: {known} {way}"

    return [
        tuple(say(row, int(place)) for place in places if added[row, place] != 0) for row, places in enumerate(order)
    ]
