"""The linear member: a logistic regression on scaled, missing-flagged and one-hot columns, kept as plain numbers.

It sees what trees need many rows for: a slope. Where cross-validation finds that it helps, it shares in the score.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.stats import skew
from sklearn.linear_model import LogisticRegression

from contracts.feature_table import FeatureTable
from inference.ensemble import CategoryTerm, LinearMember, NumberTerm, transform

STRENGTHS = (0.01, 0.1, 1.0)  # scikit-learn's C: the smaller, the more the coefficients are held back
MAX_ROWS = 100_000
MAX_CATEGORIES = 100
SKEWED = 2.0


@dataclass(frozen=True)
class Scaling:
    """How one number is read: logarithm or not, centre and scale; the least and the largest scaled value."""

    is_log: bool
    centre: float
    scale: float
    low: float
    high: float


def measure_scaling(values: npt.NDArray[np.float32]) -> Scaling | None:
    """Measure one column; None where it never varies. Skewed columns are read by their logarithm."""
    known = transform(values, is_log=False)
    known = known[np.isfinite(known)]
    if not len(known) or known.min() == known.max():
        return None
    is_log = bool(abs(skew(known)) > SKEWED)
    known = np.sign(known) * np.log1p(np.abs(known)) if is_log else known
    centre, spread = float(known.mean()), float(known.std())
    if not spread > 0:
        return None
    return Scaling(is_log, centre, spread, *(float((end - centre) / spread) for end in (known.min(), known.max())))


class Design:
    """The columns of the regression, as they follow from the rows that it learns from."""

    def __init__(self, matrix: npt.NDArray[np.float32], table: FeatureTable) -> None:
        self.numbers: list[tuple[int, Scaling, bool]] = []
        self.categories: list[tuple[int, npt.NDArray[np.intp], bool]] = []
        for place, feature in enumerate(table.features):
            values = matrix[:, place]
            is_missing = bool(np.isnan(values).any())
            if feature.kind == "category":
                counts = np.bincount(values[~np.isnan(values)].astype(np.intp), minlength=len(feature.categories))
                common = np.sort(np.argsort(-counts, kind="stable")[:MAX_CATEGORIES])
                self.categories.append((place, common[counts[common] > 0], is_missing))
            elif scaling := measure_scaling(values):
                self.numbers.append((place, scaling, is_missing))

    def columns(self, matrix: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Write rows as the regression reads them, ndarray of shape (n_rows, n_columns)."""
        columns = []
        for place, scaling, is_missing in self.numbers:
            values = transform(matrix[:, place], scaling.is_log)
            known = np.isfinite(values)
            columns.append(np.where(known, (values - scaling.centre) / scaling.scale, 0.0))
            if is_missing:
                columns.append(~known)
        for place, codes, is_missing in self.categories:
            columns += [matrix[:, place] == code for code in codes]
            if is_missing:
                columns.append(np.isnan(matrix[:, place]))
        return np.column_stack(columns).astype(np.float32) if columns else np.zeros((len(matrix), 1), np.float32)

    def member(self, fitted: LogisticRegression, table: FeatureTable) -> LinearMember:
        """Name the coefficients of a fitted regression by feature."""
        left = iter(fitted.coef_[0].tolist())
        numbers = [
            NumberTerm(place, **asdict(scaling), coefficient=next(left), missing=next(left) if is_missing else 0.0)
            for place, scaling, is_missing in self.numbers
        ]
        categories = []
        for place, codes, is_missing in self.categories:
            found = dict(zip(codes.tolist(), left, strict=False)) if len(codes) else {}
            size = len(table.features[place].categories)
            coefficients = tuple(found.get(code, 0.0) for code in range(size))
            categories.append(CategoryTerm(place, coefficients, next(left) if is_missing else 0.0))
        return LinearMember(float(fitted.intercept_[0]), tuple(numbers), tuple(categories))


def fit_linear(
    matrix: npt.NDArray[np.float32], labels: npt.NDArray[np.int8], table: FeatureTable, strength: float, seed: int
) -> LinearMember:
    """Fit the member.

    Parameters
    ----------
    matrix : ndarray of shape (n_rows, n_features), float32
        At most ``MAX_ROWS`` of its rows are learned from, chosen at random.
    labels : ndarray of shape (n_rows,), int8
    strength : float
        scikit-learn's ``C``, above 0.
    """
    if len(labels) > MAX_ROWS:
        chosen = np.sort(np.random.default_rng(seed).choice(len(labels), MAX_ROWS, replace=False))
        matrix, labels = matrix[chosen], labels[chosen]
    design = Design(matrix, table)
    fitted = LogisticRegression(C=strength, solver="newton-cholesky").fit(design.columns(matrix).astype(float), labels)
    member = design.member(fitted, table)
    means = member.contributions(matrix).mean(axis=0).tolist()
    return LinearMember(
        member.intercept + sum(means),
        tuple(replace(term, mean=means[term.feature]) for term in member.numbers),
        tuple(replace(term, mean=means[term.feature]) for term in member.categories),
    )
