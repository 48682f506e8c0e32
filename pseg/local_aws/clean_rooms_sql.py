"""The SQL of protected queries: parsed, its parameters filled in, and every column traced to its table.

Comes in: Spark SQL and the tables of a collaboration. Goes out: a syntax tree with whole names, as DuckDB must run it.
Refused: more than one statement, sources that are no tables of the collaboration, columns that are not allowed.

Source: AWS Clean Rooms User Guide, "Analysis templates"; SQL Reference, Spark.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import duckdb
from sqlglot import ErrorLevel, exp, parse, tokenize
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify
from sqlglot.tokenizer_core import TokenType

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
PARAMETER_TYPES = {  # of analysis templates, where DuckDB has another name
    **{"SHORT": "SMALLINT", "BYTE": "TINYINT", "LONG": "BIGINT", "DOUBLE_PRECISION": "DOUBLE", "CHARACTER": "VARCHAR"},
    **{"TIMESTAMP_NTZ": "TIMESTAMP", "TIMESTAMP_LTZ": "TIMESTAMPTZ", "BINARY": "BLOB", "VARBYTE": "BLOB"},
}
WHOLE_NUMBERS = frozenset({"BIGINT", "INTEGER", "INT", "SMALLINT", "TINYINT"})


class QueryRefused(Exception):
    """The SQL breaks a rule; answered before anything runs. ``violations`` holds one sentence for each."""

    def __init__(self, *violations: str) -> None:
        super().__init__("; ".join(violations))
        self.violations = violations


@dataclass(frozen=True)
class RoomTable:
    """A table associated with a collaboration, as a query may see it: only allowed columns, with their Glue types."""

    name: str
    owner: str
    columns: Mapping[str, str]
    database: str
    glue_table: str
    role_arn: str
    rule_type: str
    policy: Mapping[str, Any]
    receivers: frozenset[str]
    not_ready: tuple[str, ...] = ()


@dataclass(frozen=True)
class Analysis:
    """What is to run: SQL of the runner's own, or a template with type and value of each parameter.

    ``author`` is the account that stands for the SQL: the runner, or who made the template.
    """

    sql: str
    runner: str
    author: str
    template_arn: str = ""
    parameters: Mapping[str, tuple[str, str]] = field(default_factory=dict)


def parse_query(sql: str) -> exp.Query:
    """Parse exactly one query in the Spark dialect."""
    try:
        tokens = tokenize(sql, read="spark")
        if any(token.token_type == TokenType.STRING and sql[token.start] == '"' for token in tokens):
            raise QueryRefused("text in double quotes: Spark takes it as text, not as a name; write 'text' or `name`")
        if any(token.text.upper() == "TRY_CAST" for token in tokens):
            raise QueryRefused("TRY_CAST is not part of the embedded AWS; CAST fails on a value that does not fit")
        trees = parse(sql, read="spark", error_level=ErrorLevel.RAISE)
    except SqlglotError as error:
        raise QueryRefused(f"the SQL does not parse: {plain(error)}") from error
    except RecursionError as error:
        raise QueryRefused("the SQL is nested too deeply") from error
    query = trees[0] if len(trees) == 1 else None
    if not isinstance(query, exp.Select | exp.SetOperation):
        raise QueryRefused("a protected query is exactly one SELECT statement")
    if query.find(exp.Hint):
        raise QueryRefused("hints (/*+ ... */) are not part of the embedded AWS")
    return query


def plain(error: Exception) -> str:
    """First line of an error, without the parser's terminal colours."""
    return re.sub(r"\x1b\[\d+m", "", str(error)).strip().split("\n")[0]


def bind(query: exp.Query, values: Mapping[str, exp.Expr]) -> exp.Query:
    """Put values where the query has ``:name``; only there, never in its text."""
    for place in list(query.find_all(exp.Placeholder)):
        if place.name not in values:
            raise QueryRefused(f":{place.name} is not a parameter of this query")
        if place.arg_key == "alias" or isinstance(place.parent, exp.Table | exp.Column | exp.Dot):
            raise QueryRefused(f":{place.name} stands for a name; a parameter stands for a literal value only")
        place.replace(values[place.name].copy())
    return query


def literal(name: str, kind: str, text: str) -> exp.Expr:
    """Write a parameter's value as a literal of its type; DECIMAL has the places that the value has."""
    target = PARAMETER_TYPES.get(kind, kind)
    if kind in ("DECIMAL", "NUMERIC"):
        target = f"DECIMAL(38, {len(text.partition('.')[2])})"
    try:
        if target in WHOLE_NUMBERS and not re.fullmatch(r"[+-]?\d+", text.strip()):
            raise QueryRefused(f"parameter {name}: {text!r} is not a whole number ({kind})")
        with duckdb.connect() as connection:
            connection.execute(f"SELECT CAST(? AS {target})", [text])
    except duckdb.Error as error:
        raise QueryRefused(f"parameter {name}: {text!r} is not a value of type {kind}") from error
    return exp.cast(exp.Literal.string(text), target, dialect="duckdb")


def tables_of(query: exp.Query, known: Collection[str]) -> list[str]:
    """Name the collaboration's tables that a query reads.

    Raises
    ------
    QueryRefused
        If it reads from anything but a table's plain name, or a common table expression hides a table.
    """
    expressions = {one.alias.lower() for one in query.find_all(exp.CTE)}
    hiding = sorted(expressions & set(known))
    violations = [f"WITH {name}: a table of the collaboration has this name" for name in hiding]
    named = set()
    for table in query.find_all(exp.Table):
        name, shown = table.name.lower(), f"{table.sql('spark')} is not a table of the collaboration"
        if not isinstance(table.this, exp.Identifier):
            violations.append(f"{shown}: functions cannot be read from")
        elif table.args.get("db"):
            violations.append(f"{shown}: write its name alone")
        elif name not in expressions:
            named.add(name)
    strangers = sorted(named - set(known))
    violations += [f"table {name} is not associated with this collaboration" for name in strangers]
    if violations or not named:
        raise QueryRefused(*(violations or ["the query reads no table of this collaboration"]))
    return sorted(named)


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


def cast_as_spark(query: exp.Query) -> None:
    """Make casts fail on values that do not fit and cut fractions off, and dates stay dates, where DuckDB differs."""
    for node in reversed(list(query.walk())):  # from the inside out
        if isinstance(node, exp.TryCast):
            whole = node.to.this in exp.DataType.INTEGER_TYPES and node.this.is_type(*exp.DataType.REAL_TYPES)
            new: exp.Expr = exp.Cast(this=exp.Trunc(this=node.this) if whole else node.this, to=node.to)
        elif isinstance(node, exp.TsOrDsAdd | exp.DateTrunc) or (node.is_type("date") and node.args.get("expression")):
            new = exp.cast(node.copy(), "date")
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
