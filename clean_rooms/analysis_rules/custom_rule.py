"""The CUSTOM rule: who may run which analysis, and columns that may not reach the output.

Comes in: a query under inspection whose tables all have CUSTOM rules. Goes out: violations, and the thresholds that
drop rows from the result. A column reaches the output by lineage, whatever aliases and subqueries it passes.
Source: AWS Clean Rooms User Guide, "Analysis rules - custom", "Configured table disallowed columns"; API reference,
AnalysisRuleCustom.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlglot import exp
from sqlglot.tokenizer_core import TokenType

from clean_rooms.analysis_rules.controls import check_controls, has_controls
from clean_rooms.analysis_rules.differential_privacy import check_differential_privacy, privacy_column
from clean_rooms.analysis_rules.inspection import Inspection
from clean_rooms.analysis_rules.tables import RuleTable
from clean_rooms.analysis_rules.verdict import OutputConstraint, Violation


def check_custom(case: Inspection, privacy_budget: Sequence[Mapping[str, Any]] | None) -> Iterator[Violation]:
    """Yield every violation of CUSTOM rules."""
    for table in case.tables:
        yield from check_permission(case, table)
    yield from check_disallowed(case)
    yield from check_bare_texts(case)
    controlled = [table for table in case.tables if has_controls(table)]
    protected = [table for table in case.tables if privacy_column(table)]
    if controlled and protected:
        what = "thresholds or comparison controls and differential privacy can't be used in one query"
        fix = f"leave {controlled[0].name} or {protected[0].name} out"
        place = case.parsed.word(TokenType.SELECT)
        yield case.violation("controls-with-dp", place, what, fix, table=protected[0], field="differentialPrivacy")
    if controlled:
        yield from check_controls(case, controlled)
    if protected:
        yield from check_differential_privacy(case, protected, privacy_budget)


def check_permission(case: Inspection, table: RuleTable) -> Iterator[Violation]:
    """Yield why this query or template may not run on a table."""
    place = case.parsed.word(TokenType.SELECT)
    allowed = [str(item) for item in table.policy["allowedAnalyses"]]
    providers = [str(item) for item in table.policy.get("allowedAnalysisProviders") or ()]
    if not allowed:
        what = f"{table.name} allows no analysis"
        fix = f"ask {table.owner} to allow a template"
        yield case.violation("custom-no-analyses", place, what, fix, table=table, field="allowedAnalyses")
    elif case.template is not None:
        arn, author = str(case.template["arn"]), str(case.template.get("creatorAccountId") or "")
        if arn in allowed or ("ANY_QUERY" in allowed and author in providers):
            return
        what = f"the template is not among the analyses that {table.name} allows"
        fix = f"ask {table.owner} to add {arn} to allowedAnalyses (a new version of a template has a new ARN)"
        yield case.violation("custom-template-not-allowed", place, what, fix, table=table, field="allowedAnalyses")
    elif "ANY_QUERY" not in allowed:
        what = f"{table.name} allows templates only"
        fix = "run one of them"
        yield case.violation("custom-query-not-allowed", place, what, fix, table=table, field="allowedAnalyses")
    elif case.runner not in providers:
        what = f"queries on {table.name} by {case.runner} are not allowed"
        fix = f"ask {table.owner} to add {case.runner} to allowedAnalysisProviders"
        yield case.violation(
            "custom-provider-not-allowed", place, what, fix, table=table, field="allowedAnalysisProviders"
        )


def check_disallowed(case: Inspection) -> Iterator[Violation]:
    """Yield columns that contribute to the output and may not."""
    for output in case.resolution.root.outputs:
        for origin in sorted(output.origins):
            table = case.table(origin.table)
            if origin.column not in table.listed("disallowedOutputColumns"):
                continue
            written = [
                column
                for column in output.node.find_all(exp.Column)
                if origin in case.origins(column) and not isinstance(column.this, exp.Star)
            ]
            shown = output.name or output.node.sql("spark")[:40]
            way = "" if shown == origin.column else f" (it reaches the output as {shown})"
            what = f"{origin.column} of {table.name} may not contribute to the output{way}"
            fix = "drop it here; it may serve in joins and filters"
            place = case.parsed.place(written[0] if written else output.node)
            yield case.violation(
                "custom-disallowed-output", place, what, fix, field="disallowedOutputColumns", origin=origin
            )


def check_bare_texts(case: Inspection) -> Iterator[Violation]:
    """Yield text literals that stand alone in a SELECT list: the documents restrict them without saying how."""
    for block in case.resolution.blocks:
        for item in block.select.expressions:
            inner = item.unalias().unnest()
            if isinstance(inner, exp.Literal) and inner.is_string:
                what = "a text literal alone in a SELECT list is restricted; the documents do not say how"
                fix = f"write CAST({inner.sql('spark')} AS STRING)"
                rule = "SQL Reference, Literals"
                yield case.violation("bare-text", inner, what, fix, rule=rule, is_unsure=True)


def thresholds(case: Inspection) -> tuple[OutputConstraint, ...]:
    """Strictest aggregation threshold of each identity column, and those for single output columns."""
    minimums: dict[tuple[str, str, str], int] = {}
    for table in case.tables:
        for threshold in table.policy.get("aggregationThresholds") or ():
            (column,) = threshold["identityColumns"]
            wanted = {"": threshold["minimumIdentityCount"]}
            for one in threshold.get("outputColumnThresholds") or ():
                wanted[str(one["outputColumnName"]).lower()] = one["minimumIdentityCount"]
            for output, minimum in wanted.items():
                key = (table.name, str(column).lower(), output)
                minimums[key] = max(minimums.get(key, 0), int(minimum))
    return tuple(OutputConstraint(t, c, minimum, output) for (t, c, output), minimum in sorted(minimums.items()))
