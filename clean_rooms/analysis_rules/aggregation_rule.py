"""The AGGREGATION rule: granted aggregates of columns, grouped by dimension columns.

Comes in: a query under inspection whose tables all have AGGREGATION rules. Goes out: violations, and the constraints
that drop rows from the result. Where several tables are read, what one of them does not grant is not granted.
Source: AWS Clean Rooms User Guide, "Analysis rules - aggregation"; API reference, AnalysisRuleAggregation.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp
from sqlglot.tokenizer_core import TokenType

from clean_rooms.analysis_rules.clauses import STRUCTURE, extra_syntax, one_select
from clean_rooms.analysis_rules.filters import check_where
from clean_rooms.analysis_rules.functions import AGGREGATES, WINDOWS, function_name
from clean_rooms.analysis_rules.grammar import wording
from clean_rooms.analysis_rules.inspection import Inspection
from clean_rooms.analysis_rules.joins import SHAPES, check_joins, without_overlap
from clean_rooms.analysis_rules.lineage import Block, Output
from clean_rooms.analysis_rules.verdict import OutputConstraint, Violation

RULE = STRUCTURE["aggregation"]
CLAUSES = frozenset({"group", "having", "order"})
WRONG_SHAPES = {f"aggregation-{shape}" for shape in SHAPES}
SAME_SCALAR = {"CEIL": "CEILING", "SUBSTR": "SUBSTRING", "TRY_CAST": "CAST"}
HAVING_OPERATORS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE)


def check_aggregation(case: Inspection) -> Iterator[Violation]:
    """Yield every violation of AGGREGATION rules."""
    select = one_select(case)
    yield from extra_syntax(case, select, "aggregation", CLAUSES)
    block = next((block for block in case.resolution.blocks if block.select is select), None)
    if select is None or block is None:
        return
    if select.args.get("distinct"):
        place = case.parsed.word_before(select.expressions[0], TokenType.DISTINCT)
        what = "SELECT DISTINCT is not in the query structure"
        yield case.violation("aggregation-distinct", place, what, "leave DISTINCT out", rule=RULE)
    yield from check_select(case, block)
    yield from check_group_by(case, block)
    wrong_joins = [*check_joins(case, block, "aggregation")]
    yield from wrong_joins
    if not any(one.code in WRONG_SHAPES for one in wrong_joins):
        yield from check_required_joins(case, block)
    if where := select.args.get("where"):
        yield from check_where(case, where, "aggregation", "dimensionColumns")
        yield from check_scalars(case, where)
    if having := select.args.get("having"):
        yield from check_having(case, block, having.this)
    for item in (select.args.get("order") or exp.Order()).expressions:
        yield from check_order(case, block, item)


def constraints(case: Inspection) -> tuple[OutputConstraint, ...]:
    """Strictest output constraint of each column of the tables read."""
    minimums: dict[tuple[str, str], int] = {}
    for table in case.tables:
        for constraint in table.policy.get("outputConstraints") or ():
            key = (table.name, str(constraint["columnName"]).lower())
            minimums[key] = max(minimums.get(key, 0), int(constraint["minimum"]))
    return tuple(OutputConstraint(table, column, minimum) for (table, column), minimum in sorted(minimums.items()))


def check_select(case: Inspection, block: Block) -> Iterator[Violation]:
    """Yield what is wrong with the SELECT list."""
    for item in block.select.expressions:
        inner = item.unalias().unnest()
        if aggregate_of(inner):
            yield from check_aggregate(case, inner)
        elif any(aggregate_of(node) for node in inner.walk()):
            yield from check_around_aggregate(case, inner)
        else:
            yield from check_grouping(case, inner)
    if not any(aggregate_of(node) for item in block.select.expressions for node in item.walk()):
        place = case.parsed.word(TokenType.SELECT)
        fix = "select a granted aggregate, such as COUNT(DISTINCT column)"
        yield case.violation("aggregation-needs-aggregate", place, "no aggregate is selected", fix, rule=RULE)


def aggregate_of(node: exp.Expr) -> str | None:
    """Name of the aggregate that a node is, with DISTINCT as the API writes it."""
    name = function_name(node)
    if name not in AGGREGATES:
        return None
    return f"{name}_DISTINCT" if isinstance(node.this, exp.Distinct) else name


def check_aggregate(case: Inspection, node: exp.Expr) -> Iterator[Violation]:
    """Yield what is wrong with one aggregate."""
    name = aggregate_of(node)
    argument = node.this
    columns = argument.expressions if isinstance(argument, exp.Distinct) else [argument]
    place = case.parsed.place(node)
    others = [value for key, value in node.args.items() if key not in ("this", "big_int") and value]
    if len(columns) != 1 or others or not isinstance(columns[0], exp.Column) or isinstance(columns[0].this, exp.Star):
        what = "an aggregate takes one column, no expression and no star"
        fix = "aggregate a granted column itself"
        yield case.violation("aggregation-aggregate-of-expression", place, what, fix, rule=RULE)
        return
    for origin in sorted(case.origins(columns[0])):
        table = case.table(origin.table)
        granted = sorted(
            str(item["function"])
            for item in table.policy["aggregateColumns"]
            if origin.column in {str(column).lower() for column in item["columnNames"]}
        )
        if name not in granted:
            what = f"{name} of {origin.column} is not granted"
            fix = f"granted for {origin.column}: {', '.join(granted) or 'nothing'}"
            field = f"aggregateColumns of {origin.column}"
            rule = table.says(field, granted)
            yield case.violation("aggregation-not-granted", place, what, fix, origin=origin, rule=rule)


def check_around_aggregate(case: Inspection, node: exp.Expr) -> Iterator[Violation]:
    """Yield what is wrong with an aggregate inside something else."""
    place = case.parsed.place(node)
    if isinstance(node, exp.Window) or node.find(exp.Window):
        what = "window functions are not allowed"
        yield case.violation("aggregation-window", place, what, "aggregate with GROUP BY", rule=RULE)
        return
    name = function_name(node)
    if name and all(aggregate_of(part) or is_argument(part) for part in arguments(node)):
        what = f"{name} of an aggregate: the User Guide does not show it, the API reference speaks of it"
        fix = "compute it after the query"
        yield case.violation("aggregation-scalar-of-aggregate", place, what, fix, rule=RULE, is_unsure=True)
        yield from check_scalars(case, node)
        for part in node.walk():
            if aggregate_of(part):
                yield from check_aggregate(case, part)
        return
    what = "an aggregate may not stand inside an expression"
    yield case.violation("aggregation-expression", place, what, "select the aggregates, compute afterwards", rule=RULE)


def check_grouping(case: Inspection, node: exp.Expr) -> Iterator[Violation]:
    """Yield what is wrong with a grouping expression: a dimension column, a scalar function of such, a literal."""
    place = case.parsed.place(node)
    if isinstance(node, exp.Window) or (function_name(node) in WINDOWS):
        what = "window functions are not allowed"
        yield case.violation("aggregation-window", place, what, "aggregate with GROUP BY", rule=RULE)
        return
    if isinstance(node, exp.Star) or (isinstance(node, exp.Column) and isinstance(node.this, exp.Star)):
        what = "a star is not in the query structure"
        yield case.violation("aggregation-star", place, what, "name the dimension columns", rule=RULE)
        return
    if not is_argument(node) and function_name(node) is None:
        what = "only a dimension column, a scalar function or a literal may be grouped by"
        yield case.violation("aggregation-expression", place, what, "group by the column itself", rule=RULE)
        return
    yield from check_scalars(case, node)
    for column in node.find_all(exp.Column):
        for origin in sorted(case.origins(column)):
            table = case.table(origin.table)
            if origin.column not in table.listed("dimensionColumns"):
                is_join = origin.column in table.listed("joinColumns")
                code = f"aggregation-select-{'join-column' if is_join else 'not-dimension-column'}"
                what = f"{'a join column' if is_join else origin.column} may not be selected or grouped by"
                allowed = ", ".join(sorted(table.listed("dimensionColumns"))) or "none"
                fix = f"dimension columns of {table.name}: {allowed}"
                yield case.violation(code, column, what, fix, field="dimensionColumns", origin=origin)


def check_scalars(case: Inspection, inside: exp.Expr) -> Iterator[Violation]:
    """Yield scalar functions that a table does not grant, or that are not called on columns and literals."""
    for node in inside.walk():
        name = function_name(node)
        if name is None or name in AGGREGATES or case.parsed.is_typed_literal(node):
            continue
        place = case.parsed.place_of_head(node)
        place = case.parsed.place(node) if place.length == 1 else place
        for table in case.tables:
            if SAME_SCALAR.get(name, name) not in {str(item) for item in table.policy["scalarFunctions"]}:
                what = f"{name} is not a granted scalar function"
                granted = ", ".join(table.policy["scalarFunctions"]) or "none"
                fix = f"granted by {table.name}: {granted}"
                yield case.violation("aggregation-scalar", place, what, fix, table=table, field="scalarFunctions")
        if not all(is_argument(part) or aggregate_of(part) for part in arguments(node)):
            what = f"{name} takes columns and literals, no expression and no other function"
            yield case.violation("aggregation-scalar-nested", place, what, "call one function on a column", rule=RULE)
        if name == "RTRIM" and node.args.get("expression"):
            what = "RTRIM is granted with its default trimming only"
            yield case.violation("aggregation-rtrim", place, what, "write RTRIM(column)", rule=RULE)


def arguments(node: exp.Expr) -> list[exp.Expr]:
    """Arguments of a call, without types, units and what the parser wraps around them."""
    parts = [
        part.this if type(part).__name__.startswith("TsOrDs") else part
        for key, value in node.args.items()
        if key not in ("to", "unit", "position")
        for part in (value if isinstance(value, list) else [value])
        if isinstance(part, exp.Expr)
    ]
    return [part for part in parts if not isinstance(part, exp.Var)]


def is_argument(node: exp.Expr) -> bool:
    """Tell a column, a literal or a negative number."""
    inner = node.this if isinstance(node, exp.Neg) else node
    if isinstance(inner, exp.Column):
        return not isinstance(inner.this, exp.Star) and not isinstance(node, exp.Neg)
    return isinstance(inner, exp.Literal)


def plain(node: exp.Expr) -> str:
    """Write an expression without aliases of sources and without case."""
    copy = node.unnest().copy()
    for column in copy.find_all(exp.Column):
        for part in ("table", "db", "catalog"):
            column.set(part, None)
    return copy.sql("spark", comments=False).lower()


def find_output(case: Inspection, block: Block, node: exp.Expr) -> Output | None:
    """Find the output that an item of GROUP BY, HAVING or ORDER BY means, by its alias or its text."""
    by_name = [o for o in block.outputs if isinstance(node, exp.Column) and o.name and o.name == node.name.lower()]
    by_text = [
        output
        for output in block.outputs
        if plain(output.node.unalias()) == plain(node) and output.origins == case.resolution.origins_in(node)
    ]
    return next(iter([*by_text, *by_name]), None)


def check_group_by(case: Inspection, block: Block) -> Iterator[Violation]:
    """Yield differences between the grouping expressions of SELECT and GROUP BY."""
    group = block.select.args.get("group")
    items: list[exp.Expr] = group.expressions if group else []
    for name in ("grouping_sets", "cube", "rollup"):
        if group and group.args.get(name):
            place = case.parsed.word_before(group, TokenType.GROUP_BY)
            what = f"{name.replace('_', ' ').upper()} is not in the query structure"
            yield case.violation("aggregation-group-by", place, what, "group by plain expressions", rule=RULE)
    grouped: list[Output] = []
    for item in items:
        output = find_output(case, block, item.unnest())
        if isinstance(item, exp.Literal):
            what = "the documents do not say whether a position is taken in GROUP BY"
            yield case.violation("aggregation-position", item, what, "name the column", rule=RULE, is_unsure=True)
            at = int(item.name) if item.name.isdecimal() else 0
            grouped += block.outputs[at - 1 : at] if at else []
        elif isinstance(item, exp.GroupingSets | exp.Cube | exp.Rollup):
            what = f"{wording(item)} is not in the query structure"
            yield case.violation("aggregation-group-by", item, what, "group by plain expressions", rule=RULE)
        elif output is None:
            yield from check_grouping(case, item.unnest())
            what = "GROUP BY must name what is selected"
            yield case.violation("aggregation-group-by", item, what, "select it, too, or leave it out", rule=RULE)
        else:
            grouped.append(output)
            if any(aggregate_of(node) for node in output.node.walk()):
                what = "an aggregate may not be grouped by"
                yield case.violation("aggregation-group-by", item, what, "leave it out", rule=RULE)
    for output in block.outputs:
        is_fixed = not output.origins or any(aggregate_of(node) for node in output.node.walk())
        if not is_fixed and output not in grouped:
            what = "what is selected beside aggregates must stand in GROUP BY"
            yield case.violation("aggregation-not-grouped", output.node, what, "add it to GROUP BY", rule=RULE)


def check_required_joins(case: Inspection, block: Block) -> Iterator[Violation]:
    """Yield tables whose rule requires a join with the query runner and that have none."""
    for table in without_overlap(case, block):
        if table.policy.get("joinRequired") == "QUERY_RUNNER":
            source = next(source for source in block.sources.values() if source.table is table)
            is_own = table.owner == case.runner
            whom = "another table of yours" if is_own else f"a table of {case.runner}"
            what = f"{table.name} must be joined with {whom}"
            fix = f"add an inner join to {whom}"
            yield case.violation("aggregation-join-required", source.node, what, fix, table=table, field="joinRequired")


def check_having(case: Inspection, block: Block, node: exp.Expr) -> Iterator[Violation]:
    """Yield what is wrong with HAVING: aggregates of one column against numbers, AND and OR."""
    if isinstance(node, exp.And | exp.Or):
        yield from check_having(case, block, node.this)
        yield from check_having(case, block, node.expression)
        return
    if isinstance(node, exp.Paren):
        yield from check_having(case, block, node.this)
        return
    sides = [node.this, node.expression] if isinstance(node, HAVING_OPERATORS) else []
    left, right = (side.unnest() for side in sides) if sides else (node, node)
    if sides and is_number(left):
        left, right = right, left
    output = find_output(case, block, left) if isinstance(left, exp.Column) else None
    meant = output.node.unalias() if output else left
    if not sides or not is_number(right) or not aggregate_of(meant):
        what = "HAVING compares an aggregate of one column with a number"
        yield case.violation("aggregation-having", node, what, "write such as HAVING COUNT(column) >= 10", rule=RULE)
        return
    if output is None:
        yield from check_aggregate(case, meant)


def is_number(node: exp.Expr) -> bool:
    """Tell a number, maybe negative."""
    inner = node.this if isinstance(node, exp.Neg) else node
    return isinstance(inner, exp.Literal) and not inner.is_string


def check_order(case: Inspection, block: Block, item: exp.Expr) -> Iterator[Violation]:
    """Yield an item of ORDER BY that is not selected."""
    node = item.this.unnest() if isinstance(item, exp.Ordered) else item
    if isinstance(node, exp.Literal):
        what = "the documents do not say whether a position is taken in ORDER BY"
        yield case.violation("aggregation-position", node, what, "name the column", rule=RULE, is_unsure=True)
    elif find_output(case, block, node) is None:
        what = "ORDER BY must name what is selected"
        yield case.violation("aggregation-order-by", node, what, "select it, too, or leave it out", rule=RULE)
