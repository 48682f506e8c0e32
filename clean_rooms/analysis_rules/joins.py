"""Joins under LIST and AGGREGATION rules: inner, on join columns, with the allowed operators, reaching the runner.

Source: AWS Clean Rooms User Guide, "Analysis rules - list" and "- aggregation", query structure and query controls.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from clean_rooms.analysis_rules.inspection import Inspection
from clean_rooms.analysis_rules.lineage import Block, Source
from clean_rooms.analysis_rules.tables import RuleTable
from clean_rooms.analysis_rules.verdict import Violation

SHAPE = "query structure: FROM table [INNER] JOIN table ON join column = join column"
DEFAULT_OPERATORS = ("AND",)  # API reference: the default where a rule names none
SHAPES = ("outer-join", "natural-join", "using", "cross-join", "on-not-equality", "on-same-side")
Pair = frozenset[str]


def check_joins(case: Inspection, block: Block, prefix: str) -> Iterator[Violation]:
    """Yield what is wrong with the joins of a block; codes begin with the rule's prefix."""
    earlier: list[str] = []
    for source in block.sources.values():
        if source.join is not None:
            yield from check_join(case, block, source, earlier, prefix)
        earlier.append(source.alias)


def check_join(case: Inspection, block: Block, source: Source, earlier: list[str], prefix: str) -> Iterator[Violation]:
    """Yield what is wrong with one join."""
    join = source.join
    if join is None:
        return
    rule = f"{prefix.upper()} {SHAPE}"
    fix = "write INNER JOIN ... ON join column = join column"
    if join.side or join.kind in ("OUTER", "SEMI", "ANTI"):
        what = f"a {' '.join(filter(None, (join.side, join.kind)))} join is not allowed, only an inner join"
        yield case.violation(f"{prefix}-outer-join", source.node, what, fix, table=source.table, rule=rule)
        return
    if join.method == "NATURAL":
        what = "a natural join is not in the query structure"
        yield case.violation(f"{prefix}-natural-join", source.node, what, fix, table=source.table, rule=rule)
        return
    if join.args.get("using"):
        what = "the documents do not say whether USING is taken for ON"
        yield case.violation(f"{prefix}-using", source.node, what, fix, table=source.table, rule=rule, is_unsure=True)
        return
    condition = join.args.get("on")
    if condition is None or join.kind == "CROSS":
        what = "a cross or comma join is not allowed, only an inner join with ON"
        yield case.violation(f"{prefix}-cross-join", source.node, what, fix, table=source.table, rule=rule)
        return
    yield from check_operators(case, block, condition, prefix)
    for leaf in leaves(condition):
        yield from check_comparison(case, block, leaf, source, earlier, prefix)


def check_operators(case: Inspection, block: Block, condition: exp.Expr, prefix: str) -> Iterator[Violation]:
    """Yield AND and OR that a table of the condition does not allow."""
    names = {origin.table for origin in case.resolution.origins_in(condition)}
    members = {table.name: table for table in block.tables if table.name in names}
    for operator in condition.find_all(exp.And, exp.Or):
        word = "AND" if isinstance(operator, exp.And) else "OR"
        for table in members.values():
            if word not in (table.policy.get("allowedJoinOperators") or DEFAULT_OPERATORS):
                what = f"{word} between join conditions is not allowed"
                fix = f"join on one pair of columns, or ask {table.owner} to allow {word}"
                yield case.violation(
                    f"{prefix}-join-operator", operator, what, fix, table=table, field="allowedJoinOperators"
                )


def check_comparison(
    case: Inspection, block: Block, leaf: exp.Expr, source: Source, earlier: list[str], prefix: str
) -> Iterator[Violation]:
    """Yield what is wrong with one comparison of a join condition."""
    rule = f"{prefix.upper()} {SHAPE}"
    sides = [leaf.this.unnest(), leaf.expression.unnest()] if isinstance(leaf, exp.EQ) else []
    if len(sides) != 2 or not all(isinstance(side, exp.Column) for side in sides):
        what = "only column = column is allowed in ON"
        fix = "compare two join columns; filter in WHERE"
        yield case.violation(f"{prefix}-on-not-equality", leaf, what, fix, table=source.table, rule=rule)
        return
    owners = [owner_of(case, block, side) for side in sides]
    if source.alias not in owners or not set(owners) & set(earlier):
        what = f"this must compare {source.alias} with a table before it"
        yield case.violation(
            f"{prefix}-on-same-side", leaf, what, "take one column from each side", table=source.table, rule=rule
        )
    for side in sides:
        for origin in sorted(case.origins(side)):
            table = case.table(origin.table)
            if origin.column not in table.listed("joinColumns"):
                fix = f"join on one of {table.says('joinColumns').rpartition(': ')[2]}"
                yield case.violation(
                    f"{prefix}-on-not-join-column",
                    side,
                    f"{origin.column} is not a join column",
                    fix,
                    field="joinColumns",
                    origin=origin,
                )


def owner_of(case: Inspection, block: Block, column: exp.Expr) -> str:
    """Alias of the source that a column comes from; empty if it is not one source's."""
    alias = column.args["table"].name.lower() if column.args.get("table") else ""
    if alias in block.sources:
        return alias
    name = column.name.lower()
    found = [s.alias for s in block.sources.values() if any(o.name == name for o in s.relation.outputs)]
    return found[0] if len(found) == 1 else ""


def leaves(condition: exp.Expr) -> Iterator[exp.Expr]:
    """Yield the comparisons of a condition."""
    if isinstance(condition, exp.And | exp.Or):
        yield from leaves(condition.this)
        yield from leaves(condition.expression)
    elif isinstance(condition, exp.Paren):
        yield from leaves(condition.this)
    else:
        yield condition


def joined_pairs(case: Inspection, block: Block, condition: exp.Expr) -> frozenset[Pair]:
    """Pairs of sources that a condition surely joins: of AND both sides count, of OR what both have."""
    if isinstance(condition, exp.Paren):
        return joined_pairs(case, block, condition.this)
    if isinstance(condition, exp.And | exp.Or):
        left = joined_pairs(case, block, condition.this)
        right = joined_pairs(case, block, condition.expression)
        return left | right if isinstance(condition, exp.And) else left & right
    if not isinstance(condition, exp.EQ):
        return frozenset()
    pair = frozenset(owner_of(case, block, side.unnest()) for side in (condition.this, condition.expression))
    return frozenset({pair}) if len(pair) == 2 and "" not in pair else frozenset()


def without_overlap(case: Inspection, block: Block) -> list[RuleTable]:
    """Tables that no chain of inner joins ties to a table of the query runner other than the source itself."""
    pairs: set[Pair] = set()
    for source in block.sources.values():
        if source.join is not None and not source.join.side and (condition := source.join.args.get("on")):
            pairs |= joined_pairs(case, block, condition)
    lonely: dict[str, RuleTable] = {}
    if any(source.table is None for source in block.sources.values()):
        return []
    for source in block.sources.values():
        reached, waiting = {source.alias}, [source.alias]
        while waiting:
            at = waiting.pop()
            waiting += [other for pair in pairs if at in pair for other in pair - reached]
            reached |= set(waiting)
        others = [block.sources[alias].table for alias in reached - {source.alias}]
        is_own = source.table is not None and source.table.owner == case.runner
        if source.table and not any(table and (is_own or table.owner == case.runner) for table in others):
            lonely[source.table.name] = source.table
    return list(lonely.values())
