"""Aggregation thresholds and comparison controls of CUSTOM rules: the SQL that they narrow.

Comes in: a query under inspection and its tables that carry such controls. Goes out: violations. Comparisons
are found wherever they hide (CASE, IN, LIKE, NULLIF, USING), and a column is followed through every alias.
Source: AWS Clean Rooms User Guide, "Minimum aggregation thresholds", "Comparison controls", "SQL capabilities for
minimum aggregation and comparison controls"; API reference, ComparisonControls.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp
from sqlglot.tokenizer_core import TokenType

from clean_rooms.analysis_rules.comparisons import comparisons, grouping_keys
from clean_rooms.analysis_rules.functions import AGGREGATES, COMPANY, NEEDS_COMPANY, NOT_UNDER_CONTROLS, function_name
from clean_rooms.analysis_rules.inspection import Inspection
from clean_rooms.analysis_rules.lineage import Origin
from clean_rooms.analysis_rules.tables import RuleTable
from clean_rooms.analysis_rules.verdict import Violation

CAPABILITIES = "User Guide, SQL capabilities for minimum aggregation and comparison controls"
NARROWED: dict[type[exp.Expr], str] = {
    exp.Cube: "CUBE",
    exp.Rollup: "ROLLUP",
    exp.GroupingSets: "GROUPING SETS",
    exp.Exists: "EXISTS",
    exp.Sort: "SORT BY",
    exp.Cluster: "CLUSTER BY",
    exp.Distribute: "DISTRIBUTE BY",
    exp.Lateral: "LATERAL",
    exp.Except: "EXCEPT",
    exp.Intersect: "INTERSECT",
    exp.Offset: "OFFSET",
}


def has_controls(table: RuleTable) -> bool:
    """Tell whether a rule has thresholds or comparison controls."""
    return bool(table.policy.get("aggregationThresholds")) or table.policy.get("comparisonControls") is not None


def identity_columns(table: RuleTable) -> frozenset[str]:
    """Columns whose distinct values a threshold counts."""
    return frozenset(
        str(column).lower()
        for threshold in table.policy.get("aggregationThresholds") or ()
        for column in threshold["identityColumns"]
    )


def check_controls(case: Inspection, controlled: list[RuleTable]) -> Iterator[Violation]:
    """Yield every violation of thresholds and comparison controls."""
    yield from check_syntax(case, controlled[0])
    if with_threshold := [table for table in controlled if table.policy.get("aggregationThresholds")]:
        yield from check_company(case, with_threshold[0])
        for table in with_threshold:
            if "COLUMNS_ONLY" in {t.get("allowedAggregateExpressionType") for t in thresholds_of(table)}:
                yield from check_columns_only(case, table)
                break
    for comparison in comparisons(case):
        for origin in sorted(comparison.with_literal):
            yield from check_literal(case, origin, comparison.node, comparison.is_indirect)
        for origin in sorted(comparison.with_column):
            yield from check_column(case, origin, comparison.node)
    for node, origin in grouping_keys(case):
        yield from check_key(case, origin, node)


def thresholds_of(table: RuleTable) -> list[dict[str, str]]:
    """Thresholds of a rule."""
    return list(table.policy.get("aggregationThresholds") or ())


def check_syntax(case: Inspection, table: RuleTable) -> Iterator[Violation]:
    """Yield syntax and functions that the controls exclude."""
    rule = f"{CAPABILITIES}; {table.name}, owned by {table.owner}, has such controls"
    for node in case.parsed.tree.walk() if case.parsed.tree else ():
        name = function_name(node)
        words = NARROWED.get(type(node), "")
        is_unsure = False
        if isinstance(node, exp.Join) and node.kind in ("SEMI", "ANTI"):
            words, node = f"LEFT {node.kind} JOIN", node.this
        elif isinstance(node, exp.NullSafeEQ):
            is_unsure = not any(token.token_type == TokenType.NULLSAFE_EQ for token in case.parsed.tokens)
            words = "IS NOT DISTINCT FROM" if is_unsure else "<=>"
        elif name in NOT_UNDER_CONTROLS:
            words = name
        if words:
            place = case.parsed.place_of_head(node if case.parsed.place(node).length > 1 else node.parent or node)
            what = f"{words} is not supported with thresholds or comparison controls"
            code = "controls-function" if name else "controls-syntax"
            yield case.violation(code, place, what, "write it without", table=table, rule=rule, is_unsure=is_unsure)


def check_company(case: Inspection, table: RuleTable) -> Iterator[Violation]:
    """Yield MIN, MAX and the like in the final SELECT without AVG, COUNT or SUM beside them."""
    for block in case.resolution.final_blocks():
        calls = [(function_name(node), node) for item in block.select.expressions for node in item.walk()]
        if COMPANY & {name for name, _ in calls}:
            continue
        for name, node in calls:
            if name in NEEDS_COMPANY:
                what = f"{name} in the final SELECT must stand next to AVG, COUNT or SUM"
                fix = "select COUNT(*), too"
                yield case.violation(
                    "threshold-needs-aggregate", node, what, fix, table=table, field="aggregationThresholds"
                )


def check_columns_only(case: Inspection, table: RuleTable) -> Iterator[Violation]:
    """Yield aggregates of anything but a column or a constant."""
    for node in case.parsed.tree.walk() if case.parsed.tree else ():
        if function_name(node) not in AGGREGATES:
            continue
        arguments = [node.this, *(node.args.get("expressions") or [])]
        parts = [
            part.unnest()
            for argument in arguments
            if isinstance(argument, exp.Expr)
            for part in (argument.expressions if isinstance(argument, exp.Distinct) else [argument])
        ]
        for part in parts:
            if isinstance(part, exp.Star) or not part.find(exp.Column, exp.Query):
                continue
            is_column = isinstance(part, exp.Column)
            if is_column and id(part) in case.resolution.bare:
                continue
            what = "an aggregate may take a column only, no expression"
            if is_column:
                what = "this column is computed elsewhere in the query; the documents do not say whether that counts"
            rule = table.says("allowedAggregateExpressionType", "COLUMNS_ONLY")
            yield case.violation(
                "threshold-columns-only", node, what, "aggregate the column itself", table=table, rule=rule,
                is_unsure=is_column,
            )  # fmt: skip


def check_literal(case: Inspection, origin: Origin, node: exp.Expr, is_indirect: bool) -> Iterator[Violation]:
    """Yield a column that may not be compared with a literal."""
    table = case.table(origin.table)
    fix = "compare another column, or leave the comparison out"
    aside = "; through an aggregate or a computed column the documents do not say" if is_indirect else ""
    if origin.column in identity_columns(table):
        what = f"identity column {origin.column} may never be compared with a literal{aside}"
        rule = table.says("aggregationThresholds.identityColumns", sorted(identity_columns(table)))
        yield case.violation("identity-literal", node, what, fix, origin=origin, rule=rule, is_unsure=is_indirect)
        return
    controls = table.policy.get("comparisonControls")
    if controls is None:
        return
    names = controls["allowedLiteralComparisonColumns"]
    if origin.column not in {str(name).lower() for name in names}:
        what = f"{origin.column} may not be compared with a literal{aside}"
        rule = table.says("allowedLiteralComparisonColumns", names)
        yield case.violation("comparison-literal", node, what, fix, origin=origin, rule=rule, is_unsure=is_indirect)


def check_column(case: Inspection, origin: Origin, node: exp.Expr) -> Iterator[Violation]:
    """Yield a column that may not be compared with another."""
    table = case.table(origin.table)
    controls = table.policy.get("comparisonControls")
    if controls is None:
        return
    names = controls["allowedColumnComparisonColumns"]
    if origin.column not in {str(name).lower() for name in names}:
        what = f"{origin.column} may not be compared with a column"
        rule = table.says("allowedColumnComparisonColumns", names)
        fix = "compare another column, or leave the comparison out"
        yield case.violation("comparison-column", node, what, fix, origin=origin, rule=rule)


def check_key(case: Inspection, origin: Origin, node: exp.Expr) -> Iterator[Violation]:
    """Yield a key of GROUP BY or a window that is not listed for columns; one listed for literals only is unsure."""
    table = case.table(origin.table)
    controls = table.policy.get("comparisonControls")
    if controls is None:
        return
    by_column = {str(name).lower() for name in controls["allowedColumnComparisonColumns"]}
    by_literal = {str(name).lower() for name in controls["allowedLiteralComparisonColumns"]}
    if origin.column in by_column:
        return
    is_open = origin.column in by_literal
    what = f"{origin.column} may not be grouped or ordered by"
    if is_open:
        what = f"{origin.column} is listed for literals only; the documents contradict each other on grouping by it"
    rule = table.says("allowedColumnComparisonColumns", controls["allowedColumnComparisonColumns"])
    fix = f"ask {table.owner} to list it in both"
    yield case.violation("comparison-grouping", node, what, fix, origin=origin, rule=rule, is_unsure=is_open)
