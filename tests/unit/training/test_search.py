"""The wide search: never worse than the short list, resumable, and refused by name where it can't run."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import SettingsError
from tests.known_truth import make_customers
from training import search
from training.learn import Sample, take_sample
from training.trees import CANDIDATES, cross_validate

optuna = pytest.importorskip("optuna", reason="AWS's XGBoost image has none")


@pytest.fixture(scope="module")
def sample() -> Sample:
    rows, table, _ = make_customers(600, seed=5)
    return take_sample(rows, table, "label__buy", seed=7)


def loss(sample: Sample, parameters: dict[str, object]) -> float:
    return cross_validate(sample.matrix, sample.labels, sample.table, sample.folds, parameters, 7).log_loss


def test_search_is_never_worse_than_the_short_list(sample: Sample, tmp_path: Path) -> None:
    found = search.search_parameters(sample, 0.0, tmp_path, 7)
    assert loss(sample, found) == pytest.approx(min(loss(sample, dict(each)) for each in CANDIDATES))


def trials(sample: Sample, folder: Path) -> list[Any]:
    """What the journal holds."""
    backend = optuna.storages.journal.JournalFileBackend(str(folder / search.journal_name(sample, 7)))
    study = optuna.load_study(study_name=search.STUDY_NAME, storage=optuna.storages.JournalStorage(backend))
    return study.trials


def test_search_goes_on_where_it_was_interrupted(sample: Sample, tmp_path: Path) -> None:
    found = search.search_parameters(sample, 0.0, tmp_path, 7)
    assert len(trials(sample, tmp_path)) == len(CANDIDATES)
    assert search.search_parameters(sample, 0.0, tmp_path, 7) == found
    assert len(trials(sample, tmp_path)) == len(CANDIDATES)
    spent = sum(trial.duration.total_seconds() for trial in trials(sample, tmp_path) if trial.duration)
    search.search_parameters(sample, spent + 0.5, tmp_path, 7)
    assert len(trials(sample, tmp_path)) > len(CANDIDATES)


def test_other_rows_begin_a_search_of_their_own(sample: Sample) -> None:
    other = replace(sample, labels=1 - sample.labels)
    assert search.journal_name(other, 7) != search.journal_name(sample, 7)
    assert search.journal_name(sample, 8) != search.journal_name(sample, 7)
    assert search.journal_name(replace(sample, folds=sample.folds[::-1]), 7) != search.journal_name(sample, 7)


def test_too_many_rows_are_refused_with_the_remedy() -> None:
    search.refuse_search(200_000)
    with pytest.raises(SettingsError, match="up to 200,000 rows, there are 200,001"):
        search.refuse_search(200_001)


def test_image_without_optuna_is_named(sample: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(SettingsError, match=r"needs Optuna.*training/Dockerfile"):
        search.search_parameters(sample, 1.0, tmp_path, 7)
