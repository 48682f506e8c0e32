"""Identifiers: known hashes, one form for every spelling, and nothing for junk."""

from __future__ import annotations

import hashlib

import pytest

from clean_rooms.identity import hash_email, hash_identifier, normalise_email


@pytest.mark.parametrize(
    ("text", "digest"),
    [
        ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ("test@example.com", "973dfe463ec85785f5f95af5ba3906eedb2d931c24e69824a89ea65dba4e813b"),
    ],
    ids=["FIPS 180-4 empty", "FIPS 180-4 abc", "address"],
)
def test_hash_is_the_standards_sha256(text: str, digest: str) -> None:
    assert hash_identifier(text) == digest


@pytest.mark.parametrize(
    ("typed", "normal"),
    [
        ("test@example.com", "test@example.com"),
        ("  Test@Example.COM\n", "test@example.com"),
        ("\u00a0test@example.com\u3000", "test@example.com"),
        ("ｔｅｓｔ＠ｅｘａｍｐｌｅ．ｃｏｍ", "test@example.com"),
        ("te.st+tag@example.com", "te.st+tag@example.com"),
        ("jose\u0301@example.com", "jos\u00e9@example.com"),
        ("o'hara@mail.example.co.uk", "o'hara@mail.example.co.uk"),
        ("χρήστης@παράδειγμα.ελ", "χρήστης@παράδειγμα.ελ"),
    ],
    ids=[
        "plain",
        "case and space",
        "no-break space",
        "full width",
        "dot and tag kept",
        "accent",
        "apostrophe",
        "Greek",
    ],
)
def test_address_has_one_form_and_that_form_is_hashed(typed: str, normal: str) -> None:
    assert normalise_email(typed) == normal
    assert hash_email(typed) == hashlib.sha256(normal.encode("utf-8")).hexdigest()


@pytest.mark.parametrize(
    "junk",
    [
        None,
        "",
        "   ",
        "n/a",
        "unknown",
        "@",
        "a@",
        "@example.com",
        "a@example",
        "a@.com",
        "a@example.",
        "a@example..com",
        "a@b@example.com",
        "a b@example.com",
        "a@example.com, b@example.com",
        "<a@example.com>",
        "Ann <a@example.com>",
        '"a"@example.com',
        "a@example.com;",
        "a@exam\nple.com",
    ],
    ids=repr,
)
def test_junk_is_never_hashed(junk: str | None) -> None:
    assert normalise_email(junk) is None
    assert hash_email(junk) is None
