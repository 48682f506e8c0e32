"""WHERE under LIST and AGGREGATION rules: allowed columns, mathematics, literals, the listed comparisons, AND and OR.

Source: AWS Clean Rooms User Guide, "Analysis rules - list" and "- aggregation", where_condition.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from clean_rooms.analysis_rules.functions import INVISIBLE, function_name
from clean_rooms.analysis_rules.grammar import ARITHMETIC
from clean_rooms.analysis_rules.inspection import Inspection
from clean_rooms.analysis_rules.verdict import Violation

COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE)
LOGIC = (exp.Where, exp.And, exp.Or, exp.Not, exp.Paren)
OPERATORS = "WHERE: =, >, <, <=, >=, <>, !=, NOT, IN, NOT IN, LIKE, IS NULL, IS NOT NULL, AND, OR"


def check_where(case: Inspection, where: exp.Where, prefix: str, columns_field: str) -> Iterator[Violation]:
    """Yield what is wrong with a WHERE, but for functions, which each rule judges itself.

    Parameters
    ----------
    prefix : str
        ``list`` or ``aggregation``.
    columns_field : str
        The list of the rule that holds the columns one may filter by.
    """
    rule = f"{prefix.upper()} {OPERATORS}"
    kind = columns_field.removesuffix("Columns")
    for node in where.walk(prune=lambda node: stops(case, node)):
        if isinstance(node, exp.Column):
            for origin in sorted(case.origins(node)):
                table = case.table(origin.table)
                if origin.column in table.listed(columns_field):
                    continue
                is_join = origin.column in table.listed("joinColumns")
                code = f"{prefix}-where-{'join-column' if is_join else f'not-{kind}-column'}"
                what = f"{'a join column' if is_join else origin.column} may not be filtered by"
                allowed = ", ".join(sorted(table.listed(columns_field))) or "none"
                fix = f"filter by a {kind} column of {table.name}: {allowed}"
                yield case.violation(code, node, what, fix, field=columns_field, origin=origin)
        elif isinstance(node, exp.Query | exp.Exists):
            what = "a subquery is not allowed"
            yield case.violation(f"{prefix}-subquery", node, what, "write one plain SELECT", rule=rule)
        elif not is_known(case, node):
            what = f"{describe(node)} is not among the operators of WHERE"
            is_open = isinstance(node, exp.Between | exp.Boolean | exp.Cast)
            fix = "write it with the listed operators, such as a >= 1 AND a <= 2"
            yield case.violation(f"{prefix}-where-operator", node, what, fix, rule=rule, is_unsure=is_open)


def stops(case: Inspection, node: exp.Expr) -> bool:
    """Tell nodes that are judged as a whole."""
    return isinstance(node, exp.Column | exp.Query | exp.Exists) or case.parsed.is_typed_literal(node)


def is_known(case: Inspection, node: exp.Expr) -> bool:
    """Tell whether WHERE takes such a node; functions are judged elsewhere."""
    if case.parsed.is_typed_literal(node):
        return False
    if isinstance(node, exp.Is):
        return isinstance(node.expression, exp.Null)
    if isinstance(node, exp.Like):
        return isinstance(node.expression, exp.Literal)
    if isinstance(node, exp.In):
        return not node.args.get("query")
    if isinstance(node, exp.Null):
        return isinstance(node.parent, exp.Is)
    plain = (*COMPARISONS, *LOGIC, *ARITHMETIC, exp.Neg, exp.Literal, exp.Placeholder)
    helpers = (exp.DataType, exp.DataTypeParam, exp.Var, exp.Identifier, *INVISIBLE)
    return isinstance(node, (*plain, *helpers)) or function_name(node) is not None


def describe(node: exp.Expr) -> str:
    """Name a node of a condition for people."""
    names: dict[type[exp.Expr], str] = {
        exp.Between: "BETWEEN",
        exp.Boolean: "TRUE or FALSE",
        exp.Cast: "a typed literal",
        exp.Null: "NULL",
    }
    return names.get(type(node), type(node).__name__.upper())
