"""Protected queries: from an analysis to a checked plan.

Comes in: SQL or a template with its values, and what the API says of the tables of a collaboration. Goes out: a plan
for DuckDB, made from the syntax tree that the checker of analysis rules allowed (``clean_rooms.analysis_rules``).
Refused: what that checker refuses, with what it cannot tell marked as such, and what DuckDB would answer otherwise.

Source: AWS Clean Rooms User Guide, "Analysis rules"; "Output constraints" of aggregation rules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlglot import ErrorLevel, exp, tokenize
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.scope import traverse_scope

from clean_rooms.analysis_rules import OutputConstraint, Violation, check
from clean_rooms.analysis_rules.enforcement import NotEnforceable, apply_filters, mark_filters
from clean_rooms.analysis_rules.privacy_noise import NoisyQuery, PrivacyBudget, add_noise, user_column
from pseg.local_aws.clean_rooms_sql import QueryRefused, RoomTable, cast_as_spark, duckdb_type, not_run, resolve

SERVICE_TEXTS = {  # the two that are published, by the checker's codes
    "Column(s) [{}] is not allowed in select": (
        *("list-select-join-column", "list-select-not-list-column", "custom-disallowed-output"),
        *("aggregation-select-join-column", "aggregation-select-not-dimension-column"),
    ),
    "Inner join to query runner table required for table members": (
        *("list-needs-join", "list-overlap", "aggregation-join-required"),
    ),
}


@dataclass(frozen=True)
class Analysis:
    """What is to run: SQL of the runner's own or of a template with its values, who runs it, who receives the result.

    ``template`` is as GetCollaborationAnalysisTemplate gives it.
    """

    sql: str
    runner: str
    template: Mapping[str, Any] | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """A query that may run: its SQL for DuckDB, and the columns that it reads of each table.

    ``groups`` has SQL for one row, for each SELECT that is filtered: how many groups there are, how many are left out,
    how many break each of its constraints, by the rule ``left_out_by``. ``limits`` scales the noise of ``noisy``.
    """

    sql: str
    reads: tuple[tuple[RoomTable, tuple[str, ...]], ...]
    groups: tuple[tuple[str, tuple[OutputConstraint, ...]], ...] = ()
    left_out_by: str = ""
    noisy: NoisyQuery | None = None
    limits: str = ""


def prepare(
    analysis: Analysis,
    receivers: Sequence[str],
    tables: Mapping[str, RoomTable],
    schemas: Sequence[Mapping[str, Any]],
    budget: PrivacyBudget | None = None,
) -> Plan:
    """Check an analysis against the rules of the tables it names; translate it from its syntax tree (never its text).

    Parameters
    ----------
    analysis : Analysis
        What is to run, and who runs it.
    receivers : sequence of str
        Accounts that receive the result.
    tables : mapping of lower-case name to RoomTable
        All tables of the collaboration.
    schemas : sequence of mappings
        Of each table ``schema`` and ``analysisRules``, as the API gives them.
    budget : PrivacyBudget, optional
        Of the collaboration.

    Raises
    ------
    QueryRefused
        With every violation found.
    """
    verdict = check(
        analysis.sql,
        schemas,
        analysis.runner,
        result_receivers=receivers,
        template=analysis.template,
        parameters=analysis.parameters,
        privacy_budget=[budget.summary] if budget else [],
    )
    if verdict.query is None:
        only_receivers = {one.code for one in verdict.violations} == {"receiver-not-allowed"}
        reason = "INVALID_CONFIGURATION" if only_receivers else "INVALID_QUERY"
        raise QueryRefused(*(sentence(one, analysis.sql) for one in verdict.violations), reason=reason)
    if any(token.text.upper() == "TRY_CAST" for token in tokenize(analysis.sql, read="spark")):
        raise QueryRefused("TRY_CAST is not part of the embedded AWS; CAST fails on a value that does not fit")
    try:
        mark_filters(verdict)
        user = user_column(verdict)
    except NotEnforceable as error:
        raise QueryRefused(f"the embedded AWS can't enforce the rules on this query: {error}") from error
    used = {name: tables[name] for name in verdict.tables}
    if refused := [*hiding(verdict.query, used), *unnamed(verdict.query), *not_run(verdict.query)]:
        raise QueryRefused(*refused)
    resolved = resolve(verdict.query, used, aliases=verdict.rule_type != "LIST")
    if refused := [*not_run(resolved), *twice_named(resolved)]:
        raise QueryRefused(*refused)
    cast_as_spark(resolved)
    groups = tuple((duckdb_sql(one.counts), one.constraints) for one in apply_filters(resolved))
    noisy = with_noise(resolved, user, budget, analysis) if user and budget else None
    reads: dict[str, set[str]] = {name: set() for name in used}
    for scope in [*traverse_scope(resolved), *(traverse_scope(noisy.limits) if noisy else [])]:
        for column in scope.columns:
            if isinstance(source := scope.sources.get(column.table), exp.Table):
                reads[source.name].add(column.name)
    if nested := [
        f"column {column} of table {name} has the nested type {used[name].columns[column]}"
        for name, columns in reads.items()
        for column in sorted(columns)
        if not duckdb_type(used[name].columns[column])
    ]:
        raise QueryRefused(*nested)
    ordered = (noisy.tree if noisy else resolved).order_by(
        *(str(position) for position in range(1, len(resolved.named_selects) + 1))
    )
    # a table of which no column is read still gives its rows, so one column stands for them
    return Plan(
        duckdb_sql(ordered),
        tuple((used[name], tuple(sorted(columns or [*used[name].columns][:1]))) for name, columns in reads.items()),
        groups,
        "aggregation thresholds" if verdict.rule_type == "CUSTOM" else "output constraints",
        noisy,
        duckdb_sql(noisy.limits) if noisy else "",
    )


def with_noise(query: exp.Query, user: tuple[str, str], budget: PrivacyBudget, analysis: Analysis) -> NoisyQuery:
    """Put noise on a query's totals.

    Raises
    ------
    QueryRefused
        If a total can't have any, or the budget has too little left for all of them together.
    """
    try:
        noisy = add_noise(query, user, budget.noise, f"{analysis.sql}/{budget.queries}")
    except NotEnforceable as error:
        raise QueryRefused(f"the embedded AWS can't enforce differential privacy on this query: {error}") from error
    if (cost := noisy.epsilon(budget.noise)) > budget.left + 1e-9:
        text = f"not enough aggregations left: the query takes {cost:.3f} of epsilon, the privacy budget has"
        raise QueryRefused(f"{text} {budget.left:.3f} left; ask for fewer aggregates, or wait for the refresh")
    return noisy


def sentence(violation: Violation, sql: str) -> str:
    """Write a violation as the service answers it: in its own words where they are published."""
    known = [f"{text.format(violation.column)}: " for text, codes in SERVICE_TEXTS.items() if violation.code in codes]
    doubt = "; not known whether AWS Clean Rooms runs it, so the embedded AWS does not" if violation.is_unsure else ""
    return f"{''.join(known)}{violation.describe(sql)}{doubt}; {violation.fix}"


def hiding(query: exp.Query, used: Mapping[str, RoomTable]) -> list[str]:
    """List the common table expressions that are named as a table that the query reads."""
    names = sorted({one.alias.lower() for one in query.find_all(exp.CTE)} & set(used))
    return [f"WITH {name}: a table of the collaboration has this name; choose another" for name in names]


def unnamed(query: exp.Query) -> list[str]:
    """List the outputs of a query, as written, that have no name."""
    texts = [one.sql("spark", comments=False)[:80] for one in query.selects if not one.output_name and not one.is_star]
    return [f"{text} needs a name: give it an alias" for text in texts]


def twice_named(query: exp.Query) -> list[str]:
    """List names that several outputs of a query have: a file cannot hold them."""
    names = query.named_selects
    twice = sorted({name for name in names if names.count(name) > 1})
    return [f"two columns of the result have the same name: {name}; give one an alias" for name in twice]


def duckdb_sql(query: exp.Query) -> str:
    """Write a resolved query for DuckDB.

    Raises
    ------
    QueryRefused
        If DuckDB has no way to say a part of it.
    """
    try:
        return query.sql(dialect="duckdb", identify=True, comments=False, unsupported_level=ErrorLevel.RAISE)
    except SqlglotError as error:
        raise QueryRefused(f"the embedded AWS cannot run this SQL as Spark would: {error}") from error
