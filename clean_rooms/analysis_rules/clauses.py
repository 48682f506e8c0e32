"""Clauses that LIST and AGGREGATION rules leave out of their query structure, and where they stand in the SQL.

Source: AWS Clean Rooms User Guide, "Analysis rules - list" and "- aggregation", query structure and syntax.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp
from sqlglot.tokenizer_core import TokenType

from clean_rooms.analysis_rules.inspection import Inspection
from clean_rooms.analysis_rules.verdict import Place, Violation

STRUCTURE = {
    "list": "LIST query structure: SELECT DISTINCT ... FROM ... INNER JOIN ... ON ... [WHERE ...] [LIMIT n]",
    "aggregation": "AGGREGATION query structure: SELECT ... FROM ... [JOIN ...] [WHERE ...] [GROUP BY ...] [HAVING ...]"
    " [ORDER BY ...]",
}
CLAUSES = {  # argument of SELECT: code, words, token
    "with_": ("cte", "WITH (a CTE)", TokenType.WITH),
    "group": ("group-by", "GROUP BY", TokenType.GROUP_BY),
    "having": ("having", "HAVING", TokenType.HAVING),
    "order": ("order-by", "ORDER BY", TokenType.ORDER_BY),
    "limit": ("limit", "LIMIT", TokenType.LIMIT),
    "offset": ("offset", "OFFSET", TokenType.OFFSET),
    "windows": ("window", "WINDOW", TokenType.WINDOW),
    "laterals": ("lateral-view", "LATERAL VIEW", TokenType.LATERAL),
    "sort": ("sort-by", "SORT BY", TokenType.SORT_BY),
    "cluster": ("cluster-by", "CLUSTER BY", TokenType.CLUSTER_BY),
    "distribute": ("distribute-by", "DISTRIBUTE BY", TokenType.DISTRIBUTE_BY),
}


def one_select(case: Inspection) -> exp.Select | None:
    """Return the query if it is one SELECT, maybe in brackets."""
    tree = case.parsed.tree
    while isinstance(tree, exp.Subquery) and not any(tree.args.get(name) for name in ("with_", "order", "limit")):
        tree = tree.this
    return tree if isinstance(tree, exp.Select) else None


def extra_syntax(
    case: Inspection, select: exp.Select | None, prefix: str, allowed: frozenset[str]
) -> Iterator[Violation]:
    """Yield what the rule's query structure has no place for.

    Parameters
    ----------
    allowed : frozenset of str
        The clauses that the structure has, as arguments of SELECT.
    """
    rule = STRUCTURE[prefix]
    tree = case.parsed.tree
    if tree is not None and select is None:
        kind = "a set operation" if tree.find(exp.SetOperation) else "a query around another"
        what = f"{kind} is not allowed"
        place: Place = case.parsed.word(TokenType.UNION, TokenType.INTERSECT, TokenType.EXCEPT)
        yield case.violation(f"{prefix}-set-operation", place, what, "write one plain SELECT", rule=rule)
        return
    if select is None:
        return
    if tree is not select:
        what = "the documents do not say whether a query in brackets is taken under this rule"
        place = case.parsed.word(TokenType.L_PAREN)
        fix = "leave the brackets out"
        yield case.violation(f"{prefix}-brackets", place, what, fix, rule=rule, is_unsure=True)
    for name, (code, words, token) in CLAUSES.items():
        clause = select.args.get(name)
        if clause and name not in allowed:
            node = clause[0] if isinstance(clause, list) else clause
            place = case.parsed.word_before(node, token)
            what = f"{words} is not allowed"
            yield case.violation(f"{prefix}-{code}", place, what, f"leave {words} out", rule=rule)
    for source in select.find_all(exp.Subquery, exp.Values, exp.Lateral):
        if isinstance(source.parent, exp.From | exp.Join):
            what = "only tables may stand here, no subquery and no list of values"
            fix = "join the tables themselves"
            yield case.violation(f"{prefix}-subquery", case.parsed.place(source), what, fix, rule=rule)
    if hint := select.args.get("hint"):
        what = "the documents do not say whether hints are taken under this rule"
        yield case.violation(
            f"{prefix}-hint", case.parsed.place(hint), what, "leave the hint out", rule=rule, is_unsure=True
        )
