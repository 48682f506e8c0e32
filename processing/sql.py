"""DuckDB as BuildFeatures uses it: a connection that spills and fetches nothing; how names and texts are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb

MEMORY_LIMIT = "1500MB"  # what does not fit spills to disk; measured: more brings little


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
