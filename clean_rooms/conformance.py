"""The published examples of identity, and whether this installation makes of them what both parties agreed on.

Comes in: ``identity_conformance.json``, beside this module. Goes out: how many cases there are, and each that differs.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib.resources import files

import pyarrow as pa

from clean_rooms.identity import Kind, hash_identifier, normalise
from clean_rooms.identity_columns import hash_column, normalise_column

FILE_NAME = "identity_conformance.json"


@dataclass(frozen=True)
class Conformance:
    """The result: number of cases, what differs (one line for each), and the hash by which parties compare the file."""

    cases: int
    differences: tuple[str, ...]
    sha256: str


def run_conformance() -> Conformance:
    """Run every case through the scalar and the column functions."""
    published = files("clean_rooms").joinpath(FILE_NAME).read_bytes()
    document = json.loads(published)
    key, cases = document["hmac_key"].encode(), document["cases"]
    differences = []
    for kind, region in sorted({(case["kind"], case["region"]) for case in cases}):
        group = [case for case in cases if (case["kind"], case["region"]) == (kind, region)]
        inputs = [case["input"] for case in group]
        wanted = [tuple(case[part] for part in ("normalised", "reason", "hash", "keyed_hash")) for case in group]
        for name, found in (
            ("the value", values_of(inputs, kind, region, key)),
            ("the column", columns_of(inputs, kind, region, key)),
        ):
            differences += [
                f"{kind} {text!r}, region {region or 'unknown'}: {name} gives {is_}, not {should}"
                for text, is_, should in zip(inputs, found, wanted, strict=True)
                if is_ != should
            ]
    return Conformance(len(cases), tuple(differences), hashlib.sha256(published).hexdigest())


def values_of(inputs: list[str | None], kind: Kind, region: str, key: bytes) -> list[tuple[str | None, ...]]:
    """Return normal form, reason, hash and keyed hash of each input by the scalar functions."""
    found: list[tuple[str | None, ...]] = []
    for text, reason in (normalise(kind, given, region) for given in inputs):
        if text is None or kind == "sha256":
            found.append((text, reason, text, None))
        else:
            found.append((text, reason, hash_identifier(text), hash_identifier(text, key)))
    return found


def columns_of(inputs: list[str | None], kind: Kind, region: str, key: bytes) -> list[tuple[str | None, ...]]:
    """Return the same by the column functions."""
    texts, reasons = normalise_column(pa.array(inputs, pa.string()), kind, region)
    is_hashed = kind == "sha256"
    hashes = texts if is_hashed else hash_column(texts)
    keyed = pa.nulls(len(texts), pa.string()) if is_hashed else hash_column(texts, key)
    return list(zip(*(column.to_pylist() for column in (texts, reasons, hashes, keyed)), strict=True))
