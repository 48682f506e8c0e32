"""Identifiers: known hashes, one form for every spelling, and nothing for junk."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from importlib.resources import files
from pathlib import Path

import pyarrow as pa
import pytest

from clean_rooms.conformance import run_conformance
from clean_rooms.identity import (
    NO_COUNTRY,
    hash_email,
    hash_identifier,
    key_fingerprint,
    normalise,
    normalise_email,
    read_key,
)
from clean_rooms.identity_columns import hash_column
from contracts.errors import SettingsError


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
        "test@test.com",
    ],
    ids=repr,
)
def test_junk_is_never_hashed(junk: str | None) -> None:
    assert normalise_email(junk) is None
    assert hash_email(junk) is None


@pytest.mark.parametrize(
    ("key", "text", "digest"),
    [
        (b"\x0b" * 20, "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        (b"Jefe", "what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        (
            b"\xaa" * 131,
            "Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
    ],
    ids=["RFC 4231 case 1", "RFC 4231 case 2", "RFC 4231 case 6"],
)
def test_keyed_hash_is_the_standards_hmac(key: bytes, text: str, digest: str) -> None:
    assert hash_identifier(text, key) == digest
    assert hash_column(pa.array([text, None]), key).to_pylist() == [digest, None]


def test_published_examples_are_kept_by_values_and_columns() -> None:
    result = run_conformance()
    assert result.differences == ()
    assert result.cases == 70


def test_published_hashes_are_those_of_their_normal_forms() -> None:
    document = json.loads((files("clean_rooms") / "identity_conformance.json").read_text(encoding="utf-8"))
    for case in document["cases"]:
        if case["normalised"] is None:
            assert (case["hash"], case["keyed_hash"], bool(case["reason"])) == (None, None, True), case
        elif case["kind"] != "sha256":
            text = case["normalised"].encode()
            assert case["hash"] == hashlib.sha256(text).hexdigest(), case
            assert case["keyed_hash"] == hmac.new(document["hmac_key"].encode(), text, "sha256").hexdigest(), case


def test_difference_from_the_published_examples_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clean_rooms.identity.EMAIL", re.compile("never"))
    assert any("'  Ann@Example.COM\\n'" in line and "malformed" in line for line in run_conformance().differences)


def test_phone_number_has_one_form_whatever_the_writing() -> None:
    written = ["+49 30 123456", "030/123456", "0049 30 123456", "+49 (0)30 123456"]
    assert {normalise("phone", text, "DE").text for text in written} == {"+4930123456"}


def test_national_number_without_a_region_is_not_guessed() -> None:
    assert normalise("phone", "030 123456").reason == NO_COUNTRY


KEY = "0123456789abcdef0123456789abcdef"


def test_key_comes_from_a_file_or_a_variable_without_its_line_break(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY + "\r\n")
    from_file = read_key(tmp_path / "key", "", {})
    assert from_file == read_key(None, "SECRET", {"SECRET": KEY}) == KEY.encode()
    assert read_key(None, "", {}) is None


@pytest.mark.parametrize("content", [None, "short", ""], ids=["no file", "short", "empty"])
def test_key_that_is_none_is_refused_without_showing_it(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "key").write_text(content)
    with pytest.raises(SettingsError) as raised:
        read_key(tmp_path / "key", "", {})
    assert "openssl" in raised.value.fix
    assert "short" not in str(raised.value).replace("a short key", "")


def test_two_keys_or_an_unset_variable_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="two keys"):
        read_key(tmp_path / "key", "SECRET", {"SECRET": KEY})
    with pytest.raises(SettingsError, match="SECRET"):
        read_key(None, "SECRET", {})


def test_fingerprint_tells_keys_apart_and_does_not_hold_them() -> None:
    one, other = key_fingerprint(KEY.encode()), key_fingerprint(KEY.encode() + b"x")
    assert one != other
    assert re.fullmatch("[0-9a-f]{16}", one)
    assert one not in KEY
