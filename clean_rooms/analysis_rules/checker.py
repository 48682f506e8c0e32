"""The one call, ``check``: may this query run on these tables.

Comes in: SQL and the API's answers. Goes out: a ``Verdict`` with every violation at once. Pure: no file, no network,
no clock. Refused: whatever breaks a rule, and whatever the checker does not know.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlglot import exp
from sqlglot.tokenizer_core import TokenType

from clean_rooms.analysis_rules import aggregation_rule, custom_rule, list_rule
from clean_rooms.analysis_rules.grammar import unknown_syntax
from clean_rooms.analysis_rules.inspection import Inspection
from clean_rooms.analysis_rules.parsing import ParsedQuery, lost_words, parse_query
from clean_rooms.analysis_rules.scope import resolve
from clean_rooms.analysis_rules.tables import RULE_FIELDS, RuleTable, read_tables, take
from clean_rooms.analysis_rules.templates import bind_parameters
from clean_rooms.analysis_rules.verdict import OutputConstraint, Place, Verdict, Violation
from contracts.errors import ContractError

TABLES_LIMIT = 15  # User Guide, "Quotas": configured tables per query; can be raised
NESTED = ("array", "map", "struct")


def check(
    sql: str,
    schemas: Sequence[Mapping[str, Any]],
    query_runner: str,
    *,
    result_receivers: Sequence[str] | None = None,
    template: Mapping[str, Any] | None = None,
    parameters: Mapping[str, str] | None = None,
    privacy_budget: Sequence[Mapping[str, Any]] | None = None,
) -> Verdict:
    """Check a query against the analysis rules of the tables it names.

    Parameters
    ----------
    sql : str
        One query in Clean Rooms' Spark SQL; of a template, its text.
    schemas : sequence of mappings
        Of each table of the collaboration: ``schema`` of GetSchema and ``analysisRules`` of GetSchemaAnalysisRule.
    query_runner : str
        Account id of the member who runs the query.
    result_receivers : sequence of str, optional
        Account ids of those who receive the result; by default the runner.
    template : mapping, optional
        ``collaborationAnalysisTemplate`` of GetCollaborationAnalysisTemplate, if the SQL is a template's.
    parameters : mapping of str to str, optional
        Values of the template's parameters.
    privacy_budget : sequence of mappings, optional
        ``privacyBudgetSummaries`` of ListCollaborationPrivacyBudgets or ListPrivacyBudgets; without it budgets are
        not looked at.

    Returns
    -------
    Verdict
        ``allowed`` only if nothing at all was found.

    Raises
    ------
    ContractError
        If the schemas, the template or the budgets have not the shape of the API's answers.
    """
    tables = read_tables(schemas)
    if template is not None:
        check_template(template, sql)
    for number, summary in enumerate(privacy_budget or ()):
        check_budget_summary(summary, f"privacyBudgetSummaries[{number}]")
    try:
        return inspect(parse_query(sql), tables, query_runner, result_receivers, template, parameters, privacy_budget)
    except RecursionError:
        what = "it is nested too deeply for the checker"
        return Verdict((Violation("sql-not-understood", what, "write it more simply", is_unsure=True),))


def inspect(
    parsed: ParsedQuery,
    tables: Mapping[str, RuleTable],
    runner: str,
    receivers: Sequence[str] | None,
    template: Mapping[str, Any] | None,
    parameters: Mapping[str, str] | None,
    budgets: Sequence[Mapping[str, Any]] | None,
) -> Verdict:
    """Check a parsed query."""
    if parsed.tree is None:
        return Verdict(parsed.violations)
    violations = [*parsed.violations, *bind_parameters(parsed, template, parameters), *unknown_syntax(parsed)]
    resolution = resolve(parsed, tables)
    columns = {column for table in resolution.tables.values() for column in table.columns}
    violations += [*resolution.violations, *lost_words(parsed, columns)]
    case = Inspection(parsed, resolution, runner, tuple(receivers or (runner,)), template)
    violations += check_tables(case)
    kinds = {table.rule_type for table in case.tables}
    kind = kinds.pop() if len(kinds) == 1 else ""
    constraints: tuple[OutputConstraint, ...] = ()
    if kind == "LIST":
        violations += [*list_rule.check_list(case), *nested_types(case)]
    elif kind == "AGGREGATION":
        violations += [*aggregation_rule.check_aggregation(case), *nested_types(case)]
        constraints = aggregation_rule.constraints(case)
    elif kind == "CUSTOM":
        violations += custom_rule.check_custom(case, budgets)
        constraints = custom_rule.thresholds(case)
    violations += check_access_budgets(case, budgets)
    ordered = tuple(sorted(dict.fromkeys(violations), key=lambda one: (one.place, one.code, one.table, one.column)))
    names = tuple(sorted(resolution.tables))
    allowed = (None, constraints, None) if ordered else (parsed.tree, constraints, resolution)
    return Verdict(ordered, names, kind, *allowed)


def check_tables(case: Inspection) -> Iterator[Violation]:
    """Yield what keeps the tables from being queried at all, or together."""
    select = case.parsed.word(TokenType.SELECT)
    places = {
        node.name.lower(): case.parsed.place(node.this)
        for node in (case.parsed.tree.find_all(exp.Table) if case.parsed.tree else ())
        if not node.find_ancestor(exp.Hint)
    }
    if not case.tables and not case.resolution.violations:
        yield Violation("no-table", "the query reads no table of the collaboration", "read one", select)
    if len(case.tables) > TABLES_LIMIT:
        what = f"{len(case.tables)} tables, the limit is {TABLES_LIMIT}"
        rule = "User Guide, Quotas: configured tables per query (can be raised)"
        yield Violation("too-many-tables", what, "read fewer, or have the quota raised", select, rule)
    kinds = sorted({table.rule_type for table in case.tables if table.rule_type})
    if len(kinds) > 1:
        what = f"tables under different rules can't be read together: {', '.join(kinds)}"
        rule = "User Guide, Analysis rules: one rule type per query"
        yield Violation("mixed-rule-types", what, "read tables of one rule type", select, rule)
    if case.template is not None and kinds not in ([], ["CUSTOM"]):
        what = f"analysis templates run under CUSTOM rules only, not under {', '.join(kinds)}"
        yield Violation("template-needs-custom", what, "send the SQL itself", select, "User Guide, Analysis templates")
    for table in case.tables:
        for violation in check_table(case, table):
            yield replace(violation, place=places.get(table.name, Place()))


def check_table(case: Inspection, table: RuleTable) -> Iterator[Violation]:
    """Yield what keeps one table from being queried, or its rows from reaching the receivers."""
    place = Place()
    if not table.rule_type:
        what = f"{table.name} has no analysis rule"
        rule = f"{table.name}, owned by {table.owner}: ANALYSIS_RULE_MISSING"
        yield case.violation("no-rule", place, what, f"ask {table.owner} to add one", table=table, rule=rule)
        return
    if table.rule_type not in RULE_FIELDS:
        what = f"the checker does not know {table.rule_type} rules"
        fix = "leave the table out, or ask the service"
        yield case.violation("unknown-rule-type", place, what, fix, table=table, rule=table.rule_type, is_unsure=True)
        return
    for reason in table.not_ready:
        what = f"{table.name} is not ready for queries: {reason}"
        rule = f"{table.name}, owned by {table.owner}: schemaStatusDetails {reason}"
        yield case.violation("table-not-ready", place, what, f"ask {table.owner} to mend it", table=table, rule=rule)
    if not table.takes_sql:
        what = f"{table.name} is for jobs, not for queries"
        fix = f"ask {table.owner} to allow DIRECT_QUERY"
        rule = f"{table.name}, owned by {table.owner}: analysisMethod DIRECT_JOB"
        yield case.violation("no-direct-query", place, what, fix, table=table, rule=rule)
    if table.policy.get("additionalAnalyses") == "REQUIRED":
        what = f"{table.name} serves further analyses only: no result may leave directly"
        fix = "use it as input of a model"
        yield case.violation("no-direct-result", place, what, fix, table=table, field="additionalAnalyses")
    if not table.receivers:
        code = "RESULT_RECEIVERS_NOT_CONFIGURED"
        code = "COLLABORATION_ANALYSIS_RULE_NOT_CONFIGURED" if table.receivers is None else code
        what = f"{table.name} lets nobody receive results"
        fix = f"ask {table.owner} to set allowedResultReceivers"
        rule = f"{table.name}, owned by {table.owner}: {code}"
        yield case.violation("no-receivers", place, what, fix, table=table, rule=rule)
        return
    for receiver in sorted(set(case.receivers) - table.receivers):
        what = f"{receiver} may not receive results of {table.name}"
        fix = f"ask {table.owner} to add {receiver}, or name another receiver"
        rule = table.says("allowedResultReceivers", sorted(table.receivers))
        yield case.violation("receiver-not-allowed", place, what, fix, table=table, rule=rule)


def nested_types(case: Inspection) -> Iterator[Violation]:
    """Yield columns of nested types, which only CUSTOM rules take."""
    for column in case.parsed.tree.find_all(exp.Column) if case.parsed.tree else ():
        for origin in sorted(case.origins(column)):
            kind = case.table(origin.table).columns[origin.column]
            if kind.lower().startswith(NESTED):
                what = f"{origin.column} has the nested type {kind[:60]}"
                rule = "SQL Reference, Nested data types: under CUSTOM rules only"
                yield case.violation("nested-type", column, what, "leave it out", origin=origin, rule=rule)


def check_access_budgets(case: Inspection, budgets: Sequence[Mapping[str, Any]] | None) -> Iterator[Violation]:
    """Yield tables whose access budget is used up."""
    for one in budgets or ():
        access = one["budget"].get("accessBudget")
        for table in case.tables:
            is_its = access and table.resource_arn and access["resourceArn"] == table.resource_arn
            if is_its and access["aggregateRemainingBudget"] < 1:
                what = f"the access budget of {table.name} is used up"
                rule = f"ACCESS_BUDGET on {table.name}, owned by {table.owner}"
                place = case.parsed.word(TokenType.SELECT)
                yield case.violation("access-budget", place, what, "wait for its refresh", table=table, rule=rule)


def check_template(template: Mapping[str, Any], sql: str) -> None:
    """Refuse a template that is not one, or whose text is another.

    Raises
    ------
    ContractError
        If it lacks what the API gives, holds no SQL, or the SQL given is not its text.
    """
    arn = take(template, "arn", str, "template")
    if template.get("format", "SQL") != "SQL":
        raise ContractError(f"the template is {template['format']}, no SQL", where=arn, fix="run it as a job")
    text = (template.get("source") or {}).get("text")
    if text is not None and text.strip() != sql.strip():
        raise ContractError(
            "the SQL is not the template's text", where=arn, fix="give the text as it is in the template"
        )
    for one in template.get("analysisParameters") or ():
        take(one, "name", str, f"{arn}.analysisParameters")
        take(one, "type", str, f"{arn}.analysisParameters")


def check_budget_summary(summary: Mapping[str, Any], where: str) -> None:
    """Refuse a budget that is not as the API gives it.

    Raises
    ------
    ContractError
        If it lacks what the API gives.
    """
    budget = take(summary, "budget", Mapping, where)
    if (access := budget.get("accessBudget")) is not None:
        take(access, "resourceArn", str, where)
        take(access, "aggregateRemainingBudget", int, where)
    if (privacy := budget.get("differentialPrivacy")) is not None:
        for item in take(privacy, "aggregations", list, where):
            take(item, "type", str, where)
            take(item, "remainingCount", int, where)
