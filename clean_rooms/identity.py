"""Identifiers as both parties must write them before they are hashed.

Comes in: e-mail addresses, phone numbers, device ids and SHA-256 hashes as people and systems wrote them. Goes out: the
one normal form and its lower-case hex hash, SHA-256 or keyed HMAC-SHA-256, or the reason why there is none: an empty or
impossible value is never hashed, else every such customer would match every other. ``identity_conformance.json`` is the
published set of examples that both parties run (``clean_rooms/conformance.py``).
"""

from __future__ import annotations

import hashlib
import hmac
import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from contracts.errors import SettingsError

Kind = Literal["email", "phone", "device", "sha256"]
KINDS: tuple[Kind, ...] = get_args(Kind)

MISSING = "missing"  # no value, or a word for none
PLACEHOLDER = "placeholder"  # written to satisfy a form: test@test.com, 0000000000
MALFORMED = "malformed"  # not of this kind at all
NO_COUNTRY = "no country code"  # a national phone number, and nobody said of which region
EXTENSION = "extension"  # a phone number that many people share
IMPOSSIBLE = "impossible"  # a phone number of a length that its country does not have
UNASSIGNED = "unassigned"  # a phone number from a range that nobody has

MISSING_WORDS = frozenset(
    ["", "-", "--", ".", "?", "#n/a", "\\n", "n/a", "na", "nan", "nil", "none", "null", "undefined", "unknown"]
)
EMAIL = re.compile(r"[^@\s,;<>\"]+@[^@\s,;<>\".]+(\.[^@\s,;<>\".]+)+")
JUNK = "(asdf|email|na|no|noemail|nomail|none|null|test|unknown|xxx)"
PLACEHOLDER_EMAIL = rf"{JUNK}@{JUNK}\.[a-z.]+"
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
SHA256 = re.compile(r"[0-9a-f]{64}")
COUNTED_DIGITS = ("0123456789", "1234567890", "123456789")
MIN_KEY_BYTES = 32  # a key as long as the hash; RFC 2104, section 3, advises against shorter ones


class Normalised(NamedTuple):
    """An identifier's normal form, or the reason why it has none; exactly one of the two is None."""

    text: str | None
    reason: str | None


def normalise(kind: Kind, text: str | None, region: str = "") -> Normalised:
    """Write an identifier in its one form.

    Parameters
    ----------
    kind : str
        One of ``KINDS``.
    text : str or None
        The value as it stands in the data.
    region : str
        ISO 3166-1 alpha-2 code of the country to whose numbers national phone numbers belong; empty if unknown.

    Returns
    -------
    Normalised
        E-mail: NFKC, no outer spaces, lower case. Phone: E.164. Device: lower-case UUID. SHA-256: lower-case hex.
    """
    trimmed = unicodedata.normalize("NFKC", text or "").strip()
    if trimmed.lower() in MISSING_WORDS:
        return Normalised(None, MISSING)
    if kind == "phone":
        return normalise_phone(trimmed, region)
    written = trimmed.lower()
    pattern = {"email": EMAIL, "device": UUID, "sha256": SHA256}[kind]
    if not pattern.fullmatch(written):
        return Normalised(None, MALFORMED)
    is_junk = re.fullmatch(PLACEHOLDER_EMAIL, written) if kind == "email" else written in PLACEHOLDERS[kind]
    return Normalised(None, PLACEHOLDER) if is_junk else Normalised(written, None)


def normalise_phone(text: str, region: str) -> Normalised:
    """Write a phone number in E.164 (ITU-T), as far as Google's metadata know a country's numbers."""
    import phonenumbers  # only phone numbers need it; the containers do without

    try:
        number = phonenumbers.parse(text, region or None)
    except phonenumbers.NumberParseException as error:
        is_national = error.error_type == error.INVALID_COUNTRY_CODE and not region and not text.startswith("+")
        return Normalised(None, NO_COUNTRY if is_national else MALFORMED)
    digits = str(number.national_number)
    if len(set(digits)) == 1 or digits in COUNTED_DIGITS:
        return Normalised(None, PLACEHOLDER)
    if number.extension:
        return Normalised(None, EXTENSION)
    if not phonenumbers.is_possible_number(number):
        return Normalised(None, IMPOSSIBLE)
    if not phonenumbers.is_valid_number(number):
        return Normalised(None, UNASSIGNED)
    return Normalised(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164), None)


def normalise_email(text: str | None) -> str | None:
    """Write an e-mail address in its one form: NFKC, no outer spaces, lower case. None if it is not one.

    Nothing inside the address is removed: a dot or a ``+tag`` means something to some providers, and both parties must
    get the same text without knowing which.
    """
    return normalise("email", text).text


def hash_identifier(normalised: str, key: bytes | None = None) -> str:
    """Hash a normalised identifier into 64 lower-case hex digits.

    SHA-256 of its UTF-8 bytes (FIPS 180-4), or, with a key that both parties share, HMAC-SHA-256 (FIPS 198-1).
    """
    if key is None:
        return hashlib.sha256(normalised.encode()).hexdigest()
    return hmac.digest(key, normalised.encode(), "sha256").hex()


def hash_email(text: str | None) -> str | None:
    """Normalise and hash an e-mail address; None if it is not one."""
    normalised = normalise_email(text)
    return None if normalised is None else hash_identifier(normalised)


def read_key(file: Path | None, variable: str, environment: Mapping[str, str]) -> bytes | None:
    """Read the secret key from a file or an environment variable; None if neither is named.

    A last line break is no part of the key. A key is never an argument: other users of a machine see arguments.

    Raises
    ------
    SettingsError
        If both are named, there is no key there, or it is shorter than 32 bytes. The key itself is never shown.
    """
    if file and variable:
        raise SettingsError("two keys are named", where=f"{file} and {variable}", fix="name a file or a variable")
    if not file and not variable:
        return None
    try:
        key = file.read_bytes() if file else environment[variable].encode()
    except (OSError, KeyError) as error:
        raise SettingsError(
            "there is no key",
            where=str(file or f"environment variable {variable}"),
            why=str(error) if file else "it is not set",
            fix="make one together with the other party: openssl rand -hex 32 > key.txt; chmod 600 key.txt",
        ) from error
    key = key.removesuffix(b"\n").removesuffix(b"\r")
    if len(key) < MIN_KEY_BYTES:
        raise SettingsError(
            f"the key has {len(key)} bytes, {MIN_KEY_BYTES} are needed",
            where=str(file or f"environment variable {variable}"),
            why="a short key can be guessed, and with it every hash",
            fix="openssl rand -hex 32 > key.txt; chmod 600 key.txt",
        )
    return key


def key_fingerprint(key: bytes) -> str:
    """Return 16 hex digits by which two parties see, without showing it, that they hold the same key."""
    return hmac.digest(key, b"predictive-segments key fingerprint", "sha256").hex()[:16]


def same_digit(lengths: tuple[int, ...]) -> set[str]:
    """Write groups of one hex digit repeated, once for each of the 16."""
    return {"-".join(digit * length for length in lengths) for digit in "0123456789abcdef"}


PLACEHOLDERS: dict[str, frozenset[str]] = {
    "device": frozenset(same_digit((8, 4, 4, 4, 12))),  # zeros: the owner has limited ad tracking
    "sha256": frozenset(same_digit((64,)))
    | {hash_identifier(word) for word in MISSING_WORDS}
    | {hash_identifier(word.upper()) for word in MISSING_WORDS},
}
