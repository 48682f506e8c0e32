"""BuildFeatures on several hosts: what one host would have written, in other files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contracts.errors import ContractError
from contracts.feature_table import SPLITS, read_part
from contracts.job import read_host
from contracts.run_facts import ANY_CHANNEL, read_run_facts
from contracts.run_settings import FILE_NAME, RunSettings
from processing.build_features import Job, build_features, main
from tests.ready_worlds import READY, make_customers, scored_rows, with_roles, write_customers
from tests.worlds import AS_OF, SETTINGS, write_inputs, write_table
from training import train


def on_hosts(settings: RunSettings, inputs: list[Path], out: Path) -> Path:
    """Run the step on as many hosts as there are inputs, each with its own; S3 gathers what they write."""
    as_of = None if settings.customers else AS_OF
    for host, folder in enumerate(inputs):
        build_features(Job(settings, as_of, folder, out, True, host, len(inputs)))
    return out


def parts(out: Path, label: str) -> list[pa.Table]:
    """The three parts as training and evaluation read them."""
    return [read_part(out / "features", part, label) for part in SPLITS]


def model_bytes(out: Path, folder: Path, settings: RunSettings, goal: str) -> bytes:
    """The booster that is trained on a feature table."""
    channels = folder / "input" / "data"
    (channels / "code").mkdir(parents=True)
    (channels / "settings").mkdir()
    (channels / "settings" / FILE_NAME).write_bytes(settings.to_json())
    (channels / "features").symlink_to(out / "features")
    assert train.main(["--ml-dir", str(folder), "--goal", goal]) == 0
    return (folder / "model" / "booster.ubj").read_bytes()


def shared_out(customers: pd.DataFrame, folder: Path, hosts: int) -> list[Path]:
    """Share a table's rows out among hosts, as S3 does with its files."""
    share = np.random.default_rng(2).integers(0, hosts, size=len(customers))
    return [write_customers(folder / f"host{host}", customers[share == host]) for host in range(hosts)]


@pytest.mark.parametrize("kind", ["events", "ready"])
def test_two_hosts_give_the_same_rows_model_people_and_counts_as_one(tmp_path: Path, kind: str) -> None:
    if kind == "events":
        settings, goal = SETTINGS, "buy"
        write_inputs(tmp_path / "input", settings, customers=500)
        inputs = [tmp_path / "input"] * 2
    else:
        settings, goal = replace(READY, goals=(replace(READY.goals[0], name="subscribes"),)), "subscribes"
        inputs = shared_out(make_customers(), tmp_path, 2)
        write_customers(tmp_path / "input", make_customers())
    one = on_hosts(settings, [tmp_path / "input"], tmp_path / "one")
    two = on_hosts(settings, inputs, tmp_path / "two")
    names = [sorted(path.name for path in (two / folder).iterdir()) for folder in ("features", "shards", "run_facts")]
    assert names == [
        ["feature_table-0001.parquet", "feature_table.json", "feature_table.parquet"],
        ["shard-00000.parquet", "shard-h001-00000.parquet"],
        ["run_facts-0000.json", "run_facts-0001.json"],
    ]
    label = f"label__{goal}"
    assert all(mine.equals(theirs) for mine, theirs in zip(parts(one, label), parts(two, label), strict=True))
    assert (two / "features" / "feature_table.json").read_bytes() == (
        one / "features" / "feature_table.json"
    ).read_bytes()
    pd.testing.assert_frame_equal(scored_rows(one).sort_index(), scored_rows(two).sort_index())
    assert read_run_facts(two / "run_facts") == read_run_facts(one / "run_facts")
    models = [model_bytes(out, tmp_path / f"ml-{out.name}", settings, goal) for out in (one, two)]
    assert models[0] == models[1]


def test_channel_that_one_host_lacks_is_counted_over_all_customers(tmp_path: Path) -> None:
    tables = write_inputs(tmp_path / "input", customers=300)
    contacts = tables["contacts"]
    phone = contacts.iloc[[5]].assign(channel_type="SMS", address="+4930123456", may_contact=True)
    push = contacts.iloc[[8]].assign(channel_type="PUSH", address="token", may_contact=False)
    write_table(tmp_path / "input", "contacts", pd.concat([contacts, phone, push]))
    facts = [
        read_run_facts(on_hosts(SETTINGS, [tmp_path / "input"] * hosts, tmp_path / f"{hosts}") / "run_facts")
        for hosts in (1, 2, 3)
    ]
    assert facts[0] == facts[1] == facts[2]
    assert facts[0].drops["SMS"][0] == ("no SMS address", facts[0].customers - 1)
    assert facts[0].drops["PUSH"][1] == ("no consent", 1)
    assert (facts[0].scored["SMS"], facts[0].scored["PUSH"]) == (1, 0)


def test_host_without_a_file_writes_nothing_and_the_others_are_whole(tmp_path: Path) -> None:
    inputs = [write_customers(tmp_path / "input", make_customers()), tmp_path / "empty"]
    (tmp_path / "empty" / "customers").mkdir(parents=True)
    (tmp_path / "empty" / "customers" / "_SUCCESS").touch()
    two = on_hosts(READY, inputs, tmp_path / "two")
    one = on_hosts(READY, inputs[:1], tmp_path / "one")
    assert sorted(path.relative_to(two) for path in two.rglob("*.*")) == sorted(
        path.relative_to(one) for path in one.rglob("*.*")
    )
    assert build_features(Job(READY, None, tmp_path / "empty", tmp_path / "out", True, 1, 2)) == (
        "no file of customers fell to this host"
    )
    assert list((tmp_path / "out").iterdir()) == []


def test_first_host_may_be_the_one_without_a_file(tmp_path: Path) -> None:
    (tmp_path / "empty" / "customers").mkdir(parents=True)
    inputs = [tmp_path / "empty", write_customers(tmp_path / "input", make_customers())]
    two = on_hosts(READY, inputs, tmp_path / "two")
    one = on_hosts(READY, inputs[1:], tmp_path / "one")
    label = "label__subscribes"
    assert all(mine.equals(theirs) for mine, theirs in zip(parts(one, label), parts(two, label), strict=True))
    assert read_run_facts(two / "run_facts").scored[ANY_CHANNEL] == 400


def test_host_whose_customers_may_not_be_contacted_stops_nobody(tmp_path: Path) -> None:
    customers = make_customers().assign(ok=True)
    inputs = shared_out(customers, tmp_path, 2)
    write_customers(inputs[1], pq.read_table(inputs[1] / "customers").to_pandas().assign(ok=False))
    facts = read_run_facts(on_hosts(with_roles(may_contact="ok"), inputs, tmp_path / "out") / "run_facts")
    assert facts.customers == 400
    assert 0 < facts.scored[ANY_CHANNEL] < 400
    assert facts.scored[ANY_CHANNEL] + sum(count for _, count in facts.drops[ANY_CHANNEL]) == 400


def test_customer_on_two_hosts_is_refused_by_training(tmp_path: Path) -> None:
    inputs = [write_customers(tmp_path / f"host{host}", make_customers()) for host in range(2)]
    out = on_hosts(READY, inputs, tmp_path / "out")
    with pytest.raises(ContractError, match="a customer is in the feature table twice"):
        read_part(out / "features", "train", "label__subscribes")


def test_given_split_means_the_same_on_each_host(tmp_path: Path) -> None:
    customers = make_customers().assign(part=np.resize(["train", "train", "validation", "test"], 400))
    is_held_out = customers["part"] == "validation"
    inputs = [
        write_customers(tmp_path / "host0", customers[~is_held_out]),
        write_customers(tmp_path / "host1", customers[is_held_out]),
    ]
    out = on_hosts(with_roles(split="part"), inputs, tmp_path / "out")
    held_out = read_part(out / "features", "validation", "label__subscribes")
    assert held_out["customer_key"].to_pylist() == customers.loc[is_held_out, "customer_id"].tolist()


def test_given_split_without_validation_is_refused_by_training_where_several_hosts_shared_it(tmp_path: Path) -> None:
    customers = make_customers().assign(part=np.resize(["train", "test"], 400))
    out = on_hosts(with_roles(split="part"), shared_out(customers, tmp_path, 2), tmp_path / "out")
    with pytest.raises(ContractError, match="0 of 0 have it") as caught:
        read_part(out / "features", "validation", "label__subscribes")
    assert "split in project.toml" in caught.value.fix


@pytest.mark.parametrize("split", ["", "part"], ids=["split by time", "split given"])
def test_order_in_time_is_refused_on_several_hosts(tmp_path: Path, split: str) -> None:
    customers = make_customers().assign(day=range(400), part=np.resize(["train", "validation", "test"], 400))
    ignored = ("duration",) if split else ("duration", "part")
    settings = with_roles(time="day", split=split, ignore=ignored)
    inputs = shared_out(customers, tmp_path, 2)
    with pytest.raises(ContractError, match="2 instances can't put customers in the order of day") as caught:
        on_hosts(settings, inputs, tmp_path / "out")
    assert "one processing instance" in caught.value.fix
    assert not list((tmp_path / "out").rglob("*.parquet"))
    build_features(Job(settings, None, inputs[0], tmp_path / "scored", False, 0, 2))
    assert (tmp_path / "scored" / "shards" / "shard-00000.parquet").is_file()


def test_host_is_known_from_the_services_own_file(tmp_path: Path) -> None:
    assert read_host(tmp_path) == (0, 1)
    (tmp_path / "config").mkdir()
    file = tmp_path / "config" / "resourceconfig.json"
    for name, host in (("algo-1", 0), ("algo-2", 1)):
        file.write_text(f'{{"current_host": "{name}", "hosts": ["algo-2", "algo-1"]}}')
        assert read_host(tmp_path) == (host, 2)
    write_inputs(tmp_path / "processing" / "input", customers=300)
    assert main(["--ml-dir", str(tmp_path), "--for", "train", "--as-of", str(AS_OF)]) == 0
    assert (tmp_path / "processing" / "features" / "feature_table-0001.parquet").is_file()
