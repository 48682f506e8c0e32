"""Large tables: the same model from one file or several, on from a checkpoint, from disk, and on several hosts."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import roc_auc_score

from contracts.errors import ContractError, ServiceError
from contracts.feature_table import PARQUET_NAME, encode, parquet_name
from contracts.model_artifact import read_model_card
from contracts.training_facts import read_training_facts
from inference.ensemble import load_ensemble
from tests.known_truth import make_customers, write_training_inputs
from training import large, learn, rows, train
from training.learn import know_categories, learn_large
from training.rows import open_rows

SMALL = 3000
SIZE = 12_000
RUN = """
import sys
import training.large, training.learn, training.train, training.hosts
training.learn.SMALL_ROWS = training.train.SMALL_ROWS = 3000
training.large.CHECKPOINT_ROUNDS = 5
training.hosts.PORT, training.hosts.SILENCE_SECONDS, training.hosts.MEETING_SECONDS = int(sys.argv[1]), 10, 10
slow = float(sys.argv[2])
if slow:
    import time, xgboost
    grow = xgboost.Booster.update
    xgboost.Booster.update = lambda *given, **named: (time.sleep(slow), grow(*given, **named))[1]
sys.exit(training.train.main(["--ml-dir", sys.argv[3], "--goal", "buy"]))
"""


@pytest.fixture(autouse=True)
def few_rows_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a table be large from 3,000 rows on, in small batches."""
    for module in (learn, train):
        monkeypatch.setattr(module, "SMALL_ROWS", SMALL)
    monkeypatch.setattr(rows, "BATCH_ROWS", 1000)
    monkeypatch.setattr(large, "CHECKPOINT_ROUNDS", 5)


def write_job(ml: Path, files: int = 1, hosts: tuple[str, ...] = (), size: int = SIZE) -> Path:
    """Write a training job's inputs with the table dealt out into files; of several hosts, the first one's files.

    Each of the others has a folder of its own beside the first's.
    """
    table, contract, _ = make_customers(size, seed=5)
    table = table.sort_by("customer_key")
    write_training_inputs(ml, table, contract, code={})
    place = np.random.default_rng(1).integers(0, files, size)
    features = ml / "input" / "data" / "features"
    (features / PARQUET_NAME).unlink()
    for number in range(files):
        if number % max(len(hosts), 1) == 0:
            part = table.filter(pa.array(place == number))
            pq.write_table(part, features / parquet_name(0, number), row_group_size=700)
    (ml / "input" / "data" / "code").mkdir(exist_ok=True)
    for rank, name in enumerate(hosts):
        home = ml if rank == 0 else ml.with_name(f"{ml.name}-{name}")
        if rank:
            write_job(home, 1, size=size)
            (home / "input" / "data" / "features" / PARQUET_NAME).unlink()
            for number in range(rank, files, len(hosts)):
                part = table.filter(pa.array(place == number))
                pq.write_table(part, home / "input/data/features" / parquet_name(0, number))
        config = home / "input" / "config"
        config.mkdir(parents=True)
        (config / "resourceconfig.json").write_text(json.dumps({"current_host": name, "hosts": list(hosts)}))
        (home / "checkpoints").mkdir()
    return ml


def run(ml: Path) -> Path:
    """Train and return the model's folder."""
    assert train.main(["--ml-dir", str(ml), "--goal", "buy"]) == 0, (ml / "output" / "failure").read_text()
    return ml / "model"


def auc(model: Path) -> float:
    """How well a model ranks fresh customers."""
    fresh, contract, _ = make_customers(40_000, seed=91)
    table = open_contract(model)
    assert table.fingerprint == contract.fingerprint
    scores = load_ensemble(model).predict(encode(fresh, table, "here"))
    return float(roc_auc_score(fresh["label__buy"].to_numpy(), scores))


def open_contract(model: Path) -> learn.FeatureTable:
    """The contract that a model carries."""
    return train.read_feature_table(model)


def test_same_rows_in_one_file_or_several_give_the_same_model_bytes(tmp_path: Path) -> None:
    models = [run(write_job(tmp_path / str(files), files)) for files in (1, 3)]
    for name in ("booster.ubj", "ensemble.json", "model.json", "training_facts.json", "feature_table.json"):
        assert (models[0] / name).read_bytes() == (models[1] / name).read_bytes(), name
    assert auc(models[0]) > 0.7
    card, facts = read_model_card(models[0]), read_training_facts(models[0])
    assert card.train_rows + card.validation_rows > 3 * SMALL
    assert facts.checked == card.validation_rows
    assert len(facts.trials) == 1
    assert facts.partner_value is not None


def test_customer_in_two_files_is_refused(tmp_path: Path) -> None:
    ml = write_job(tmp_path / "ml")
    folder = ml / "input" / "data" / "features"
    table = pq.read_table(folder / PARQUET_NAME)
    pq.write_table(table.slice(0, 10), folder / parquet_name(1))
    assert train.main(["--ml-dir", str(ml), "--goal", "buy"]) == 1
    assert "a customer is in the feature table twice" in (ml / "output" / "failure").read_text()


def test_bins_on_disk_rank_as_those_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_memory = run(write_job(tmp_path / "memory"))
    monkeypatch.setattr(learn, "needs_disk", lambda *_: True)
    assert auc(run(write_job(tmp_path / "disk"))) == pytest.approx(auc(in_memory), abs=0.003)


@pytest.mark.parametrize("is_broken", [False, True], ids=["newest", "newest-broken"])
def test_training_goes_on_from_the_checkpoint_to_the_same_trees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_broken: bool
) -> None:
    ml = write_job(tmp_path / "ml")
    folder = ml / "input" / "data" / "features"
    found = know_categories(open_rows(folder, train.read_feature_table(folder), "label__buy"))
    whole = learn_large(found, 7)
    kept = tmp_path / "checkpoints"
    kept.mkdir()
    grow, rounds = large.xgb.Booster.update, []

    def interrupted(booster: large.xgb.Booster, *given: object) -> None:
        rounds.append(given[1])
        grow(booster, *given)  # type: ignore[arg-type]
        if len(rounds) == 13:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(large.xgb.Booster, "update", interrupted)
    with pytest.raises(ServiceError, match="interrupted after 13 rounds"):
        learn_large(found, 7, kept)
    files = sorted(path.name.rpartition("-")[2] for path in kept.iterdir())
    assert files == ["00010.ubj", "00013.ubj"]
    if is_broken:
        next(kept.glob("*-00013.ubj")).write_bytes(b"half")
    again = learn_large(found, 7, kept)
    assert rounds[13] == (10 if is_broken else 13)
    assert again.rounds == whole.rounds
    assert again.ensemble.booster.save_raw() == whole.ensemble.booster.save_raw()
    other = learn_large(replace(found, left_out=("recency",)), 7, kept)
    assert other.trials[0].log_loss > whole.trials[0].log_loss  # begun anew: other rows have other checkpoints
    table = pq.read_table(folder / PARQUET_NAME)
    mended = table.set_column(table.column_names.index("recency"), "recency", pc.negate(table["recency"]))
    pq.write_table(mended, folder / PARQUET_NAME)
    begun = len(rounds)
    learn_large(know_categories(open_rows(folder, train.read_feature_table(folder), "label__buy")), 7, kept)
    assert rounds[begun] == 0  # the same customers, but a column was corrected


# -- several hosts, as processes


def start(ml: Path, port: int, slow: float = 0.0) -> subprocess.Popen[bytes]:
    """Start the training job of one host."""
    command = [sys.executable, "-c", RUN, str(port), str(slow), str(ml)]
    environment = os.environ | {"PYTHONPATH": str(Path.cwd()), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The folders of two hosts that share four files; their names are addresses, since there is nobody to ask."""
    names = ("127.0.0.1", "127.0.0.2")
    ml = write_job(tmp_path / "ml", 4, names)
    return ml, tmp_path / f"ml-{names[1]}"


def test_two_hosts_rank_as_one_and_the_first_alone_saves(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    alone = run(write_job(tmp_path / "alone"))
    processes = [start(ml, 29_101) for ml in pair]
    assert [process.wait(60) for process in processes] == [0, 0]
    assert auc(pair[0] / "model") == pytest.approx(auc(alone), abs=0.003)
    assert list((pair[1] / "model").iterdir()) == []
    cards = [read_model_card(model) for model in (alone, pair[0] / "model")]
    assert cards[0].positives == cards[1].positives
    assert (cards[0].train_rows, cards[0].validation_rows) == (cards[1].train_rows, cards[1].validation_rows)


@pytest.mark.parametrize("lost", [0, 1], ids=["first", "second"])
def test_killed_host_is_named_soon_and_training_goes_on_from_the_checkpoint(pair: tuple[Path, Path], lost: int) -> None:
    processes = [start(ml, 29_110 + lost, slow=0.2) for ml in pair]
    deadline = time.monotonic() + 60
    while not list((pair[0] / "checkpoints").glob("*.ubj")) and time.monotonic() < deadline:
        time.sleep(0.05)
    processes[lost].kill()
    began = time.monotonic()
    assert processes[1 - lost].wait(50) == 1
    assert time.monotonic() - began < 50
    reason = (pair[1 - lost] / "output" / "failure").read_text()
    assert "hosts lost each other, or one of them failed" in reason
    assert f"host 127.0.0.{2 - lost} of 127.0.0.1, 127.0.0.2" in reason
    processes[lost].wait()
    saved = [path.name for path in (pair[0] / "checkpoints").glob("*.ubj")]
    assert saved
    assert [process.wait(60) for process in [start(ml, 29_120 + lost) for ml in pair]] == [0, 0]
    resumed = read_model_card(pair[0] / "model").rounds
    for folder in ("checkpoints", "model"):
        shutil.rmtree(pair[0] / folder)
    assert [process.wait(60) for process in [start(ml, 29_130 + lost) for ml in pair]] == [0, 0]
    assert read_model_card(pair[0] / "model").rounds == resumed


def test_host_without_a_file_is_named(pair: tuple[Path, Path]) -> None:
    for path in (pair[1] / "input" / "data" / "features").glob("*.parquet"):
        path.unlink()
    assert train.main(["--ml-dir", str(pair[1]), "--goal", "buy"]) == 1
    reason = (pair[1] / "output" / "failure").read_text()
    assert "no file of the feature table fell to 127.0.0.2" in reason
    assert "TrainingInstanceCount" in reason


def test_host_that_never_comes_is_waited_for_but_not_for_ever(pair: tuple[Path, Path]) -> None:
    began = time.monotonic()
    assert start(pair[0], 29_140).wait(50) == 1
    assert time.monotonic() - began < 45
    assert "hosts lost each other" in (pair[0] / "output" / "failure").read_text()


def test_small_table_is_refused_on_several_hosts(tmp_path: Path) -> None:
    write_job(tmp_path / "ml", 2, ("127.0.0.1", "127.0.0.2"), size=2000)
    homes = [tmp_path / "ml", tmp_path / "ml-127.0.0.2"]
    assert [process.wait(60) for process in [start(ml, 29_150) for ml in homes]] == [1, 1]
    assert "2 instances are too many for 1," in (homes[0] / "output" / "failure").read_text()


def test_no_file_is_no_reason_to_wait() -> None:
    with pytest.raises(ContractError, match="feature table is missing"):
        open_rows(Path("nowhere"), make_customers(10, 1)[1], "label__buy")
