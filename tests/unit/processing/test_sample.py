"""The training sample: never more rows than asked for, the same customers on any number of hosts, everybody scored."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from contracts.feature_table import LABEL_PREFIX, SPLITS, read_part
from contracts.run_facts import ANY_CHANNEL, read_run_facts
from contracts.run_settings import RunSettings, Training
from processing import build_features as step
from processing.build_features import Job, build_features
from tests.ready_worlds import READY, make_customers, write_customers
from tests.worlds import AS_OF, SETTINGS, with_snapshots, write_inputs


def at_most(settings: RunSettings, rows: int) -> RunSettings:
    """Learn from so many rows."""
    return replace(settings, training=Training(max_rows=rows))


def learned(out: Path) -> pd.DataFrame:
    """The whole training table, however many files it is in."""
    found = pd.concat([pq.read_table(path).to_pandas() for path in sorted((out / "features").glob("*.parquet"))])
    return found.sort_values(["customer_key", "snapshot_date"], ignore_index=True)


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """Events of 2,000 customers."""
    write_inputs(tmp_path / "input", SETTINGS, customers=2000)
    return tmp_path / "input"


@pytest.mark.parametrize("snapshots", [1, 2])
def test_no_more_rows_than_asked_for_are_learned_and_everybody_is_scored(inputs: Path, snapshots: int) -> None:
    settings, out = with_snapshots(snapshots), inputs.parent / "out"
    summary = build_features(Job(at_most(settings, 900), AS_OF, inputs, out, True))
    assert build_features(Job(settings, AS_OF, inputs, inputs.parent / "all", True)).endswith("shard(s)")
    chosen, everybody = learned(out), learned(inputs.parent / "all")
    asked = everybody[everybody["customer_key"].isin(chosen["customer_key"])].reset_index(drop=True)
    assert 850 < len(chosen) <= 900 or snapshots > 1  # the newest is only tested on, the others only learned from
    assert len(chosen) <= 900
    pd.testing.assert_frame_equal(chosen, asked)  # whole customers, with the features that they have among all
    assert "rows to learn from and test on (max_rows: a sample of customers)" in summary
    facts = [read_run_facts(folder / "run_facts") for folder in (out, inputs.parent / "all")]
    assert facts[0] == facts[1]
    assert facts[0].scored[ANY_CHANNEL] > 1000


def test_sample_has_nothing_to_do_with_the_split(inputs: Path) -> None:
    out = inputs.parent / "out"
    build_features(Job(at_most(SETTINGS, 900), AS_OF, inputs, out, True))
    shares = learned(out)["split"].value_counts(normalize=True)
    assert shares["test"] == pytest.approx(0.2, abs=0.05)
    assert shares["validation"] == pytest.approx(0.2, abs=0.05)


def test_hosts_take_the_same_sample_as_one_would(inputs: Path) -> None:
    for hosts in (1, 3):
        for host in range(hosts):
            job = Job(at_most(SETTINGS, 900), AS_OF, inputs, inputs.parent / f"out{hosts}", True, host, hosts)
            build_features(job)
    pd.testing.assert_frame_equal(learned(inputs.parent / "out1"), learned(inputs.parent / "out3"))


def test_another_seed_takes_another_sample(inputs: Path) -> None:
    chosen = []
    for seed in (7, 8):
        settings = replace(at_most(SETTINGS, 900), seed=seed)
        build_features(Job(settings, AS_OF, inputs, inputs.parent / f"seed{seed}", True))
        chosen.append(set(learned(inputs.parent / f"seed{seed}")["customer_key"]))
    assert 0.2 < len(chosen[0] & chosen[1]) / 900 < 0.8


def test_ready_table_gives_its_hosts_an_equal_part_of_the_rows(tmp_path: Path) -> None:
    write_customers(tmp_path / "input", make_customers())
    for host in range(2):
        summary = build_features(Job(at_most(READY, 200), None, tmp_path / "input", tmp_path / "out", True, host, 2))
        assert "of 400 rows to learn from" in summary
    found = learned(tmp_path / "out")
    assert len(found) <= 200
    assert read_run_facts(tmp_path / "out" / "run_facts").scored[ANY_CHANNEL] == 800  # both read all 400 here


def test_large_table_is_written_as_several_files_that_read_as_one(
    inputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, many = inputs.parent / "one", inputs.parent / "many"
    build_features(Job(SETTINGS, AS_OF, inputs, one, True))
    monkeypatch.setattr(step, "FILE_ROWS", 500)
    build_features(Job(SETTINGS, AS_OF, inputs, many, True))
    files = sorted(path.name for path in (many / "features").glob("*.parquet"))
    assert files == ["feature_table-0000-001.parquet", "feature_table-0000-002.parquet", *files[2:]]
    assert files[-1] == "feature_table.parquet"
    assert max(pq.read_metadata(many / "features" / name).num_rows for name in files) < 600
    for part in SPLITS:
        parts = [read_part(folder / "features", part, LABEL_PREFIX + "buy") for folder in (one, many)]
        assert parts[0].equals(parts[1])
