"""An e-mail address has one hash, however it was typed; what is no address has none."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from clean_rooms.identity import hash_email, normalise_email

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
