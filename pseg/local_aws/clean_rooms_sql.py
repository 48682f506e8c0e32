"""From the Spark SQL that was checked to what DuckDB must run: whole names, Spark's casts, dates and sums.

Comes in: a checked syntax tree and the tables that it reads. Goes out: a tree with every column traced to its table.
Refused: by name, what DuckDB has not or would answer otherwise than Spark in silence.

Source: AWS Clean Rooms SQL Reference, "Spark SQL"; Spark's own reference of its functions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify

GLUE_TYPES = {
    "string": "VARCHAR",
    "boolean": "BOOLEAN",
    "tinyint": "TINYINT",
    "smallint": "SMALLINT",
    "int": "INTEGER",
    "integer": "INTEGER",
    "bigint": "BIGINT",
    "float": "FLOAT",
    "double": "DOUBLE",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
    "binary": "BLOB",
}
SIZED_TYPES = {"char": "VARCHAR", "varchar": "VARCHAR", "decimal": None}  # None: the size is kept


TRUNC_UNITS = {"MM": "MONTH", "MON": "MONTH", "YY": "YEAR", "YYYY": "YEAR"}  # Spark's names that DuckDB has not
REAL = tuple(exp.DataType.REAL_TYPES)
FLOATING = ("float", "double")
NOT_RUN: dict[type[exp.Expr], str] = {
    exp.Anonymous: "a function that it does not know",
    exp.DayOfWeek: "a function that counts from another day",
    exp.Quantile: "a function that answers otherwise",
    exp.Skewness: "a function that answers otherwise",
    exp.UDTF: "rows from expressions",
    exp.Hint: "a hint",
}
NOT_RUN_IF: dict[type[exp.Expr], tuple[Callable[[exp.Expr], object], str]] = {  # of trees with types
    exp.Extract: (lambda node: re.search("DOW|DAYOFWEEK", node.name.upper()), "it counts from another day"),
    exp.Substring: (lambda node: not start_of(node), "Spark counts from 1 and takes 0 for 1; write another start"),
    exp.DateDiff: (lambda node: node.text("unit").upper() not in ("", "DAY"), "Spark counts whole units only"),
    exp.Avg: (lambda node: node.this.is_type("decimal"), "an average of decimals; cast the column to DOUBLE"),
    exp.Like: (lambda node: not is_plain_pattern(node), "LIKE takes a text literal without a backslash"),
    exp.ILike: (lambda node: not is_plain_pattern(node), "ILIKE takes a text literal without a backslash"),
    exp.TryCast: (
        lambda node: node.args["to"].is_type(*exp.DataType.TEXT_TYPES) and node.this.is_type(*FLOATING),
        "Spark writes such numbers otherwise",
    ),
}


class QueryRefused(Exception):
    """The SQL may not or cannot run; answered before anything runs. ``reason`` is the service's."""

    def __init__(self, *violations: str, reason: str = "INVALID_QUERY") -> None:
        super().__init__("; ".join(violations))
        self.reason = reason


@dataclass(frozen=True)
class RoomTable:
    """A table associated with a collaboration, as a query may see it: only allowed columns, with their Glue types."""

    name: str
    owner: str
    columns: Mapping[str, str]
    database: str
    glue_table: str
    role_arn: str


def plain(error: Exception) -> str:
    """First line of an error, without the parser's terminal colours."""
    return re.sub(r"\x1b\[\d+m", "", str(error)).strip().split("\n")[0]


def resolve(query: exp.Query, tables: Mapping[str, RoomTable], *, aliases: bool) -> exp.Query:
    """Give every column its table and every star its columns, by the allowed columns; names become lower case.

    ``aliases``: names that SELECT gives may be used in GROUP BY, HAVING and further columns, as Spark allows.
    """
    schema: dict[str, object] = {name: dict(table.columns) for name, table in tables.items()}
    try:
        resolved = qualify(query.copy(), dialect="spark", schema=schema, expand_alias_refs=aliases)
        annotated: exp.Query = annotate_types(resolved, schema=schema, dialect="spark")
    except SqlglotError as error:
        known = "; ".join(f"{table.name}({', '.join(table.columns)})" for table in tables.values())
        raise QueryRefused(f"{plain(error)}: the allowed columns are {known}") from error
    return annotated


def not_run(query: exp.Query) -> Iterator[str]:
    """Yield what the embedded AWS does not run in a query with types, since DuckDB has it not or answers otherwise."""
    for node in query.walk():
        whys = [why for kind, why in NOT_RUN.items() if isinstance(node, kind)]
        test, why = NOT_RUN_IF.get(type(node), (None, ""))
        whys += [why] if test and test(node) else []
        whys += ["WITH RECURSIVE"] if isinstance(node, exp.With) and node.recursive else []
        yield from (f"the embedded AWS does not run {node.sql('spark', comments=False)[:80]} ({why})" for why in whys)
        if isinstance(node, exp.Select) and node.args.get("windows"):
            yield "the embedded AWS does not run a WINDOW clause; write the window behind OVER"


def is_plain_pattern(node: exp.Expr) -> bool:
    """Tell whether a pattern means the same in both: a backslash escapes in Spark only."""
    return node.expression.is_string and "\\" not in node.expression.name


def start_of(node: exp.Expr) -> int:
    """Tell from which character SUBSTRING starts; 0 if it is 0 or not written as a number."""
    start = node.args.get("start")
    text = start.sql() if start else "0"
    return int(text) if re.fullmatch(r"-?\d+", text) else 0


def cast_as_spark(query: exp.Query) -> None:
    """Make casts fail on values that do not fit and cut fractions off, and keep Spark's types, where DuckDB differs."""
    for node in reversed(list(query.walk())):  # from the inside out
        new: exp.Expr
        if isinstance(node, exp.TryCast):
            inner = node.this
            if node.to.this in exp.DataType.INTEGER_TYPES and inner.is_type(*REAL):
                inner = exp.Trunc(this=inner)
            elif node.to.this in exp.DataType.INTEGER_TYPES and inner.is_type(*exp.DataType.TEXT_TYPES):
                whole = exp.Literal.string(r"^\s*[+-]?[0-9]+\s*$")  # no match is '', which no cast takes
                inner = exp.Anonymous(this="regexp_extract", expressions=[inner, whole])
            new = exp.Cast(this=inner, to=node.to)
        elif isinstance(node, exp.TsOrDsToDate) and node.args.get("format"):
            new = exp.cast(exp.StrToTime(this=node.this, format=node.args["format"]), "date")
        elif isinstance(node, exp.TsOrDsAdd | exp.DateTrunc) or (node.is_type("date") and node.args.get("expression")):
            if isinstance(node, exp.DateTrunc) and node.text("unit").upper() in TRUNC_UNITS:
                node.set("unit", exp.Literal.string(TRUNC_UNITS[node.text("unit").upper()]))
            new = exp.cast(node.copy(), "date")
        elif isinstance(node, exp.Ceil | exp.Floor) and node.this.is_type(*FLOATING) and not node.args.get("decimals"):
            new = exp.cast(node.copy(), "bigint")
        elif isinstance(node, exp.Sum) and node.this.is_type("decimal"):
            digits = [int(part.name) for part in node.this.type.expressions]  # Spark adds ten
            size = f"({min(38, digits[0] + 10)}, {[*digits, 0][1]})" if digits else "(20, 0)"
            while isinstance(node.parent, exp.Filter | exp.Window) and node.arg_key == "this":
                node = node.parent  # what is cast
            new = exp.cast(node.copy(), f"decimal{size}")
        else:
            continue
        new.type = node.type
        node.replace(new)


def duckdb_type(glue_type: str) -> str | None:
    """DuckDB's name of a Glue type; None for nested types and those not known."""
    name, _, size = glue_type.strip().lower().partition("(")
    if name in SIZED_TYPES and re.fullmatch(r"\d+\s*(,\s*\d+\s*)?\)", size or "10,0)"):
        return SIZED_TYPES[name] or f"DECIMAL({size or '10,0)'}"
    return None if size else GLUE_TYPES.get(name)
