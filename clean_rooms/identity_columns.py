"""Whole columns of identifiers: the results of ``clean_rooms.identity``, at the speed of Arrow and DuckDB.

Comes in: Arrow arrays of text. Goes out: arrays of normal forms and of reasons, and SQL that hashes them. What the
column functions do not recognise at once goes, value by value, through the scalar functions: same results, always.
"""

from __future__ import annotations

import hashlib

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from clean_rooms.identity import MISSING, PLACEHOLDER_EMAIL, PLACEHOLDERS, Kind, normalise

BLOCK_BYTES = 64  # of SHA-256
# The scalar patterns over ASCII: there Python's \s is these characters, and NFKC changes nothing.
SPACES = r"\t-\r\x1c-\x20"
PLAIN = {
    "email": rf'^[^@{SPACES},;<>"]+@[^@{SPACES},;<>".]+(\.[^@{SPACES},;<>".]+)+$',
    "device": r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
    "sha256": r"^[0-9a-f]{64}$",
}


def normalise_column(values: pa.Array, kind: Kind, region: str = "") -> tuple[pa.Array, pa.Array]:
    """Normalise a column of identifiers.

    Parameters
    ----------
    values : Array of shape (n,)
        Text; of a pandas column ``pa.array(column)``.
    kind, region
        As in ``normalise``.

    Returns
    -------
    texts, reasons : Array, Array
        Both of shape (n,) and type string: the normal form, and why there is none; exactly one of them is null.
    """
    values = values.cast(pa.string())
    if kind == "phone":
        return normalise_one_by_one(values, kind, region)
    texts = pc.ascii_lower(pc.ascii_trim_whitespace(values))
    is_plain = pc.and_(pc.string_is_ascii(values), pc.match_substring_regex(texts, PLAIN[kind]))
    if kind == "email":
        is_junk = pc.match_substring_regex(texts, f"^{PLACEHOLDER_EMAIL}$")
    else:
        is_junk = pc.is_in(texts, value_set=pa.array(sorted(PLACEHOLDERS[kind])))
    is_odd = pc.invert(pc.fill_null(pc.and_not(is_plain, is_junk), False))
    odd_texts, odd_reasons = normalise_one_by_one(values.filter(is_odd), kind, region)
    reasons = pc.replace_with_mask(pa.nulls(len(values), pa.string()), is_odd, odd_reasons)
    return pc.replace_with_mask(texts, is_odd, odd_texts), reasons


def normalise_one_by_one(values: pa.Array, kind: Kind, region: str) -> tuple[pa.Array, pa.Array]:
    """Normalise a column by the scalar function, each distinct value once."""
    encoded = values.dictionary_encode()
    found = [normalise(kind, text, region) for text in encoded.dictionary.to_pylist()]
    texts = pa.array([one.text for one in found], pa.string()).take(encoded.indices)
    reasons = pa.array([one.reason for one in found], pa.string()).take(encoded.indices)
    return texts, pc.if_else(pc.is_null(values), MISSING, reasons)


def prepare_hashing(connection: duckdb.DuckDBPyConnection, key: bytes | None) -> None:
    """Lay the two padded keys of HMAC (FIPS 198-1) into a connection's variables; no key appears in any SQL text."""
    if key is None:
        return
    if len(key) > BLOCK_BYTES:
        key = hashlib.sha256(key).digest()
    padded = key.ljust(BLOCK_BYTES, b"\0")
    for name, pad in (("inner_key", 0x36), ("outer_key", 0x5C)):
        connection.execute(f"SET VARIABLE {name} = ?", [bytes(byte ^ pad for byte in padded)])


def hash_sql(column: str, is_keyed: bool) -> str:
    """Write the SQL that hashes a column of normal forms as ``hash_identifier`` does; null stays null."""
    if not is_keyed:
        return f"sha256({column})"
    inner = f"unhex(sha256(getvariable('inner_key') || encode({column})))"
    return f"sha256(getvariable('outer_key') || {inner})"


def hash_column(texts: pa.Array, key: bytes | None = None) -> pa.Array:
    """Hash a column of normal forms into lower-case hex; null stays null, the order is kept."""
    table = pa.table({"place": pa.array(range(len(texts)), pa.int64()), "text": texts})
    with duckdb.connect() as connection:
        prepare_hashing(connection, key)
        connection.register("identifiers", table)
        hashed = connection.sql(f"SELECT {hash_sql('text', key is not None)} AS h FROM identifiers ORDER BY place")
        return hashed.to_arrow_table().column("h").combine_chunks()
