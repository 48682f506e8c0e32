"""Whatever a project may call its tables and columns, the query is one SELECT DISTINCT over one inner join."""

from __future__ import annotations

import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import exp

from clean_rooms.list_query import build_list_query
from contracts.run_settings import Query
from tests.strategies import column_names


@settings(max_examples=60)
@given(
    tables=st.lists(column_names(), min_size=2, max_size=2, unique=True),
    columns=st.lists(column_names(), min_size=1, max_size=4, unique=True),
)
def test_query_parses_as_one_select_distinct_of_just_these_names(tables: list[str], columns: list[str]) -> None:
    sql = build_list_query(Query("c", tables[0], tables[1], tuple(columns), 60))
    (tree,) = sqlglot.parse(sql, dialect="spark")
    assert isinstance(tree, exp.Select)
    assert isinstance(tree.args["distinct"], exp.Distinct)
    projected = [(column.table, column.name) for column in tree.selects if isinstance(column, exp.Column)]
    assert len(projected) == len(tree.selects)
    assert projected == [("m", "customer_key"), *(("p", name) for name in columns)]
    assert [(table.name, table.alias) for table in tree.find_all(exp.Table)] == [(tables[0], "m"), (tables[1], "p")]
    (join,) = tree.args["joins"]
    assert join.kind == "INNER"
    assert join.args["on"].sql() == "m.hashed_id = p.hashed_id"
    assert {key for key, value in tree.args.items() if value} == {"expressions", "distinct", "from_", "joins"}
