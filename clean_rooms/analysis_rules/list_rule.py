"""The LIST rule: distinct rows of list columns from inner joins on join columns that reach a table of the runner.

Comes in: a query under inspection whose tables all have LIST rules. Goes out: violations.
Source: AWS Clean Rooms User Guide, "Analysis rules - list"; API reference, AnalysisRuleList.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sqlglot import exp
from sqlglot.tokenizer_core import TokenType

from clean_rooms.analysis_rules.clauses import STRUCTURE, extra_syntax, one_select
from clean_rooms.analysis_rules.filters import check_where
from clean_rooms.analysis_rules.functions import function_name
from clean_rooms.analysis_rules.inspection import Inspection
from clean_rooms.analysis_rules.joins import SHAPES, check_joins, without_overlap
from clean_rooms.analysis_rules.lineage import Block
from clean_rooms.analysis_rules.verdict import Violation

RULE = STRUCTURE["list"]
CLAUSES = frozenset({"limit"})
WRONG_SHAPES = {f"list-{shape}" for shape in SHAPES}


def check_list(case: Inspection) -> Iterator[Violation]:
    """Yield every violation of LIST rules."""
    select = one_select(case)
    yield from extra_syntax(case, select, "list", CLAUSES)
    block = next((block for block in case.resolution.blocks if block.select is select), None)
    if select is None or block is None:
        return
    yield from check_distinct(case, select)
    yield from check_outputs(case, block)
    wrong_joins = [*check_joins(case, block, "list")]
    yield from wrong_joins
    if not any(one.code in WRONG_SHAPES for one in wrong_joins):
        yield from check_overlap(case, block)
    if where := select.args.get("where"):
        yield from check_where(case, where, "list", "listColumns")
        for node in where.walk():
            if (name := function_name(node)) and not case.parsed.is_typed_literal(node):
                what = f"{name}: no function is allowed under a LIST rule"
                place = case.parsed.place_of_head(node)
                yield case.violation("list-function", place, what, "compare the column itself", rule=RULE)
    if limit := select.args.get("limit"):
        number = limit.expression
        if not isinstance(number, exp.Literal) or number.is_string or not re.fullmatch(r"0*[1-9]\d*", number.name):
            what = "LIMIT takes a positive whole number"
            yield case.violation("list-limit", limit, what, "write LIMIT 1000", rule=RULE)


def check_distinct(case: Inspection, select: exp.Select) -> Iterator[Violation]:
    """Yield the lack of DISTINCT."""
    distinct = select.args.get("distinct")
    if distinct is None:
        place = case.parsed.word(TokenType.SELECT)
        yield case.violation(
            "list-needs-distinct", place, "SELECT without DISTINCT", "write SELECT DISTINCT", rule=RULE
        )


def check_outputs(case: Inspection, block: Block) -> Iterator[Violation]:
    """Yield outputs that are not bare list columns."""
    own = [
        f"{table.name}.{column}"
        for table in case.tables
        if table.owner == case.runner
        for column in table.policy.get("listColumns") or ()
    ]
    for item in block.select.expressions:
        inner = item.unalias()
        if isinstance(inner, exp.Star) or (isinstance(inner, exp.Column) and isinstance(inner.this, exp.Star)):
            what = "a star is not among what the documents allow"
            fix = "name the list columns"
            yield case.violation("list-select-star", item, what, fix, rule=RULE, is_unsure=True)
        elif not isinstance(inner.unnest(), exp.Column):
            name = function_name(inner)
            kind = "literal" if isinstance(inner, exp.Literal | exp.Null | exp.Boolean) else "expression"
            code = "list-function" if name else f"list-select-{kind}"
            what = f"{name or f'a {kind}'}: only columns may be selected under a LIST rule"
            place = case.parsed.place(inner)
            yield case.violation(code, place, what, "select the column and compute after the query", rule=RULE)
    for output in block.outputs:
        for origin in sorted(output.origins):
            table = case.table(origin.table)
            if origin.column in table.listed("listColumns"):
                continue
            if origin.column in table.listed("joinColumns"):
                fix = "drop it"
                if own:
                    fix += f"; select {own[0]} (list column of your own) to keep one row per customer"
                what = "a join column may not be selected"
                yield case.violation(
                    "list-select-join-column", output.node, what, fix, field="joinColumns", origin=origin
                )
            else:
                what = f"{origin.column} is not a list column"
                fix = f"drop it, or ask {table.owner} to add it to listColumns"
                yield case.violation(
                    "list-select-not-list-column", output.node, what, fix, field="listColumns", origin=origin
                )


def check_overlap(case: Inspection, block: Block) -> Iterator[Violation]:
    """Yield tables that are not joined with a table of the query runner."""
    if len(block.sources) < 2:
        place = case.parsed.word(TokenType.FROM)
        fix = f"join a table of {case.runner} on a join column"
        yield case.violation("list-needs-join", place, "a LIST rule needs an inner join", fix, rule=RULE)
        return
    lonely = without_overlap(case, block)
    for table in [table for table in lonely if table.owner != case.runner] or lonely:
        what = f"{table.name} is not joined with a table of the query runner, directly or through others"
        fix = f"add an inner join to a table of {case.runner}"
        source = next(source for source in block.sources.values() if source.table is table)
        yield case.violation("list-overlap", source.node, what, fix, table=table, rule=f"LIST on {table.name}: overlap")
