"""Groups of an allowed query that are too small: by which column they are counted, and the query without them.

Comes in: a ``Verdict`` with constraints, then its tree with every column traced to its source. Goes out: the tree with
its groups filtered, and a query that counts what was left out, of each SELECT whose rows reach the result. Refused, by
name: what can't be counted, or what the documents do not say how to count.
Sources: AWS Clean Rooms User Guide, "Aggregation analysis rule", "Minimum aggregation thresholds".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlglot import exp

from clean_rooms.analysis_rules.functions import function_name
from clean_rooms.analysis_rules.lineage import Block, Origin, Relation, Resolution, Source, is_aggregate
from clean_rooms.analysis_rules.verdict import OutputConstraint, Verdict

FILTERS = "filters"  # key in the meta of a SELECT: source, column and constraint of each filter
COUNTS = frozenset({"COUNT", "APPROX_COUNT_DISTINCT"})


class NotEnforceable(Exception):
    """A rule can't be applied to the rows of this query."""


@dataclass(frozen=True, eq=False)
class FilteredGroups:
    """What a SELECT leaves out: ``counts`` gives one row of how many groups there are, are left out, and break each."""

    counts: exp.Select
    constraints: tuple[OutputConstraint, ...]


def mark_filters(verdict: Verdict) -> None:
    """Note on the SELECTs of a verdict's tree by which columns their groups are filtered; copies keep the notes.

    Raises
    ------
    NotEnforceable
        If a constraint can't be applied to this query.
    """
    resolution = verdict.resolution
    if resolution is None or (verdict.rule_type == "CUSTOM" and is_plain_count(resolution)):
        return
    for constraint in verdict.constraints:
        reached = {id(block) for block in blocks_of(resolution.root)}
        for block in resolution.blocks:
            if id(block) not in reached and any(reads(one, constraint.table) for one in block.sources.values()):
                raise not_counted(constraint, "a subquery in an expression or a CTE that is not used reads it")
        for select, alias, column in filters_of(resolution.root, constraint):
            select.meta.setdefault(FILTERS, []).append((alias, column, constraint))


def apply_filters(query: exp.Query) -> list[FilteredGroups]:
    """Filter the marked SELECTs of a query in place, inner before outer."""
    return [leave_out(one) for one in reversed(list(query.find_all(exp.Select))) if FILTERS in one.meta]


def leave_out(select: exp.Select) -> FilteredGroups:
    """Filter the groups of one SELECT in place."""
    filters: list[tuple[str, str, OutputConstraint]] = select.meta[FILTERS]
    if select.args.get("distinct"):
        keys = [one.unalias().copy() for one in select.expressions if one.find(exp.Column)]
        select.set("distinct", None)
        select.set("group", exp.Group(expressions=keys) if keys else None)
    inner = standalone(select)
    inner.set("expressions", [exp.alias_(distinct(a, c), f"n{number}") for number, (a, c, _) in enumerate(filters)])
    for name in ("order", "limit"):
        inner.set(name, None)
    for alias, column, one in filters:
        if column:
            minimum = exp.Literal.number(one.minimum)
            select.having(exp.GTE(this=distinct(alias, column), expression=minimum), copy=False)
        else:
            select.where(exp.false(), copy=False)
    breaks = [f"n{number} < {one.minimum}" for number, (*_, one) in enumerate(filters)]
    counts = ["count(*)", *(f"count(*) FILTER (WHERE {broken})" for broken in [" OR ".join(breaks), *breaks])]
    counting = exp.select(*counts, dialect="duckdb").from_(inner.subquery("counted", copy=False))
    return FilteredGroups(counting, tuple(one for *_, one in filters))


def distinct(alias: str, column: str) -> exp.Expr:
    """Count the distinct values of a column in a group; NULL is none. Without a column: a row, too small for any."""
    if not column:
        return exp.Literal.number(0)
    return exp.Count(this=exp.Distinct(expressions=[exp.column(column, alias, quoted=True)]))


def standalone(select: exp.Select) -> exp.Select:
    """Copy a SELECT with the common table expressions that it may read."""
    before: list[exp.Expr] = []
    node: exp.Expr = select
    while (parent := node.parent) is not None:
        if isinstance(parent, exp.With):
            before = [*parent.expressions[: parent.expressions.index(node)], *before]
        elif isinstance(parent, exp.Query) and not isinstance(node, exp.With):
            before = [*parent.ctes, *before]
        node = parent
    copied = select.copy()
    before = [*before, *copied.ctes]
    copied.set("with_", exp.With(expressions=[one.copy() for one in before]) if before else None)
    return copied


def is_plain_count(resolution: Resolution) -> bool:
    """Tell the counts of a single table without grouping and join, to which thresholds do not apply (User Guide)."""
    (*_, block), blocks = resolution.root.blocks, resolution.blocks
    is_single = len(blocks) == len(block.sources) == len(list(block.tables)) == 1
    is_whole = not any(block.select.args.get(name) for name in ("group", "having"))
    return is_single and is_whole and all(function_name(one.unalias()) in COUNTS for one in block.select.expressions)


def filters_of(relation: Relation, constraint: OutputConstraint) -> Iterator[tuple[exp.Select, str, str]]:
    """Yield each SELECT of a relation whose rows reach the result, with source and column by which it is filtered.

    No column: the SELECT doesn't group, so that each of its rows is one identity's.
    """
    if len(relation.blocks) != 1:
        raise not_counted(constraint, "rows of a set operation: the documents do not say how they are counted")
    (block,) = relation.blocks
    if any(item.find(exp.Window) for item in block.select.expressions):
        raise not_counted(constraint, "window functions: the documents do not say whose rows a row is built from")
    for source in block.sources.values():
        if not reads(source, constraint.table):
            continue
        if is_grouped(block):
            yield block.select, source.alias, counted(source, constraint)
        elif source.table is not None:
            yield block.select, source.alias, ""
        else:
            yield from filters_of(source.relation, constraint)


def counted(source: Source, constraint: OutputConstraint) -> str:
    """Name the column of a source that holds the identities, and nothing that could be counted as more of them."""
    identity = Origin(constraint.table, constraint.column)
    for output in source.relation.outputs:
        if output.is_bare and output.origins == {identity}:
            return output.name
    raise not_counted(constraint, f"{source.alias} does not pass it on as it is")


def is_grouped(block: Block) -> bool:
    """Tell whether a row of a SELECT stands for a group of rows."""
    arguments = block.select.args
    if any(arguments.get(name) for name in ("group", "distinct", "having")):
        return True
    return any(is_aggregate(node) for item in block.select.expressions for node in item.walk())


def reads(source: Source, table: str) -> bool:
    """Tell whether the rows of a source come from a table."""
    if source.table is not None:
        return source.table.name == table
    return any(reads(inner, table) for block in source.relation.blocks for inner in block.sources.values())


def blocks_of(relation: Relation) -> Iterator[Block]:
    """Yield the blocks of a relation and of all that its rows come from."""
    for block in relation.blocks:
        yield block
        for source in block.sources.values():
            yield from blocks_of(source.relation)


def not_counted(constraint: OutputConstraint, why: str) -> NotEnforceable:
    """Say of which minimum an engine can't tell whether it is kept."""
    counted = f"{constraint.minimum} distinct {constraint.table}.{constraint.column}"
    return NotEnforceable(f"whether {counted} are behind a row can't be told: {why}")
