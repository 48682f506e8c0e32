"""Identifiers as both parties must write them before they are hashed.

Comes in: addresses as people typed them. Goes out: lower-case hex SHA-256 of the normalised text, or None for junk: an
empty or impossible value is never hashed, else every such customer would match every other.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

EMAIL = re.compile(r"[^@\s,;<>\"]+@[^@\s,;<>\".]+(\.[^@\s,;<>\".]+)+")


def normalise_email(text: str | None) -> str | None:
    """Write an e-mail address in its one form: NFKC, no outer spaces, lower case. None if it is not one.

    Nothing inside the address is removed: a dot or a ``+tag`` means something to some providers, and both parties must
    get the same text without knowing which.
    """
    if text is None:
        return None
    address = unicodedata.normalize("NFKC", text).strip().lower()
    return address if EMAIL.fullmatch(address) else None


def hash_identifier(normalised: str) -> str:
    """Hash a normalised identifier: SHA-256 of its UTF-8 bytes as 64 lower-case hex digits (FIPS 180-4)."""
    return hashlib.sha256(normalised.encode()).hexdigest()


def hash_email(text: str | None) -> str | None:
    """Normalise and hash an e-mail address; None if it is not one."""
    normalised = normalise_email(text)
    return None if normalised is None else hash_identifier(normalised)
