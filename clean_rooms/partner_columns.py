"""What becomes of each column of a partner's table: declared by the partner, else found out from the first rows.

Comes in: names, a sample, and what was declared. Goes out: a plan. Refused, with the option that helps: no identifier,
names that clash or are reserved, types that Glue has no column for, columns that look personal and that nobody
declared. Detection never guesses: 01234 is a text, 03/04/2026 is a text until its order is declared.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from clean_rooms.identity import KINDS
from clean_rooms.identity import Kind as IdentifierKind
from clean_rooms.identity_columns import PLAIN
from clean_rooms.partner_values import ARROW_TYPES, ValueKind, is_textual, parse, read_text
from contracts.errors import ContractError
from contracts.query_result import DATE

HASHED_ID = "hashed_id"
MAX_COLUMNS = 100  # of a configured table; AWS Clean Rooms user guide, quotas (adjustable)
FIT_SHARE = 0.99  # of the sample must fit a type that nobody declared
PERSONAL_SHARE = 0.01  # of the sample look like an identifier: enough to ask

DETECTED: tuple[ValueKind, ...] = ("boolean", "integer", "number", "date", "time")
RESERVED = (HASHED_ID, "customer_key", "snapshot_date", "split", "time_order")  # by the brand's side; likewise label__*
IDENTIFIER_NAMES: dict[str, IdentifierKind] = {
    **dict.fromkeys(["email", "e_mail", "mail", "email_address", "e_mail_address"], "email"),
    **dict.fromkeys(["phone", "phone_number", "telephone", "mobile", "mobile_number", "mobile_phone"], "phone"),
    **dict.fromkeys(["device_id", "idfa", "gaid", "aaid", "maid", "advertising_id"], "device"),
    **dict.fromkeys([HASHED_ID, "hashed_email", "email_sha256", "sha256_email", "email_hash"], "sha256"),
}
PERSONAL_NAMES = frozenset(
    "address birth_date birthday cell cell_phone contact date_of_birth dob family_name fax first_name full_name "
    "given_name iban ip ip_address last_name name passport ssn street street_address surname tax_id tel user_name "
    "username".split()
)
PERSONAL_VALUES = {
    "e-mail addresses": PLAIN["email"],
    "phone numbers": r"^\+[0-9][0-9 ()./-]{7,18}$",
    "device ids": PLAIN["device"],
    "hashes": PLAIN["sha256"],
}


@dataclass(frozen=True)
class ColumnPlan:
    """What becomes of one column: ``kind`` is an ``IdentifierKind`` or a ``ValueKind``; ``form`` is for strptime."""

    source: str
    name: str
    role: Literal["identifier", "date", "attribute"]
    kind: str
    form: str = ""
    is_declared: bool = False

    @property
    def identifier_kind(self) -> IdentifierKind:
        """The kind, where the role is identifier."""
        return next(kind for kind in KINDS if kind == self.kind)


@dataclass(frozen=True)
class Declared:
    """What the partner said of the columns, by their names in the file.

    ``types`` maps a name to a kind, or for dates and times to a kind and a form, as ``date:%d.%m.%Y``.
    """

    identifiers: dict[str, IdentifierKind] = field(default_factory=dict)
    date: str = ""
    types: dict[str, str] = field(default_factory=dict)
    drop: frozenset[str] = frozenset()


def plan_columns(names: list[str], sample: pa.RecordBatch, declared: Declared, where: str) -> tuple[ColumnPlan, ...]:
    """Decide what becomes of each column; those to drop are not in the plan.

    Raises
    ------
    ContractError
        As the module says.
    """
    for name in (*declared.identifiers, *declared.types, *declared.drop, *filter(None, [declared.date])):
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ContractError(f"there is no column {name}{hint}", where=where, fix=f"one of {', '.join(names)}")
    kept = [name for name in names if name not in declared.drop]
    identifiers = declared.identifiers or {
        name: IDENTIFIER_NAMES[simple_name(name)] for name in kept if simple_name(name) in IDENTIFIER_NAMES
    }
    if not identifiers:
        raise ContractError(
            "no column holds an identifier", where=where, fix="name one: --email, --phone, --device or --hashed COLUMN"
        )
    day = declared.date or next((name for name in kept if simple_name(name) == DATE), "")
    plan = []
    for name in kept:
        if name in identifiers:
            plan.append(ColumnPlan(name, HASHED_ID, "identifier", identifiers[name]))
            continue
        given = declared.types.get(name, "")
        kind, _, form = given.partition(":")
        if given and (kind not in ARROW_TYPES or (form and kind not in ("date", "time"))):
            raise ContractError(
                f"{given!r} is no type of column {name}",
                where="--type",
                fix=f"one of {', '.join(ARROW_TYPES)}; a date in another order as date:%d.%m.%Y",
            )
        if name == day:
            plan.append(ColumnPlan(name, DATE, "date", "date", form, bool(given)))
        else:
            kind = kind or kind_of(sample.column(name), name, where)
            plan.append(ColumnPlan(name, simple_name(name), "attribute", kind, form, bool(given)))
    check_names(plan, where)
    for column in plan:
        if column.role == "attribute" and not column.is_declared:
            refuse_personal(column, sample.column(column.source), where)
    return tuple(plan)


def simple_name(name: str) -> str:
    """Write a column's name as Clean Rooms takes it: lower case, digits and underscores."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_")


def check_names(plan: list[ColumnPlan], where: str) -> None:
    """Refuse names that clash, that are reserved, or that are none; and more columns than a table may have."""
    others = [column for column in plan if column.role != "identifier"]
    names = [column.name for column in others]
    for column in others:
        reason = ""
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,126}", column.name):
            reason = "Clean Rooms takes a letter first, then letters, digits, underscores; 127 at most"
        elif names.count(column.name) > 1:
            reason = f"another column would also be named {column.name}"
        elif column.name in RESERVED or column.name.startswith("label__"):
            reason = f"the brand's side uses {column.name} itself"
        if reason:
            raise ContractError(
                f"column {column.source!r} can't keep its name",
                where=where,
                why=reason,
                fix=f"rename it in the file, or leave it out: --drop {column.source!r}",
            )
    if len(others) + 1 > MAX_COLUMNS:
        raise ContractError(
            f"{len(others) + 1} columns, {MAX_COLUMNS} are allowed",
            where=where,
            why="quota of a configured table in AWS Clean Rooms",
            fix="leave some out: --drop COLUMN",
        )


def kind_of(values: pa.Array, name: str, where: str) -> ValueKind:
    """Find out a column's kind: of Parquet from its type, of CSV from the values of the sample."""
    type_ = values.type
    if pa.types.is_binary(type_):
        text, _ = read_text(values)
        present = pc.sum(pc.is_valid(text)).as_py() or 0
        for kind in DETECTED if present else ():
            found, is_bad = parse(text, kind, "")
            if present - pc.sum(is_bad).as_py() >= FIT_SHARE * present and found.null_count < len(found):
                return kind
        return "text"
    tests: dict[ValueKind, Callable[[pa.DataType], bool]] = {
        "text": lambda t: is_textual(t) or pa.types.is_null(t),
        "integer": pa.types.is_integer,
        "number": lambda t: pa.types.is_floating(t) or pa.types.is_decimal(t),
        "boolean": pa.types.is_boolean,
        "date": pa.types.is_date,
        "time": pa.types.is_timestamp,
    }
    for kind, is_kind in tests.items():
        if is_kind(type_):
            return kind
    raise ContractError(
        f"column {name} is of type {type_}", where=where, fix=f"make it a number, text or date, or --drop {name}"
    )


def refuse_personal(column: ColumnPlan, values: pa.Array, where: str) -> None:
    """Refuse a column that looks personal by its name or its values, unless the partner declared its type."""
    reason = "of its name" if column.name in PERSONAL_NAMES or column.name in IDENTIFIER_NAMES else ""
    if column.kind == "text":
        text, _ = read_text(values)
        present = len(text) - text.null_count
        for what, pattern in PERSONAL_VALUES.items():
            found = pc.sum(pc.match_substring_regex(pc.ascii_lower(text), pattern)).as_py() or 0
            if present and found >= PERSONAL_SHARE * present:
                reason = f"{found:,} of its first {present:,} values look like {what}"
    if reason:
        raise ContractError(
            f"column {column.source!r} looks as if it named people",
            where=where,
            why=f"because {reason}" if reason.startswith("of") else reason,
            fix=f"--drop {column.source!r}, or name it as an identifier, or say that it is meant: "
            f"--type {column.source!r}={column.kind}",
        )
