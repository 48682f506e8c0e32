"""Every comparison in a query, and whether columns meet literals or each other in it.

Comes in: a query under inspection. Goes out: ``Comparison`` records. A side without any column, also one
that arrives as a column of VALUES or of a subquery, is a literal.
Source: AWS Clean Rooms User Guide, "Comparison controls".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlglot import exp

from clean_rooms.analysis_rules.functions import AGGREGATES, COMPARING, function_name
from clean_rooms.analysis_rules.grammar import COMPARISONS
from clean_rooms.analysis_rules.inspection import Inspection
from clean_rooms.analysis_rules.lineage import NOTHING, Origin, Origins

MATCHING = (exp.Like, exp.ILike, exp.RegexpLike)
CONDITIONS = (exp.Where, exp.Having, exp.And, exp.Or, exp.Not)


@dataclass(frozen=True, eq=False)
class Comparison:
    """One comparison.

    Parameters
    ----------
    node : sqlglot expression
        Where.
    with_literal, with_column : frozenset of Origin
        Table columns that meet a literal, and those that meet another column.
    is_indirect : bool
        True if a column meets the literal inside an aggregate, computed elsewhere, or in a function.
    """

    node: exp.Expr
    with_literal: Origins
    with_column: Origins
    is_indirect: bool


def comparisons(case: Inspection) -> Iterator[Comparison]:
    """Yield the comparisons of a query, in the order of the tree."""
    tree = case.parsed.tree
    for node in tree.walk() if tree else ():
        if sides := sides_of(node):
            yield compare(case, node, sides)
        elif isinstance(node, exp.Column) and is_condition(node):
            yield Comparison(node, case.origins(node), NOTHING, True)
    for block in case.resolution.blocks:
        for join in block.select.args.get("joins") or ():
            using = [name.name.lower() for name in join.args.get("using") or ()]
            names = using or (block.merged if join.method == "NATURAL" else ())
            origins = [
                output.origins
                for name in names
                for side in block.merged.get(name, ())
                for output in block.sources[side].relation.outputs
                if output.name == name
            ]
            if origins:
                yield Comparison(join.this, NOTHING, NOTHING.union(*origins), False)


def sides_of(node: exp.Expr) -> list[exp.Expr]:
    """Sides of a comparison; empty if the node is none."""
    if isinstance(node, (*COMPARISONS, *MATCHING)):
        return [node.this, node.expression]
    if isinstance(node, exp.Between):
        return [node.this, node.args["low"], node.args["high"]]
    if isinstance(node, exp.In):
        query = node.args.get("query")
        return [node.this, *node.expressions, *([query] if query else [])]
    if isinstance(node, exp.Is) and isinstance(node.expression, exp.Boolean):
        return [node.this, node.expression]
    if isinstance(node, exp.Case) and node.this is not None:
        return [node.this, *(branch.this for branch in node.args["ifs"])]
    if isinstance(node, exp.Bracket):  # a map looked up by a column
        return [node.this, *node.expressions]
    if function_name(node) in COMPARING:
        parts = [part for value in node.args.values() for part in (value if isinstance(value, list) else [value])]
        return [part for part in parts if isinstance(part, exp.Expr)]
    return []


def is_condition(node: exp.Expr) -> bool:
    """Tell a column that stands alone as a condition, which compares it with TRUE."""
    parent = node.parent
    while isinstance(parent, exp.Paren):
        node, parent = parent, parent.parent
    if isinstance(parent, exp.If):
        has_operand = isinstance(parent.parent, exp.Case) and parent.parent.this is not None
        return parent.this is node and not has_operand
    if isinstance(parent, exp.Join):
        return parent.args.get("on") is node
    return isinstance(parent, CONDITIONS)


def compare(case: Inspection, node: exp.Expr, sides: list[exp.Expr]) -> Comparison:
    """Tell what meets what."""
    origins: list[Origins] = []
    # the documents speak of operators: what a function compares is unsure
    indirect = isinstance(node, exp.Bracket) or (function_name(node) in COMPARING and not isinstance(node, MATCHING))
    for side in sides:
        found = NOTHING
        for part in side.walk():
            if isinstance(part, exp.Column) and (of := case.origins(part)):
                found |= of
                indirect = indirect or id(part) not in case.resolution.bare or is_aggregated(part, node)
            elif isinstance(part, exp.Select):
                found |= outputs_of(case, part)
        origins.append(found)
    written = [one for one in origins if one]
    everything = NOTHING.union(*written)
    has_literal = len(written) < len(origins)
    return Comparison(
        node, everything if has_literal else NOTHING, everything if len(written) > 1 else NOTHING, indirect
    )


def outputs_of(case: Inspection, select: exp.Select) -> Origins:
    """Origins of a subquery's outputs, also of those that a star brings."""
    outputs = (output.origins for block in case.resolution.blocks if block.select is select for output in block.outputs)
    return NOTHING.union(*outputs)


def is_aggregated(column: exp.Expr, until: exp.Expr) -> bool:
    """Tell whether a column stands inside an aggregate below a node."""
    parent = column.parent
    while parent is not None and parent is not until:
        if function_name(parent) in AGGREGATES:
            return True
        parent = parent.parent
    return False


def grouping_keys(case: Inspection) -> Iterator[tuple[exp.Expr, Origin]]:
    """Yield the columns of GROUP BY, also by position, and of window keys."""
    for block in case.resolution.blocks:
        group = block.select.args.get("group")
        for item in group.expressions if group else ():
            if isinstance(item, exp.Literal) and item.name.isdecimal():
                for output in block.outputs[int(item.name) - 1 : int(item.name)]:
                    yield from ((item, origin) for origin in sorted(output.origins))
    tree = case.parsed.tree
    for node in tree.find_all(exp.Group, exp.Window) if tree else ():
        parts = [node] if isinstance(node, exp.Group) else [*node.args.get("partition_by", []), node.args.get("order")]
        for column in (column for part in parts if part is not None for column in part.find_all(exp.Column)):
            yield from ((column, origin) for origin in sorted(case.origins(column)))
