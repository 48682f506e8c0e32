"""Who can be written to: every customer is counted once in each channel and once in all, and each drop has a reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from contracts.run_facts import ANY_CHANNEL, RunFacts, read_run_facts
from contracts.run_settings import RunSettings
from processing import endpoints
from processing.build_features import Job, build_features
from tests.ready_worlds import READY, make_customers, scored_rows, with_roles, write_customers
from tests.worlds import AS_OF, SETTINGS, write_inputs, write_table


def contact(key: str, channel: str, address: str, may_contact: bool = True) -> dict[str, object]:
    """One row of contacts."""
    return {"customer_key": key, "channel_type": channel, "address": address, "may_match": True} | {
        "may_contact": may_contact
    }


WORLD = pd.DataFrame(
    [
        contact("c00000", "EMAIL", "a@example.com"),
        contact("c00000", "SMS", "+4930123456"),
        contact("c00001", "EMAIL", "b@example.com", may_contact=False),
        contact("c00001", "SMS", "+4930123457"),
        contact("c00002", "EMAIL", "c@example.com"),
        contact("c00002", "EMAIL", "c2@example.com"),
        contact("c00003", "EMAIL", "no address"),
        contact("c00003", "SMS", "030 1"),
        contact("c00004", "SMS", "+4930123459", may_contact=False),
        contact("c00005", "EMAIL", "shared@example.com"),
        contact("c00006", "EMAIL", " Shared@Example.com", may_contact=False),
        contact("c00007", "EMAIL", "same@example.com"),
        contact("c00007", "EMAIL", "same@example.com", may_contact=False),
        contact("nobody", "EMAIL", "nobody@example.com"),
        contact("nobody", "PUSH", "token"),
    ]
)


def score(
    folder: Path, contacts: pd.DataFrame = WORLD, settings: RunSettings = READY, **columns: object
) -> tuple[RunFacts, pd.DataFrame]:
    """Score ten customers of a ready table with these contacts; return what was counted, and their endpoints."""
    inputs = write_customers(folder / "input", make_customers(10).assign(**columns))
    write_table(inputs, "contacts", contacts)
    settings = replace(settings, has_contacts=True)
    build_features(Job(settings, None, inputs, folder / "out", False))
    return read_run_facts(folder / "out" / "run_facts"), scored_rows(folder / "out")


def test_each_customer_is_counted_once_in_each_channel_and_once_in_all(tmp_path: Path) -> None:
    facts, scored = score(tmp_path)
    assert facts.customers == 10
    assert facts.scored == {"": 3, "EMAIL": 2, "SMS": 2}
    assert facts.drops == {
        "": (("no address", 2), ("no consent", 4), ("no usable address", 1)),
        "EMAIL": (("no EMAIL address", 3), ("no consent", 4), ("no usable address", 1)),
        "SMS": (("no SMS address", 6), ("no consent", 1), ("no usable address", 1)),
    }
    assert sorted(zip(scored.index, scored["ChannelType"], scored["Address"], strict=True)) == [
        ("c00000", "EMAIL", "a@example.com"),
        ("c00000", "SMS", "+4930123456"),
        ("c00001", "SMS", "+4930123457"),
        ("c00002", "EMAIL", "c2@example.com"),
        ("c00002", "EMAIL", "c@example.com"),
    ]


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 7])
def test_counts_do_not_depend_on_where_the_reader_cuts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    many = pd.DataFrame(
        [
            contact(f"c{number:05d}", channel, address.format(number))
            for number in range(8)
            for channel, address in [("EMAIL", "{}@example.com"), ("EMAIL", "{}b@example.com"), ("SMS", "+49301234{}")]
            if (number, channel) != (5, "SMS")
        ]
        + [contact("c00003", "EMAIL", "not one"), contact("c00005", "EMAIL", "5c@example.com")]
    )
    whole, people = score(tmp_path / "whole", many)
    assert whole.scored == {"": 8, "EMAIL": 8, "SMS": 7}
    monkeypatch.setattr(endpoints, "READ_ROWS", rows)
    facts, scored = score(tmp_path / "pieces", many)
    assert facts == whole
    pd.testing.assert_frame_equal(scored, people)


def test_drops_and_scored_sum_to_the_customers_in_every_channel(tmp_path: Path) -> None:
    tables = write_inputs(tmp_path / "input")
    contacts = tables["contacts"]
    contacts.loc[20:40, "address"] = "x"
    phones = contacts[::3].assign(channel_type="SMS", may_contact=[n % 2 == 0 for n in range(len(contacts[::3]))])
    phones["address"] = [f"+4930{1_000_000 + n}" for n in range(len(phones))]
    push = contacts[:5].assign(channel_type="PUSH", may_contact=False)
    write_table(tmp_path / "input", "contacts", pd.concat([contacts[50:], contacts[20:45], phones, push]))
    build_features(Job(SETTINGS, AS_OF, tmp_path / "input", tmp_path / "out", False))
    facts, scored = read_run_facts(tmp_path / "out" / "run_facts"), scored_rows(tmp_path / "out")
    assert facts.drops.keys() == facts.scored.keys() == {ANY_CHANNEL, "EMAIL", "SMS", "PUSH"}
    for channel, drops in facts.drops.items():
        assert sum(count for _, count in drops) + facts.scored[channel] == facts.customers
        assert all(count >= 0 for _, count in drops)
        people = scored[scored["ChannelType"] == channel] if channel else scored
        assert people.index.nunique() == facts.scored[channel]
    assert facts.scored["PUSH"] == 0


def test_refusal_in_the_ready_table_counts_on_every_channel(tmp_path: Path) -> None:
    settings = with_roles(may_contact="ok")
    facts, scored = score(tmp_path, settings=settings, ok=[number != 0 for number in range(10)])
    assert set(scored.index) == {"c00001", "c00002"}
    assert facts.drops["SMS"][1] == ("no consent", 2)


@pytest.mark.parametrize("name", ["address", "channel_type", "is_allowed", "folded"])
def test_ready_table_may_have_columns_of_the_contacts_names(tmp_path: Path, name: str) -> None:
    facts, scored = score(tmp_path, **{name: [float(number) for number in range(10)]})
    assert facts.scored == {"": 3, "EMAIL": 2, "SMS": 2}
    assert scored.loc["c00002", name].tolist() == [2.0, 2.0]


def test_contacts_of_unknown_customers_are_nobody(tmp_path: Path) -> None:
    facts, scored = score(tmp_path)
    assert "nobody" not in scored.index
    assert "PUSH" not in facts.drops


def test_address_has_the_same_id_whoever_else_is_there(tmp_path: Path) -> None:
    _, before = score(tmp_path / "a")
    _, after = score(tmp_path / "b", WORLD[:5])
    assert before["Id"].is_unique
    kept = before.reset_index().merge(after.reset_index(), on=["User.UserId", "Address"])
    assert len(kept) == 4
    assert (kept["Id_x"] == kept["Id_y"]).all()
