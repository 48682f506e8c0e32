"""Protected queries: from an analysis to a checked plan.

Comes in: SQL or a template with its values, the tables of a collaboration with their analysis rules. Goes out: a plan
for DuckDB. Refused: everything that the rules do not allow. ``RULE_CHECKS`` is where a rule's checker plugs in.

Source: AWS Clean Rooms User Guide, "Analysis rules - list", "Custom analysis rule".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from sqlglot import ErrorLevel, exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.scope import Scope, traverse_scope

from pseg.local_aws.clean_rooms_sql import (
    Analysis,
    QueryRefused,
    RoomTable,
    bind,
    cast_as_spark,
    duckdb_type,
    literal,
    parse_query,
    resolve,
    tables_of,
)

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
CUSTOM_REFUSED: dict[type[exp.Expr], str] = {  # what DuckDB has not, or answers otherwise than Spark in silence
    exp.Anonymous: "a function that it does not know",
    exp.DayOfWeek: "a function that counts from another day",
    exp.Quantile: "a function that answers otherwise",
    exp.Parameter: "a parameter that is not written :name",
    exp.Version: "a version of a table",
    exp.UDTF: "rows from expressions",
    exp.Pivot: "PIVOT",
    exp.QueryTransform: "TRANSFORM",
    exp.TableSample: "TABLESAMPLE",
}


@dataclass(frozen=True)
class Plan:
    """A query that may run: its SQL for DuckDB, and the columns that it reads of each table."""

    sql: str
    reads: tuple[tuple[RoomTable, tuple[str, ...]], ...]


def prepare(analysis: Analysis, tables: Mapping[str, RoomTable]) -> Plan:
    """Check an analysis against the rules of the tables it names; translate it from its syntax tree (never its text).

    Parameters
    ----------
    analysis : Analysis
        What is to run, and who runs it.
    tables : mapping of lower-case name to RoomTable
        All tables of the collaboration.

    Raises
    ------
    QueryRefused
        With every violation found.
    """
    values = {name: literal(name, kind, text) for name, (kind, text) in analysis.parameters.items()}
    query = bind(parse_query(analysis.sql), values)
    used = {name: tables[name] for name in tables_of(query, tables)}
    violations = [
        f"table {table.name} is not ready for queries: {', '.join(table.not_ready)}"
        for table in used.values()
        if table.not_ready
    ]
    kinds = {table.rule_type for table in used.values() if table.rule_type}
    if len(kinds) > 1:
        violations.append(f"tables of different analysis rule types cannot be mixed: {', '.join(sorted(kinds))}")
    if violations:
        raise QueryRefused(*violations)
    check = RULE_CHECKS.get(kind := kinds.pop())
    if check is None:
        raise QueryRefused(f"this version of the embedded AWS does not run queries under {kind} rules yet")
    resolved = check(query, used, analysis)
    reads: dict[str, set[str]] = {name: set() for name in used}
    for scope in traverse_scope(resolved):
        for column in scope.columns:
            if isinstance(source := scope.sources.get(column.table), exp.Table):
                reads[source.name].add(column.name)
    nested = [
        f"column {column} of table {name} has the nested type {used[name].columns[column]}"
        for name, columns in reads.items()
        for column in sorted(columns)
        if not duckdb_type(used[name].columns[column])
    ]
    names = resolved.named_selects
    if twice := sorted({name for name in names if names.count(name) > 1}):
        nested.append(f"two columns of the result have the same name: {', '.join(twice)}; give one an alias")
    if nested:
        raise QueryRefused(*nested)
    ordered = resolved.order_by(*(str(position) for position in range(1, len(names) + 1)))
    try:
        text = ordered.sql(dialect="duckdb", identify=True, comments=False, unsupported_level=ErrorLevel.RAISE)
    except SqlglotError as error:
        raise QueryRefused(f"the embedded AWS cannot run this SQL as Spark would: {error}") from error
    # a table of which no column is read still gives its rows, so one column stands for them
    return Plan(
        text,
        tuple((used[name], tuple(sorted(columns or [*used[name].columns][:1]))) for name, columns in reads.items()),
    )


# -- LIST rules


def check_list(select: exp.Query, tables: Mapping[str, RoomTable], analysis: Analysis) -> exp.Query:
    """Apply LIST rules and return the resolved query.

    Raises
    ------
    QueryRefused
        With every violation found.
    """
    if not isinstance(select, exp.Select):
        raise QueryRefused("LIST rule: a query is exactly one SELECT statement")
    if analysis.template_arn:
        raise QueryRefused("LIST rule: analysis templates run only under CUSTOM rules")
    if violations := [*list_syntax(select)]:
        raise QueryRefused(*violations)
    resolved = resolve(select, tables, aliases=False)
    sources = {table.alias_or_name: tables[table.name] for table in resolved.find_all(exp.Table)}
    violations = [*list_output(resolved, sources), *list_joins(resolved, sources, analysis.runner)]
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


def list_output(select: exp.Query, sources: Mapping[str, RoomTable]) -> Iterator[str]:
    """Yield columns in SELECT and WHERE that are not list columns, and outputs that are not columns."""
    for output in select.expressions:
        if not isinstance(output.unalias(), exp.Column):
            yield f"LIST rule: {output.sql('spark')} is not allowed in select: only list columns are"
    where = select.args.get("where")
    places = [("select", output) for output in select.expressions] + ([("where", where)] if where else [])
    for place, node in places:
        for column in node.find_all(exp.Column):
            table = sources[column.table]
            if column.name in table.policy["listColumns"]:
                continue
            kind = "a join column" if column.name in table.policy["joinColumns"] else "not a list column"
            yield f"Column(s) [{column.name}] is not allowed in {place}: {kind} in the LIST rule of table {table.name}"


def list_joins(select: exp.Query, sources: Mapping[str, RoomTable], runner: str) -> Iterator[str]:
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


# -- CUSTOM rules


def check_custom(query: exp.Query, tables: Mapping[str, RoomTable], analysis: Analysis) -> exp.Query:
    """Apply CUSTOM rules and return the resolved query.

    Raises
    ------
    QueryRefused
        With every violation found.
    """
    if violations := [*custom_permission(tables, analysis), *custom_syntax(query)]:
        raise QueryRefused(*violations)
    resolved = resolve(query, tables, aliases=True)
    if violations := sorted(set().union(*origins(resolved, tables))):
        raise QueryRefused(*violations)
    cast_as_spark(resolved)
    return resolved


def custom_permission(tables: Mapping[str, RoomTable], analysis: Analysis) -> Iterator[str]:
    """Yield the tables whose rule allows neither this template nor any query of its author."""
    what = f"analysis template {analysis.template_arn}" if analysis.template_arn else "queries"
    for table in tables.values():
        allowed, providers = table.policy["allowedAnalyses"], table.policy.get("allowedAnalysisProviders", ())
        if analysis.template_arn not in allowed and not ("ANY_QUERY" in allowed and analysis.author in providers):
            yield f"CUSTOM rule of table {table.name} does not allow {what} of account {analysis.author}"


def custom_syntax(query: exp.Query) -> Iterator[str]:
    """Yield what the embedded AWS does not run."""
    for node in query.walk():
        for kind, what in CUSTOM_REFUSED.items():
            if isinstance(node, kind):
                yield f"the embedded AWS does not run {node.sql('spark', comments=False)[:80]} ({what})"
        if isinstance(node, exp.Select) and node.args.get("windows"):
            yield "the embedded AWS does not run a WINDOW clause; write the window behind OVER"
        if isinstance(node, exp.With) and node.recursive:
            yield "the embedded AWS does not run WITH RECURSIVE"
        if isinstance(node, exp.Star):
            whole = node.parent if isinstance(node.parent, exp.Column) else node
            if not isinstance(whole.parent, exp.Select | exp.Count):
                yield "a star stands only in SELECT and in COUNT(*)"
    for output in query.selects:
        if not output.output_name and not output.is_star:
            yield f"{output.sql('spark', comments=False)[:80]} needs a name: give it an alias"


def origins(query: exp.Query, tables: Mapping[str, RoomTable]) -> list[set[str]]:
    """Tell for each output column which disallowed columns it is made from, through whatever subqueries.

    User Guide, "Custom analysis rule", disallowed output columns: they may be joined on and filtered by.
    """
    scopes = traverse_scope(query)
    owners = {id(column): scope for scope in scopes for column in scope.columns if column.table in scope.sources}
    made: dict[int, list[set[str]]] = {}

    def outputs(scope: Scope) -> list[exp.Expr]:
        return scope.expression.selects if isinstance(scope.expression, exp.Query) else []

    def origin(column: exp.Column) -> set[str]:
        source = owners[id(column)].sources[column.table]
        if isinstance(source, Scope):
            return made[id(source)][[one.alias_or_name for one in outputs(source)].index(column.name)]
        why = f"disallowed by the CUSTOM rule of table {source.name}"
        disallowed = column.name in tables[source.name].policy.get("disallowedOutputColumns", ())
        return {f"Column(s) [{column.name}] is not allowed in select: {why}"} if disallowed else set()

    for scope in scopes:
        parts = [made[id(part)] for part in scope.set_operation_scopes] or [
            [set().union(*map(origin, output.find_all(exp.Column))) for output in outputs(scope)]
        ]
        made[id(scope)] = [set().union(*same) for same in zip(*parts, strict=False)]
    return made[id(scopes[-1])]


RuleCheck = Callable[[exp.Query, Mapping[str, RoomTable], Analysis], exp.Query]
RULE_CHECKS: dict[str, RuleCheck] = {"LIST": check_list, "CUSTOM": check_custom}
