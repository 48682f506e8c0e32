"""Protected queries: from SQL text to a checked plan.

Comes in: Spark SQL, the tables of a collaboration with their analysis rules, and who runs it. Goes out: a plan for
DuckDB. Refused: everything that the rule does not name. ``RULE_CHECKS`` is where a rule's checker plugs in.

Source: AWS Clean Rooms User Guide, "Analysis rules - list".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlglot import ErrorLevel, exp, parse, tokenize
from sqlglot.errors import SqlglotError
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

_EXPRESSION = frozenset({"this", "expression"})
LIST_SYNTAX: dict[type[exp.Expr], frozenset[str]] = {  # every node, and what may be set on it
    exp.Select: frozenset({"expressions", "distinct", "from_", "joins", "where", "limit"}),
    exp.Distinct: frozenset(),
    exp.From: frozenset({"this"}),
    exp.Table: frozenset({"this", "alias"}),
    exp.TableAlias: frozenset({"this"}),
    exp.Join: frozenset({"this", "on", "kind"}),
    exp.Where: frozenset({"this"}),
    exp.Limit: frozenset({"expression"}),
    exp.Alias: frozenset({"this", "alias"}),
    exp.Column: frozenset({"this", "table"}),
    exp.Identifier: frozenset({"this", "quoted"}),
    exp.Star: frozenset(),
    exp.Literal: frozenset({"this", "is_string"}),
    exp.Null: frozenset(),
    exp.In: frozenset({"this", "expressions"}),
    exp.Like: frozenset({"this", "expression", "negate"}),
    **{kind: frozenset({"this"}) for kind in (exp.Paren, exp.Not, exp.Neg)},
    **{kind: _EXPRESSION for kind in (exp.And, exp.Or, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Is)},
    **{kind: _EXPRESSION | {"typed", "safe"} for kind in (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod)},
}
WORDS = {  # what a user would call it
    "with_": "WITH",
    "from_": "FROM",
    "distinct": "DISTINCT",
    "order": "ORDER BY",
    "group": "GROUP BY",
    "using": "USING",
    "method": "NATURAL or ASOF join",
    "side": "outer join",
    "db": "a qualified name",
}


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
    partition_keys: frozenset[str]
    database: str
    glue_table: str
    role_arn: str
    rule_type: str
    policy: Mapping[str, Any]
    receivers: frozenset[str]
    not_ready: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """A query that may run: its SQL for DuckDB, and the columns that it reads of each table."""

    sql: str
    reads: tuple[tuple[RoomTable, tuple[str, ...]], ...]


# -- from text to plan


def prepare(sql: str, tables: Mapping[str, RoomTable], runner: str) -> Plan:
    """Check a query against the rules of the tables it names, and translate it from its syntax tree (never its text).

    Parameters
    ----------
    sql : str
        Spark SQL.
    tables : mapping of lower-case name to RoomTable
        All tables of the collaboration.
    runner : str
        Account id of the member who runs the query.

    Raises
    ------
    QueryRefused
        With every violation found.
    """
    select = parse_select(sql)
    named = {table.name.lower() for table in select.find_all(exp.Table)} - {
        cte.alias.lower() for cte in select.find_all(exp.CTE)
    }
    used = {name: tables[name] for name in sorted(named) if name in tables}
    violations = [
        *odd_sources(select),
        *(f"table {name} is not associated with this collaboration" for name in sorted(named - set(tables))),
    ]
    violations += [
        f"table {table.name} is not ready for queries: {', '.join(table.not_ready)}"
        for table in used.values()
        if table.not_ready
    ]
    kinds = {table.rule_type for table in used.values() if table.rule_type}
    if not used and not violations:
        violations.append("the query reads no table of this collaboration")
    if len(kinds) > 1:
        violations.append(f"tables of different analysis rule types cannot be mixed: {', '.join(sorted(kinds))}")
    if violations:
        raise QueryRefused(*violations)
    check = RULE_CHECKS.get(kind := kinds.pop())
    if check is None:
        raise QueryRefused(
            f"this version of the embedded AWS does not run queries under {kind} rules yet, only under LIST rules"
        )
    resolved = check(select, used, runner)
    reads: dict[str, set[str]] = {name: set() for name in used}
    aliases = {table.alias_or_name: table.name for table in resolved.find_all(exp.Table)}
    for column in resolved.find_all(exp.Column):
        reads[aliases[column.table]].add(column.name)
    names = resolved.named_selects
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise QueryRefused(f"two columns of the result have the same name: {', '.join(twice)}; give one an alias")
    ordered = resolved.order_by(*(str(position) for position in range(1, len(names) + 1)))
    try:
        text = ordered.sql(dialect="duckdb", identify=True, comments=False, unsupported_level=ErrorLevel.RAISE)
    except SqlglotError as error:
        raise QueryRefused(f"the embedded AWS cannot run this SQL as Spark would: {error}") from error
    return Plan(text, tuple((used[name], tuple(sorted(columns))) for name, columns in reads.items()))


def parse_select(sql: str) -> exp.Select:
    """Parse exactly one SELECT statement in the Spark dialect."""
    try:
        tokens = tokenize(sql, read="spark")
        if any(token.token_type == TokenType.STRING and sql[token.start] == '"' for token in tokens):
            raise QueryRefused("text in double quotes: Spark takes it as text, not as a name; write 'text' or `name`")
        trees = parse(sql, read="spark", error_level=ErrorLevel.RAISE)
    except SqlglotError as error:
        raise QueryRefused(f"the SQL does not parse: {plain(error)}") from error
    except RecursionError as error:
        raise QueryRefused("the SQL is nested too deeply") from error
    if len(trees) != 1 or not isinstance(trees[0], exp.Select):
        raise QueryRefused("a protected query is exactly one SELECT statement")
    if trees[0].args.get("hint"):
        raise QueryRefused("hints (/*+ ... */) are not part of the embedded AWS")
    return trees[0]


def plain(error: Exception) -> str:
    """First line of an error, without the parser's terminal colours."""
    return re.sub(r"\x1b\[\d+m", "", str(error)).strip().split("\n")[0]


def odd_sources(select: exp.Select) -> Iterator[str]:
    """Name every source that is not the plain name of a table: functions, paths, names with a database."""
    for table in select.find_all(exp.Table):
        if not isinstance(table.this, exp.Identifier):
            yield f"{table.sql('spark')} is not a table of the collaboration: functions cannot be read from"
        elif table.args.get("db"):
            yield f"{table.sql('spark')} is not a table of the collaboration: write its name alone"


def resolve(select: exp.Select, tables: Mapping[str, RoomTable]) -> exp.Select:
    """Give every column its table and every star its columns, by the allowed columns; names become lower case."""
    schema: dict[str, object] = {name: dict(table.columns) for name, table in tables.items()}
    try:
        resolved = qualify(select.copy(), dialect="spark", schema=schema, expand_alias_refs=False)
    except SqlglotError as error:
        known = "; ".join(f"{table.name}({', '.join(table.columns)})" for table in tables.values())
        raise QueryRefused(f"{plain(error)}: the allowed columns are {known}") from error
    return resolved


def check_list(select: exp.Select, tables: Mapping[str, RoomTable], runner: str) -> exp.Select:
    """Apply LIST rules and return the resolved query.

    Raises
    ------
    QueryRefused
        With every violation found.
    """
    if violations := [*list_syntax(select)]:
        raise QueryRefused(*violations)
    resolved = resolve(select, tables)
    sources = {table.alias_or_name: tables[table.name] for table in resolved.find_all(exp.Table)}
    violations = [*list_output(resolved, sources), *list_joins(resolved, sources, runner)]
    if violations:
        raise QueryRefused(*violations)
    return resolved


def list_syntax(select: exp.Select) -> Iterator[str]:
    """Yield what a LIST rule does not know in the query as written."""
    if select.args.get("distinct") is None:
        yield "LIST rule: SELECT must be SELECT DISTINCT"
    for node in select.walk():
        known = LIST_SYNTAX.get(type(node))
        if known is None:
            what = (
                "a function"
                if isinstance(node, exp.Func)
                else "a subquery"
                if isinstance(node, exp.Query)
                else "an expression"
            )
            text = node.sql("spark", comments=False)[:80]
            yield f"LIST rule: {text} is not allowed ({what}, {type(node).key.upper()})"
            continue
        for name, value in node.args.items():
            if value and name not in known:
                word = WORDS.get(name, name.rstrip("_").upper())
                yield f"LIST rule: {word} is not allowed in {type(node).key.upper()}"
    for limit in select.find_all(exp.Limit):
        if not isinstance(limit.expression, exp.Literal) or not re.fullmatch(r"0*[1-9]\d*", limit.expression.name):
            yield "LIST rule: LIMIT takes a positive whole number"
    for like in select.find_all(exp.Like):
        if not isinstance(like.expression, exp.Literal) or "\\" in like.expression.name:
            yield "LIST rule: LIKE takes a text literal (without a backslash, in the embedded AWS)"
    for test in select.find_all(exp.Is):
        if not isinstance(test.expression, exp.Null):
            yield "LIST rule: IS stands only before NULL and NOT NULL"


def list_output(select: exp.Select, sources: Mapping[str, RoomTable]) -> Iterator[str]:
    """Yield columns in SELECT and WHERE that are not list columns, and outputs that are not columns."""
    for output in select.expressions:
        if not isinstance(output.unalias(), exp.Column):
            yield f"LIST rule: {output.sql('spark')} is not allowed in select: only list columns are"
    where = select.args.get("where")
    places = [("select", output) for output in select.expressions] + ([("where", where)] if where else [])
    for place, node in places:
        for column in node.find_all(exp.Column):
            table = sources[column.table]
            glue_type = table.columns[column.name]
            if column.name in table.policy["listColumns"]:
                if not duckdb_type(glue_type):
                    yield f"LIST rule: column {column.name} of table {table.name} has the nested type {glue_type}"
                continue
            kind = "a join column" if column.name in table.policy["joinColumns"] else "not a list column"
            yield f"Column(s) [{column.name}] is not allowed in {place}: {kind} in the LIST rule of table {table.name}"


def list_joins(select: exp.Select, sources: Mapping[str, RoomTable], runner: str) -> Iterator[str]:
    """Yield joins that are not inner equality joins on join columns, and the lack of a join to the runner's table."""
    joins = select.args.get("joins") or []
    if not joins or runner not in {table.owner for table in sources.values()}:
        yield "LIST rule: an inner join to a table of the query runner is required"
    seen = {select.args["from_"].this.alias_or_name}
    for join in joins:
        alias, condition = join.this.alias_or_name, join.args.get("on")
        if join.kind not in ("", "INNER") or condition is None:
            yield f"LIST rule: table {sources[alias].name} must come by INNER JOIN ... ON, not by a cross or comma join"
            continue
        members = {column.table for column in condition.find_all(exp.Column)} & set(sources)
        for node in condition.walk():
            operator = {exp.And: "AND", exp.Or: "OR"}.get(type(node))
            for table in (sources[member] for member in sorted(members) if operator):
                if operator not in (table.policy.get("allowedJoinOperators") or ["AND"]):
                    yield f"LIST rule of table {table.name}: {operator} is not among allowedJoinOperators"
        for leaf in join_leaves(condition):
            sides = (leaf.this, leaf.expression) if isinstance(leaf, exp.EQ) else ()
            if len(sides) != 2 or not all(isinstance(side, exp.Column) for side in sides):
                yield f"LIST rule: {leaf.sql('spark')} is not allowed in ON: only column = column is"
                continue
            if (
                alias not in (pair := {side.table for side in sides})
                or not pair - {alias}
                or not pair - {alias} <= seen
            ):
                yield f"LIST rule: {leaf.sql('spark')} must compare table {sources[alias].name} with a table before it"
            for side in sides:
                table = sources[side.table]
                if side.name not in table.policy["joinColumns"]:
                    yield f"LIST rule: column {side.name} of table {table.name} is not allowed in ON: not a join column"
        seen.add(alias)


def join_leaves(condition: exp.Expr) -> Iterator[exp.Expr]:
    """Yield the comparisons of a join condition."""
    if isinstance(condition, exp.And | exp.Or):
        yield from join_leaves(condition.this)
        yield from join_leaves(condition.expression)
    elif isinstance(condition, exp.Paren):
        yield from join_leaves(condition.this)
    else:
        yield condition


RuleCheck = Callable[[exp.Select, Mapping[str, RoomTable], str], exp.Select]
RULE_CHECKS: dict[str, RuleCheck] = {"LIST": check_list}


def duckdb_type(glue_type: str) -> str | None:
    """DuckDB's name of a Glue type; None for nested types and those not known."""
    name, _, size = glue_type.strip().lower().partition("(")
    if name in SIZED_TYPES and re.fullmatch(r"\d+\s*(,\s*\d+\s*)?\)", size or "10,0)"):
        return SIZED_TYPES[name] or f"DECIMAL({size or '10,0)'}"
    return None if size else GLUE_TYPES.get(name)
