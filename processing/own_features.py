"""A feature query of the user's own: one SELECT over ``events`` (or ``customers``), a row per customer.

It sees no event after the snapshot: inside it ``events`` holds only what was known on the date, and it can name nothing
but that table. Refused: more than one statement, another statement than SELECT, another table, a file or function that
reads one, two rows for a customer, a name that we have already.
"""

from __future__ import annotations

from datetime import date

import duckdb
import sqlglot
from sqlglot import exp

from contracts.errors import ContractError, SettingsError
from contracts.query_result import KEY
from processing.sql import columns_of, one_row

WHERE = "tables.features in project.toml"


def check_query(sql: str, source: str) -> None:
    """Refuse what is not one SELECT over ``source`` alone.

    Raises
    ------
    SettingsError
        Naming what was found.
    """
    try:
        statements = sqlglot.parse(sql, dialect="duckdb")
    except sqlglot.errors.SqlglotError as error:
        raise SettingsError(
            "the feature query is not SQL", where=WHERE, why=str(error).partition("\n")[0], fix="mend it"
        ) from error
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        raise SettingsError(
            "the feature query must be one SELECT", where=WHERE, fix="write one SELECT per customer_key"
        )
    tree = statements[0]
    known = {source, *(cte.alias for cte in tree.find_all(exp.CTE))}
    for table in tree.find_all(exp.Table):
        if not isinstance(table.this, exp.Identifier) or table.db or table.catalog or table.name not in known:
            raise SettingsError(
                f"the feature query reads {table.sql(dialect='duckdb')}",
                where=WHERE,
                why=f"it may read {source} and nothing else: what it reads is then what was known on the date",
                fix=f"select from {source}",
            )


def own_features(connection: duckdb.DuckDBPyConnection, sql: str, source: str, base: str, as_of: date | None) -> str:
    """Compute the user's features for the customers of ``base``; return the name of their table.

    Raises
    ------
    SettingsError
        If the query is not one SELECT over ``source``, or DuckDB refuses it.
    ContractError
        If a customer has two rows, or there is no ``customer_key``.
    """
    check_query(sql, source)
    known = f"WHERE event_day <= DATE '{as_of}'" if as_of and source == "events" else ""
    name = f"own_{base}"
    body = sql.strip().rstrip(";")
    try:
        connection.execute(
            f"""CREATE OR REPLACE TEMP TABLE {name} AS
            WITH {source} AS (SELECT * FROM all_{source} {known}) SELECT * FROM (\n{body}\n)"""
        )
    except duckdb.Error as error:
        raise SettingsError(
            "the feature query can't be run", where=WHERE, why=str(error).partition("\n")[0], fix="mend it"
        ) from error
    if KEY not in columns_of(connection, name):
        raise ContractError("the feature query gives no customer_key", where=WHERE, fix="select it, a row per customer")
    rows, keys = one_row(connection, f"SELECT count(*), count(DISTINCT {KEY}) FROM {name}")
    if rows != keys:
        raise ContractError(
            f"the feature query gives {rows:,} rows for {keys:,} customers",
            where=WHERE,
            why="a feature is one value per customer, and a missing customer_key is nobody",
            fix="GROUP BY customer_key",
        )
    return name
