"""DuckDB as BuildFeatures uses it: a connection that spills and fetches nothing; how names and texts are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb

from contracts.errors import ContractError

MEMORY_LIMIT = "1500MB"  # what does not fit spills to disk; measured: more brings little
IDENTIFIER_VALUES = 100  # a text column with more values than this, for more than half of the rows, names people


def connect(work_dir: Path) -> duckdb.DuckDBPyConnection:
    """Open a connection that spills to ``work_dir``, keeps UTC, and fetches nothing from outside."""
    connection = duckdb.connect(
        config={
            "temp_directory": str(work_dir),
            "memory_limit": MEMORY_LIMIT,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
    )
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def one_row(
    connection: duckdb.DuckDBPyConnection, sql: str, parameters: dict[str, Any] | None = None
) -> tuple[Any, ...]:
    """Run a query that has exactly one row and return it."""
    (row,) = connection.execute(sql, parameters or {}).fetchall()
    return tuple(row)


def columns_of(connection: duckdb.DuckDBPyConnection, table: str) -> dict[str, str]:
    """Return a table's columns with their DuckDB types, in order."""
    return {name: str(type_) for name, type_, *_ in connection.execute(f"DESCRIBE {table}").fetchall()}


def quoted(name: str) -> str:
    """Write a column's name so that it is no word of SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Write a text as a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"


def refuse_identifier(connection: duckdb.DuckDBPyConnection, table: str, name: str, where: str, fix: str) -> None:
    """Stop if a text column names people instead of grouping them."""
    column = quoted(name)
    values, present = one_row(connection, f"SELECT count(DISTINCT {column}), count({column}) FROM {table}")
    if values > IDENTIFIER_VALUES and 2 * values > present:
        raise ContractError(
            f"column {name} has {values:,} different texts in {present:,} rows",
            where=where,
            why="that names people instead of grouping them; no name or address is ever a feature",
            fix=fix,
        )
