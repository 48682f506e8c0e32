"""Facts of a run: the files of all hosts add up, and what is none is refused by name."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import ContractError
from contracts.run_facts import QueryFacts, RunFacts, read_run_facts, write_run_facts

ONE = RunFacts(
    as_of="2026-06-30",
    customers=10,
    matched=6,
    own_columns=("recency_days",),
    partner_columns=("band",),
    training_dates=("2026-04-01",),
    query=QueryFacts("q-1", "LIST", 12.5, 0.5, 9),
    drops={
        "": (("no address", 1), ("no consent", 2), ("no usable address", 3)),
        "EMAIL": (("no EMAIL address", 1), ("no consent", 2), ("no usable address", 3)),
    },
    scored={"": 4, "EMAIL": 4},
)
OTHER = replace(
    ONE,
    customers=5,
    matched=0,
    drops={
        "": (("no address", 0), ("no consent", 4), ("no usable address", 0)),
        "SMS": (("no SMS address", 3), ("no consent", 2), ("no usable address", 0)),
    },
    scored={"": 1, "SMS": 0},
)
NOBODY = (("no address", 2), ("no consent", 0), ("no usable address", 0))
EMPTY = replace(ONE, customers=2, matched=1, drops={"": NOBODY}, scored={"": 0})


def test_counts_of_hosts_add_up_and_a_channel_that_one_lacks_counts_its_customers() -> None:
    found = ONE + OTHER
    assert (found.customers, found.matched) == (15, 6)
    assert found.drops == {
        "": (("no address", 1), ("no consent", 6), ("no usable address", 3)),
        "EMAIL": (("no EMAIL address", 6), ("no consent", 2), ("no usable address", 3)),
        "SMS": (("no SMS address", 13), ("no consent", 2), ("no usable address", 0)),
    }
    assert found.scored == {"": 5, "EMAIL": 4, "SMS": 0}
    assert replace(found, customers=10, matched=6, drops=ONE.drops, scored=ONE.scored) == ONE


def test_order_of_the_hosts_does_not_matter() -> None:
    sums = [(a + b) + c for a, b, c in permutations((ONE, OTHER, EMPTY))]
    assert all(each == sums[0] for each in sums)
    for channel, drops in sums[0].drops.items():
        assert sum(count for _, count in drops) + sums[0].scored[channel] == sums[0].customers


def test_without_a_partner_nobody_is_matched_on_any_host() -> None:
    alone = replace(ONE, matched=None, query=None)
    assert (alone + alone).matched is None


def test_facts_of_all_hosts_come_back_as_one(tmp_path: Path) -> None:
    for host, facts in enumerate([ONE, OTHER, EMPTY]):
        write_run_facts(facts, tmp_path / "facts", host)
    assert [path.name for path in sorted((tmp_path / "facts").iterdir())] == [
        f"run_facts-{host:04d}.json" for host in range(3)
    ]
    assert read_run_facts(tmp_path / "facts") == ONE + OTHER + EMPTY


def test_missing_facts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="the facts of the run are missing") as caught:
        read_run_facts(tmp_path)
    assert (caught.value.where, caught.value.fix) == (str(tmp_path), "run BuildFeatures again")


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda document: document.pop("customers"), "lacks customers"),
        (lambda document: document.update(colour=1), "unknown keys: colour"),
        (lambda document: document["drops"].update({"": [["no address", "1"]]}), "drops.[0][1] must be int, got str"),
        (lambda document: document["query"].pop("rule"), "query lacks rule"),
    ],
)
def test_facts_of_another_form_are_refused_by_file(tmp_path: Path, spoil: Any, why: str) -> None:
    write_run_facts(ONE, tmp_path, 0)
    document = json.loads(ONE.to_json())
    spoil(document)
    (tmp_path / "run_facts-0001.json").write_text(json.dumps(document))
    with pytest.raises(ContractError, match="these are not the facts of a run") as caught:
        read_run_facts(tmp_path)
    assert caught.value.where == str(tmp_path / "run_facts-0001.json")
    assert why in caught.value.why


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"5", b"{}", b"\xff"], ids=repr)
def test_file_that_holds_no_facts_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "run_facts-0000.json").write_bytes(content)
    with pytest.raises(ContractError, match="these are not the facts of a run"):
        read_run_facts(tmp_path)
