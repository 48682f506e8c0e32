"""Ours and the other engines behind one form: rows with a label in, a function that scores other rows out.

All get the same matrix: numbers, and categories as codes, both NaN where missing. The others run at what their makers
chose, or at the settings written here; nobody is tuned on the test rows.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xgboost as xgb
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import training.learn
from contracts.feature_table import FeatureTable, encode, with_categories

Matrix = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int8]
Scores = npt.NDArray[np.float64]
Predict = Callable[[Matrix], Scores]
Learner = Callable[[Matrix, Labels, list[int], int], Predict]


def learn(name: str, rows: pa.Table, table: FeatureTable, label: str, seed: int) -> Callable[[pa.Table], Scores]:
    """Let a learner learn; what comes back scores rows with the same features."""
    if name == "ours":
        return ours(rows, table, label, seed)
    table = with_categories(table, rows)
    categories = [place for place, feature in enumerate(table.features) if feature.kind == "category"]
    labels = rows.column(label).to_numpy()
    predict = OTHERS[name](encode(rows, table, where=name), labels, categories, seed)
    return lambda fresh: predict(encode(fresh, table, where=name))


def ours(rows: pa.Table, table: FeatureTable, label: str, seed: int) -> Callable[[pa.Table], Scores]:
    model = training.learn.learn(rows, table, label, seed)
    return lambda fresh: model.predict(encode(fresh, model.table, where="ours")).astype(float)


def logistic_regression(matrix: Matrix, labels: Labels, categories: list[int], seed: int) -> Predict:
    """One-hot categories (missing is one of them), scaled numbers with a flag where one is missing, default C."""
    numbers = [place for place in range(matrix.shape[1]) if place not in categories]
    columns = make_column_transformer(
        (make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()), numbers),
        (OneHotEncoder(handle_unknown="ignore"), categories),
    )
    model = make_pipeline(columns, LogisticRegression(max_iter=1000)).fit(matrix, labels)
    return lambda fresh: model.predict_proba(fresh)[:, 1]


def lightgbm(matrix: Matrix, labels: Labels, categories: list[int], seed: int) -> Predict:
    """Small: 100 rounds of 15 leaves at rate 0.1."""
    import lightgbm

    settings = {"objective": "binary", "num_leaves": 15, "learning_rate": 0.1, "seed": seed, "verbose": -1}
    data = lightgbm.Dataset(matrix, labels, categorical_feature=categories)
    booster = lightgbm.train(settings, data, num_boost_round=100)
    return lambda fresh: np.asarray(booster.predict(fresh))


def xgboost_defaults(matrix: Matrix, labels: Labels, categories: list[int], seed: int) -> Predict:
    kinds = ["c" if place in categories else "q" for place in range(matrix.shape[1])]
    model = xgb.XGBClassifier(enable_categorical=True, feature_types=kinds, random_state=seed).fit(matrix, labels)
    return lambda fresh: model.predict_proba(fresh)[:, 1]


def hist_gradient_boosting(matrix: Matrix, labels: Labels, categories: list[int], seed: int) -> Predict:
    model = HistGradientBoostingClassifier(categorical_features=categories, random_state=seed).fit(matrix, labels)
    return lambda fresh: model.predict_proba(fresh)[:, 1]


def catboost(matrix: Matrix, labels: Labels, categories: list[int], seed: int) -> Predict:
    """At its defaults: 1,000 rounds of depth 6; the rate is its own choice."""
    from catboost import CatBoostClassifier, Pool

    def pool(matrix: Matrix, labels: Labels | None = None) -> Pool:
        cells = matrix.astype(object)
        cells[:, categories] = np.nan_to_num(matrix[:, categories], nan=-1).astype(int)
        return Pool(cells, labels, cat_features=categories)

    threads = int(os.environ.get("OMP_NUM_THREADS", "-1"))
    model = CatBoostClassifier(verbose=False, random_seed=seed, thread_count=threads, allow_writing_files=False)
    model.fit(pool(matrix, labels))
    return lambda fresh: model.predict_proba(pool(fresh))[:, 1]


OTHERS: dict[str, Learner] = {
    "logistic regression": logistic_regression,
    "LightGBM": lightgbm,
    "XGBoost defaults": xgboost_defaults,
    "HistGradientBoosting": hist_gradient_boosting,
    "CatBoost": catboost,
}
