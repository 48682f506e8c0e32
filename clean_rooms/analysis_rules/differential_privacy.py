"""Differential privacy of CUSTOM rules: the SQL that it takes, and whether the budget is enough.

Comes in: a query under inspection and its protected tables. Goes out: violations. A relation is protected if its rows
come from a protected table; a block that gives such rows on must give the user identifier with them.
Source: AWS Clean Rooms User Guide, "Differential privacy", "SQL capabilities of differential privacy",
"Limitations".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlglot import exp
from sqlglot.tokenizer_core import TokenType

from clean_rooms.analysis_rules.functions import AGGREGATES, ARRAYS, function_name
from clean_rooms.analysis_rules.grammar import wording
from clean_rooms.analysis_rules.inspection import Inspection
from clean_rooms.analysis_rules.joins import leaves
from clean_rooms.analysis_rules.lineage import Block, Origin, Relation
from clean_rooms.analysis_rules.tables import RuleTable
from clean_rooms.analysis_rules.verdict import Violation

SUBSET = "User Guide, SQL capabilities of differential privacy"
FINAL_AGGREGATES = frozenset({"AVG", "COUNT", "STDDEV", "STDDEV_POP", "STDDEV_SAMP", "SUM"})
BUDGET_TYPES = {"STDDEV_POP": "STDDEV", "STDDEV_SAMP": "STDDEV"}
TEXT_LIMIT_BYTES = (8_000, 90_000)  # User Guide, "Quotas": one table says the first, another the second


def privacy_column(table: RuleTable) -> Origin | None:
    """User identifier of a table under differential privacy."""
    columns = (table.policy.get("differentialPrivacy") or {}).get("columns") or ()
    return Origin(table.name, str(columns[0]["name"]).lower()) if columns else None


def check_differential_privacy(
    case: Inspection, protected: list[RuleTable], privacy_budget: Sequence[Mapping[str, Any]] | None
) -> Iterator[Violation]:
    """Yield every violation of differential privacy."""
    users = frozenset(filter(None, map(privacy_column, protected)))
    table = protected[0]
    owners = sorted({one.owner for one in protected})
    select = case.parsed.word(TokenType.SELECT)
    if len(owners) > 1:
        what = f"tables under differential privacy of two owners: {', '.join(owners)}"
        yield broken(case, "dp-two-owners", select, what, "query one owner's protected tables", table)
    for one in protected:
        if one.owner in case.receivers:
            what = f"{one.owner} receives the result and may not protect its own table {one.name} from itself"
            yield broken(case, "dp-own-table", select, what, "let another member receive the result", one)
    size = len(case.parsed.text.encode())
    if size > TEXT_LIMIT_BYTES[0]:
        what = f"the text has {size:,} bytes; the documents allow {' or '.join(f'{n:,}' for n in TEXT_LIMIT_BYTES)}"
        is_unsure = size <= TEXT_LIMIT_BYTES[1]
        yield broken(case, "dp-text-too-long", select, what, "shorten it", table, is_unsure)
    yield from check_final(case, table)
    final = {id(block) for block in case.resolution.root.blocks}
    for block in case.resolution.blocks:
        if id(block) not in final and reads(block, users):
            yield from check_inner(case, block, table, users)
        yield from check_joins(case, block, table, users)
    yield from check_everywhere(case, table, users)
    if privacy_budget is not None:
        yield from check_budget(case, table, privacy_budget)


def broken(
    case: Inspection, code: str, node: Any, what: str, fix: str, table: RuleTable, is_unsure: bool = False
) -> Violation:
    """Write a violation of differential privacy."""
    rule = f"{table.says('differentialPrivacy', 'on')}; {SUBSET}"
    return case.violation(code, node, what, fix, table=table, rule=rule, is_unsure=is_unsure)


def is_protected(relation: Relation, users: frozenset[Origin]) -> bool:
    """Tell whether the rows of a relation come from a protected table."""
    names = {user.table for user in users}
    if any(origin.table in names for output in relation.outputs for origin in output.origins):
        return True
    return any(reads(block, users) for block in relation.blocks)


def reads(block: Block, users: frozenset[Origin]) -> bool:
    """Tell whether a block reads protected rows."""
    names = {user.table for user in users}
    return any(
        (source.table is not None and source.table.name in names) or is_protected(source.relation, users)
        for source in block.sources.values()
    )


def final_calls(case: Inspection) -> list[tuple[str, exp.Expr]]:
    """List the aggregates of the final SELECT."""
    return [
        (name, node)
        for block in case.resolution.root.blocks
        for item in block.select.expressions
        for node in item.walk()
        if (name := function_name(node)) in AGGREGATES
    ]


def check_final(case: Inspection, table: RuleTable) -> Iterator[Violation]:
    """Yield what is wrong with the final SELECT: aggregates and grouping expressions only, of the listed kinds."""
    if case.parsed.tree is not None and isinstance(case.parsed.tree.unnest(), exp.SetOperation):
        place = case.parsed.word(TokenType.UNION, TokenType.INTERSECT, TokenType.EXCEPT)
        yield broken(case, "dp-set-operation", place, "a set operation may stand in a CTE only", "move it", table)
    calls = final_calls(case)
    if not calls:
        place = case.parsed.word(TokenType.SELECT)
        what = "the final SELECT must aggregate"
        yield broken(case, "dp-needs-aggregate", place, what, "select COUNT, SUM, AVG or STDDEV", table)
    for name, node in calls:
        if name not in FINAL_AGGREGATES:
            what = f"{name} is not among COUNT, SUM, AVG, STDDEV in the final SELECT"
            yield broken(case, "dp-final-aggregate", node, what, "use one of those", table)
    for block in case.resolution.root.blocks:
        group = block.select.args.get("group")
        keys = group.expressions if group else []
        if any(isinstance(key, exp.GroupingSets | exp.Cube | exp.Rollup) for key in keys):
            continue
        for number, item in enumerate(block.select.expressions, 1):
            inner = item.unalias().unnest()
            if any(function_name(node) in AGGREGATES for node in inner.walk()) or not inner.find(exp.Column):
                continue
            names = {inner.sql("spark").lower(), str(number), item.alias_or_name.lower()}
            if calls and not names & {key.sql("spark").lower() for key in keys}:
                what = "what is selected beside aggregates must stand in GROUP BY"
                yield broken(case, "dp-not-grouped", item, what, "add it to GROUP BY", table)
        for window in (w for item in block.select.expressions for w in item.find_all(exp.Window)):
            what = "window functions may stand in CTEs only"
            yield broken(
                case, "dp-window", window, what, "move it to a CTE with the user identifier in PARTITION BY", table
            )


def check_inner(case: Inspection, block: Block, table: RuleTable, users: frozenset[Origin]) -> Iterator[Violation]:
    """Yield what is wrong with a CTE or subquery over protected rows: it must give user-level rows, all of them."""
    select = block.select
    named = ", ".join(sorted(f"{user.table}.{user.column}" for user in users))
    place = case.parsed.place(select.expressions[0])
    if not any(output.is_bare and output.origins & users for output in block.outputs):
        what = "a CTE or subquery over protected rows must select the user identifier"
        yield broken(case, "dp-user-level", place, what, f"select {named}, too", table)
    group = select.args.get("group")
    if group and not case.resolution.origins_in(group) & users:
        what = "a CTE or subquery over protected rows must group by the user identifier"
        yield broken(case, "dp-user-level", group, what, f"add {named} to GROUP BY", table)
    for name, token in (("limit", TokenType.LIMIT), ("offset", TokenType.OFFSET)):
        if clause := select.args.get(name):
            what = f"{name.upper()} may stand in the final SELECT only"
            yield broken(case, "dp-limit", case.parsed.word_before(clause, token), what, "leave it out here", table)
    for window in (w for item in select.expressions for w in item.find_all(exp.Window)):
        keys = window.args.get("partition_by") or []
        if not case.resolution.origins_in(*keys) & users:
            what = "a window over protected rows must have the user identifier in PARTITION BY"
            yield broken(case, "dp-window", window, what, f"add {named} to PARTITION BY", table)


def check_joins(case: Inspection, block: Block, table: RuleTable, users: frozenset[Origin]) -> Iterator[Violation]:
    """Yield joins of protected relations that are not equality on the user identifier alone."""
    earlier = False
    for source in block.sources.values():
        is_own = is_protected(source.relation, users)
        join = source.join
        if join is not None and (join.args.get("using") or join.method == "NATURAL"):
            what = "USING and NATURAL are to be written as ON"
            yield broken(case, "dp-using", source.node, what, "write ON a.id = b.id", table)
        elif join is not None and is_own and earlier:
            condition = join.args.get("on")
            if condition is None or join.kind == "CROSS":
                what = "a cross join of two protected relations"
                yield broken(case, "dp-cross-join", source.node, what, "join them on the user identifier", table)
            elif not all(on_user(case, leaf, users) for leaf in leaves(condition)) or condition.find(exp.Or):
                what = "protected relations are joined by equality of the user identifier only"
                yield broken(case, "dp-join-key", condition, what, "join on the user identifier alone", table)
        earlier = earlier or is_own


def on_user(case: Inspection, leaf: exp.Expr, users: frozenset[Origin]) -> bool:
    """Tell whether a comparison is user identifier = user identifier."""
    if not isinstance(leaf, exp.EQ):
        return False
    sides = [leaf.this.unnest(), leaf.expression.unnest()]
    return all(isinstance(side, exp.Column) and case.origins(side) and case.origins(side) <= users for side in sides)


def check_everywhere(case: Inspection, table: RuleTable, users: frozenset[Origin]) -> Iterator[Violation]:
    """Yield what is not taken anywhere: some groupings, array functions, protected tables in a condition's subquery."""
    names = {user.table for user in users}
    for node in case.parsed.tree.walk() if case.parsed.tree else ():
        name = function_name(node)
        if isinstance(node, exp.GroupingSets | exp.Cube | exp.Rollup):
            what = f"{wording(node)} is not supported"
            yield broken(case, "dp-group-by", node.parent or node, what, "group by plain expressions", table)
        elif name in ARRAYS:
            yield broken(
                case, "dp-array", case.parsed.place_of_head(node), f"{name} is not supported", "write it without", table
            )
        elif isinstance(node, exp.Select) and not is_source(node):
            inside = {origin.table for origin in case.resolution.origins_in(node)}
            inside |= {t.name for b in case.resolution.blocks if b.select is node for t in b.tables}
            if inside & names:
                what = "a subquery over a protected table may stand in FROM or JOIN only"
                yield broken(case, "dp-subquery", node, what, "join it", table)


def is_source(node: exp.Expr) -> bool:
    """Tell whether a SELECT is the query, a CTE, or stands in FROM or JOIN; else it is part of an expression."""
    parent = node.parent
    while isinstance(parent, exp.Subquery | exp.SetOperation):
        parent = parent.parent
    return parent is None or isinstance(parent, exp.CTE | exp.From | exp.Join | exp.Lateral)


def check_budget(
    case: Inspection, table: RuleTable, privacy_budget: Sequence[Mapping[str, Any]]
) -> Iterator[Violation]:
    """Yield aggregates for which the budget has too few left."""
    place = case.parsed.word(TokenType.SELECT)
    found = [one["budget"]["differentialPrivacy"] for one in privacy_budget if "differentialPrivacy" in one["budget"]]
    if not found:
        what = "the collaboration has no differential privacy budget"
        yield broken(case, "dp-no-budget", place, what, f"ask {table.owner} to create a privacy budget template", table)
        return
    left = {item["type"]: int(item["remainingCount"]) for item in found[0]["aggregations"]}
    wanted = Counter(
        "COUNT_DISTINCT" if name == "COUNT" and isinstance(node.this, exp.Distinct) else BUDGET_TYPES.get(name, name)
        for name, node in final_calls(case)
    )
    for kind, count in sorted(wanted.items()):
        if count > left.get(kind, 0):
            what = f"{count} x {kind}, but the privacy budget has {left.get(kind, 0)} left"
            yield broken(case, "dp-budget", place, what, "ask for fewer aggregates, or wait for the refresh", table)
