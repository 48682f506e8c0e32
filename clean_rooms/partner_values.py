"""A partner's values: texts of CSV and typed values of Parquet become the types that Glue and Clean Rooms know.

Comes in: Arrow columns. Goes out: the typed column, null where there is no value, and which rows do not fit. Nothing is
guessed and nothing is cut: what does not fit is counted and its row left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from clean_rooms.identity_columns import PLAIN

MAX_TEXT = 1_000  # bytes of a value; longer ones are most often a quote that swallowed rows
ValueKind = Literal["text", "integer", "number", "boolean", "date", "time"]
ARROW_TYPES: dict[str, pa.DataType] = {
    "text": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "time": pa.timestamp("us", tz="UTC"),
}
MISSING_TEXTS = pa.array(["", "NULL", "null", "\\N"])
MISSING_VALUES = pa.array(["NaN", "nan", "N/A", "n/a", "NA", "None", "none", "-"])  # in columns that are no text
INTEGER = r"^-?(0|[1-9][0-9]{0,17})$"  # fits 64 bits; no leading zero, which only a code has
NUMBER = r"^-?((0|[1-9][0-9]{0,14})(\.[0-9]+)?|\.[0-9]+)([eE][+-]?[0-9]{1,2})?$"  # 15 digits: what a double keeps
BOOLEANS = {"true": True, "t": True, "yes": True, "y": True, "false": False, "f": False, "no": False, "n": False}
ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
ISO_TIME = re.compile(r"\d{4}-\d{2}-\d{2}($|[T ]\d{2}:\d{2})")


def is_textual(type_: pa.DataType) -> bool:
    """Tell if an Arrow type holds text, plainly or as a dictionary."""
    if pa.types.is_dictionary(type_):
        type_ = type_.value_type
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_string_view(type_))


def read_text(values: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Read text out of a column: outer spaces gone, nothing where there is nothing.

    Returns
    -------
    text, is_bad : Array of string, Array of boolean
        ``is_bad`` where the bytes are no UTF-8, hold NUL, or are too many; there ``text`` is null.
    """
    try:
        text = values.cast(pa.string())
        is_broken = pa.repeat(False, len(values))
    except pa.ArrowInvalid:
        text = pa.array([decoded(value) for value in values.to_pylist()], pa.string())
        is_broken = pc.and_(pc.is_valid(values), pc.is_null(text))
    text = pc.utf8_trim_whitespace(text)
    is_long = pc.greater(pc.binary_length(text), MAX_TEXT)
    is_odd = pc.fill_null(pc.or_(is_long, pc.match_substring(text, "\0")), False)
    is_bad = pc.or_(is_broken, is_odd)
    return pc.if_else(pc.or_(is_bad, pc.is_in(text, value_set=MISSING_TEXTS)), None, text), is_bad


def decoded(value: Any) -> str | None:
    """Decode UTF-8; None if it is none, or nothing."""
    try:
        return None if value is None else str(value, "utf-8")
    except UnicodeDecodeError:
        return None


def parse(text: pa.Array, kind: str, form: str) -> tuple[pa.Array, pa.Array]:
    """Turn texts into values of a kind; ``is_bad`` is true where there is a text that does not fit."""
    if kind == "text":
        return text, pa.repeat(False, len(text))
    text = pc.if_else(pc.is_in(text, value_set=MISSING_VALUES), None, text)
    if kind in ("integer", "number"):
        fits = pc.match_substring_regex(text, INTEGER if kind == "integer" else NUMBER)
        values = pc.if_else(fits, text, None).cast(ARROW_TYPES[kind])
    else:
        readers: dict[str, Callable[[str], Any]] = {
            "boolean": lambda value: BOOLEANS.get(value.lower()),
            "date": lambda value: read_day(value, form),
            "time": lambda value: read_time(value, form),
        }
        encoded = text.dictionary_encode()  # as a rule far fewer days than rows
        found = [attempt(readers[kind], value) for value in encoded.dictionary.to_pylist()]
        values = pa.array(found, ARROW_TYPES[kind]).take(encoded.indices)
    return values, pc.and_(pc.is_valid(text), pc.is_null(values))


def attempt(reader: Callable[[str], Any], value: str) -> Any:
    """Read a value; None if it is none."""
    try:
        return reader(value)
    except (ValueError, OverflowError):
        return None


def read_day(value: str, form: str) -> date:
    """Read a day: as 2026-01-31, or by ``form``."""
    if not form and not ISO_DATE.fullmatch(value):
        raise ValueError("no day")
    return read_time(value, form).date()


def read_time(value: str, form: str) -> datetime:
    """Read a time: ISO 8601 with hyphens, or by ``form``; without a zone it is UTC, without a time midnight."""
    if not form and not ISO_TIME.match(value):
        raise ValueError("no time")
    read = datetime.strptime(value, form) if form else datetime.fromisoformat(value)
    return read.astimezone(UTC) if read.tzinfo else read.replace(tzinfo=UTC)


def convert(values: pa.Array, kind: str, form: str, is_date: bool) -> tuple[pa.Array, dict[str, pa.Array]]:
    """Turn a column into its type.

    Parameters
    ----------
    values : Array of shape (n,)
        Bytes of CSV, or what Parquet held.
    kind, form : str
        A ``ValueKind``, and how its dates or times are written; empty: ISO 8601.
    is_date : bool
        True for the attribute date: it takes the day of a time too, and can't be missing.

    Returns
    -------
    typed, problems : Array, dict of str to Array of boolean
        Both of shape (n,): the values, and for each problem where it is.
    """
    parsed_as = "time" if is_date else kind
    if pa.types.is_binary(values.type) or is_textual(values.type) or pa.types.is_null(values.type):
        text, is_bad = read_text(values)
        typed, is_unfit = parse(text, parsed_as, form)
        problems = {f"bytes that are no text, or over {MAX_TEXT:,} of them": is_bad}
    else:
        typed, is_unfit = cast_typed(values, parsed_as)
        problems = {}
    problems[f"no {kind}" + (f" as {form}" if form else "")] = is_unfit
    if is_date:
        typed = typed.cast(pa.date32(), safe=False)
        problems["missing"] = pc.and_not(pc.is_null(typed), is_unfit)
    return typed, problems


def find_addresses(typed: pa.Array) -> pa.Array:
    """Tell which texts are e-mail addresses."""
    is_address = pc.and_(
        pc.match_substring(typed, "@"), pc.match_substring_regex(pc.ascii_lower(typed), PLAIN["email"])
    )
    return pc.fill_null(is_address, False)


def cast_typed(values: pa.Array, kind: str) -> tuple[pa.Array, pa.Array]:
    """Turn a typed column of Parquet into the type that Glue will name; NaN means missing."""
    if pa.types.is_timestamp(values.type):
        values = values.cast(pa.timestamp("us", tz=values.type.tz or "UTC"), safe=False)
    typed = values.cast(ARROW_TYPES[kind])
    if kind == "number":
        typed = pc.if_else(pc.is_nan(typed), None, typed)
        return typed, pc.fill_null(pc.is_inf(typed), False)
    return typed, pa.repeat(False, len(typed))
