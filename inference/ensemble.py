"""A model as numbers in, propensity scores out: trees, a linear member where one helps, and the calibration.

Margins are log-odds. The members' margins are averaged by weight, a monotone table bends the average to what happened
in cross-validation, and the logistic function makes it a probability. Everything but the trees is JSON.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xgboost as xgb

from contracts.document import read_document
from contracts.errors import ContractError
from contracts.model_artifact import BOOSTER_NAME

FILE_NAME = "ensemble.json"
Matrix = npt.NDArray[np.float32]
Margins = npt.NDArray[np.float64]


@dataclass(frozen=True)
class NumberTerm:
    """What one number adds: ``coefficient`` x (value - ``centre``) / ``scale``, or ``missing`` where there is none.

    With ``is_log`` the value is first sign(v) log(1 + |v|). ``mean``, what it adds on average, is taken off. What lies
    beyond ``low`` or ``high``, the least and the largest scaled value learned from, counts as that: the line is known
    no further.
    """

    feature: int
    is_log: bool
    centre: float
    scale: float
    low: float
    high: float
    coefficient: float
    missing: float
    mean: float = 0.0


@dataclass(frozen=True)
class CategoryTerm:
    """What one category adds: a coefficient for each of its categories, ``missing`` for none, less ``mean``."""

    feature: int
    coefficients: tuple[float, ...]
    missing: float
    mean: float = 0.0


@dataclass(frozen=True)
class LinearMember:
    """A logistic regression on scaled, missing-flagged and one-hot columns."""

    intercept: float
    numbers: tuple[NumberTerm, ...]
    categories: tuple[CategoryTerm, ...]

    def contributions(self, matrix: Matrix) -> npt.NDArray[np.float64]:
        """Return what each feature adds to each margin, against what it adds on average.

        Parameters
        ----------
        matrix : ndarray of shape (n_rows, n_features), float32
            As ``contracts.feature_table.encode`` makes it.

        Returns
        -------
        ndarray of shape (n_rows, n_features), float64
        """
        added = np.zeros(matrix.shape)
        for number in self.numbers:
            values = transform(matrix[:, number.feature], number.is_log)
            scaled = np.clip((values - number.centre) / number.scale, number.low, number.high)
            known = scaled * number.coefficient
            added[:, number.feature] = np.where(np.isfinite(values), known, number.missing) - number.mean
        for category in self.categories:
            codes = matrix[:, category.feature]
            table = np.array([*category.coefficients, category.missing])
            places = np.where(np.isnan(codes), len(category.coefficients), codes).astype(np.intp)
            added[:, category.feature] = table[places] - category.mean
        return added

    def margins(self, matrix: Matrix) -> Margins:
        """Return the margins, ndarray of shape (n_rows,)."""
        return np.asarray(self.intercept + self.contributions(matrix).sum(axis=1))


@dataclass(frozen=True)
class Calibration:
    """A strictly monotone table from raw margin to calibrated margin; straight lines between and beyond its knots."""

    raw: tuple[float, ...]
    calibrated: tuple[float, ...]

    def apply(self, margins: Margins) -> Margins:
        """Calibrate margins, ndarray of shape (n_rows,)."""
        raw, calibrated = np.array(self.raw), np.array(self.calibrated)
        inside = np.interp(margins, raw, calibrated)
        first, last = ((calibrated[b] - calibrated[a]) / (raw[b] - raw[a]) for a, b in ((0, 1), (-2, -1)))
        below, above = np.minimum(margins - raw[0], 0.0), np.maximum(margins - raw[-1], 0.0)
        return np.asarray(inside + below * first + above * last)


@dataclass(frozen=True)
class Settings:
    """The document beside the trees: weight of the linear member [0-1], the member (None: trees alone), calibration."""

    linear_weight: float
    linear: LinearMember | None
    calibration: Calibration


@dataclass(frozen=True)
class Ensemble:
    """Trees, the linear member, the calibration."""

    booster: xgb.Booster
    settings: Settings

    def raw_margins(self, matrix: Matrix) -> Margins:
        """Average the members' margins; ndarray of shape (n_rows,)."""
        trees = self.booster.inplace_predict(matrix, predict_type="margin").astype(np.float64)
        if self.settings.linear is None:
            return np.asarray(trees)
        weight = self.settings.linear_weight
        return np.asarray((1 - weight) * trees + weight * self.settings.linear.margins(matrix))

    def predict(self, matrix: Matrix) -> npt.NDArray[np.float32]:
        """Score rows.

        Parameters
        ----------
        matrix : ndarray of shape (n_rows, n_features), float32
            As ``contracts.feature_table.encode`` makes it.

        Returns
        -------
        ndarray of shape (n_rows,), float32
            Calibrated probabilities in [0, 1].
        """
        return sigmoid(self.settings.calibration.apply(self.raw_margins(matrix))).astype(np.float32)

    def save(self, folder: Path) -> None:
        """Write the trees (XGBoost's own format, never a pickle) and the document."""
        self.booster.save_model(folder / BOOSTER_NAME)
        document = {"schema": "pseg.ensemble/1", **asdict(self.settings)}
        (folder / FILE_NAME).write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def load_ensemble(folder: Path) -> Ensemble:
    """Load trees and document from an unpacked artifact.

    Raises
    ------
    ContractError
        If one is missing or broken.
    """
    try:
        booster = xgb.Booster(model_file=folder / BOOSTER_NAME)
    except xgb.core.XGBoostError as error:
        raise ContractError(
            "the model's trees can't be read",
            where=str(folder / BOOSTER_NAME),
            why=str(error).partition("\n")[0],
            fix="train again",
        ) from error
    path = folder / FILE_NAME
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        document.pop("schema")
        return Ensemble(booster, read_document(Settings, document))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ContractError(
            "the model's members can't be read", where=str(path), why=str(error), fix="train again"
        ) from error


def sigmoid(margins: Margins) -> npt.NDArray[np.float64]:
    """Turn log-odds into probabilities."""
    return np.asarray(1 / (1 + np.exp(-np.clip(margins, -500, 500))))


def transform(values: npt.NDArray[np.float32], is_log: bool) -> npt.NDArray[np.float64]:
    """Return values as the linear member reads them; infinite ones are missing."""
    wide = values.astype(np.float64)
    wide[~np.isfinite(wide)] = np.nan
    return np.sign(wide) * np.log1p(np.abs(wide)) if is_log else wide
