"""The wide search: Optuna looks for trees' parameters by cross-validation until its time is up.

For who has an hour and wants the last thousandth; the short list of ``training.trees`` is the default. Every trial is
kept in a journal, so a job that is interrupted and started again goes on where it was. How many trials fit into the
time depends on the machine: two searches need not find the same.
"""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from contracts.errors import SettingsError
from training.learn import SMALL_ROWS, Sample
from training.trees import CANDIDATES, Parameters, cross_validate

if TYPE_CHECKING:
    import optuna

STUDY_NAME = "trees"

logger = logging.getLogger(__name__)


def suggest(trial: optuna.Trial) -> Parameters:
    """Let the study choose parameters; the ranges hold the short list."""
    return {
        "max_depth": trial.suggest_int("max_depth", 2, 8),
        "eta": trial.suggest_float("eta", 0.02, 0.2, log=True),
        "min_child_weight": trial.suggest_float("min_child_weight", 1.0, 100.0, log=True),
        "lambda": trial.suggest_float("lambda", 0.5, 50.0, log=True),
        "subsample": trial.suggest_float("subsample", 0.5, 1.0),
        "colsample_bytree": trial.suggest_float("colsample_bytree", 0.3, 1.0),
    }


def journal_name(sample: Sample, seed: int) -> str:
    """Name the journal after rows, categories, folds and seed: what was found on others says nothing of these."""
    found = hashlib.sha256(f"{seed}|".encode() + sample.table.to_json() + np.ascontiguousarray(sample.matrix).tobytes())
    found.update(sample.labels.tobytes())
    for fold in sample.folds:
        found.update(fold.learn.tobytes() + fold.check.tobytes())
    return f"search-{found.hexdigest()[:16]}.journal"


def refuse_search(rows: int) -> None:
    """Stop if there are more rows than are cross-validated.

    Raises
    ------
    SettingsError
        Naming both numbers.
    """
    if rows > SMALL_ROWS:
        raise SettingsError(
            f'tuning = "search" is for up to {SMALL_ROWS:,} rows, there are {rows:,}',
            where="project.toml [training]",
            fix=f"set max_rows = {SMALL_ROWS}, or leave tuning out",
        )


def search_parameters(sample: Sample, seconds: float, folder: Path, seed: int) -> Parameters:
    """Search; the short list is tried first, so the result is never worse than it in cross-validation.

    Parameters
    ----------
    sample : Sample
        Rows that are cross-validated.
    seconds : float
        Time for all trials together, those of an interrupted job included.
    folder : Path
        Where the journal is kept: a folder that outlives the job.

    Raises
    ------
    SettingsError
        If the image has no Optuna.
    """
    try:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend
    except ImportError as error:
        raise SettingsError(
            'tuning = "search" needs Optuna, which AWS\'s XGBoost image does not have',
            where="project.toml [training]",
            fix="build training/Dockerfile, name it in [aws] xgboost_image (on a laptop: pip install optuna), "
            "or leave tuning out",
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        study_name=STUDY_NAME,
        storage=JournalStorage(JournalFileBackend(str(folder / journal_name(sample, seed)))),
        sampler=optuna.samplers.TPESampler(seed=seed),
        load_if_exists=True,
    )
    if not study.trials:
        for candidate in CANDIDATES:
            study.enqueue_trial({**candidate, "subsample": 0.8, "colsample_bytree": 0.8})

    def loss(trial: optuna.Trial) -> float:
        found = cross_validate(sample.matrix, sample.labels, sample.table, sample.folds, suggest(trial), seed)
        return found.log_loss

    spent = sum(trial.duration.total_seconds() for trial in study.trials if trial.duration)
    waiting = sum(trial.state == optuna.trial.TrialState.WAITING for trial in study.trials)
    if waiting:
        study.optimize(loss, n_trials=waiting)
    if spent < seconds:
        study.optimize(loss, timeout=seconds - spent)
    logger.info("trials=%d best_logloss=%.5f", len(study.trials), study.best_value)
    return dict(study.best_params)
