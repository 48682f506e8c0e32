"""An e-mail address has one hash, however it was typed; what is no address has none."""

from __future__ import annotations

import re

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clean_rooms.identity import KINDS, PLACEHOLDERS, Kind, hash_email, normalise, normalise_email
from clean_rooms.identity_columns import normalise_column

LOCAL = st.from_regex(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,20}", fullmatch=True)
DOMAIN = st.from_regex(r"[A-Za-z0-9-]{1,12}(\.[A-Za-z0-9-]{1,8}){1,2}", fullmatch=True)
ADDRESS = st.builds("{}@{}".format, LOCAL, DOMAIN)
SPACE = st.text(" \t\n\r\u00a0\u2003\u3000", max_size=4)
CASE = st.sampled_from([str.upper, str.lower, str.title, str.swapcase])


@settings(max_examples=60)
@given(address=ADDRESS, before=SPACE, after=SPACE, change=CASE)
def test_case_and_outer_space_never_change_the_hash(address: str, before: str, after: str, change: object) -> None:
    typed = before + change(address) + after  # type: ignore[operator]
    assert hash_email(typed) == hash_email(address)
    assert hash_email(address) is not None


@settings(max_examples=60)
@given(address=ADDRESS)
def test_full_width_letters_are_the_same_letters(address: str) -> None:
    wide = "".join(chr(ord(c) + 0xFEE0) if c.isalnum() else c for c in address)
    assert wide != address
    assert hash_email(wide) == hash_email(address)


@settings(max_examples=200)
@given(text=st.one_of(st.text(), st.builds("{}@{}.{}".format, st.text(min_size=1), st.text(min_size=1), st.text())))
def test_normalising_twice_is_normalising_once(text: str) -> None:
    once = normalise_email(text)
    if once is not None:
        assert normalise_email(once) == once


@settings(max_examples=200)
@given(text=st.text())
def test_text_without_exactly_one_at_sign_has_no_hash(text: str) -> None:
    if hash_email(text) is not None:
        assert (normalise_email(text) or "").count("@") == 1


@settings(max_examples=60)
@given(one=ADDRESS, other=ADDRESS)
def test_different_addresses_have_different_hashes(one: str, other: str) -> None:
    hashes = (hash_email(one), hash_email(other))
    assert (hashes[0] == hashes[1]) == (one.lower() == other.lower())
    assert all(re.fullmatch(r"[0-9a-f]{64}", hashed or "") for hashed in hashes)


JUNK = st.sampled_from(
    ["", "NULL", "test@test.com", "no@No.org", "\x1ca@b.c", "a@b.c\x1f", "a\x0b@b.c", "+1 415 555 2671", "0151"]
)
HEX = st.text("0123456789abcdefABCDEF", min_size=64, max_size=64)
PLACEHOLDER = st.sampled_from(sorted(PLACEHOLDERS["sha256"] | PLACEHOLDERS["device"]))
ANYTHING = st.one_of(st.none(), st.text(), ADDRESS, st.builds("{}{}{}".format, SPACE, ADDRESS, SPACE), JUNK, HEX)
ANYTHING = ANYTHING | PLACEHOLDER | st.uuids().map(str) | st.uuids().map(lambda uuid: str(uuid).upper())


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=80, deadline=None)
@given(values=st.lists(ANYTHING, max_size=12))
def test_a_column_has_the_results_of_its_values(kind: Kind, values: list[str | None]) -> None:
    texts, reasons = normalise_column(pa.array(values, pa.string()), kind, "DE")
    expected = [normalise(kind, value, "DE") for value in values]
    assert list(zip(texts.to_pylist(), reasons.to_pylist(), strict=True)) == [tuple(one) for one in expected]
    assert all((text is None) != (reason is None) for text, reason in expected)


@settings(max_examples=100)
@given(kind=st.sampled_from(KINDS), value=ANYTHING)
def test_normal_form_is_its_own_normal_form(kind: Kind, value: str | None) -> None:
    text = normalise(kind, value, "DE").text
    if text is not None:
        assert normalise(kind, text).text == text
