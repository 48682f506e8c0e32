"""Run settings: the same bytes every time, read back whole, refused when malformed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import SettingsError
from contracts.run_settings import FILE_NAME, Goal, Money, Query, ReadyTable, Segment, Words, read_run_settings
from tests.worlds import SETTINGS

Change = Callable[[dict[str, Any]], Any]
AWKWARD = replace(
    SETTINGS,
    notice='synthetic "partner", naïve — שלום',
    goals=(
        Goal("buy", "purchase", 90, 0.6, words=Words("Kauft שלום", "buy", "bought", "buyers", "buyer", -1)),
        Goal("big_spender", "order.large", 30, 0.75, is_absent=True),
    ),
    segments=(Segment("likely_buyers", "buy", 10.0), Segment("few", "big_spender", 0.07), Segment("all", "buy", 100.0)),
    query=Query("spring", "match_keys", "partner_attributes", (), 60, "CUSTOM", "people"),
    money=Money("€", 0.05, None, 20.0),
    features_sql="SELECT customer_key, 'é\n' AS x FROM events",
)
READY = replace(
    AWKWARD,
    query=None,
    customers=ReadyTable('a "b"', ignore=("c,d", "שם")),
    goals=(Goal("buy", "", 0, 0.6, label="y, z"),),
    has_contacts=False,
)


def change(key: str, *, value: Any) -> Change:
    """Set a key of the document."""
    return lambda document: document.update({key: value})


@pytest.mark.parametrize("settings", [SETTINGS, AWKWARD, READY], ids=["plain", "awkward", "ready table"])
def test_settings_come_back_whole_and_write_the_same_bytes(tmp_path: Path, settings: Any) -> None:
    (tmp_path / FILE_NAME).write_bytes(settings.to_json())
    read = read_run_settings(tmp_path)
    assert read == settings
    assert read.to_json() == settings.to_json()
    assert read.sha256() == settings.sha256()


def test_other_settings_have_another_hash() -> None:
    assert replace(SETTINGS, seed=SETTINGS.seed + 1).sha256() != SETTINGS.sha256()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda document: document.pop("seed"),
        change("colour", value="red"),
        change("query", value="SELECT 1"),
        change("goals", value=[{"name": "buy"}]),
        lambda document: document["goals"][0].update(colour="red"),
        lambda document: document["segments"][0].pop("goal"),
        lambda document: document["goals"][0]["words"].update(better="1"),
        change("customers", value={"hashed_id": "h"}),
        change("money", value=None),
    ],
    ids=[
        *("key missing", "unknown key", "query is text", "half a goal", "goal knows more", "segment lacks its goal"),
        *("words are mixed up", "ready table lacks its key", "no money"),
    ],
)
def test_settings_of_another_form_are_refused(tmp_path: Path, spoil: Change) -> None:
    document = json.loads(SETTINGS.to_json())
    spoil(document)
    (tmp_path / FILE_NAME).write_text(json.dumps(document))
    with pytest.raises(SettingsError, match="the run settings can't be read") as caught:
        read_run_settings(tmp_path)
    assert caught.value.where == str(tmp_path / FILE_NAME)
    assert "pseg pipeline upsert" in caught.value.fix


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"{", b"\xff\xfe"], ids=repr)
def test_file_that_holds_no_settings_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(SettingsError, match="the run settings can't be read"):
        read_run_settings(tmp_path)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="the run settings can't be read"):
        read_run_settings(tmp_path)


def test_unknown_goal_is_refused_with_the_goals_there_are() -> None:
    with pytest.raises(SettingsError, match="there is no goal named leave") as caught:
        AWKWARD.goal("leave")
    assert "['buy', 'big_spender']" in caught.value.fix


def test_each_goal_fills_its_own_segments_in_their_order() -> None:
    assert [segment.name for segment in AWKWARD.segments_of("buy")] == ["likely_buyers", "all"]
    assert [segment.name for segment in AWKWARD.segments_of("big_spender")] == ["few"]


def test_without_a_query_there_are_no_partner_columns() -> None:
    assert READY.partner_columns == ()
    assert SETTINGS.partner_columns == ("affinity", "band", "attribute_date")
