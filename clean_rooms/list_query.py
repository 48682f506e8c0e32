"""The SQL of the LIST rule: the brand's match keys joined with the partner's attributes.

A LIST rule allows nothing more (AWS Clean Rooms User Guide, "List analysis rule"): SELECT DISTINCT, list columns only,
inner joins on join columns. The query projects ``customer_key``, so that two people with equal attributes stay two
rows. It is built as a syntax tree, never glued from text.
"""

from __future__ import annotations

import re

from sqlglot import exp
from sqlglot.dialects.spark import Spark

from contracts.errors import SettingsError
from contracts.run_settings import Query

NAME = re.compile(r"[a-z][a-z0-9_]{0,126}")
SQL_WORDS = frozenset(word.lower() for key in Spark.Tokenizer.KEYWORDS for word in key.split())


def build_list_query(query: Query) -> str:
    """Write the query of a project.

    Raises
    ------
    SettingsError
        If a table or column name is not plain (lower-case letters, digits, underscore).
    """
    for name in (query.match_keys_table, query.partner_table, *query.partner_columns):
        if not NAME.fullmatch(name):
            raise SettingsError(
                f"{name!r} can't be a table or column name in Clean Rooms",
                where="project.toml [query]",
                fix="use lower-case letters, digits and underscores, a letter first",
            )
    own = [exp.column("customer_key", table="m")]
    partner = [exp.column(identifier(name), table="p") for name in query.partner_columns]
    tree = (
        exp.select(*own, *partner)
        .distinct()
        .from_(exp.Table(this=identifier(query.match_keys_table)).as_("m"))
        .join(
            exp.Table(this=identifier(query.partner_table)).as_("p"),
            on=exp.EQ(this=exp.column("hashed_id", table="m"), expression=exp.column("hashed_id", table="p")),
            join_type="inner",
        )
    )
    return str(tree.sql(dialect="spark"))


def identifier(name: str) -> exp.Identifier:
    """Write a name as SQL takes it; one that is also a word of SQL (``date``, ``order``) stands in backticks."""
    return exp.to_identifier(name, quoted=name in SQL_WORDS)
